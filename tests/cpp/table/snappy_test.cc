#include "table/snappy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "support/table_maker.h"

namespace tensorbundle {
namespace {

using test_support::AppendFixed;
using test_support::AppendVarint;

std::string Header(uint64_t size) {
  std::string bytes;
  AppendVarint(size, &bytes);
  return bytes;
}

// A literal whose length is in the first byte (0) or in 1 to 4 more.
std::string Literal(const std::string& text, int length_bytes) {
  std::string bytes;
  const size_t stored = text.size() - 1;
  bytes.push_back(static_cast<char>((length_bytes == 0 ? stored : 59 + static_cast<size_t>(length_bytes)) << 2));
  AppendFixed(stored, length_bytes, &bytes);
  return bytes + text;
}
std::string Literal(const std::string& text) { return Literal(text, 0); }

std::string Copy1(uint32_t offset, uint32_t length) {
  const uint32_t tag = 1 | (length - 4) << 2 | (offset >> 8) << 5;
  return {static_cast<char>(tag), static_cast<char>(offset)};
}
std::string Copy2(uint32_t offset, uint32_t length) {
  std::string bytes(1, static_cast<char>(2 | (length - 1) << 2));
  AppendFixed(offset, 2, &bytes);
  return bytes;
}
std::string Copy4(uint32_t offset, uint32_t length) {
  std::string bytes(1, static_cast<char>(3 | (length - 1) << 2));
  AppendFixed(offset, 4, &bytes);
  return bytes;
}

// Text without repetitions that a wrong offset could hide in.
std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text += std::to_string(i * i) + ",";
  return text.substr(0, size);
}

// What `compressed` decodes to, or nullopt. Decodes a copy that ends where the allocation ends, for the sanitizers.
std::optional<std::string> Decoded(const std::string& compressed) {
  const std::vector<uint8_t> exact(compressed.begin(), compressed.end());
  std::vector<uint8_t> scratch;
  const Result<ByteView> decoded = DecodeSnappy(ByteView(exact.data(), exact.size()), &scratch);
  if (!decoded.ok()) return std::nullopt;
  return std::string(decoded->AsText());
}

void ExpectCorrupt(const std::string& compressed, uint64_t offset, const std::string& message) {
  std::vector<uint8_t> scratch;
  const Status status = DecodeSnappy(ByteView(compressed), &scratch).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.offset(), offset);
  EXPECT_EQ(status.message(), "corrupted compressed block contents: " + message);
}

TEST(Snappy, DecodesNothing) { EXPECT_EQ(Decoded(Header(0)), ""); }

TEST(Snappy, DecodesLiteralsOfEveryShortLength) {
  for (size_t size = 1; size <= 60; ++size) {
    EXPECT_EQ(Decoded(Header(size) + Literal(Text(size))), Text(size));
  }
}

TEST(Snappy, DecodesLiteralsWithEveryLengthEncoding) {
  for (const size_t size : {1, 2, 60, 61, 64, 255, 256}) {
    for (int length_bytes = 1; length_bytes <= 4; ++length_bytes) {
      EXPECT_EQ(Decoded(Header(size) + Literal(Text(size), length_bytes)), Text(size)) << size << " " << length_bytes;
    }
  }
  for (const size_t size : {257, 65535, 65536}) EXPECT_EQ(Decoded(Header(size) + Literal(Text(size), 2)), Text(size));
  for (const size_t size : {65537, 1 << 20}) EXPECT_EQ(Decoded(Header(size) + Literal(Text(size), 3)), Text(size));
  const size_t large = (1 << 24) + 1;
  EXPECT_EQ(Decoded(Header(large) + Literal(Text(large), 4)), Text(large));
}

TEST(Snappy, DecodesCopiesWithOneByteOffsets) {
  const std::string start = Text(2047);
  for (uint32_t length = 4; length <= 11; ++length) {
    for (const uint32_t offset : {11u, 12u, 255u, 256u, 257u, 1024u, 2047u}) {
      EXPECT_EQ(Decoded(Header(start.size() + length) + Literal(start, 2) + Copy1(offset, length)),
                start + start.substr(start.size() - offset, length))
          << offset << " " << length;
    }
  }
}

TEST(Snappy, DecodesCopiesWithTwoAndFourByteOffsets) {
  const std::string start = Text(70000);
  for (uint32_t length = 1; length <= 64; ++length) {
    for (const uint32_t offset : {64u, 255u, 256u, 65535u, 65536u, 70000u}) {
      const std::string header = Header(start.size() + length) + Literal(start, 3);
      const std::string expected = start + start.substr(start.size() - offset, length);
      EXPECT_EQ(Decoded(header + Copy4(offset, length)), expected) << offset << " " << length;
      if (offset > 65535) continue;
      EXPECT_EQ(Decoded(header + Copy2(offset, length)), expected) << offset << " " << length;
    }
  }
}

