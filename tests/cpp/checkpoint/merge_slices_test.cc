#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bundle/entry.h"
#include "checkpoint/merging.h"
#include "slices/key.h"
#include "support/bundle_files.h"
#include "tensorbundle/checkpoint_edits.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;
using test_support::Bytes;
using test_support::ExpectMergeIsRefused;
using test_support::OneSlice;
using test_support::ReadBytes;
using test_support::RecordAt;
using test_support::Rows;
using test_support::TemporaryDirectory;
using test_support::WriteBundle;
using Tensors = std::map<std::string, std::string>;

TEST(MergeSlices, JoinsTheSlicesOfOneTensor) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", OneSlice("w", 5, 3, "de"));
  const std::string b = WriteBundle(directory, "b", OneSlice("w", 5, 0, "abc"));
  const std::string c = WriteBundle(directory, "c", Bytes({{"v", "V"}}));
  const std::string m = directory.File("m");
  ASSERT_TRUE(MergeCheckpoints({a, b, c}, m).ok());
  EXPECT_EQ(ReadBytes(m), (Tensors{{"v", "V"}, {"w", "abcde"}}));
  const auto checkpoint = Checkpoint::Open(m);
  EXPECT_EQ(checkpoint->Find("w")->slices, (std::vector<Slice>{Rows(3, 2), Rows(0, 3)}));
}

TEST(MergeSlices, PartitionedTensorsAreInNoDataFile) {
  const TemporaryDirectory directory;
  BundleMaker stale = OneSlice("w", 3, 0, "abc");
  // As a merge of TensorFlow's leaves it.
  stale.records["w"] = test_support::EncodeRecord({4, {3}, 7, 0, 0, 0, {Rows(0, 3)}});
  const std::string a = WriteBundle(directory, "a", stale);
  ASSERT_TRUE(MergeCheckpoints({a}, directory.File("m")).ok());
  EXPECT_EQ(ReadBytes(directory.File("m")), (Tensors{{"w", "abc"}}));
  EXPECT_EQ(RecordAt(directory.File("m"), "w"), *WithShard(ByteView(stale.records["w"]), 0));
}

TEST(MergeSlices, RefusesSlicesThatDoNotMakeUpTheTensor) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", OneSlice("w", 6, 0, "ab"));
  const std::string hole = WriteBundle(directory, "hole", OneSlice("w", 6, 4, "ef"));
  const std::string over = WriteBundle(directory, "over", OneSlice("w", 6, 1, "bcdef"));
  const std::string same = WriteBundle(directory, "same", OneSlice("w", 6, 0, "ab"));
  const std::string m = directory.File("m");
  MergeOptions partial;
  partial.partial = true;
  const std::string start = "tensor \"w\": its slices do not make up the tensor: ";
  const auto invalid = StatusCode::kInvalidArgument;
  ExpectMergeIsRefused(directory, {a, hole}, m, invalid, start + "2 of 6 elements are in no piece, first [2:4]");
  ExpectMergeIsRefused(directory, {a, over}, m, invalid, start + "pieces 0 [0:2] and 1 [1:6] overlap");
  ExpectMergeIsRefused(directory, {a, over}, m, invalid, start + "[0:2] and [1:6] overlap", partial);
  ExpectMergeIsRefused(directory, {a, same}, m, invalid, start + "pieces 0 [0:2] and 1 [0:2] overlap");
  ExpectMergeIsRefused(directory, {a, same}, m, invalid, start + "[0:2] and [0:2] overlap", partial);
}

TEST(MergeSlices, PartialWaitsForMore) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", OneSlice("w", 6, 0, "ab"));
  const std::string b = WriteBundle(directory, "b", OneSlice("w", 6, 4, "ef"));
  const std::string c = WriteBundle(directory, "c", OneSlice("w", 6, 2, "cd"));
  MergeOptions options;
  options.partial = true;
  ASSERT_TRUE(MergeCheckpoints({a, b}, directory.File("ab"), options).ok());
  const auto checkpoint = Checkpoint::Open(directory.File("ab"));
  EXPECT_EQ(checkpoint->Problem(*checkpoint->Find("w")).code(), StatusCode::kDataLoss);
  ASSERT_TRUE(MergeCheckpoints({directory.File("ab"), c}, directory.File("m")).ok());
  EXPECT_EQ(ReadBytes(directory.File("m")), (Tensors{{"w", "abcdef"}}));
}

