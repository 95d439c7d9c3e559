#include "v1/index.h"

#include <gtest/gtest.h>

#include "support/v1_maker.h"

namespace tensorbundle::v1 {
namespace {

using test_support::EncodeV1Meta;
using test_support::MadeTable;
using test_support::MakeTable;
using test_support::PackedTensor;
using test_support::TableOptions;
using test_support::V1Maker;
using test_support::Varints;
using test_support::WholeSlice;

constexpr int kFloat = 1;
constexpr int kInt32 = 3;
constexpr int kText = 7;

std::shared_ptr<const ByteSource> Source(const std::string& bytes, const std::string& name) {
  const auto kept = std::make_shared<const std::string>(bytes);
  return FromMemory(Buffer(ByteView(*kept), kept), name);
}

Result<Index> Read(const std::vector<std::string>& files) {
  std::vector<TableFile> tables;
  for (size_t i = 0; i < files.size(); ++i) {
    auto table = TableFile::Open(Source(files[i], "file " + std::to_string(i)));
    if (!table.ok()) return std::move(table).status();
    tables.push_back(*std::move(table));
  }
  return Index::Read(std::move(tables));
}

std::string Problem(const Index& index, const std::string& name) {
  return index.Problem(static_cast<size_t>(index.Find(name) - index.entries().data())).message();
}

Slice Rows(int64_t start, int64_t length) { return Slice{{{start, length}, {0, kWholeDimension}}}; }

TEST(V1Index, ListsTensorsInKeyOrder) {
  V1Maker maker;
  maker.Add("b", kFloat, {2}, PackedTensor(5, "12345678"));
  maker.Add("a", kInt32, {}, PackedTensor(7, Varints({5})));
  maker.Add("t", kText, {1}, PackedTensor(8, "text"));
  const auto index = Read({maker.File()});
  ASSERT_TRUE(index.ok()) << index.status().message();
  ASSERT_EQ(index->entries().size(), 3u);
  const Entry& b = index->entries()[1];
  EXPECT_EQ(index->entries()[0].name, "a");
  EXPECT_EQ(b.dtype, DType::kFloat32);
  EXPECT_EQ(b.shape, std::vector<int64_t>{2});
  EXPECT_EQ(b.size_bytes, 8u);
  EXPECT_EQ(b.shard, -1);
  EXPECT_TRUE(b.slices.empty());
  EXPECT_EQ(index->entries()[2].size_bytes, 0u);
  ASSERT_EQ(index->Pieces(1).size(), 1u);
  EXPECT_EQ(index->Pieces(1)[0].box, WholeBox({2}));
  EXPECT_EQ(index->Find("c"), nullptr);
}

TEST(V1Index, JoinsThePiecesOfAllFiles) {
  V1Maker first;
  V1Maker second;
  first.AddPieces("w", kFloat, {3, 2}, {{Rows(0, 1), PackedTensor(5, "12345678")}});
  second.AddPieces("w", kFloat, {3, 2}, {{Rows(1, 2), PackedTensor(5, "1234567812345678")}});
  const auto index = Read({first.File(), second.File()});
  ASSERT_TRUE(index.ok()) << index.status().message();
  EXPECT_EQ(Problem(*index, "w"), "");
  EXPECT_EQ(index->entries()[0].slices, (std::vector<Slice>{Rows(0, 1), Rows(1, 2)}));
  ASSERT_EQ(index->Pieces(0).size(), 2u);
  EXPECT_EQ(index->Pieces(0)[1].file, 1u);
}

TEST(V1Index, SaysWhichPartIsInNoPiece) {
  V1Maker maker;
  maker.AddPieces("w", kFloat, {3, 2}, {{Rows(0, 1), PackedTensor(5, "12345678")}});
  maker.Add("x", kInt32, {}, PackedTensor(7, Varints({5})));
  const auto index = Read({maker.File()});
  ASSERT_TRUE(index.ok());
  EXPECT_NE(Problem(*index, "w").find("[1:3, 0:2]"), std::string::npos) << Problem(*index, "w");
  EXPECT_EQ(Problem(*index, "x"), "");
}

TEST(V1Index, RefusesOverlappingPieces) {
  V1Maker first;
  first.AddPieces("w", kFloat, {3, 2}, {{Rows(0, 3), PackedTensor(5, std::string(24, 'x'))}});
  V1Maker second;
  second.AddPieces("w", kFloat, {3, 2}, {{Rows(2, 1), PackedTensor(5, "12345678")}});
  const auto index = Read({first.File(), second.File()});
  ASSERT_TRUE(index.ok());
  EXPECT_NE(Problem(*index, "w").find("overlap"), std::string::npos) << Problem(*index, "w");
}

TEST(V1Index, WantsOneDTypeAndShapeInAllFiles) {
  V1Maker first;
  V1Maker second;
  first.AddPieces("w", kFloat, {2, 2}, {{Rows(0, 1), PackedTensor(5, "12345678")}});
  second.AddPieces("w", kInt32, {2, 2}, {{Rows(1, 1), PackedTensor(7, Varints({1, 2}))}});
  const auto index = Read({first.File(), second.File()});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Problem(*index, "w"),
            "tensor \"w\": the files disagree on its dtype or shape: file 1 has another than the files before it");
}

TEST(V1Index, KeepsOneBadTensorApart) {
  V1Maker maker;
  maker.Add("good", kInt32, {1}, PackedTensor(7, Varints({5})));
  maker.metas["negative"] = EncodeV1Meta("negative", kFloat, {-1}, {WholeSlice(1)});
  maker.metas["bfloat16"] = EncodeV1Meta("bfloat16", 14, {1}, {WholeSlice(1)});
  maker.metas["unknown"] = EncodeV1Meta("unknown", 77, {1}, {WholeSlice(1)});
  maker.metas["none"] = EncodeV1Meta("none", 0, {1}, {WholeSlice(1)});
  maker.metas["ref"] = EncodeV1Meta("ref", 101, {1}, {WholeSlice(1)});
  maker.metas["rank"] = EncodeV1Meta("rank", kFloat, {1, 1}, {WholeSlice(1)});
  maker.metas["nowhere"] = EncodeV1Meta("nowhere", kFloat, {1}, {});
  maker.metas["wide"] = EncodeV1Meta("wide", 18, {int64_t{1} << 60}, {WholeSlice(1)});
  const auto index = Read({maker.File()});
  ASSERT_TRUE(index.ok()) << index.status().message();
  EXPECT_EQ(Problem(*index, "good"), "");
  EXPECT_EQ(Problem(*index, "negative"), "tensor \"negative\": Invalid tensor shape: dimension -1");
  EXPECT_EQ(Problem(*index, "bfloat16"), "tensor \"bfloat16\": bfloat16 is not a dtype of the V1 format");
  EXPECT_EQ(Problem(*index, "unknown"), "tensor \"unknown\": unknown dtype number 77 is not a dtype of the V1 format");
  EXPECT_EQ(Problem(*index, "none"), "tensor \"none\": the entry has no dtype");
  EXPECT_EQ(Problem(*index, "ref"), "tensor \"ref\": invalid dtype number 101");
  EXPECT_EQ(Problem(*index, "rank"), "tensor \"rank\": slice has 1 extents, its tensor has 2 dimensions");
  EXPECT_NE(Problem(*index, "nowhere"), "");
  EXPECT_EQ(Problem(*index, "wide"), "tensor \"wide\": Invalid tensor shape: more than 2^63 bytes");
  for (const Entry& entry : index->entries())
    EXPECT_EQ(entry.dtype == DType::kInvalid, entry.name != "good" && entry.name != "rank" && entry.name != "nowhere")
        << entry.name;
}

TEST(V1Index, WantsNoRecordOfATensorWithoutElements) {
  V1Maker maker;
  maker.metas["empty"] = EncodeV1Meta("empty", kFloat, {0, 5}, {WholeSlice(2)});
  const auto index = Read({maker.File()});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Problem(*index, "empty"), "");
  EXPECT_TRUE(index->Pieces(0).empty());
}

