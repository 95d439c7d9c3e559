#include "tensorbundle/string_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tensorbundle {
namespace {

using Type = StringArray::OffsetType;

template <typename Offset>
StringArray Make(const std::string& text, const std::vector<Offset>& offsets) {
  const auto bytes = std::make_shared<const std::string>(text);
  const auto kept = std::make_shared<const std::vector<Offset>>(offsets);
  const ByteView numbers(reinterpret_cast<const uint8_t*>(kept->data()), kept->size() * sizeof(Offset));
  return StringArray(Buffer(ByteView(*bytes), bytes), Buffer(numbers, kept),
                     sizeof(Offset) == sizeof(uint32_t) ? Type::kUInt32 : Type::kUInt64, offsets.size() - 1);
}

std::vector<std::string> Copied(const StringArray& strings) {
  std::vector<std::string> copies;
  for (const ByteView string : strings) copies.emplace_back(string.AsText());
  return copies;
}

TEST(StringArray, HoldsNothingAtFirst) {
  const StringArray strings;
  EXPECT_TRUE(strings.empty());
  EXPECT_EQ(strings.size(), 0u);
  EXPECT_TRUE(strings.begin() == strings.end());
  EXPECT_TRUE(strings.Join(0, 0).empty());
}

TEST(StringArray, CutsItsBytesAtOffsetsOfEitherWidth) {
  const std::vector<std::string> expected = {"ab", "", "xyz"};
  for (const StringArray& strings : {Make<uint32_t>("abxyz", {0, 2, 2, 5}), Make<uint64_t>("abxyz", {0, 2, 2, 5}),
                                     Make<uint32_t>("..abxyz.", {2, 4, 4, 7})}) {
    ASSERT_EQ(strings.size(), 3u);
    EXPECT_FALSE(strings.empty());
    EXPECT_EQ(Copied(strings), expected);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(strings[i].AsText(), expected[i]);
    EXPECT_EQ(strings.Join(0, 3).AsText(), "abxyz");
    EXPECT_EQ(strings.Join(0, 2).AsText(), "ab");
    EXPECT_EQ(strings.Join(1, 3).AsText(), "xyz");
    EXPECT_EQ(strings.Join(3, 3).AsText(), "");
  }
}

TEST(StringArray, HoldsNothingAsOneOffsetToo) {
  const StringArray strings = Make<uint32_t>("", {0});
  EXPECT_TRUE(strings.empty());
  EXPECT_TRUE(strings.begin() == strings.end());
}

TEST(StringArray, CopiesShareTheBytesAndKeepThem) {
  auto strings = std::make_unique<StringArray>(Make<uint32_t>("abc", {0, 1, 3}));
  const uint8_t* const where = (*strings)[1].data();
  const StringArray copy = *strings;
  const StringArray moved = std::move(*strings);
  strings.reset();
  EXPECT_EQ(copy[1].data(), where);
  EXPECT_EQ(moved[1].data(), where);
  EXPECT_EQ(copy[1].AsText(), "bc");
}

TEST(StringArray, IteratorsWorkWithAlgorithms) {
  const StringArray strings = Make<uint32_t>("aabcc", {0, 2, 3, 5});
  const auto found = std::find_if(strings.begin(), strings.end(), [](ByteView s) { return s.AsText() == "b"; });
  ASSERT_TRUE(found != strings.end());
  EXPECT_EQ(std::distance(strings.begin(), found), 1);
  StringArray::Iterator next = found;
  EXPECT_EQ((*next++).AsText(), "b");
  EXPECT_EQ((*next).AsText(), "cc");
}

}  // namespace
}  // namespace tensorbundle