TEST(MergeSlices, ComparesSlicesInEveryDimension) {
  const TemporaryDirectory directory;
  const auto part = [&](const std::string& name, const std::vector<std::pair<int64_t, int64_t>>& starts) {
    BundleMaker bundle;
    std::vector<Slice> listed;
    for (const auto& [row, column] : starts) {
      listed.push_back(Slice{{{row, 2}, {column, 2}}});
      bundle.AddPiece("w", listed.back(), 4, {2, 2}, "abcd");
    }
    bundle.AddPartitioned("w", 4, {8, 8}, listed);
    return WriteBundle(directory, name, bundle);
  };
  MergeOptions options;
  options.partial = true;
  const std::string a = part("a", {{0, 0}, {2, 2}, {4, 0}});
  const std::string b = part("b", {{0, 2}, {2, 0}, {4, 6}});
  const std::string c = part("c", {{6, 0}, {3, 0}});
  EXPECT_TRUE(MergeCheckpoints({a, b}, directory.File("m"), options).ok());
  ExpectMergeIsRefused(directory, {directory.File("m"), c}, directory.File("n"), StatusCode::kInvalidArgument,
                       "tensor \"w\": its slices do not make up the tensor: [2:4, 0:2] and [3:5, 0:2] overlap",
                       options);
}

TEST(MergeSlices, RefusesSlicesThatDisagree) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", OneSlice("w", 4, 0, "ab"));
  const std::string shape = WriteBundle(directory, "shape", OneSlice("w", 5, 2, "cde"));
  BundleMaker other;
  other.AddPiece("w", Rows(2, 2), 6, {2}, "cd");
  other.AddPartitioned("w", 6, {4}, {Rows(2, 2)});
  const std::string dtype = WriteBundle(directory, "dtype", other);
  const std::string whole = WriteBundle(directory, "whole", Bytes({{"w", "abcd"}}));
  const std::string m = directory.File("m");
  const auto invalid = StatusCode::kInvalidArgument;
  ExpectMergeIsRefused(
      directory, {a, shape}, m, invalid,
      "tensor \"w\": its slices can't be joined: it is uint8 [4] in " + a + " and uint8 [5] in " + shape);
  ExpectMergeIsRefused(
      directory, {a, dtype}, m, invalid,
      "tensor \"w\": its slices can't be joined: it is uint8 [4] in " + a + " and int8 [4] in " + dtype);
  ExpectMergeIsRefused(directory, {a, whole}, m, invalid, "tensor \"w\": it is both in " + a + " and in " + whole);
  ExpectMergeIsRefused(directory, {whole, a}, m, invalid, "tensor \"w\": it is both in " + whole + " and in " + a);
}

TEST(MergeSlices, RefusesPiecesThatContradictTheirTensor) {
  const TemporaryDirectory directory;
  BundleMaker missing = OneSlice("w", 3, 0, "abc");
  missing.records.erase(EncodeSliceKey("w", Rows(0, 3)));
  BundleMaker other = OneSlice("w", 3, 0, "abc");
  other.AddPiece("w", Rows(0, 3), 4, {3, 1}, "abc");
  const std::string a = WriteBundle(directory, "a", missing);
  const std::string b = WriteBundle(directory, "b", other);
  MergeOptions partial;
  partial.partial = true;
  ExpectMergeIsRefused(directory, {a}, directory.File("m"), StatusCode::kDataLoss,
                       "tensor \"w\": its piece [0:3] is not in the index", partial);
  ExpectMergeIsRefused(
      directory, {b}, directory.File("m"), StatusCode::kDataLoss,
      "tensor \"w\": its piece [0:3] is stored as uint8 [3, 1], which the tensor's own record contradicts", partial);
}

}  // namespace
}  // namespace tensorbundle