TEST(Snappy, RepeatsWhatACopyMakesItself) {
  for (uint32_t offset = 1; offset <= 20; ++offset) {
    const std::string start = Text(20);
    const std::string pattern = start.substr(20 - offset);
    for (uint32_t length = 1; length <= 64; ++length) {
      std::string expected = start;
      for (uint32_t i = 0; i < length; ++i) expected.push_back(pattern[i % offset]);
      const std::string header = Header(20 + length) + Literal(start);
      EXPECT_EQ(Decoded(header + Copy2(offset, length)), expected) << offset << " " << length;
      EXPECT_EQ(Decoded(header + Copy4(offset, length)), expected) << offset << " " << length;
      if (length >= 4 && length <= 11) {
        EXPECT_EQ(Decoded(header + Copy1(offset, length)), expected) << offset << " " << length;
      }
    }
  }
}

TEST(Snappy, DecodesElementsInTurn) {
  EXPECT_EQ(Decoded(Header(16) + Literal("abcd") + Copy1(2, 4) + Literal("e") + Copy2(9, 3) + Copy4(3, 4)),
            "abcdcdcdeabcabca");
}

TEST(Snappy, ReusesTheScratch) {
  std::vector<uint8_t> scratch;
  const std::string large = Header(60) + Literal(Text(60));
  const std::string small = Header(2) + Literal("xy");
  ASSERT_EQ(DecodeSnappy(ByteView(large), &scratch)->AsText(), Text(60));
  const uint8_t* const data = scratch.data();
  const Result<ByteView> decoded = DecodeSnappy(ByteView(small), &scratch);
  EXPECT_EQ(decoded->AsText(), "xy");
  EXPECT_EQ(decoded->data(), data);
  EXPECT_EQ(scratch.size(), 60u);
}

TEST(Snappy, RejectsAMissingOrMalformedLength) {
  const std::string message = "byte 0: the length in front is cut short or has more than 32 bits";
  ExpectCorrupt("", 0, message);
  ExpectCorrupt("\x80", 0, message);
  ExpectCorrupt("\xFF\xFF\xFF\xFF\x10", 0, message);
  ExpectCorrupt(std::string(6, '\x80'), 0, message);
}

TEST(Snappy, AcceptsALongerThanNeededLength) {
  EXPECT_EQ(Decoded(std::string("\x81\x80\x80\x80\x00", 5) + Literal("a")), "a");
}

TEST(Snappy, RejectsEveryTruncation) {
  const std::string whole = Header(12 + 70 + 9 + 33 + 17) + Literal("abcdefghijkl") + Literal(Text(70), 1) +
                            Copy1(40, 9) + Copy2(50, 33) + Copy4(60, 17);
  ASSERT_TRUE(Decoded(whole));
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(Decoded(whole.substr(0, length)), std::nullopt) << length;
  }
}

TEST(Snappy, SaysWhereAnElementIsCutShort) {
  ExpectCorrupt(Header(5) + Literal("ab") + '\x08', 4, "byte 4: literal of 3 bytes, where 0 are left");
  ExpectCorrupt(Header(5) + Literal("ab") + "\x08xy", 4, "byte 4: literal of 3 bytes, where 2 are left");
  ExpectCorrupt(Header(5) + Literal("ab") + "\xF4\x02", 4, "byte 4: the length of a literal is cut short");
  ExpectCorrupt(Header(9) + Literal("ab") + "\x01", 4, "byte 4: the offset of a copy is cut short");
  ExpectCorrupt(Header(9) + Literal("ab") + "\x02\x01", 4, "byte 4: the offset of a copy is cut short");
  ExpectCorrupt(Header(9) + Literal("ab") + "\x03\x01\x01\x01", 4, "byte 4: the offset of a copy is cut short");
}

TEST(Snappy, RejectsALiteralOf4GiB) {
  ExpectCorrupt(Header(5) + "\xFC\xFF\xFF\xFF\xFF" + "abcde", 1,
                "byte 1: literal of 4294967296 bytes, where 5 are left");
}

TEST(Snappy, RejectsOffsetZero) {
  const std::string start = Header(20) + Literal("abcd");
  const std::string message = "byte 6: copy from 0 bytes back, where 4 are decoded";
  ExpectCorrupt(start + Copy1(0, 4), 6, message);
  ExpectCorrupt(start + Copy2(0, 4), 6, message);
  ExpectCorrupt(start + Copy4(0, 4), 6, message);
}

