#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/table_maker.h"
#include "tensorbundle/fingerprint.h"

namespace tensorbundle {
namespace {

using test_support::AppendFixed;
using test_support::AppendVarint;

// message Node { repeated Node child = 1; map<string, Node> named = 2; map<uint64, Node> numbered = 3; }
constexpr uint32_t kNode = 0;
const std::vector<MessageFields> kTypes = {{{1, 0, false}, {2, 1, true}, {3, 1, true}}, {{2, 0, false}}};

std::string Bytes(uint32_t field, std::string_view content) {
  std::string bytes;
  AppendVarint(field << 3 | 2, &bytes);
  AppendVarint(content.size(), &bytes);
  return bytes.append(content);
}
std::string Number(uint32_t field, uint64_t value) {
  std::string bytes;
  AppendVarint(field << 3, &bytes);
  AppendVarint(value, &bytes);
  return bytes;
}
std::string Fixed(uint32_t field, uint64_t value) {
  std::string bytes;
  AppendVarint(field << 3 | 1, &bytes);
  AppendFixed(value, 8, &bytes);
  return bytes;
}
std::string Named(std::string_view key, std::string_view value = "") {
  return Bytes(2, Bytes(1, key) + Bytes(2, value));
}
std::string Numbered(uint64_t key, std::string_view value = "") { return Bytes(3, Number(1, key) + Bytes(2, value)); }

// What becomes of the bytes, or the code of the error.
std::string Sorted(const std::string& message) {
  std::vector<uint8_t> bytes(message.begin(), message.end());
  const Status status = SortMapEntries(kTypes, kNode, bytes.data(), bytes.size());
  if (status.ok()) return std::string(bytes.begin(), bytes.end());
  return status.message();
}

TEST(SortMapEntries, LeavesWhatIsSorted) {
  for (const std::string& message : {std::string(), Named("a"), Named("") + Named("a") + Named("aa") + Named("b")}) {
    EXPECT_EQ(Sorted(message), message);
  }
}

TEST(SortMapEntries, SortsTextByItsBytes) {
  EXPECT_EQ(Sorted(Named("\xC3\xA9") + Named("b") + Named("aa", Number(9, 1)) + Named("") + Named("a")),
            Named("") + Named("a") + Named("aa", Number(9, 1)) + Named("b") + Named("\xC3\xA9"));
}

TEST(SortMapEntries, SortsNumbersWithoutSign) {
  const uint64_t most = ~uint64_t{0};
  EXPECT_EQ(Sorted(Numbered(most) + Numbered(256) + Numbered(255) + Numbered(0)),
            Numbered(0) + Numbered(255) + Numbered(256) + Numbered(most));
  EXPECT_EQ(Sorted(Bytes(3, Fixed(1, 1 << 8)) + Bytes(3, Fixed(1, 2))),
            Bytes(3, Fixed(1, 2)) + Bytes(3, Fixed(1, 1 << 8)));
}

TEST(SortMapEntries, TakesAnAbsentKeyForTheDefault) {
  EXPECT_EQ(Sorted(Named("a") + Bytes(2, "")), Bytes(2, "") + Named("a"));
  EXPECT_EQ(Sorted(Numbered(1) + Bytes(3, "")), Bytes(3, "") + Numbered(1));
}

TEST(SortMapEntries, KeepsTheOrderOfEqualKeys) {
  const std::string first = Named("k", Number(9, 1));
  const std::string second = Named("k", Number(9, 2));
  EXPECT_EQ(Sorted(Named("z") + second + first), second + first + Named("z"));
}

TEST(SortMapEntries, SortsMapsInsideMessagesAndMaps) {
  const std::string backward = Named("b") + Named("a");
  const std::string forward = Named("a") + Named("b");
  EXPECT_EQ(Sorted(Bytes(1, Bytes(1, backward))), Bytes(1, Bytes(1, forward)));
  EXPECT_EQ(Sorted(Named("y", backward) + Named("x", Numbered(2) + Numbered(1))),
            Named("x", Numbered(1) + Numbered(2)) + Named("y", forward));
}

TEST(SortMapEntries, MovesNothingElse) {
  const std::string other = Number(7, 1) + Fixed(8, 2) + Bytes(9, Named("b") + Named("a"));
  EXPECT_EQ(Sorted(other + Named("b") + Named("a") + Numbered(2) + Numbered(1) + other),
            other + Named("a") + Named("b") + Numbered(1) + Numbered(2) + other);
  EXPECT_EQ(Sorted(Named("d") + Named("c") + other + Named("b") + Named("a")),
            Named("c") + Named("d") + other + Named("a") + Named("b"));
  EXPECT_EQ(Sorted(Number(2, 5) + Named("b") + Named("a")), Number(2, 5) + Named("a") + Named("b"));
}

TEST(SortMapEntries, RefusesDamage) {
  EXPECT_EQ(Sorted(Named("b") + "\x12\x05"),
            "malformed protobuf message: byte 8: field 2: 5 bytes wanted, where 0 are left");
  EXPECT_EQ(Sorted(Bytes(1, Bytes(2, "\x0A"))),
            "malformed protobuf message: byte 5: field 1: a length is cut short or has more than 32 bits");
}

TEST(SortMapEntries, RefusesDepth) {
  std::string message;
  for (int i = 0; i < 100; ++i) message = Bytes(1, message);
  EXPECT_EQ(Sorted(message), message);
  EXPECT_EQ(Sorted(Bytes(1, message)), "messages nest deeper than 100 levels");
}

}  // namespace
}  // namespace tensorbundle
