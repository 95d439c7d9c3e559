#include "bundle/string_tensor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "util/crc32c.h"
#include "util/endian.h"

namespace tensorbundle {
namespace {

using std::string_literals::operator""s;

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

// An integer as it lies in the memory of a machine of the host's byte order, or of the other one.
template <typename T>
std::string InMemory(T value, bool foreign) {
  if (foreign) value = ByteSwap(value);
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

uint32_t Crc(const std::string& bytes) { return crc32c::Extend(0, ByteView(bytes)); }

// What checksums see of a length.
std::string Covered(uint64_t length, bool foreign) {
  return length <= 0xFFFFFFFF ? InMemory(static_cast<uint32_t>(length), foreign) : InMemory(length, foreign);
}

// A length checksum as it is stored.
std::string LengthChecksum(const std::vector<uint64_t>& lengths, bool foreign = false) {
  std::string covered;
  for (const uint64_t length : lengths) covered += Covered(length, foreign);
  return InMemory(crc32c::Mask(Crc(covered)), foreign);
}

struct Encoded {
  std::string bytes;
  uint32_t crc;
};

// Written from the description of the format, with nothing of the decoder's.
Encoded EncodeStrings(const std::vector<std::string>& strings, bool foreign = false) {
  std::string varints;
  std::string covered;
  std::string payload;
  std::vector<uint64_t> lengths;
  for (const std::string& text : strings) {
    varints += Varint(text.size());
    covered += Covered(text.size(), foreign);
    payload += text;
    lengths.push_back(text.size());
  }
  const std::string checksum = LengthChecksum(lengths, foreign);
  return {varints + checksum + payload, Crc(covered + checksum + payload)};
}

// Bytes in memory that ends where they end, so that a sanitizer sees any step beyond.
struct Exact {
  explicit Exact(const std::string& text) : bytes(new uint8_t[text.size()]), size(text.size()) {
    std::memcpy(bytes.get(), text.data(), size);
  }
  ByteView view() const { return ByteView(bytes.get(), size); }

  std::unique_ptr<uint8_t[]> bytes;
  size_t size;
};

struct Decoded {
  Status status;
  std::vector<std::string> elements;
  uint32_t crc = 0x0DDC0DE5;
};

// Bytes that outlive the buffer.
Buffer Borrowed(ByteView bytes) { return Buffer(bytes, nullptr); }

std::vector<std::string> Copied(const StringArray& strings) {
  std::vector<std::string> copies;
  for (const ByteView string : strings) copies.emplace_back(string.AsText());
  return copies;
}

// Decodes twice, with offsets of both widths, which must make no difference.
template <typename Decode>
Decoded DecodeWith(Decode decode, const std::string& stored, uint64_t num_elements, bool foreign) {
  const Exact exact(stored);
  StringArray narrow;
  StringArray wide;
  Decoded decoded;
  uint32_t wide_crc = decoded.crc;
  const Buffer buffer = Borrowed(exact.view());
  decoded.status = decode(buffer, num_elements, foreign, &narrow, &decoded.crc, nullptr, kMaxNarrowOffset);
  const Status wide_status = decode(buffer, num_elements, foreign, &wide, &wide_crc, nullptr, 0);
  decoded.elements = Copied(narrow);
  EXPECT_EQ(wide_status.message(), decoded.status.message());
  EXPECT_EQ(wide_crc, decoded.crc);
  EXPECT_EQ(Copied(wide), decoded.elements);
  return decoded;
}

Decoded Strings(const std::string& stored, uint64_t num_elements, bool foreign = false) {
  return DecodeWith(DecodeStrings, stored, num_elements, foreign);
}

Decoded Variants(const std::string& stored, uint64_t num_elements) {
  return DecodeWith(DecodeVariants, stored, num_elements, false);
}

void ExpectDataLoss(const Decoded& decoded, uint64_t offset, const std::string& message) {
  EXPECT_EQ(decoded.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(decoded.status.message(), message);
  EXPECT_EQ(decoded.status.offset(), offset);
  EXPECT_TRUE(decoded.elements.empty());
  EXPECT_EQ(decoded.crc, 0x0DDC0DE5u);
}

TEST(DecodeStrings, ReadsWhatTensorFlowWrote) {
  const Decoded decoded = Strings(FromHex("0200031b428bca616278797a"), 3);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, (std::vector<std::string>{"ab", "", "xyz"}));
  EXPECT_EQ(crc32c::Mask(decoded.crc), 0x3FC4AD10u);
}

TEST(DecodeStrings, ReadsLongerStringsThatTensorFlowWrote) {
  const Decoded decoded = Strings(FromHex("c8010002f1597665") + std::string(200, 'x') + "\0\xFF"s, 3);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, (std::vector<std::string>{std::string(200, 'x'), "", "\0\xFF"s}));
  EXPECT_EQ(crc32c::Mask(decoded.crc), 0xB5FB48FAu);
  const Decoded one = Strings(FromHex("a09c01664e12d1") + std::string(20000, 'q'), 1);
  ASSERT_TRUE(one.status.ok()) << one.status.message();
  EXPECT_EQ(crc32c::Mask(one.crc), 0x613FB0F9u);
}

TEST(DecodeStrings, ReadsNoElementsFromALengthChecksumOrFromNothing) {
  const Decoded checksum = Strings(FromHex("d8ea82a2"), 0);
  EXPECT_TRUE(checksum.status.ok()) << checksum.status.message();
  EXPECT_TRUE(checksum.elements.empty());
  EXPECT_EQ(crc32c::Mask(checksum.crc), 0x640CC1F6u);
  const Decoded nothing = Strings("", 0);
  EXPECT_TRUE(nothing.status.ok()) << nothing.status.message();
  EXPECT_TRUE(nothing.elements.empty());
  EXPECT_EQ(nothing.crc, 0u);
}

TEST(DecodeStrings, RefusesOtherBytesForNoElements) {
  ExpectDataLoss(Strings(FromHex("d8ea82a200"), 0), 4,
                 "the strings should have 0 bytes together, 1 are stored at byte 4");
  ExpectDataLoss(Strings(FromHex("d8ea82"), 0), 0, "the checksum of the lengths is cut off at byte 0");
}

TEST(DecodeStrings, ReadsStringsOfEveryLengthAroundTheBoundariesOfVarints) {
  std::vector<std::string> strings;
  for (const size_t length : {0, 1, 127, 128, 129, 16383, 16384, 16385, 2097151, 2097152}) {
    strings.push_back(std::string(length, static_cast<char>('a' + strings.size())));
  }
  const Encoded encoded = EncodeStrings(strings);
  const Decoded decoded = Strings(encoded.bytes, strings.size());
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, strings);
  EXPECT_EQ(decoded.crc, encoded.crc);
}

// Lengths are summed in batches; these numbers of strings end before, at and after the end of one.
TEST(DecodeStrings, ReadsAnyNumberOfStrings) {
  for (const size_t count : {1, 2, 1021, 1022, 1023, 1024, 1025, 2046, 5000}) {
    for (const bool foreign : {false, true}) {
      std::vector<std::string> strings;
      for (size_t i = 0; i < count; ++i) strings.push_back(std::string(i % 300, static_cast<char>(i)));
      const Encoded encoded = EncodeStrings(strings, foreign);
      const Decoded decoded = Strings(encoded.bytes, count, foreign);
      ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
      ASSERT_EQ(decoded.elements, strings);
      ASSERT_EQ(decoded.crc, encoded.crc);
    }
  }
}

TEST(DecodeStrings, ReadsTheForeignByteOrder) {
  const std::vector<std::string> strings = {"ab", "", "xyz", std::string(70000, 'z')};
  const Encoded encoded = EncodeStrings(strings, true);
  const Decoded decoded = Strings(encoded.bytes, 4, true);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, strings);
  EXPECT_EQ(decoded.crc, encoded.crc);
  EXPECT_EQ(Strings(encoded.bytes, 4, false).status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(Strings(EncodeStrings(strings).bytes, 4, true).status.code(), StatusCode::kDataLoss);
}

// For ["ab", "", "xyz"] on a big-endian machine: lengths 00000002 00000000 00000003, checksum most significant byte
// first.
TEST(DecodeStrings, ReadsBigEndianBytesOnALittleEndianHost) {
  if (!kHostIsLittleEndian) GTEST_SKIP();
  const std::string lengths = FromHex("000000020000000000000003");
  const uint32_t masked = crc32c::Mask(Crc(lengths));
  std::string checksum;
  for (int shift = 24; shift >= 0; shift -= 8) checksum += static_cast<char>(masked >> shift);
  const Decoded decoded = Strings(FromHex("020003") + checksum + "abxyz", 3, true);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, (std::vector<std::string>{"ab", "", "xyz"}));
  EXPECT_EQ(decoded.crc, Crc(lengths + checksum + "abxyz"));
}

