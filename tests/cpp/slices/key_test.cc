#include "slices/key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "slices/random_boxes.h"

namespace tensorbundle {
namespace {

using std::string_literals::operator""s;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes) {
    hex += "0123456789abcdef"[static_cast<uint8_t>(byte) >> 4];
    hex += "0123456789abcdef"[static_cast<uint8_t>(byte) & 15];
  }
  return hex;
}

// The bytes of a start or length alone, cut out of a key.
std::string SignedHex(int64_t value) {
  const std::string key = Hex(EncodeSliceKey("", {{{value, 0}}}));
  EXPECT_EQ(key.substr(0, 10), "0000010101");
  EXPECT_EQ(key.substr(key.size() - 2), "80");
  return key.substr(10, key.size() - 12);
}

struct Number {
  int64_t value;
  const char* hex;
};

class SliceKeyNumber : public testing::TestWithParam<Number> {};

TEST_P(SliceKeyNumber, HasTheShortestEncoding) { EXPECT_EQ(SignedHex(GetParam().value), GetParam().hex); }

constexpr int64_t Power(int exponent) { return int64_t{1} << exponent; }

INSTANTIATE_TEST_SUITE_P(
    Positive, SliceKeyNumber,
    testing::Values(Number{0, "80"}, Number{1, "81"}, Number{63, "bf"}, Number{64, "c040"}, Number{8191, "dfff"},
                    Number{8192, "e02000"}, Number{Power(20) - 1, "efffff"}, Number{Power(20), "f0100000"},
                    Number{Power(27) - 1, "f7ffffff"}, Number{Power(27), "f808000000"},
                    Number{Power(34) - 1, "fbffffffff"}, Number{Power(34), "fc0400000000"},
                    Number{Power(41) - 1, "fdffffffffff"}, Number{Power(41), "fe020000000000"},
                    Number{Power(48) - 1, "feffffffffffff"}, Number{Power(48), "ff01000000000000"},
                    Number{Power(55) - 1, "ff7fffffffffffff"}, Number{Power(55), "ff8080000000000000"},
                    Number{Power(62) - 1, "ffbfffffffffffffff"}, Number{Power(62), "ffc04000000000000000"},
                    Number{kMax - 1, "ffc07ffffffffffffffe"}));

// Each is the complement, bit by bit, of the number that it is the complement of.
INSTANTIATE_TEST_SUITE_P(
    Negative, SliceKeyNumber,
    testing::Values(Number{-1, "7f"}, Number{-64, "40"}, Number{-65, "3fbf"}, Number{-8192, "2000"},
                    Number{-8193, "1fdfff"}, Number{-Power(48) - 1, "00feffffffffffff"},
                    Number{-Power(55) - 1, "007f7fffffffffffff"}, Number{-Power(62), "004000000000000000"},
                    Number{-Power(62) - 1, "003fbfffffffffffffff"}, Number{kMin, "003f8000000000000000"}));

TEST(EncodeSliceKey, SpellsExtentsAsTheyAre) {
  EXPECT_EQ(Hex(EncodeSliceKey("w", {{{0, 30}, {0, 5}}})),
            "0077000101028"
            "09e8085");
  EXPECT_EQ(Hex(EncodeSliceKey("w", {{{30, 40}, Extent{}}})),
            "00770001010"
            "29ea8807f");
}

TEST(EncodeSliceKey, MatchesTheKeysOfATensorFlowCheckpoint) {
  EXPECT_EQ(Hex(EncodeSliceKey("w", {{{0, 2}, Extent{}}})), "0077000101028082807f");
  EXPECT_EQ(Hex(EncodeSliceKey("w", {{{2, 2}, {0, 3}}})), "00770001010282828083");
  EXPECT_EQ(Hex(EncodeSliceKey("w", {{{40, 200}, Extent{}}})), "007700010102a8c0c8807f");
}

TEST(EncodeSliceKey, EscapesZeroAndAllOnesInNames) {
  EXPECT_EQ(Hex(EncodeSliceKey("a\0b\xFF"
                               "c"s,
                               {{{0, 2}, Extent{}}})),
            "006100ff62ff006300010102"
            "8082807f");
  EXPECT_EQ(Hex(EncodeSliceKey("\xFF\xFF", {{{1, 2}}})), "00ff00ff00000101018182");
  EXPECT_EQ(Hex(EncodeSliceKey("\0"s, {{{1, 2}}})), "0000ff000101018182");
}

TEST(EncodeSliceKey, WritesTheRankInAsManyBytesAsItNeeds) {
  EXPECT_EQ(Hex(EncodeSliceKey("n", {})), "006e000100");  // A scalar, as the older format has them.
  EXPECT_EQ(Hex(EncodeSliceKey("", {std::vector<Extent>(254)})).substr(0, 14),
            "0000010"
            "1fe807f");
  EXPECT_EQ(Hex(EncodeSliceKey("", {std::vector<Extent>(300)})).substr(0, 16),
            "000001"
            "02012c"
            "807f");
}

TEST(EncodeSliceKey, SortsAsNumbersDo) {
  std::vector<int64_t> numbers = {kMin, kMax, 0};
  for (int bit = 0; bit < 63; ++bit) {
    for (const int64_t near : {Power(bit) - 1, Power(bit), Power(bit) + 1}) {
      numbers.push_back(near);
      numbers.push_back(~near);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  for (size_t i = 1; i < numbers.size(); ++i) {
    EXPECT_LT(EncodeSliceKey("w", {{{numbers[i - 1], 5}}}), EncodeSliceKey("w", {{{numbers[i], 0}}})) << numbers[i];
  }
}

TEST(EncodeSliceKey, SortsAsNamesDo) {
  std::vector<std::string> names = {""s,     "\0"s,   "\0\0"s,   "\0\1"s,    "\0\xFF"s,  "\1"s,
                                    "a"s,    "a\0"s,  "a\xFE"s,  "a\xFF"s,   "a\xFF\0"s, "b"s,
                                    "\xFE"s, "\xFF"s, "\xFF\0"s, "\xFF\xFF"s};
  for (size_t i = 1; i < names.size(); ++i) {
    EXPECT_LT(EncodeSliceKey(names[i - 1], {{{7, 7}}}), EncodeSliceKey(names[i], {{{0, 0}}})) << i;
  }
}

TEST(IsSliceKey, IsTrueForKeysThatBeginWithZero) {
  EXPECT_TRUE(IsSliceKey(EncodeSliceKey("w", {{{0, 30}}})));
  EXPECT_TRUE(IsSliceKey("\0"s));
  EXPECT_FALSE(IsSliceKey(""));
  EXPECT_FALSE(IsSliceKey("w"));
  EXPECT_FALSE(IsSliceKey("\1\0"s));
}

}  // namespace
}  // namespace tensorbundle
