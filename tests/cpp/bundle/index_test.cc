#include "bundle/index.h"

#include <gtest/gtest.h>

#include "support/bundle_maker.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;
using test_support::EncodeRecord;
using test_support::MakeTable;

const std::string kFour(4, '\1');

std::vector<std::string> Names(const Index& index) {
  std::vector<std::string> names;
  for (const Entry& entry : index.entries()) names.push_back(entry.name);
  return names;
}

Result<Index> Parse(const BundleMaker& bundle) {
  const std::string file = bundle.Index();
  return Index::Parse(ByteView(file));
}

// "w", shape [4, 3], int8, in two halves of six bytes.
BundleMaker Partitioned() {
  BundleMaker bundle;
  const Slice top{{{0, 2}, {0, kWholeDimension}}};
  const Slice bottom{{{2, 2}, {0, 3}}};
  bundle.AddPiece("w", top, 6, {2, 3}, "abcdef");
  bundle.AddPiece("w", bottom, 6, {2, 3}, "ghijkl");
  bundle.AddPartitioned("w", 6, {4, 3}, {top, bottom});
  bundle.Add("x", 1, {}, kFour);
  return bundle;
}

TEST(Index, ListsTensorsInTheOrderOfTheirBytes) {
  BundleMaker bundle;
  for (const char* name : {"b", "a", "a/b", "\xff", "Z"}) bundle.Add(name, 1, {}, kFour);
  const auto index = Parse(bundle);
  ASSERT_TRUE(index.ok()) << index.status().message();
  EXPECT_EQ(Names(*index), (std::vector<std::string>{"Z", "a", "a/b", "b", "\xff"}));
  EXPECT_EQ(index->Find("a/b"), &index->entries()[2]);
  EXPECT_EQ(index->Find("a/"), nullptr);
  EXPECT_EQ(index->Find(""), nullptr);
}

TEST(Index, RequiresTheHeaderFirst) {
  const std::string no_header = MakeTable({{"a", EncodeRecord({})}}).bytes;
  EXPECT_EQ(Index::Parse(ByteView(no_header)).status().message(),
            "not a checkpoint index: its first key is \"a\" and not the header's, which is empty");
  const std::string empty = MakeTable({}).bytes;
  EXPECT_EQ(Index::Parse(ByteView(empty)).status().message(), "not a checkpoint index: the table has no entries");
}

TEST(Index, KeepsOtherTensorsWhenOneIsBad) {
  BundleMaker bundle;
  bundle.Add("good", 1, {}, kFour);
  bundle.Add("bad", 1, {}, kFour);
  bundle.records["bad"] = EncodeRecord({1, {-5}, 0, 0, 4, 0, {}});
  const auto index = Parse(bundle);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Names(*index), (std::vector<std::string>{"bad", "good"}));
  EXPECT_EQ(index->Problem(0).message(), "tensor \"bad\": Invalid tensor shape: dimension -5");
  EXPECT_TRUE(index->Problem(1).ok());
}

TEST(Index, GivesAPartitionedTensorItsPiecesAndHidesThem) {
  const auto index = Parse(Partitioned());
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Names(*index), (std::vector<std::string>{"w", "x"}));
  ASSERT_TRUE(index->Problem(0).ok()) << index->Problem(0).message();
  EXPECT_EQ(index->entries()[0].size_bytes, 12u);
  const auto& slices = index->Slices(0);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[1].box, (Box{{2, 0}, {2, 3}}));
  EXPECT_EQ(slices[1].bytes.offset, 6u);
  EXPECT_TRUE(index->Slices(1).empty());
}

TEST(Index, SaysWhichPieceIsMissing) {
  BundleMaker bundle = Partitioned();
  bundle.records.erase(EncodeSliceKey("w", {{{2, 2}, {0, 3}}}));
  const auto index = Parse(bundle);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Names(*index), (std::vector<std::string>{"w", "x"}));
  EXPECT_EQ(index->Problem(0).message(), "tensor \"w\": its piece [2:4, 0:3] is not in the index");
}

TEST(Index, RejectsPiecesThatAreNotWhatTheirTensorSays) {
  const std::string key = EncodeSliceKey("w", {{{2, 2}, {0, 3}}});
  const test_support::RecordFields smaller{6, {1, 3}, 0, 6, 3, 0, {}};
  const test_support::RecordFields other_shape{6, {3, 2}, 0, 6, 6, 0, {}};
  const test_support::RecordFields other_dtype{4, {2, 3}, 0, 6, 6, 0, {}};
  for (const auto& fields : {smaller, other_shape, other_dtype}) {
    BundleMaker bundle = Partitioned();
    bundle.records[key] = EncodeRecord(fields);
    const auto index = Parse(bundle);
    ASSERT_TRUE(index.ok());
    EXPECT_EQ(index->Problem(0).code(), StatusCode::kDataLoss);
    EXPECT_EQ(
        index->Problem(0).message(),
        "tensor \"w\": its piece [2:4, 0:3] is stored with another dtype or shape than the tensor's own record says");
  }
}