TEST(DecodeStrings, RejectsEveryTruncation) {
  const std::string bytes = EncodeStrings({"ab", "", std::string(200, 'x'), "end"}).bytes;
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Decoded decoded = Strings(bytes.substr(0, size), 4);
    EXPECT_EQ(decoded.status.code(), StatusCode::kDataLoss) << size;
    EXPECT_LE(decoded.status.offset(), size);
    EXPECT_TRUE(decoded.elements.empty());
  }
}

TEST(DecodeStrings, RejectsOrChecksumsEveryChangedByte) {
  const Encoded encoded = EncodeStrings({"ab", "", std::string(200, 'x'), "end"});
  for (size_t i = 0; i < encoded.bytes.size(); ++i) {
    std::string bytes = encoded.bytes;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    const Decoded decoded = Strings(bytes, 4);
    EXPECT_TRUE(!decoded.status.ok() || decoded.crc != encoded.crc) << i;
  }
}

TEST(DecodeStrings, NeedsAtLeastOneByteForEachElement) {
  ExpectDataLoss(Strings(FromHex("0200031b428bca616278797a"), uint64_t{1} << 33), 0,
                 "8589934592 elements can't be in 12 bytes, at byte 0");
  ExpectDataLoss(Strings("", 1), 0, "1 elements can't be in 0 bytes, at byte 0");
  ExpectDataLoss(Strings("abc", UINT64_MAX), 0, "18446744073709551615 elements can't be in 3 bytes, at byte 0");
}