// The file has no more than some hundred bytes, whatever the metadata says.
TEST(V1Index, ComparesSizesWithTheBlock) {
  V1Maker maker;
  maker.Add("a", kFloat, {int64_t{1} << 40}, PackedTensor(5, "abcd"));
  maker.Add("b", kText, {int64_t{1} << 40}, PackedTensor(8, "abcd"));
  const MadeTable table = maker.Table();
  const auto index = Read({table.bytes});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Problem(*index, "a"),
            "tensor \"a\": file 0: Error copying slice data: its record of 1099511627776 elements of "
            "float32 does not fit the data block at 0 of " +
                std::to_string(table.data[0].size) + " bytes");
  EXPECT_NE(Problem(*index, "b"), "");
}

TEST(V1Index, AddsUpWhatTheTensorsOfABlockClaim) {
  V1Maker maker;
  // Each fits the block, and not all of them.
  for (int i = 0; i < 9; ++i) maker.Add("t" + std::to_string(i), kFloat, {60}, PackedTensor(5, "abcd"));
  const MadeTable table = maker.Table();
  ASSERT_LT(table.data[0].size, 1500u);
  const auto index = Read({table.bytes});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Problem(*index, "t0"), "");
  EXPECT_NE(Problem(*index, "t8").find("does not fit the data block"), std::string::npos);
}

