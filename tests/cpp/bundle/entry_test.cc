#include "bundle/entry.h"

#include <gtest/gtest.h>

#include "support/bundle_maker.h"

namespace tensorbundle {
namespace {

using test_support::AppendBytesField;
using test_support::AppendVarintField;
using test_support::EncodeHeader;
using test_support::EncodeRecord;
using test_support::FromHex;
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

}  // namespace
}  // namespace tensorbundle