TEST(DecodeStrings, RejectsAWrongLengthChecksum) {
  const uint32_t right = crc32c::Unmask(0xCA8B421B);
  char computed[11];
  std::snprintf(computed, sizeof(computed), "0x%08x", right);
  char stored[11];
  std::snprintf(stored, sizeof(stored), "0x%08x", crc32c::Unmask(0xCA8B421C));
  ExpectDataLoss(Strings(FromHex("0200031c428bca616278797a"), 3), 3,
                 "the checksum of the lengths is stored as "s + stored + ", computed " + computed + ", at byte 3");
  // Two lengths exchanged: their sum is right.
  const Decoded exchanged = Strings(FromHex("0002031b428bca616278797a"), 3);
  EXPECT_EQ(exchanged.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(exchanged.status.offset(), 3u);
}

TEST(DecodeStrings, RejectsBytesThatAreMissingOrLeftOverAfterTheStrings) {
  ExpectDataLoss(Strings(FromHex("0200031b428bca6162787979") + "z", 3), 7,
                 "the strings should have 5 bytes together, 6 are stored at byte 7");
  ExpectDataLoss(Strings(FromHex("0200031b428bca61627879"), 3), 7,
                 "the strings should have 5 bytes together, 4 are stored at byte 7");
}

// Each with the length checksum that belongs to it, so that only the size can tell.
TEST(DecodeStrings, RejectsLengthsLargerThanWhatIsStored) {
  for (const uint64_t length : {uint64_t{9}, uint64_t{1} << 32, uint64_t{1} << 40, uint64_t{1} << 63, UINT64_MAX}) {
    const std::string varint = Varint(length);
    ExpectDataLoss(Strings(varint + LengthChecksum({length}) + "12345678", 1), varint.size() + 4,
                   "the strings should have " + std::to_string(length) + " bytes together, 8 are stored at byte " +
                       std::to_string(varint.size() + 4));
  }
}

TEST(DecodeStrings, RejectsLengthsWhoseSumWraps) {
  // 2^64 - 8 and 16 sum to 8 if nobody looks.
  const std::string varints = Varint(UINT64_MAX - 7) + Varint(16);
  ExpectDataLoss(Strings(varints + LengthChecksum({UINT64_MAX - 7, 16}) + "12345678", 2), 15,
                 "the strings should have 2^64 or more bytes together, 8 are stored at byte 15");
}

// No test can hold 4 GiB, but a length that is refused for want of bytes is checksummed first: with the checksum of its
// 8-byte form the refusal is about the size, with that of any 4-byte form it is about the checksum.
TEST(DecodeStrings, ChecksumsLengthsFrom4GiBOnAsEightBytes) {
  for (const bool foreign : {false, true}) {
    const uint64_t longest_short = 0xFFFFFFFF;
    const std::string short_checksum =
        InMemory(crc32c::Mask(Crc(InMemory(static_cast<uint32_t>(longest_short), foreign))), foreign);
    EXPECT_EQ(Strings(Varint(longest_short) + short_checksum + "1234", 1, foreign).status.message(),
              "the strings should have 4294967295 bytes together, 4 are stored at byte 9");

    const uint64_t shortest_long = 0x100000000;
    const std::string long_checksum = InMemory(crc32c::Mask(Crc(InMemory(shortest_long, foreign))), foreign);
    EXPECT_EQ(Strings(Varint(shortest_long) + long_checksum + "1234", 1, foreign).status.message(),
              "the strings should have 4294967296 bytes together, 4 are stored at byte 9");

    const std::string wrong = InMemory(crc32c::Mask(Crc(InMemory(uint32_t{0}, foreign))), foreign);
    EXPECT_EQ(Strings(Varint(shortest_long) + wrong + "1234", 1, foreign).status.message().substr(0, 40),
              "the checksum of the lengths is stored as");
  }
}

// Among many, so that long and short forms meet at every place of a batch.
TEST(DecodeStrings, ChecksumsLongAndShortLengthsMixed) {
  std::string varints;
  std::vector<uint64_t> lengths;
  for (uint64_t i = 0; i < 4000; ++i) lengths.push_back(i % 7 == 3 ? (uint64_t{1} << 32) + i : i);
  for (const uint64_t length : lengths) varints += Varint(length);
  EXPECT_EQ(Strings(varints + LengthChecksum(lengths), lengths.size()).status.message().substr(0, 25),
            "the strings should have 2");
}

TEST(DecodeStrings, AcceptsLongerThanNeededLengths) {
  const std::string rest = LengthChecksum({2, 0, 3}) + "abxyz";
  const std::string lengths = FromHex("82808080808080808000") + FromHex("8000") + FromHex("838000");
  const Decoded decoded = Strings(lengths + rest, 3);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, (std::vector<std::string>{"ab", "", "xyz"}));
  EXPECT_EQ(crc32c::Mask(decoded.crc), 0x3FC4AD10u);
}

