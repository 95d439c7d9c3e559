#include "util/endian.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorbundle {
namespace {

constexpr uint8_t kBytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xF8, 0x09};

TEST(LoadLittleEndian, ReadsLeastSignificantByteFirst) {
  EXPECT_EQ(LoadLittleEndian<uint16_t>(kBytes), 0x0201u);
  EXPECT_EQ(LoadLittleEndian<uint32_t>(kBytes), 0x04030201u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(kBytes), 0xF807060504030201u);
}

TEST(LoadLittleEndian, ReadsFromAnyAddress) {
  EXPECT_EQ(LoadLittleEndian<uint16_t>(kBytes + 1), 0x0302u);
  EXPECT_EQ(LoadLittleEndian<uint32_t>(kBytes + 3), 0x07060504u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(kBytes + 1), 0x09F8070605040302u);
}

TEST(StoreLittleEndian, WritesLeastSignificantByteFirstAndNoByteMore) {
  uint8_t bytes[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0xAA};
  StoreLittleEndian<uint16_t>(0x0102, bytes + 1);
  EXPECT_EQ(std::string(bytes, bytes + 4), std::string("\x00\x02\x01\x00", 4));
  StoreLittleEndian<uint32_t>(0x01020304, bytes);
  EXPECT_EQ(std::string(bytes, bytes + 5), std::string("\x04\x03\x02\x01\x00", 5));
  StoreLittleEndian<uint64_t>(0x0102030405060708, bytes);
  EXPECT_EQ(std::string(bytes, bytes + 9), "\x08\x07\x06\x05\x04\x03\x02\x01\xAA");
}

// `text` after SwapUnits, at an odd address.
std::string Swapped(const std::string& text, size_t unit) {
  std::string padded = " " + text;
  SwapUnits(reinterpret_cast<uint8_t*>(padded.data()) + 1, text.size(), unit);
  return padded.substr(1);
}

TEST(SwapUnits, ReversesEachUnit) {
  EXPECT_EQ(Swapped("abcdefghijklmnop", 1), "abcdefghijklmnop");
  EXPECT_EQ(Swapped("abcdefghijklmnop", 2), "badcfehgjilknmpo");
  EXPECT_EQ(Swapped("abcdefghijklmnop", 4), "dcbahgfelkjiponm");
  EXPECT_EQ(Swapped("abcdefghijklmnop", 8), "hgfedcbaponmlkji");
}

TEST(SwapUnits, UndoesItself) {
  std::string text(8 * 37, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31);
  for (const size_t unit : {1, 2, 4, 8}) {
    EXPECT_EQ(Swapped(Swapped(text, unit), unit), text) << unit;
  }
}

TEST(SwapUnits, LeavesNoBytesAlone) {
  for (const size_t unit : {1, 2, 4, 8}) EXPECT_EQ(Swapped("", unit), "");
}

}  // namespace
}  // namespace tensorbundle
