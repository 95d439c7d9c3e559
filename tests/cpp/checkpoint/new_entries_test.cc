#include "checkpoint/new_entries.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "slices/key.h"
#include "table/table_reader.h"

namespace tensorbundle {
namespace {

TensorToWrite Named(const std::string& name, std::vector<int64_t> shape = {2}, DType dtype = DType::kFloat32) {
  TensorToWrite tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  return tensor;
}

void Add(NewEntries* entries, const std::string& name, int32_t shard, uint64_t offset, uint64_t size_bytes) {
  entries->Add(name, DType::kUint8, {static_cast<int64_t>(size_bytes)}, {0, std::nullopt, 0, size_bytes, shard, offset},
               7);
}

void AddPiece(NewEntries* entries, const std::string& name, const std::vector<int64_t>& shape, const Box& box) {
  entries->Add(name, DType::kFloat32, shape, {0, box, 0, 4 * box.NumElements(), 0, 0}, 7);
}

// Keys and entries of an index but for its header's.
std::vector<Entry> EntriesOf(const std::string& index, int32_t num_shards) {
  std::vector<Entry> entries;
  EXPECT_TRUE(VisitTable(ByteView(index), [&](ByteView key, ByteView value) {
                if (key.empty()) return Status();
                return ParseEntry(key, value, num_shards, &entries.emplace_back());
              }).ok());
  return entries;
}

TEST(NewEntries, RefusesNamesThatAreThere) {
  NewEntries entries;
  const std::vector<TensorToWrite> twice = {Named("a"), Named("b"), Named("a")};
  EXPECT_EQ(entries.CheckNames(twice.data(), 2).code(), StatusCode::kOk);
  EXPECT_EQ(entries.CheckNames(twice.data(), 3).message(), "tensor \"a\": there is a tensor of this name already");
  Add(&entries, "a", 0, 0, 2);
  EXPECT_EQ(entries.CheckNames(&twice[0], 1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(entries.CheckNames(&twice[1], 1).code(), StatusCode::kOk);
  AddPiece(&entries, "b", {4}, {{0}, {2}});
  EXPECT_EQ(entries.CheckNames(&twice[1], 1).code(), StatusCode::kInvalidArgument);
}

TEST(NewEntries, ManyNamesThatDifferAreNew) {
  NewEntries entries;
  std::vector<TensorToWrite> tensors;
  for (int i = 0; i < 5000; ++i) tensors.push_back(Named("layer_" + std::to_string(i)));
  EXPECT_TRUE(entries.CheckNames(tensors.data(), tensors.size()).ok());
  tensors.push_back(Named("layer_2500"));
  EXPECT_EQ(entries.CheckNames(tensors.data(), tensors.size()).code(), StatusCode::kInvalidArgument);
}

TEST(NewEntries, FindsOverlapsInAnyDimension) {
  NewEntries entries;
  const std::vector<int64_t> shape = {4, 6, 8};
  for (const int64_t row : {0, 2}) {
    for (const int64_t column : {3, 0}) AddPiece(&entries, "w", shape, {{row, column, 4}, {2, 3, 4}});
  }
  const auto check = [&](const Box& box) { return entries.CheckPiece(Named("w", box.shape), shape, box); };
  EXPECT_TRUE(check({{0, 0, 0}, {4, 6, 4}}).ok());
  EXPECT_EQ(check({{1, 2, 3}, {1, 1, 2}}).message(),
            "tensor \"w\": its slices [0:2, 0:3, 4:8] and [1:2, 2:3, 3:5] overlap");
  EXPECT_EQ(check({{3, 5, 7}, {1, 1, 1}}).message(),
            "tensor \"w\": its slices [2:4, 3:6, 4:8] and [3:4, 5:6, 7:8] overlap");
}

TEST(NewEntries, FindsOverlapsWithTheOnlyPieceAndWithLongOnes) {
  NewEntries entries;
  const auto check = [&](int64_t start, int64_t length) {
    return entries.CheckPiece(Named("w", {length}), {100}, {{start}, {length}}).code();
  };
  AddPiece(&entries, "w", {100}, {{10}, {50}});
  EXPECT_EQ(check(59, 1), StatusCode::kInvalidArgument);
  EXPECT_EQ(check(60, 40), StatusCode::kOk);
  AddPiece(&entries, "w", {100}, {{60}, {1}});
  AddPiece(&entries, "w", {100}, {{61}, {1}});
  EXPECT_EQ(check(59, 1), StatusCode::kInvalidArgument);  // By the long one, which begins far away.
  EXPECT_EQ(check(0, 10), StatusCode::kOk);
  EXPECT_EQ(check(0, 11), StatusCode::kInvalidArgument);
  EXPECT_EQ(check(62, 38), StatusCode::kOk);
}

TEST(NewEntries, SaysWhatDisagrees) {
  NewEntries entries;
  AddPiece(&entries, "w", {4, 6}, {{0, 0}, {2, 6}});
  const Box box{{2, 0}, {2, 6}};
  EXPECT_EQ(entries.CheckPiece(Named("w", box.shape, DType::kFloat64), {4, 6}, box).message(),
            "tensor \"w\": its slices disagree on dtype or full shape: float32 [4, 6] and float64 [4, 6]");
}

TEST(NewEntries, SaysWhatIsMissing) {
  NewEntries entries;
  AddPiece(&entries, "w", {4}, {{0}, {2}});
  EXPECT_EQ(entries.CheckAllThere().code(), StatusCode::kInvalidArgument);
  AddPiece(&entries, "w", {4}, {{2}, {2}});
  EXPECT_TRUE(entries.CheckAllThere().ok());
}

TEST(NewEntries, IndexIsInKeyOrderWithPiecesFirst) {
  NewEntries entries;
  Add(&entries, "z", 0, 0, 2);
  AddPiece(&entries, "m", {4}, {{2}, {2}});
  AddPiece(&entries, "m", {4}, {{0}, {2}});
  Add(&entries, "a", 1, 64, 3);
  const std::vector<Entry> written = EntriesOf(entries.EncodeIndex(2), 2);
  ASSERT_EQ(written.size(), 5u);
  EXPECT_EQ(written[0].name, EncodeSliceKey("m", {{{0, 2}}}));
  EXPECT_EQ(written[1].name, EncodeSliceKey("m", {{{2, 2}}}));
  EXPECT_EQ(written[2].name, "a");
  EXPECT_EQ(written[2].shard, 1);
  EXPECT_EQ(written[2].offset_in_shard, 64u);
  EXPECT_EQ(written[3].name, "m");
  EXPECT_EQ(written[3].shape, std::vector<int64_t>{4});
  EXPECT_EQ(written[3].slices.size(), 2u);
  EXPECT_EQ(written[4].name, "z");
}

TEST(NewEntries, MovesTheSmallestThatIsNotAlone) {
  NewEntries entries;
  Add(&entries, "alone", 0, 0, 1);
  EXPECT_EQ(entries.FindSmallest(2).shard, -1);
  Add(&entries, "large", 1, 0, 500);
  Add(&entries, "small", 1, 512, 20);
  const NewEntries::Place smallest = entries.FindSmallest(2);
  EXPECT_EQ(smallest.shard, 1);
  EXPECT_EQ(smallest.offset, 512u);
  EXPECT_EQ(smallest.size_bytes, 20u);
  ASSERT_TRUE(entries.Move(smallest, 2).ok());
  const std::vector<Entry> written = EntriesOf(entries.EncodeIndex(3), 3);
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(written[1].shard, 1);
  EXPECT_EQ(written[2].name, "small");
  EXPECT_EQ(written[2].shard, 2);
  EXPECT_EQ(written[2].offset_in_shard, 0u);
  EXPECT_EQ(written[2].crc32c, 7u);
}

}  // namespace
}  // namespace tensorbundle