TEST(DecodeStrings, RejectsLengthsOfMoreThan64Bits) {
  const std::string rest = LengthChecksum({2, 3}) + "abxyz";
  const std::string message = "the length of element 1 is cut off or exceeds 64 bits, at byte 1";
  ExpectDataLoss(Strings("\2" + FromHex("83808080808080808002") + rest, 2), 1, message);    // Bit 64 is set.
  ExpectDataLoss(Strings("\2" + FromHex("8380808080808080808000") + rest, 2), 1, message);  // Eleven bytes.
}

TEST(DecodeStrings, RejectsLengthsThatRunToTheEnd) {
  ExpectDataLoss(Strings(FromHex("02ff"), 2), 1, "the length of element 1 is cut off or exceeds 64 bits, at byte 1");
  ExpectDataLoss(Strings(FromHex("020301"), 2), 2, "the checksum of the lengths is cut off at byte 2");
}

TEST(DecodeStrings, ReplacesWhatTheListHeld) {
  const std::string bytes = FromHex("0200031b428bca616278797a");
  const std::string other = FromHex("0102") + LengthChecksum({1, 2}) + "zzz";
  StringArray views;
  uint32_t crc = 0;
  ASSERT_TRUE(DecodeStrings(Borrowed(ByteView(other)), 2, false, &views, &crc).ok());
  ASSERT_TRUE(DecodeStrings(Borrowed(ByteView(bytes)), 3, false, &views, &crc).ok());
  ASSERT_EQ(views.size(), 3u);
  EXPECT_EQ(views[2].data(), reinterpret_cast<const uint8_t*>(bytes.data()) + 9);  // A view, not a copy.
  ASSERT_TRUE(DecodeStrings(Buffer(), 0, false, &views, &crc).ok());
  EXPECT_TRUE(views.empty());
}

