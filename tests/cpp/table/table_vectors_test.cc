// Index files as TensorFlow wrote them, and one that TensorFlow reads, byte by byte.

#include <gtest/gtest.h>

#include <string>

#include "support/table_maker.h"
#include "table/table_reader.h"

namespace tensorbundle {
namespace {

using test_support::Entries;
using test_support::FromHex;
using test_support::MakeTable;

// One float scalar "a".
constexpr char kScalar[] = R"(
    000006 08011a020801
    00010b 61 0801 1200 2804 3581a5da2b
    00000000 01000000 00 74ef79b2
    00000000 01000000 00 c0f2a1b0
    000102 62 0020 00000000 01000000 00 30d3691c
    2508320e 000000000000000000000000000000000000000000000000000000000000000000000000 57fb808b247547db)";
const Entries kScalarEntries = {{"", FromHex("08011a020801")}, {"a", FromHex("0801120028043581a5da2b")}};

// Strings and tensors without elements.
constexpr char kStrings[] = R"(
    00000608011a0208010001116508011206120012020803201035d8ea82a200010f730807120412020803280c3510adc4
    3f00010f7a080712021200200c280435f6c10c64000000000100000000b1492f16000000000100000000c0f2a1b00001
    027b004c0000000001000000002a136acf51085e0e000000000000000000000000000000000000000000000000000000
    00000000000000000057fb808b247547db)";
const Entries kStringsEntries = {{"", FromHex("08011a020801")},
                                 {"e", FromHex("08011206120012020803201035d8ea82a2")},
                                 {"s", FromHex("0807120412020803280c3510adc43f")},
                                 {"z", FromHex("080712021200200c280435f6c10c64")}};

// A partitioned "w", whose pieces have keys of bytes that are no text; the second shares six of them with the first.
constexpr char kSlices[] = R"(
    00000608011a020801000a130077000101028082807f080112081202080212020803281835c0db3d1706041582828083
    0801120812020802120208032018281835d4844e02000120770801120812020804120208033a060a0210020a003a0a0a
    04080210020a02100300000000010000000046f53070000000000100000000c0f2a1b000010278007100000000010000
    0000a9df38aa760883010e000000000000000000000000000000000000000000000000000000000000000000000057fb
    808b247547db)";
const Entries kSlicesEntries = {
    {"", FromHex("08011a020801")},
    {FromHex("007700010102 8082807f"), FromHex("080112081202080212020803281835c0db3d17")},
    {FromHex("007700010102 82828083"), FromHex("0801120812020802120208032018281835d4844e02")},
    {"w", FromHex("0801120812020804120208033a060a0210020a003a0a0a04080210020a021003")}};

// The V1 format: the same table with other values.
constexpr char kV1[] = R"(
    0000220a200a090a016e1200180922000a0f0a0178120412020802180122020a001202080100050c006e000100120a0a
    016e12001a035201070107157800010101807f12130a017812020a001a0a2a080000803f000000c00000000001000000
    0055305a36000000000100000000c0f2a1b0000102010060000000000100000000628339ed6508720e00000000000000
    000000000000000000000000000000000000000000000000000000000057fb808b247547db)";
const Entries kV1Entries = {{"", FromHex("0a200a090a016e1200180922000a0f0a0178120412020802180122020a0012020801")},
                            {FromHex("006e000100"), FromHex("120a0a016e12001a03520107")},
                            {FromHex("007800010101807f"), FromHex("12130a017812020a001a0a2a080000803f000000c0")}};

// All three blocks compressed.
constexpr char kSnappy[] = R"(
    289c00000608011a02080100011378080112081202080212020803281835c0db3d170000000001000000019749675d08
    1c00000000010000000106349f900e3400010279002a0000000001000000015b929e0b2f0a3e10000000000000000000
    00000000000000000000000000000000000000000000000000000057fb808b247547db)";
const Entries kSnappyEntries = {{"", FromHex("08011a020801")},
                                {"x", FromHex("080112081202080212020803281835c0db3d17")}};

// An object-based checkpoint of "w".
constexpr char kObjects[] = R"(
    00000608011a020801001c0d5f434845434b504f494e5441424c455f4f424a4543545f4752415048080712002018284b
    35b237fb71001c13772f2e415454524942555445532f5641524941424c455f56414c5545080112081202080212020803
    281835c0db3d17000000000100000000d350748f000000000100000000c0f2a1b000010278006f000000000100000000
    2ced6b38740881010e000000000000000000000000000000000000000000000000000000000000000000000057fb808b
    247547db)";
const Entries kObjectsEntries = {{"", FromHex("08011a020801")},
                                 {"_CHECKPOINTABLE_OBJECT_GRAPH", FromHex("080712002018284b35b237fb71")},
                                 {"w/.ATTRIBUTES/VARIABLE_VALUE", FromHex("080112081202080212020803281835c0db3d17")}};

void ExpectEntries(const char* hex, const Entries& expected) {
  const std::string bytes = FromHex(hex);
  Entries entries;
  const Status status = VisitTable(ByteView(bytes), [&entries](ByteView key, ByteView value) {
    entries.emplace_back(key.AsText(), value.AsText());
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(entries, expected);
}

TEST(TableVectors, ReadsAScalar) { ExpectEntries(kScalar, kScalarEntries); }
TEST(TableVectors, ReadsStrings) { ExpectEntries(kStrings, kStringsEntries); }
TEST(TableVectors, ReadsSlices) { ExpectEntries(kSlices, kSlicesEntries); }
TEST(TableVectors, ReadsTheV1Format) { ExpectEntries(kV1, kV1Entries); }
TEST(TableVectors, ReadsCompressedBlocks) { ExpectEntries(kSnappy, kSnappyEntries); }
TEST(TableVectors, ReadsAnObjectBasedCheckpoint) { ExpectEntries(kObjects, kObjectsEntries); }

// The tests' own tables are TensorFlow's, to the byte.
TEST(TableVectors, TheTableMakerMakesWhatTensorFlowWrites) {
  EXPECT_EQ(MakeTable(kScalarEntries).bytes, FromHex(kScalar));
  EXPECT_EQ(MakeTable(kStringsEntries).bytes, FromHex(kStrings));
  EXPECT_EQ(MakeTable(kSlicesEntries).bytes, FromHex(kSlices));
  EXPECT_EQ(MakeTable(kV1Entries).bytes, FromHex(kV1));
  EXPECT_EQ(MakeTable(kObjectsEntries).bytes, FromHex(kObjects));
  EXPECT_EQ(MakeTable(kSnappyEntries, {262144, 16, Compression::kSnappy, true}).bytes, FromHex(kSnappy));
}

}  // namespace
}  // namespace tensorbundle
