#include "bundle/entry.h"

#include <gtest/gtest.h>

#include "support/bundle_maker.h"
#include "support/golden_files.h"
#include "table/visit_table.h"
#include "util/crc32c.h"
#include "util/endian.h"

namespace tensorbundle {
namespace {

using test_support::AppendBytesField;
using test_support::AppendVarintField;
using test_support::EncodeHeader;
using test_support::EncodeRecord;
using test_support::Entries;
using test_support::FromHex;
using test_support::GoldenIndexes;
using test_support::ReadGolden;
using test_support::RecordFields;

Status Parse(const std::string& record, Entry* entry, int32_t num_shards = 1) {
  return ParseEntry(ByteView(std::string_view("key")), ByteView(record), num_shards, entry);
}

Status Parse(const RecordFields& fields, int32_t num_shards = 1) {
  Entry entry;
  return Parse(EncodeRecord(fields), &entry, num_shards);
}

std::string HeaderWithVersion(std::string_view version) {
  std::string header;
  AppendVarintField(1, 1, &header);
  AppendBytesField(3, version, &header);
  return header;
}

TEST(ParseHeader, ReadsWhatTensorFlowWrites) {
  const std::string record = FromHex("08 01 1a 02 08 01");
  const auto header = ParseHeader(ByteView(record));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->num_shards, 1);
  EXPECT_EQ(header->foreign_byte_order, __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__);
}

TEST(ParseHeader, TakesAnUnknownByteOrderForTheHosts) {
  const auto big = ParseHeader(ByteView(EncodeHeader(1, 1)));
  const auto unknown = ParseHeader(ByteView(EncodeHeader(1, 7)));
  ASSERT_TRUE(big.ok() && unknown.ok());
  EXPECT_EQ(big->foreign_byte_order, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  EXPECT_FALSE(unknown->foreign_byte_order);
}

TEST(ParseHeader, RejectsImpossibleShardCounts) {
  for (const int32_t num_shards : {0, -1, 100000000}) {
    const Status status = ParseHeader(ByteView(EncodeHeader(num_shards))).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << num_shards;
    EXPECT_EQ(status.message(), "header: " + std::to_string(num_shards) + " shards; expected 1 to 99999999");
  }
  EXPECT_TRUE(ParseHeader(ByteView(EncodeHeader(99999999))).ok());
}

TEST(ParseHeader, RejectsVersionsThatRefuseThisReader) {
  EXPECT_EQ(ParseHeader(ByteView(HeaderWithVersion(FromHex("08 01 10 02")))).status().code(),
            StatusCode::kUnimplemented);
  EXPECT_EQ(ParseHeader(ByteView(HeaderWithVersion(FromHex("18 01")))).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(ParseHeader(ByteView(HeaderWithVersion(FromHex("1a 02 05 01")))).status().code(),
            StatusCode::kUnimplemented);
  EXPECT_EQ(ParseHeader(ByteView(HeaderWithVersion(FromHex("08 ff ff ff ff ff ff ff ff ff 01")))).status().code(),
            StatusCode::kDataLoss);
}

TEST(ParseHeader, AcceptsLaterProducersAndOtherBadConsumers) {
  EXPECT_TRUE(ParseHeader(ByteView(HeaderWithVersion(FromHex("08 63")))).ok());
  EXPECT_TRUE(ParseHeader(ByteView(HeaderWithVersion(FromHex("18 05 1a 01 07")))).ok());
}

TEST(ParseHeader, RejectsWhatIsNoMessage) {
  EXPECT_EQ(ParseHeader(ByteView(FromHex("08"))).status().code(), StatusCode::kDataLoss);
}

TEST(ParseEntry, ReadsWhatTensorFlowWrites) {
  Entry entry;
  ASSERT_TRUE(Parse(FromHex("0801 120412020803 2010 2806 35d8ea82a2"), &entry).code() == StatusCode::kDataLoss);
  const Status status = Parse(FromHex("0801 1208 12020802 12020803 2818 35c0db3d17"), &entry);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(entry.name, "key");
  EXPECT_EQ(entry.dtype, DType::kFloat32);
  EXPECT_EQ(entry.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(entry.shard, 0);
  EXPECT_EQ(entry.offset_in_shard, 0u);
  EXPECT_EQ(entry.size_bytes, 24u);
  EXPECT_EQ(entry.crc32c, crc32c::Unmask(0x173ddbc0));
}

TEST(ParseEntry, TakesNoShapeAndUnknownRankForAScalar) {
  Entry entry;
  EXPECT_TRUE(Parse(FromHex("0801 2804"), &entry).ok());
  EXPECT_TRUE(entry.shape.empty());
  EXPECT_TRUE(Parse(FromHex("0801 1202 1801 2804"), &entry).ok());
  EXPECT_TRUE(entry.shape.empty());
}

TEST(ParseEntry, LeavesTheNameAloneWhenTheRecordIsDamaged) {
  Entry entry;
  const Status status = Parse(FromHex("0801 12ff"), &entry);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("not parseable"), std::string::npos);
  EXPECT_EQ(entry.name, "key");
  EXPECT_EQ(entry.dtype, DType::kInvalid);
}

TEST(ParseEntry, RejectsShapesThatCannotBe) {
  const auto message = [](std::vector<int64_t> shape) {
    return Parse({1, std::move(shape), 0, 0, 4, 0, {}}).message();
  };
  EXPECT_EQ(message({2, -1}), "Invalid tensor shape: dimension -1");
  EXPECT_EQ(message({int64_t{1} << 40, int64_t{1} << 40}), "Invalid tensor shape: more than 2^63 elements");
  EXPECT_EQ(message(std::vector<int64_t>(255, 1)), "Invalid tensor shape: rank 255 is above 254");
  EXPECT_TRUE(Parse({1, std::vector<int64_t>(254, 1), 0, 0, 4, 0, {}}).ok());
}

TEST(ParseEntry, AcceptsAnEmptyTensorOfHugeDimensions) {
  EXPECT_TRUE(Parse({1, {int64_t{1} << 40, 0, int64_t{1} << 40}, 0, 0, 0, 0, {}}).ok());
}

TEST(ParseEntry, RejectsSizesThatDoNotFitTheShape) {
  EXPECT_EQ(Parse({1, {3}, 0, 0, 11, 0, {}}).message(),
            "Invalid size in bundle entry: 3 elements of float32 need 4 bytes each, the entry has 11 bytes");
  // The product wraps to 0 in 64 bits.
  EXPECT_EQ(Parse({1, {int64_t{1} << 62}, 0, 0, 0, 0, {}}).code(), StatusCode::kDataLoss);
  EXPECT_EQ(Parse({7, {3}, 0, 0, 2, 0, {}}).message(),
            "Invalid size in bundle entry: 2 bytes are too few for 3 elements of string");
  EXPECT_TRUE(Parse({7, {3}, 0, 0, 7, 0, {}}).ok());
}

TEST(ParseEntry, RejectsImpossiblePlaces) {
  EXPECT_EQ(Parse({1, {}, 1, 0, 4, 0, {}}).message(), "shard 1 does not exist: there are 1");
  EXPECT_EQ(Parse({1, {}, -1, 0, 4, 0, {}}).code(), StatusCode::kDataLoss);
  EXPECT_EQ(Parse({1, {}, 0, -8, 4, 0, {}}).message(), "impossible place in the shard: offset -8, size 4");
  EXPECT_EQ(Parse({1, {}, 0, 0, -4, 0, {}}).code(), StatusCode::kDataLoss);
  EXPECT_EQ(Parse({1, {}, 0, INT64_MAX, 4, 0, {}}).code(), StatusCode::kDataLoss);
  EXPECT_TRUE(Parse({1, {}, 6, 0, 4, 0, {}}, 7).ok());
}

TEST(ParseEntry, RejectsDTypesThatNothingStores) {
  for (const int64_t dtype : {0, 20, 100, 101, 133, -1}) {
    EXPECT_EQ(Parse({dtype, {}, 0, 0, 4, 0, {}}).code(), StatusCode::kDataLoss) << dtype;
  }
}

TEST(ParseEntry, KeepsAnEntryOfAnUnknownDType) {
  Entry entry;
  const Status status = Parse(EncodeRecord({99, {5}, 0, 16, 7, 3, {}}), &entry);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("99"), std::string::npos);
  EXPECT_EQ(static_cast<int>(entry.dtype), 99);
  EXPECT_EQ(entry.shape, (std::vector<int64_t>{5}));
  EXPECT_EQ(entry.size_bytes, 7u);
}

TEST(ParseEntry, ReadsSlicesAsTheyAreSpelled) {
  Entry entry;
  const Slice slice{{{0, 2}, {0, kWholeDimension}}};
  ASSERT_TRUE(Parse(EncodeRecord({1, {4, 3}, 0, 0, 0, 0, {slice}}), &entry).ok());
  ASSERT_EQ(entry.slices.size(), 1u);
  EXPECT_EQ(entry.slices[0], slice);
  EXPECT_EQ(entry.shard, -1);
}

// The entries of an index that TensorFlow wrote, the header's first.
Entries GoldenEntries(const std::string& name) {
  test_support::Visited visited = test_support::Visit(ReadGolden(name));
  EXPECT_TRUE(visited.status.ok()) << name << ": " << visited.status.message();
  EXPECT_FALSE(visited.entries.empty()) << name;
  return visited.entries;
}

std::string Encode(const Entry& entry) {
  std::string record = "what was there before";
  EncodeEntry(entry, &record);
  return record;
}

// A record after WithShard, or its error.
std::string Moved(const std::string& record, int32_t shard) {
  const Result<std::string> moved = WithShard(ByteView(record), shard);
  return moved.ok() ? *moved : moved.status().message();
}

TEST(ParseHeader, KeepsTheVersionAsItIsStored) {
  EXPECT_EQ(ParseHeader(ByteView(HeaderWithVersion(FromHex("08 63 18 05"))))->version, FromHex("08 63 18 05"));
  EXPECT_EQ(ParseHeader(ByteView(FromHex("08 01")))->version, "");
  // Two of them are one, in parts.
  EXPECT_EQ(ParseHeader(ByteView(FromHex("08 01 1a 02 08 01 1a 02 18 05")))->version, FromHex("08 01 18 05"));
}

TEST(EncodeHeader, WritesWhatTensorFlowWrites) {
  Header header;
  header.num_shards = 1;
  EXPECT_EQ(EncodeHeader(header), FromHex("08 01 1a 02 08 01"));
  header.num_shards = 300;
  header.foreign_byte_order = true;
  EXPECT_EQ(EncodeHeader(header), FromHex(kHostIsLittleEndian ? "08 ac02 10 01 1a 02 08 01" : "08 ac02 1a 02 08 01"));
}

TEST(EncodeHeader, WritesWhatWasRead) {
  for (const char* hex : {"08 01 1a 02 08 01", "08 05 10 01 1a 02 08 01", "08 01", "08 01 1a 04 08 63 18 05"}) {
    const Result<Header> header = ParseHeader(ByteView(FromHex(hex)));
    ASSERT_TRUE(header.ok()) << hex;
    EXPECT_EQ(EncodeHeader(*header), FromHex(hex)) << hex;
  }
}

TEST(EncodeHeader, WritesTheHeaderOfEveryIndexThatTensorFlowWrote) {
  for (const std::string& name : GoldenIndexes()) {
    const std::string record = GoldenEntries(name)[0].second;
    const Result<Header> header = ParseHeader(ByteView(record));
    ASSERT_TRUE(header.ok()) << name;
    EXPECT_EQ(EncodeHeader(*header), record) << name;
  }
}

TEST(EncodeEntry, WritesAScalarAtTheFrontOfTheFirstShard) {
  Entry entry;
  entry.dtype = DType::kFloat32;
  entry.shard = 0;
  entry.size_bytes = 4;
  entry.crc32c = crc32c::Unmask(0x2BDAA581);
  EXPECT_EQ(Encode(entry), FromHex("0801 1200 2804 3581a5da2b"));
}

TEST(EncodeEntry, WritesEveryField) {
  Entry entry;
  entry.name = "not in the record";
  entry.dtype = DType::kFloat4E2m1fn;
  entry.shape = {2, 0, int64_t{1} << 40};
  entry.shard = 99999998;
  entry.offset_in_shard = INT64_MAX;
  entry.size_bytes = 300;
  entry.crc32c = 0;
  EXPECT_EQ(Encode(entry), FromHex("0821 120f 12020802 1200 1207 08808080808020 18fec1d72f 20ffffffffffffffff7f 28ac02"
                                   "35d8ea82a2"));
}

TEST(EncodeEntry, LeavesOutAChecksumThatIsStoredAsZero) {
  Entry entry;
  entry.dtype = DType::kInt8;
  entry.shape = {1};
  entry.shard = 0;
  entry.size_bytes = 1;
  entry.crc32c = crc32c::Unmask(0);
  EXPECT_EQ(Encode(entry), FromHex("0806 1204 12020801 2801"));
}

TEST(EncodeEntry, WritesAPartitionedTensorWithoutAPlace) {
  Entry entry;
  entry.dtype = DType::kFloat32;
  entry.shape = {4, 3};
  entry.size_bytes = 48;
  entry.slices = {Slice{{{0, 2}, {0, kWholeDimension}}}, Slice{{{2, 2}, {0, 3}}}};
  EXPECT_EQ(Encode(entry), FromHex("0801 1208 12020804 12020803 3a06 0a021002 0a00 3a0a 0a0408021002 0a021003"));
}

TEST(EncodeEntry, WritesSlicesThatNeedLongLengths) {
  Entry entry;
  entry.dtype = DType::kUint8;
  entry.shape = std::vector<int64_t>(100, 1);
  entry.slices = {Slice{std::vector<Extent>(100, Extent{0, 1})}};
  std::string expected = FromHex("0804 12 9003");
  for (int i = 0; i < 100; ++i) expected += FromHex("12020801");
  expected += FromHex("3a 9003");
  for (int i = 0; i < 100; ++i) expected += FromHex("0a021001");
  EXPECT_EQ(Encode(entry), expected);
}

TEST(EncodeEntry, WritesEveryEntryThatTensorFlowWrote) {
  size_t partitioned = 0;
  for (const std::string& name : GoldenIndexes()) {
    const Entries entries = GoldenEntries(name);
    const Result<Header> header = ParseHeader(ByteView(entries[0].second));
    ASSERT_TRUE(header.ok()) << name;
    for (size_t i = 1; i < entries.size(); ++i) {
      Entry entry;
      const auto& [key, record] = entries[i];
      const Status status = ParseEntry(ByteView(key), ByteView(record), header->num_shards, &entry);
      ASSERT_TRUE(status.ok()) << name << ", entry " << i << ": " << status.message();
      EXPECT_EQ(Encode(entry), record) << name << ", entry " << i;
      partitioned += entry.slices.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(partitioned, 0u);
}

TEST(WithShard, ChangesTheShardAlone) {
  const std::string scalar = FromHex("0801 1200 2804 3581a5da2b");
  EXPECT_EQ(Moved(scalar, 0), scalar);
  EXPECT_EQ(Moved(scalar, 5), FromHex("0801 1200 1805 2804 3581a5da2b"));
  EXPECT_EQ(Moved(Moved(scalar, 5), 99999999), FromHex("0801 1200 18ffc1d72f 2804 3581a5da2b"));
  EXPECT_EQ(Moved(Moved(scalar, 300), 0), scalar);
}

TEST(WithShard, PutsTheShardLastWhereNothingFollows) {
  EXPECT_EQ(Moved(FromHex("0801 1200"), 1), FromHex("0801 1200 1801"));
  EXPECT_EQ(Moved("", 1), FromHex("1801"));
  EXPECT_EQ(Moved("", 0), "");
}

TEST(WithShard, KeepsWhatItDoesNotKnowAndItsOrder) {
  // Field 9 in all wire types, one more by two bytes than it needs, groups in front of known fields and at the end.
  EXPECT_EQ(Moved(FromHex("0801 1200 48ff8000 1802 4d01020304 2004 490102030405060708 4a0161 3581a5da2b"), 7),
            FromHex("0801 1200 1807 48ff8000 4d01020304 2004 490102030405060708 4a0161 3581a5da2b"));
  EXPECT_EQ(Moved(FromHex("0801 4b08ff014c 1802 5b18015c 2804 4b4c"), 7),
            FromHex("0801 4b08ff014c 1807 5b18015c 2804 4b4c"));
  EXPECT_EQ(Moved(FromHex("2804 0801"), 7), FromHex("1807 2804 0801"));
}

TEST(WithShard, ReplacesAllThereAre) {
  EXPECT_EQ(Moved(FromHex("0801 1801 980002 1880808000 2804"), 7), FromHex("0801 1807 2804"));
  EXPECT_EQ(Moved(FromHex("0801 1801 2804 1802"), 0), FromHex("0801 2804"));
  // This is not the shard, which is a varint.
  EXPECT_EQ(Moved(FromHex("0801 1d01020304 2804"), 7), FromHex("0801 1d01020304 1807 2804"));
}

TEST(WithShard, RejectsWhatIsNoMessage) {
  const Result<std::string> moved = WithShard(ByteView(FromHex("0801 12ff")), 1);
  EXPECT_EQ(moved.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(moved.status().message().substr(0, 31), "the entry is not parseable: mal");
}

TEST(WithShard, MovesEveryEntryThatTensorFlowWrote) {
  for (const std::string& name : GoldenIndexes()) {
    for (const auto& [key, record] : GoldenEntries(name)) {
      if (key.empty()) continue;  // The header.
      Entry entry;
      ASSERT_TRUE(ParseEntry(ByteView(key), ByteView(record), 99999999, &entry).ok());
      if (!entry.slices.empty()) continue;  // Has no place; WritesEveryEntryThatTensorFlowWrote has seen some.
      EXPECT_EQ(Moved(record, entry.shard), record);
      entry.shard = 12345;
      EXPECT_EQ(Moved(record, 12345), Encode(entry));
    }
  }
}

}  // namespace
}  // namespace tensorbundle