TEST(DecodeStrings, SharesTheOwnerOfTheBytes) {
  StringArray strings;
  uint32_t crc = 0;
  std::weak_ptr<const std::string> watched;
  {
    const auto bytes = std::make_shared<const std::string>(FromHex("0200031b428bca616278797a"));
    watched = bytes;
    ASSERT_TRUE(DecodeStrings(Buffer(ByteView(*bytes), bytes), 3, false, &strings, &crc).ok());
  }
  EXPECT_EQ(Copied(strings), (std::vector<std::string>{"ab", "", "xyz"}));
  strings = StringArray();
  EXPECT_TRUE(watched.expired());
}

// Lengths of one byte are taken many at once; whatever stands where in a batch, all of them must be read.
TEST(DecodeStrings, ReadsALongLengthAnywhere) {
  for (const size_t at : {0, 1, 7, 510, 511, 512, 1023, 1024, 1029}) {
    std::vector<std::string> strings;
    for (size_t i = 0; i < 1030; ++i) strings.push_back(std::string(i % 128, static_cast<char>(i)));
    strings[at] = std::string(128, 'x');
    const Encoded encoded = EncodeStrings(strings);
    const Decoded decoded = Strings(encoded.bytes, strings.size());
    ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
    EXPECT_EQ(decoded.elements, strings) << at;
    EXPECT_EQ(decoded.crc, encoded.crc);
  }
}

TEST(DecodeStrings, NamesTheLengthThatIsWrongAnywhere) {
  for (const uint64_t at : {0, 1, 7, 510, 511, 512, 1023, 1024, 1029}) {
    const std::string stored = std::string(at, '\0') + std::string(9, '\xFF') + "\2" + std::string(1100, '\0');
    ExpectDataLoss(Strings(stored, 1030), at,
                   "the length of element " + std::to_string(at) + " is cut off or exceeds 64 bits, at byte " +
                       std::to_string(at));
  }
}

TEST(DecodeStrings, StopsWhenToldTo) {
  const Encoded encoded = EncodeStrings(std::vector<std::string>(2000, "x"));
  for (const int answers : {0, 1, 3, 4, 5}) {  // There are four batches of lengths and one step of bytes.
    int left = answers;
    const auto keep_going = [&left] { return left-- > 0 ? Status() : Status(StatusCode::kExternal, "enough"); };
    StringArray strings;
    uint32_t crc = 7;
    const Status status = DecodeStrings(Borrowed(ByteView(encoded.bytes)), 2000, false, &strings, &crc, keep_going);
    EXPECT_EQ(status.code(), answers < 5 ? StatusCode::kExternal : StatusCode::kOk) << answers;
    EXPECT_EQ(strings.size(), answers < 5 ? 0u : 2000u);
    EXPECT_EQ(crc, answers < 5 ? 7u : encoded.crc);
  }
}

constexpr char kListOf2[] =
    "520a1674656e736f72666c6f773a3a54656e736f724c69737412100001ffffffffffffffffff01120208021a1208011204120208022a080000"
    "803f000000401a1208011204120208022a0800004040000080406915458e";
// Three lists: the one above twice, and one of a single tensor.
constexpr char kThreeLists[] =
    "520a1674656e736f72666c6f773a3a54656e736f724c69737412100001ffffffffffffffffff01120208021a1208011204120208022a080000"
    "803f000000401a1208011204120208022a0800004040000080406915458e520a1674656e736f72666c6f773a3a54656e736f724c6973741210"
    "0001ffffffffffffffffff01120208021a1208011204120208022a080000803f000000401a1208011204120208022a0800004040000080405d"
    "164e3f3e0a1674656e736f72666c6f773a3a54656e736f724c69737412100001ffffffffffffffffff01120208021a1208011204120208022a"
    "080000a0400000c04018ba7986";

TEST(DecodeVariants, ReadsWhatTensorFlowWrote) {
  const std::string bytes = FromHex(kListOf2);
  const Decoded decoded = Variants(bytes, 1);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, std::vector<std::string>{bytes.substr(1, 0x52)});
  EXPECT_EQ(crc32c::Mask(decoded.crc), 0xA3E20009u);
}