TEST(Index, ReportsHolesAndOverlaps) {
  BundleMaker hole = Partitioned();
  hole.AddPartitioned("w", 6, {4, 3}, {{{{0, 2}, {0, kWholeDimension}}}});
  const auto with_hole = Parse(hole);
  ASSERT_TRUE(with_hole.ok());
  EXPECT_EQ(Names(*with_hole), (std::vector<std::string>{"w", "x"}));  // The piece that it does not name is none.
  EXPECT_EQ(with_hole->Problem(0).code(), StatusCode::kDataLoss);
  EXPECT_NE(with_hole->Problem(0).message().find("[2:4, 0:3]"), std::string::npos) << with_hole->Problem(0).message();

  BundleMaker overlap = Partitioned();
  const Slice middle{{{1, 2}, {0, 3}}};
  overlap.AddPiece("w", middle, 6, {2, 3}, "ABCDEF");
  overlap.AddPartitioned("w", 6, {4, 3}, {{{{0, 2}, {0, kWholeDimension}}}, middle, {{{2, 2}, {0, 3}}}});
  const auto overlapping = Parse(overlap);
  ASSERT_TRUE(overlapping.ok());
  EXPECT_EQ(overlapping->Problem(0).code(), StatusCode::kDataLoss);
}

TEST(Index, RejectsSlicesOutsideTheShape) {
  BundleMaker bundle = Partitioned();
  bundle.AddPartitioned("w", 6, {3, 3}, {{{{0, 2}, {0, kWholeDimension}}}, {{{2, 2}, {0, 3}}}});
  const auto index = Parse(bundle);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(Names(*index), (std::vector<std::string>{"w", "x"}));
  EXPECT_EQ(index->Problem(0).code(), StatusCode::kDataLoss);
}

TEST(Index, AsksForShardsThatHoldBytesOnly) {
  BundleMaker bundle(5);
  bundle.Add("a", 1, {}, kFour, 3);
  bundle.Add("b", 1, {}, kFour, 1);
  bundle.Add("empty", 1, {0}, "", 4);
  const auto index = Parse(bundle);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->ReferencedShards(), (std::vector<int32_t>{1, 3}));
}

TEST(Index, ComparesExtentsWithTheShards) {
  BundleMaker bundle(3);
  bundle.Add("a", 1, {}, kFour, 0);
  bundle.Add("b", 1, {}, kFour, 0);
  bundle.Add("c", 1, {}, kFour, 1);
  bundle.Add("empty", 1, {0}, "", 2);
  auto index = Parse(bundle);
  ASSERT_TRUE(index.ok());
  index->CheckExtents({{0, ShardFile{"m.data", 7}}, {1, Status(StatusCode::kIo, "gone")}});
  EXPECT_TRUE(index->Problem(0).ok());
  EXPECT_EQ(index->Problem(1).message(), "tensor \"b\": m.data: truncated: 4 bytes at 4 are expected, the file has 7");
  EXPECT_EQ(index->Problem(1).offset(), std::optional<uint64_t>(4));
  EXPECT_EQ(index->Problem(2).code(), StatusCode::kIo);
  EXPECT_TRUE(index->Problem(3).ok());
}

TEST(Index, LooksUpManySlicesOfALongNameInTimeThatFitsTheFile) {
  // Two bytes of record a slice, times a name of a megabyte: a key of its own for each would be a hundred gigabytes.
  BundleMaker bundle;
  const std::string name(1 << 20, 'n');
  const Slice scalar{};
  bundle.AddPiece(name, scalar, 6, {}, "a");
  bundle.AddPartitioned(name, 6, {}, std::vector<Slice>(100000, scalar));
  const auto index = Parse(bundle);
  ASSERT_TRUE(index.ok());
  ASSERT_EQ(index->entries().size(), 1u);
  EXPECT_EQ(index->Problem(0).code(), StatusCode::kDataLoss);  // They overlap.
}

TEST(Index, LimitsNamesOutOfProportionToTheFile) {
  // Each name shares all but its end with the one before: a file of some MB can list gigabytes.
  test_support::Entries entries = {{"", test_support::EncodeHeader(1)}};
  const std::string stem(100000, 'n');
  for (int i = 0; i < 2000; ++i) {
    const std::string number = std::to_string(100000 + i);
    entries.emplace_back(stem + number, EncodeRecord({}));
  }
  const std::string file = MakeTable(entries, {262144, 0}).bytes;
  ASSERT_LT(file.size(), 500000u);
  EXPECT_EQ(Index::Parse(ByteView(file)).status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tensorbundle