TEST(V1Index, CountsWithWhatACompressedBlockMayHold) {
  V1Maker maker;
  maker.Add("a", kInt32, {1000}, PackedTensor(7, std::string(1000, '\x01')));
  TableOptions options;
  options.compression = Compression::kSnappy;
  EXPECT_EQ(Problem(*Read({maker.File(options)}), "a"), "");
  maker.Add("b", kInt32, {100000}, PackedTensor(7, "\x01"));
  EXPECT_NE(Problem(*Read({maker.File(options)}), "b").find("does not fit"), std::string::npos);
}

TEST(V1Index, SaysThatABlockForARecordIsMissing) {
  V1Maker maker;
  maker.metas["w"] = EncodeV1Meta("w", kFloat, {1}, {WholeSlice(1)});
  TableOptions options;
  options.shorten_index_keys = false;
  const auto index = Read({maker.File(options)});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Problem(*index, "w"), "tensor \"w\": file 0: Error copying slice data: its record is not in the file");
}

TEST(V1Index, LimitsTheWorkThatKeysMake) {
  V1Maker maker;
  maker.metas["w"] = EncodeV1Meta(std::string(100000, 'n'), kFloat, {1}, std::vector<Slice>(2000, WholeSlice(0)));
  const Status status = Read({maker.File()}).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.path(), "file 0");
}

TEST(V1Index, SaysWhatIsNoCheckpoint) {
  const std::string phrase = "Failed to find the saved tensor slices at the beginning of the checkpoint file: ";
  EXPECT_EQ(Read({MakeTable({}).bytes}).status().message(), "file 0: " + phrase + "the table has no entries");
  EXPECT_EQ(Read({MakeTable({{"w", "x"}}).bytes}).status().message(), "file 0: " + phrase + "its first key is \"w\"");
  // The index of a V2 checkpoint.
  EXPECT_EQ(Read({MakeTable({{"", "\x08\x01"}}).bytes}).status().message(),
            "file 0: " + phrase + "its first record holds none");
}

TEST(V1Index, SaysWhereTheMetadataIsDamaged) {
  MadeTable table = V1Maker().Table();
  table.Flip(3);
  const Status status = Read({table.bytes}).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.path(), "file 0");
  EXPECT_EQ(status.offset(), std::optional<uint64_t>(0));
  EXPECT_NE(status.message().find("block checksum mismatch: stored 0x"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace tensorbundle::v1
