#include "util/varint.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

namespace tensorbundle {
namespace {

std::string Encoded(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

// What `take` makes of `bytes`; *left is what it left.
template <typename Take>
auto Taken(Take take, const std::string& bytes, std::string* left) {
  ByteView input(bytes);
  auto value = take(&input);
  *left = std::string(input.AsText());
  return value;
}

TEST(Varint, ReturnsEveryValueAroundEveryLengthBoundary) {
  std::string left;
  for (int bits = 0; bits < 64; ++bits) {
    for (const uint64_t value : {(uint64_t{1} << bits) - 1, uint64_t{1} << bits, (uint64_t{1} << bits) + 1}) {
      EXPECT_EQ(Taken(TakeVarint64, Encoded(value) + "rest", &left), value);
      EXPECT_EQ(left, "rest");
      if (value > UINT32_MAX) continue;
      EXPECT_EQ(Taken(TakeVarint32, Encoded(value) + "rest", &left), static_cast<uint32_t>(value));
      EXPECT_EQ(left, "rest");
    }
  }
}

TEST(Varint, ReturnsTheLargestValues) {
  std::string left;
  EXPECT_EQ(Taken(TakeVarint32, Encoded(UINT32_MAX), &left), UINT32_MAX);
  EXPECT_EQ(left, "");
  EXPECT_EQ(Taken(TakeVarint64, Encoded(UINT64_MAX), &left), UINT64_MAX);
  EXPECT_EQ(left, "");
}

TEST(Varint, RejectsEveryTruncationAndTakesNothing) {
  std::string left;
  for (const uint64_t value : {uint64_t{UINT32_MAX}, UINT64_MAX}) {
    const std::string bytes = Encoded(value);
    for (size_t length = 0; length < bytes.size(); ++length) {
      const std::string cut = bytes.substr(0, length);
      EXPECT_EQ(Taken(TakeVarint64, cut, &left), std::nullopt) << length;
      EXPECT_EQ(left, cut);
      EXPECT_EQ(Taken(TakeVarint32, cut, &left), std::nullopt) << length;
      EXPECT_EQ(left, cut);
    }
  }
}

TEST(Varint, RejectsMoreBitsThanTheResultHas) {
  std::string left;
  const std::string bits65 = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02";
  EXPECT_EQ(Taken(TakeVarint64, bits65, &left), std::nullopt);
  EXPECT_EQ(left, bits65);
  const std::string bits33 = "\xFF\xFF\xFF\xFF\x10";
  EXPECT_EQ(Taken(TakeVarint32, bits33, &left), std::nullopt);
  EXPECT_EQ(left, bits33);
}

TEST(Varint, RejectsMoreBytesThanTheLongestVarintHas) {
  std::string left;
  const std::string bytes11 = std::string(10, '\x80') + std::string(1, '\0');
  EXPECT_EQ(Taken(TakeVarint64, bytes11, &left), std::nullopt);
  EXPECT_EQ(left, bytes11);
  const std::string bytes6 = std::string(5, '\x80') + std::string(1, '\0');
  EXPECT_EQ(Taken(TakeVarint32, bytes6, &left), std::nullopt);
  EXPECT_EQ(left, bytes6);
}

TEST(Varint, AcceptsLongerThanNeededUpToTheLongest) {
  std::string left;
  for (size_t padding = 0; padding <= 8; ++padding) {
    const std::string bytes = '\x81' + std::string(padding, '\x80') + std::string(1, '\0');
    EXPECT_EQ(Taken(TakeVarint64, bytes, &left), 1u) << padding;
    EXPECT_EQ(left, "");
    EXPECT_EQ(Taken(TakeVarint32, bytes, &left), padding <= 3 ? std::optional<uint32_t>(1) : std::nullopt) << padding;
  }
}

TEST(Varint, WritesTheShortestEncodingOfEveryValueAroundEveryLengthBoundary) {
  for (int bits = 0; bits < 64; ++bits) {
    for (const uint64_t value : {(uint64_t{1} << bits) - 1, uint64_t{1} << bits, (uint64_t{1} << bits) + 1}) {
      uint8_t stored[kMaxVarint64Length];
      const auto size = static_cast<size_t>(StoreVarint(value, stored) - stored);
      EXPECT_EQ(ByteView(stored, size).AsText(), Encoded(value));
      EXPECT_EQ(VarintLength(value), Encoded(value).size()) << value;
      std::string appended = "before";
      AppendVarint(value, &appended);
      EXPECT_EQ(appended, "before" + Encoded(value));
    }
  }
  EXPECT_EQ(VarintLength(UINT64_MAX), 10u);
}

}  // namespace
}  // namespace tensorbundle