TEST(DecodeVariants, CarriesTheChecksumFromElementToElement) {
  const std::string bytes = FromHex(kThreeLists);
  const Decoded decoded = Variants(bytes, 3);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements,
            (std::vector<std::string>{bytes.substr(1, 0x52), bytes.substr(88, 0x52), bytes.substr(175, 0x3E)}));
  EXPECT_EQ(crc32c::Mask(decoded.crc), 0x8AD96827u);
}

TEST(DecodeVariants, ReadsNoElementsFromNothing) {
  const Decoded decoded = Variants("", 0);
  EXPECT_TRUE(decoded.status.ok());
  EXPECT_TRUE(decoded.elements.empty());
  EXPECT_EQ(decoded.crc, 0u);
}

TEST(DecodeVariants, ReadsAnEmptyElement) {
  const std::string checksum = InMemory(crc32c::Mask(Crc(std::string(8, '\0'))), false);
  const Decoded decoded = Variants("\0"s + checksum, 1);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.elements, std::vector<std::string>{""});
  EXPECT_EQ(decoded.crc, Crc(std::string(8, '\0') + checksum));
}

TEST(DecodeVariants, CopiesTheElements) {
  std::string bytes = FromHex(kThreeLists);
  const std::string before = bytes;
  StringArray elements;
  uint32_t crc = 0;
  ASSERT_TRUE(DecodeVariants(Borrowed(ByteView(bytes)), 3, false, &elements, &crc).ok());
  bytes.assign(bytes.size(), '!');
  EXPECT_EQ(Copied(elements),
            (std::vector<std::string>{before.substr(1, 0x52), before.substr(88, 0x52), before.substr(175, 0x3E)}));
}

// Copied elements are never more than what is stored, also if the first takes all that the others need.
TEST(DecodeVariants, RejectsAnElementThatLeavesNothingForTheNext) {
  const std::string element(20, 'x');
  const std::string checksum = InMemory(crc32c::Mask(Crc(InMemory(uint64_t{20}, false) + element)), false);
  ExpectDataLoss(Variants("\x14" + element + checksum, 5), 25,
                 "the length of element 1 is cut off or exceeds 64 bits, at byte 25");
}

TEST(DecodeVariants, RejectsEveryTruncationAndEveryChangedByte) {
  const std::string bytes = FromHex(kThreeLists);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Decoded decoded = Variants(bytes.substr(0, size), 3);
    EXPECT_EQ(decoded.status.code(), StatusCode::kDataLoss) << size;
    EXPECT_LE(decoded.status.offset(), size);
    EXPECT_TRUE(decoded.elements.empty());
    std::string changed = bytes;
    changed[size] = static_cast<char>(changed[size] ^ 0x10);
    EXPECT_EQ(Variants(changed, 3).status.code(), StatusCode::kDataLoss) << size;
  }
}

TEST(DecodeVariants, SaysWhatIsWrongAndWhere) {
  const std::string bytes = FromHex(kListOf2);
  ExpectDataLoss(Variants(bytes + "12345", 1), 87, "5 bytes follow the last element, at byte 87");
  ExpectDataLoss(Variants(bytes, 18), 0, "18 elements can't be in 87 bytes, at byte 0");
  ExpectDataLoss(Variants(bytes, 2), 87, "the length of element 1 is cut off or exceeds 64 bits, at byte 87");
  ExpectDataLoss(Variants(Varint(UINT64_MAX) + bytes, 1), 0,
                 "element 0 should have 18446744073709551615 bytes, 87 are left, at byte 0");
  ExpectDataLoss(Variants(bytes.substr(0, 86), 1), 83, "the checksum of an element is cut off at byte 83");
  std::string changed = bytes;
  changed[5] = 'T';
  const Decoded decoded = Variants(changed, 1);
  EXPECT_EQ(decoded.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(decoded.status.offset(), 83u);
  EXPECT_EQ(decoded.status.message().substr(0, 39), "the checksum of an element is stored as");
}

TEST(DecodeVariants, DoesNotReadTheForeignByteOrder) {
  const Decoded decoded = DecodeWith(DecodeVariants, FromHex(kListOf2), 1, true);
  EXPECT_EQ(decoded.status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(decoded.status.message(), "variants written on a machine of the other byte order");
}

}  // namespace
}  // namespace tensorbundle