TEST(Snappy, RejectsOffsetsBeforeTheStart) {
  const std::string start = Header(8) + Literal("abcd");
  EXPECT_EQ(Decoded(start + Copy1(4, 4)), "abcdabcd");
  const std::string message = "byte 6: copy from 5 bytes back, where 4 are decoded";
  ExpectCorrupt(start + Copy1(5, 4), 6, message);
  ExpectCorrupt(start + Copy2(5, 4), 6, message);
  ExpectCorrupt(start + Copy4(5, 4), 6, message);
  ExpectCorrupt(start + Copy4(UINT32_MAX, 4), 6, "byte 6: copy from 4294967295 bytes back, where 4 are decoded");
  ExpectCorrupt(Header(4) + Copy1(1, 4), 1, "byte 1: copy from 1 bytes back, where 0 are decoded");
}

TEST(Snappy, RejectsMoreBytesThanAnnounced) {
  ExpectCorrupt(Header(3) + Literal("abcd"), 1, "byte 1: literal of 4 bytes, where 3 of 3 announced bytes are missing");
  ExpectCorrupt(Header(7) + Literal("abcd") + Copy1(1, 4), 6,
                "byte 6: copy of 4 bytes, where 3 of 7 announced bytes are missing");
  ExpectCorrupt(Header(0) + Literal("a"), 1, "byte 1: literal of 1 bytes, where 0 of 0 announced bytes are missing");
}

TEST(Snappy, RejectsFewerBytesThanAnnounced) {
  ExpectCorrupt(Header(5) + Literal("abcd"), 6, "byte 6: the end, after 4 of 5 announced bytes");
  ExpectCorrupt(Header(1) + Literal("a") + Copy1(1, 4), 3,
                "byte 3: copy of 4 bytes, where 0 of 1 announced bytes are missing");
}

TEST(Snappy, RejectsAnImpossibleLengthBeforeAllocating) {
  for (const uint32_t size : {22u, 1000u, 1u << 30, UINT32_MAX}) {
    std::vector<uint8_t> scratch;
    const std::string compressed = Header(size) + "\x01";
    const Status status = DecodeSnappy(ByteView(compressed), &scratch).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.offset(), 0u);
    EXPECT_EQ(status.message(), "corrupted compressed block contents: byte 0: " + std::to_string(size) +
                                    " bytes announced, which 1 bytes cannot decode to");
    EXPECT_EQ(scratch.capacity(), 0u);
  }
}

TEST(Snappy, RejectsMoreThanTheLimitBeforeAllocating) {
  const uint64_t size = kMaxSnappyBlockSize + 1;
  std::string compressed = Header(size);
  compressed.resize(compressed.size() + (size / 64 + 1) * 3);
  std::vector<uint8_t> scratch;
  const Status status = DecodeSnappy(ByteView(compressed), &scratch).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(),
            "compressed block of 1073741825 bytes when decoded, where at most 1073741824 are allowed");
  EXPECT_EQ(scratch.capacity(), 0u);
}

// The bound is the best that any element does: by trying all ways to fill a few bytes with elements.
TEST(Snappy, BoundsTheDecodedSizeFromAbove) {
  std::vector<uint64_t> best = {0};
  for (size_t size = 1; size <= 64; ++size) {
    uint64_t most = 0;  // One literal, or what a last element adds to the best before it.
    if (size >= 2) most = std::max<uint64_t>(size - 1, best[size - 2] + 11);
    if (size >= 3) most = std::max(most, best[size - 3] + 64);
    if (size >= 5) most = std::max(most, best[size - 5] + 64);
    for (size_t literal = 2; literal <= size; ++literal) most = std::max(most, best[size - literal] + literal - 1);
    best.push_back(most);
    EXPECT_LE(best[size], MaxSnappyDecodedSize(size)) << size;
  }
  EXPECT_EQ(best[63], MaxSnappyDecodedSize(63));
  EXPECT_GE(MaxSnappyDecodedSize(UINT64_MAX), UINT32_MAX);
}

TEST(Snappy, DecodesTheDensestBlockThereIs) {
  std::string compressed = Header(1 + 64 * 1000) + Literal("x");
  for (int i = 0; i < 1000; ++i) compressed += Copy2(1, 64);
  EXPECT_EQ(Decoded(compressed), std::string(1 + 64 * 1000, 'x'));
}

}  // namespace
}  // namespace tensorbundle
