#include "bundle/string_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bundle/string_tensor.h"
#include "support/table_maker.h"
#include "util/crc32c.h"

namespace tensorbundle {
namespace {

using std::string_literals::operator""s;
using test_support::AppendFixed;
using test_support::FromHex;

constexpr size_t kBlock = kEncodedBlockBytes;

std::vector<ByteView> ViewsOf(const std::vector<std::string>& elements) {
  std::vector<ByteView> views;
  for (const std::string& element : elements) views.emplace_back(element);
  return views;
}

// What an encoder emitted.
struct Encoded {
  std::string bytes;
  std::vector<size_t> calls;          // The bytes of each.
  std::vector<const uint8_t*> where;  // And where they were.
  uint32_t crc = 0;
};

template <typename Encode>
Encoded EncodeWith(Encode encode, const std::vector<ByteView>& elements) {
  Encoded encoded;
  const auto emit = [&encoded](ByteView bytes) {
    encoded.bytes.append(bytes.AsText());
    encoded.calls.push_back(bytes.size());
    encoded.where.push_back(bytes.data());
    return Status();
  };
  const Status status = encode(elements.data(), elements.size(), emit, &encoded.crc);
  EXPECT_TRUE(status.ok()) << status.message();
  return encoded;
}

Encoded Strings(const std::vector<ByteView>& elements) {
  const Encoded encoded = EncodeWith(EncodeStrings, elements);
  EXPECT_EQ(EncodedStringsSize(elements.data(), elements.size()), encoded.bytes.size());
  return encoded;
}

Encoded Variants(const std::vector<ByteView>& elements) {
  const Encoded encoded = EncodeWith(EncodeVariants, elements);
  EXPECT_EQ(EncodedVariantsSize(elements.data(), elements.size()), encoded.bytes.size());
  return encoded;
}

// Encodes and decodes. The decoder compares the checksums inside; that of all is compared here.
template <typename Encode, typename Decode>
void ExpectRoundTrip(Encode encode, Decode decode, const std::vector<std::string>& elements) {
  const Encoded encoded = encode(ViewsOf(elements));
  StringArray decoded;
  uint32_t crc = 0;
  const Buffer stored(ByteView(encoded.bytes), nullptr);
  const Status status = decode(stored, elements.size(), false, &decoded, &crc, nullptr, kMaxNarrowOffset);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(crc, encoded.crc);
  ASSERT_EQ(decoded.size(), elements.size());
  for (size_t i = 0; i < elements.size(); ++i) EXPECT_TRUE(decoded[i].AsText() == elements[i]) << "element " << i;
  for (const size_t bytes : encoded.calls) EXPECT_LE(bytes, kBlock + 9);
}

void ExpectStringsBack(const std::vector<std::string>& elements) {
  ExpectRoundTrip(Strings, DecodeStrings, elements);
  ExpectRoundTrip(Variants, DecodeVariants, elements);
}

// `count` elements whose sizes go through 0 to `max_size` again and again.
std::vector<std::string> Mixed(size_t count, size_t max_size) {
  std::vector<std::string> elements;
  for (size_t i = 0; i < count; ++i) {
    elements.emplace_back(i * 7919 % (max_size + 1), static_cast<char>(i));
  }
  return elements;
}

TEST(EncodeStrings, WritesWhatTensorFlowWrites) {
  const Encoded encoded = Strings(ViewsOf({"ab", "", "xyz"}));
  EXPECT_EQ(encoded.bytes, FromHex("020003 1b428bca 6162 78797a"));
  EXPECT_EQ(crc32c::Mask(encoded.crc), 0x3FC4AD10u);
  EXPECT_EQ(encoded.calls, (std::vector<size_t>{12}));
}

TEST(EncodeStrings, WritesLongerStringsAsTensorFlowDoes) {
  const Encoded two_bytes = Strings(ViewsOf({std::string(200, 'x'), "", "\0\xFF"s}));
  EXPECT_EQ(two_bytes.bytes, FromHex("c8010002 f1597665") + std::string(200, 'x') + "\0\xFF"s);
  EXPECT_EQ(crc32c::Mask(two_bytes.crc), 0xB5FB48FAu);
  const Encoded three_bytes = Strings(ViewsOf({std::string(20000, 'q')}));
  EXPECT_EQ(three_bytes.bytes, FromHex("a09c01 664e12d1") + std::string(20000, 'q'));
  EXPECT_EQ(crc32c::Mask(three_bytes.crc), 0x613FB0F9u);
}

TEST(EncodeStrings, WritesALengthChecksumForNoElements) {
  const Encoded encoded = Strings({});
  EXPECT_EQ(encoded.bytes, FromHex("d8ea82a2"));
  EXPECT_EQ(crc32c::Mask(encoded.crc), 0x640CC1F6u);
  EXPECT_EQ(encoded.calls, (std::vector<size_t>{4}));
}

TEST(EncodeStrings, TakesEmptyStringsThatAreNowhere) {
  const Encoded encoded = Strings({ByteView(), ByteView()});
  EXPECT_EQ(encoded.bytes, Strings(ViewsOf({"", ""})).bytes);
  EXPECT_EQ(encoded.bytes.substr(0, 2), "\0\0"s);
}

TEST(EncodeStrings, KnowsTheSizeOfAnyLengths) {
  const uint8_t byte = 0;  // The sizes are a lie; nobody looks at the bytes.
  const std::vector<ByteView> elements = {ByteView(&byte, 127), ByteView(&byte, 128),
                                          ByteView(&byte, (uint64_t{1} << 32) - 1),
                                          ByteView(&byte, (uint64_t{1} << 35) + 3)};
  const uint64_t bytes = 127 + 128 + ((uint64_t{1} << 32) - 1) + ((uint64_t{1} << 35) + 3);
  EXPECT_EQ(EncodedStringsSize(elements.data(), elements.size()), 1 + 2 + 5 + 6 + 4 + bytes);
  EXPECT_EQ(EncodedVariantsSize(elements.data(), elements.size()), 1 + 2 + 5 + 6 + 4 * 4 + bytes);
}

TEST(EncodeStrings, CutsManyShortStringsIntoBlocks) {
  const std::vector<std::string> elements(300000, "abc");
  const Encoded encoded = Strings(ViewsOf(elements));
  // One byte a length, the checksum, the strings: full blocks whatever the bytes are.
  EXPECT_EQ(encoded.calls, (std::vector<size_t>{kBlock, kBlock, kBlock, kBlock, 1200004 - 4 * kBlock}));
  ExpectStringsBack(elements);
}

TEST(EncodeStrings, TakesLengthsThatCrossTheEndOfABlock) {
  // Two bytes a length: a block has room for one byte of one of them if the first takes one.
  std::vector<std::string> elements(kBlock, std::string(128, 'x'));
  elements[0] = "x";
  const Encoded encoded = Strings(ViewsOf(elements));
  EXPECT_EQ(encoded.calls[0], kBlock + 1);
  EXPECT_EQ(encoded.calls[1], kBlock);
}

TEST(EncodeStrings, PutsATensorThatFitsIntoOneBlock) {
  const std::vector<std::string> fits = {std::string(kBlock - 3 - 4, 'x')};
  EXPECT_EQ(Strings(ViewsOf(fits)).calls, (std::vector<size_t>{kBlock}));
  const std::vector<std::string> larger = {std::string(kBlock - 3 - 4 + 1, 'x')};
  EXPECT_EQ(Strings(ViewsOf(larger)).calls, (std::vector<size_t>{7, kBlock - 6}));
  ExpectStringsBack(fits);
  ExpectStringsBack(larger);
}

TEST(EncodeStrings, TakesLargeStringsFromWhereTheyAre) {
  const std::vector<std::string> elements = {"small", std::string(2 * kBlock + 5, 'L'), "small"};
  const Encoded encoded = Strings(ViewsOf(elements));
  EXPECT_EQ(encoded.calls, (std::vector<size_t>{1 + 3 + 1 + 4 + 5, kBlock, kBlock, 5, 5}));
  const auto* const large = reinterpret_cast<const uint8_t*>(elements[1].data());
  EXPECT_EQ(encoded.where[1], large);
  EXPECT_EQ(encoded.where[2], large + kBlock);
  EXPECT_EQ(encoded.where[3], large + 2 * kBlock);
  ExpectStringsBack(elements);
}

TEST(EncodeStrings, AgreesWithTheDecoderOnStringsOfAllSizes) {
  ExpectStringsBack({});
  ExpectStringsBack({""});
  ExpectStringsBack(Mixed(5000, 300));
  ExpectStringsBack(Mixed(200, 20000));
  ExpectStringsBack(Mixed(60, 400000));
  ExpectStringsBack(Mixed(300000, 3));
}

TEST(EncodeStrings, StopsAtTheFirstErrorOfEmit) {
  const std::vector<std::string> elements(300000, "abc");
  for (const int good_calls : {0, 1, 4}) {
    int calls = 0;
    const auto emit = [&](ByteView) {
      return ++calls > good_calls ? Status(StatusCode::kExternal, "disk is full") : Status();
    };
    uint32_t crc = 0x0DDC0DE5;
    const std::vector<ByteView> views = ViewsOf(elements);
    const Status status = EncodeStrings(views.data(), views.size(), emit, &crc);
    EXPECT_EQ(status.code(), StatusCode::kExternal);
    EXPECT_EQ(status.message(), "disk is full");
    EXPECT_EQ(calls, good_calls + 1);
    EXPECT_EQ(crc, 0x0DDC0DE5u);
  }
}

TEST(EncodeVariants, WritesWhatTensorFlowWrites) {
  // A TensorList of [[1, 2], [3, 4]].
  const std::string message = FromHex(
      "0a1674656e736f72666c6f773a3a54656e736f724c69737412100001ffffffffffffffffff01120208021a1208011204120208022a08"
      "0000803f000000401a1208011204120208022a080000404000008040");
  const Encoded encoded = Variants(ViewsOf({message}));
  EXPECT_EQ(encoded.bytes, FromHex("52") + message + FromHex("6915458e"));
  EXPECT_EQ(crc32c::Mask(encoded.crc), 0xA3E20009u);
}

TEST(EncodeVariants, WritesNothingForNoElements) {
  const Encoded encoded = Variants({});
  EXPECT_EQ(encoded.bytes, "");
  EXPECT_TRUE(encoded.calls.empty());
  EXPECT_EQ(encoded.crc, 0u);
}

TEST(EncodeVariants, NeverStartsTheChecksumAnew) {
  std::string expected;
  std::string covered;
  for (const std::string& element : {"one"s, ""s, std::string(200, 'x')}) {
    expected += element.size() < 128 ? std::string(1, static_cast<char>(element.size())) : FromHex("c801");
    AppendFixed(element.size(), 8, &covered);
    expected += element;
    covered += element;
    std::string checksum;
    AppendFixed(crc32c::Mask(crc32c::Extend(0, ByteView(covered))), 4, &checksum);
    expected += checksum;
    covered += checksum;
  }
  const Encoded encoded = Variants(ViewsOf({"one", "", std::string(200, 'x')}));
  EXPECT_EQ(encoded.bytes, expected);
  EXPECT_EQ(encoded.crc, crc32c::Extend(0, ByteView(covered)));
}

TEST(EncodeVariants, StopsAtTheFirstErrorOfEmit) {
  const std::vector<std::string> elements(3, std::string(kBlock, 'x'));
  const std::vector<ByteView> views = ViewsOf(elements);
  const auto emit = [](ByteView) { return Status(StatusCode::kExternal, "disk is full"); };
  uint32_t crc = 0x0DDC0DE5;
  EXPECT_EQ(EncodeVariants(views.data(), views.size(), emit, &crc).message(), "disk is full");
  EXPECT_EQ(crc, 0x0DDC0DE5u);
}

}  // namespace
}  // namespace tensorbundle
