#include "checkpoint/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "slices/random_boxes.h"

namespace tensorbundle {
namespace {

// A batch, and the shapes that its tensors point to.
class Batch {
 public:
  void Add(DType dtype, const Shape& shape, bool may_be_sliced = true) {
    shapes_.push_back(shape);
    const uint64_t size_bytes = *CountElements(shape) * FindDTypeInfo(dtype)->size_bytes;
    extents_.push_back({dtype, &shapes_.back(), size_bytes, may_be_sliced});
  }
  // Something of so many bytes that is never cut.
  void AddString(uint64_t size_bytes) {
    shapes_.push_back({1});
    extents_.push_back({DType::kString, &shapes_.back(), size_bytes, true});
  }
  const std::vector<TensorExtent>& extents() const { return extents_; }

 private:
  std::deque<Shape> shapes_;
  std::vector<TensorExtent> extents_;
};

Batch StringsOf(const std::vector<uint64_t>& sizes) {
  Batch batch;
  for (const uint64_t size : sizes) batch.AddString(size);
  return batch;
}

std::vector<Placement> PlaceOrFail(Layout* layout, const Batch& batch, int32_t avoid = 0) {
  auto placements = layout->Place(batch.extents(), avoid);
  EXPECT_TRUE(placements.ok()) << placements.status().message();
  return placements.ok() ? *placements : std::vector<Placement>();
}

std::vector<int32_t> ShardsOf(const std::vector<Placement>& placements) {
  std::vector<int32_t> shards;
  for (const Placement& placement : placements) shards.push_back(placement.shard);
  return shards;
}

std::vector<uint64_t> OffsetsOf(const std::vector<Placement>& placements) {
  std::vector<uint64_t> offsets;
  for (const Placement& placement : placements) offsets.push_back(placement.offset);
  return offsets;
}

std::vector<Box> BoxesOf(const std::vector<Placement>& placements) {
  std::vector<Box> boxes;
  for (const Placement& placement : placements) {
    EXPECT_TRUE(placement.box.has_value());
    boxes.push_back(placement.box.value_or(Box()));
  }
  return boxes;
}

uint64_t SizeOf(const Placement& placement) { return placement.end - placement.begin; }

uint64_t TotalOf(const Batch& batch) {
  return std::accumulate(batch.extents().begin(), batch.extents().end(), uint64_t{0},
                         [](uint64_t sum, const TensorExtent& extent) { return sum + extent.size_bytes; });
}

// The pieces of each tensor are its bytes from the first to the last, tensors in the order given.
void ExpectBytesInOrder(const Batch& batch, const std::vector<Placement>& placements) {
  auto placement = placements.begin();
  for (size_t i = 0; i < batch.extents().size(); ++i) {
    uint64_t begin = 0;
    do {
      ASSERT_NE(placement, placements.end());
      ASSERT_EQ(placement->tensor, i);
      EXPECT_EQ(placement->begin, begin);
      begin = placement->end;
      ++placement;
    } while (begin < batch.extents()[i].size_bytes);
    EXPECT_EQ(begin, batch.extents()[i].size_bytes);
  }
  EXPECT_EQ(placement, placements.end());
}

// The elements of a piece's box are those that its bytes are.
void ExpectBoxIsItsBytes(const TensorExtent& tensor, const Placement& placement) {
  const uint64_t width = FindDTypeInfo(tensor.dtype)->size_bytes;
  uint64_t position = 0;
  ForEachIndex(*tensor.shape, [&](const Shape& index) {
    const bool in_bytes = position * width >= placement.begin && position * width < placement.end;
    EXPECT_EQ(Contains(*placement.box, index), in_bytes) << position;
    ++position;
  });
  EXPECT_EQ(placement.box->NumElements() * width, SizeOf(placement));
}

// In each shard one after the other, at the next multiple of `alignment`, and nothing after the last.
void ExpectPackedShards(const std::vector<Placement>& placements, uint64_t alignment,
                        const std::vector<uint64_t>& shard_bytes) {
  std::vector<uint64_t> ends(shard_bytes.size());
  for (const Placement& placement : placements) {
    ASSERT_LT(static_cast<size_t>(placement.shard), ends.size());
    uint64_t& end = ends[static_cast<size_t>(placement.shard)];
    EXPECT_EQ(placement.offset, end);
    EXPECT_EQ(placement.offset % alignment, 0u);
    end += SizeOf(placement);
    while (end % alignment != 0) ++end;
  }
  EXPECT_EQ(ends, shard_bytes);
}

Batch RandomBatch(Random* random) {
  const DType dtypes[] = {DType::kInt8, DType::kFloat32, DType::kComplex128, DType::kFloat16, DType::kBool};
  Batch batch;
  for (int64_t i = random->Below(12); i >= 0; --i) {
    if (random->Below(6) == 0) {
      batch.AddString(static_cast<uint64_t>(random->Below(300)));
      continue;
    }
    Shape shape = RandomShape(random, 4, 6);
    if (!shape.empty() && random->Below(8) == 0) shape[0] = 0;
    batch.Add(dtypes[random->Below(5)], shape, random->Below(4) != 0);
  }
  return batch;
}

TEST(Layout, CutsTensorsIntoRunsOfTheirBytesAndKeepsEveryOrder) {
  Random random(1);
  for (int round = 0; round < 1500; ++round) {
    const Batch batch = RandomBatch(&random);
    LayoutOptions options;
    options.num_shards = static_cast<int32_t>(1 + random.Below(5));
    options.max_shard_bytes = static_cast<uint64_t>(random.Below(3) == 0 ? 0 : 1 + random.Below(400));
    options.alignment = uint64_t{1} << random.Below(8);
    Layout layout(options);
    const std::vector<Placement> placements = PlaceOrFail(&layout, batch);
    ExpectBytesInOrder(batch, placements);
    ExpectPackedShards(placements, options.alignment, layout.shard_bytes());
    const std::vector<int32_t> shards = ShardsOf(placements);
    EXPECT_TRUE(std::is_sorted(shards.begin(), shards.end()));
    for (const Placement& placement : placements) {
      if (placement.box) ExpectBoxIsItsBytes(batch.extents()[placement.tensor], placement);
    }
    if (::testing::Test::HasFailure()) FAIL() << "round " << round;
  }
}

TEST(Layout, CutsExactlyWhatTensorFlowCanPutTogetherAndIsTooLarge) {
  Random random(2);
  for (int round = 0; round < 1500; ++round) {
    const Batch batch = RandomBatch(&random);
    const auto limit = static_cast<uint64_t>(1 + random.Below(200));
    Layout layout({1, limit, 1});
    for (const Placement& placement : PlaceOrFail(&layout, batch)) {
      const TensorExtent& tensor = batch.extents()[placement.tensor];
      const bool cut = tensor.size_bytes > limit && tensor.may_be_sliced &&
                       TensorFlowAssembles(tensor.dtype, tensor.shape->size()) &&
                       FindDTypeInfo(tensor.dtype)->size_bytes <= limit;
      EXPECT_EQ(placement.box.has_value(), cut) << round;
    }
  }
}

TEST(Layout, FillsNoShardOverTheLimitUnlessWithOneThatCannotBeCut) {
  Random random(3);
  for (int round = 0; round < 1500; ++round) {
    LayoutOptions options;
    options.num_shards = static_cast<int32_t>(1 + random.Below(3));
    options.max_shard_bytes = static_cast<uint64_t>(1 + random.Below(400));
    options.alignment = uint64_t{1} << random.Below(8);
    Layout layout(options);
    const std::vector<Placement> placements = PlaceOrFail(&layout, RandomBatch(&random));
    for (const Placement& placement : placements) {
      if (placement.offset + SizeOf(placement) <= options.max_shard_bytes) continue;
      EXPECT_FALSE(placement.box.has_value()) << round;
      EXPECT_EQ(placement.offset, 0u) << round;
      for (const Placement& other : placements) {
        if (&other == &placement || SizeOf(other) == 0) continue;
        EXPECT_NE(other.shard, placement.shard) << round;
      }
    }
  }
}

TEST(Layout, CutsAlongTheFirstDimensionWhoseRowsAreSmallEnough) {
  Batch batch;
  batch.Add(DType::kFloat32, {2, 3, 5});  // Rows of 60 bytes, then 20, then 4.
  Layout rows({1, 40, 1});
  EXPECT_EQ(BoxesOf(PlaceOrFail(&rows, batch)),
            (std::vector<Box>{
                {{0, 0, 0}, {1, 2, 5}}, {{0, 2, 0}, {1, 1, 5}}, {{1, 0, 0}, {1, 2, 5}}, {{1, 2, 0}, {1, 1, 5}}}));
  Layout outer({1, 60, 1});
  EXPECT_EQ(BoxesOf(PlaceOrFail(&outer, batch)), (std::vector<Box>{{{0, 0, 0}, {1, 3, 5}}, {{1, 0, 0}, {1, 3, 5}}}));
  Layout elements({1, 19, 1});
  const std::vector<Box> boxes = BoxesOf(PlaceOrFail(&elements, batch));
  ASSERT_EQ(boxes.size(), 12u);
  EXPECT_EQ(boxes[0], (Box{{0, 0, 0}, {1, 1, 4}}));
  EXPECT_EQ(boxes[1], (Box{{0, 0, 4}, {1, 1, 1}}));
  EXPECT_EQ(boxes[11], (Box{{1, 2, 4}, {1, 1, 1}}));
}

TEST(Layout, DoesNotCutWhatIsJustAsLargeAsTheLimit) {
  Batch batch;
  batch.Add(DType::kInt8, {64});
  batch.Add(DType::kInt8, {65});
  Layout layout({1, 64, 64});
  const std::vector<Placement> placements = PlaceOrFail(&layout, batch);
  ASSERT_EQ(placements.size(), 3u);
  EXPECT_FALSE(placements[0].box.has_value());
  EXPECT_EQ(placements[1].box, (Box{{0}, {64}}));
  EXPECT_EQ(placements[2].box, (Box{{64}, {1}}));
  EXPECT_EQ(ShardsOf(placements), (std::vector<int32_t>{0, 1, 2}));
}

TEST(Layout, PutsTensorsSideBySideWhileTheyFit) {
  Layout layout({1, 100, 16});
  const std::vector<Placement> placements = PlaceOrFail(&layout, StringsOf({30, 40, 20, 5, 0, 500, 0, 100}));
  // After 30 and 40 the next place is 80, where 20 just fits; nothing goes back to a shard that was left.
  EXPECT_EQ(ShardsOf(placements), (std::vector<int32_t>{0, 0, 0, 1, 1, 2, 3, 3}));
  EXPECT_EQ(OffsetsOf(placements), (std::vector<uint64_t>{0, 32, 80, 0, 16, 0, 0, 0}));
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{112, 16, 512, 112}));
}

TEST(Layout, GoesOnWithTheLastShardInLaterBatches) {
  Layout layout({1, 100, 1});
  PlaceOrFail(&layout, StringsOf({60}));
  const std::vector<Placement> placements = PlaceOrFail(&layout, StringsOf({40, 1, 90}));
  EXPECT_EQ(ShardsOf(placements), (std::vector<int32_t>{0, 1, 1}));
  EXPECT_EQ(OffsetsOf(placements), (std::vector<uint64_t>{60, 0, 1}));
}

TEST(Layout, FillsShardsOnlyToTheirShareIfSeveralWereAskedFor) {
  Layout layout({3, 1000, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, StringsOf({10, 10, 10, 10, 10, 10}))),
            (std::vector<int32_t>{0, 0, 1, 1, 2, 2}));
  Layout limited({2, 10, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&limited, StringsOf({10, 10, 10, 10}))), (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Layout, SpreadsTheFirstBatchEvenlyAndInItsOrder) {
  Layout equal({2, 0, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&equal, StringsOf({8, 8, 8, 8}))), (std::vector<int32_t>{0, 0, 1, 1}));
  // A tensor goes where its middle falls: of 100 bytes, 60 lie in the first half, and 75 too.
  Layout unequal({2, 0, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&unequal, StringsOf({60, 40}))), (std::vector<int32_t>{0, 1}));
  Layout back_heavy({2, 0, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&back_heavy, StringsOf({10, 10, 80}))), (std::vector<int32_t>{0, 0, 1}));
}

TEST(Layout, GivesNoShardMoreThanItsShareAndTheLargestTensor) {
  Random random(4);
  for (int round = 0; round < 2000; ++round) {
    const Batch batch = RandomBatch(&random);
    const auto num_shards = static_cast<int32_t>(1 + random.Below(6));
    Layout layout({num_shards, 0, 1});
    uint64_t largest = 0;
    for (const Placement& placement : PlaceOrFail(&layout, batch)) largest = std::max(largest, SizeOf(placement));
    for (const uint64_t bytes : layout.shard_bytes()) {
      EXPECT_LE(bytes, TotalOf(batch) / static_cast<uint64_t>(num_shards) + 1 + largest) << round;
    }
  }
}

TEST(Layout, LeavesNoShardEmptyThatCouldHaveATensor) {
  const std::vector<std::vector<uint64_t>> batches = {
      {1000, 1, 1, 1}, {1, 1, 1, 1000}, {0, 0, 0, 0}, {1, 1000, 0, 0}, {5}, {1000, 1}, {0, 0, 7, 0, 0, 0}};
  for (const std::vector<uint64_t>& sizes : batches) {
    Layout layout({4, 0, 1});
    const std::vector<int32_t> shards = ShardsOf(PlaceOrFail(&layout, StringsOf(sizes)));
    const std::set<int32_t> used(shards.begin(), shards.end());
    EXPECT_EQ(used.size(), std::min<size_t>(4, sizes.size())) << sizes.size();
    EXPECT_EQ(*used.rbegin(), static_cast<int32_t>(used.size()) - 1);
    EXPECT_EQ(layout.shard_bytes().size(), used.size());
  }
}

TEST(Layout, PutsLaterBatchesWhereTheFewestBytesAre) {
  Layout layout({3, 0, 1});
  PlaceOrFail(&layout, StringsOf({9, 5, 7}));
  EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, StringsOf({3, 1, 1, 1}))), (std::vector<int32_t>{1, 2, 1, 2}));
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{9, 9, 9}));
  EXPECT_EQ(PlaceOrFail(&layout, StringsOf({1})).front().shard, 0);
}

TEST(Layout, PutsLaterBatchesIntoTheShardsThatTheFirstDidNotNeed) {
  Layout layout({3, 0, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, StringsOf({9}))), (std::vector<int32_t>{0}));
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{9}));
  EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, StringsOf({0, 5, 1}))), (std::vector<int32_t>{1, 1, 2}));
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{9, 5, 1}));
}

TEST(Layout, TakesNothingForNoBatch) {
  Layout layout({2, 0, 1});
  EXPECT_TRUE(PlaceOrFail(&layout, Batch()).empty());
  EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, StringsOf({1, 1, 1, 1}))), (std::vector<int32_t>{0, 0, 1, 1}));
}

TEST(Layout, GivesTheLastPieceAShardOfItsOwnToAvoidANumber) {
  Layout layout({1, 0, 16});
  const std::vector<Placement> placements = PlaceOrFail(&layout, StringsOf({5, 6, 7}), 1);
  EXPECT_EQ(ShardsOf(placements), (std::vector<int32_t>{0, 0, 1}));
  EXPECT_EQ(OffsetsOf(placements), (std::vector<uint64_t>{0, 16, 0}));
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{32, 16}));
  // Whatever comes later finds both.
  EXPECT_EQ(PlaceOrFail(&layout, StringsOf({1})).front().shard, 1);
}

TEST(Layout, TakesTheLastPieceThatIsNotAloneToAvoidANumber) {
  Layout layout({3, 0, 1});
  const std::vector<Placement> placements = PlaceOrFail(&layout, StringsOf({4, 4, 10, 9}), 3);
  EXPECT_EQ(ShardsOf(placements), (std::vector<int32_t>{0, 3, 1, 2}));
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{4, 10, 9, 4}));
}

TEST(Layout, AvoidsANumberByItsLimitToo) {
  Batch batch;
  batch.Add(DType::kInt8, {25});
  Layout layout({1, 10, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, batch, 3)), (std::vector<int32_t>{0, 1, 2}));  // All alone.
  Layout shared({1, 10, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&shared, StringsOf({5, 5, 5, 4}), 2)), (std::vector<int32_t>{0, 0, 1, 2}));
}

TEST(Layout, MovesNothingWhereTheNumberIsAnotherOrEveryPieceAlone) {
  for (const int32_t avoid : {0, 1, 3}) {
    Layout layout({2, 0, 1});
    EXPECT_EQ(ShardsOf(PlaceOrFail(&layout, StringsOf({1, 1, 1, 1}), avoid)), (std::vector<int32_t>{0, 0, 1, 1}));
  }
  Layout alone({2, 0, 1});
  EXPECT_EQ(ShardsOf(PlaceOrFail(&alone, StringsOf({1, 1}), 2)), (std::vector<int32_t>{0, 1}));
  Layout later({1, 0, 1});
  PlaceOrFail(&later, StringsOf({1}), 1);
  EXPECT_EQ(ShardsOf(PlaceOrFail(&later, StringsOf({1, 1}), 1)), (std::vector<int32_t>{0, 0}));
}

void ExpectTooMany(Layout* layout, const Batch& batch) {
  const Status status = layout->Place(batch.extents()).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "a limit of 1 bytes a data file would make more than 100000 of them");
}

TEST(Layout, LeavesNoShardWithoutATensorThoughTheTensorsHaveNoBytes) {
  Layout layout({3, 0, 64});
  Batch batch;
  batch.Add(DType::kFloat32, {0});
  PlaceOrFail(&layout, batch);
  PlaceOrFail(&layout, batch);
  EXPECT_EQ(layout.shard_bytes(), (std::vector<uint64_t>{0}));
}

TEST(Layout, RefusesMorePiecesThanAFolderShouldHold) {
  for (const Shape& shape :
       {Shape{100001}, Shape{100001, 1}, Shape{100000, 2}, Shape{2, 50001}, Shape{1 << 20, 1 << 20}}) {
    Batch batch;
    batch.Add(DType::kInt8, shape);
    Layout layout({1, 1, 1});
    ExpectTooMany(&layout, batch);
  }
  Batch most;
  most.Add(DType::kInt8, {2, 50000});
  Layout layout({1, 1, 1});
  EXPECT_EQ(PlaceOrFail(&layout, most).size(), 100000u);
  EXPECT_EQ(layout.shard_bytes().size(), 100000u);
}

TEST(Layout, StaysAsItWasWhenItRefuses) {
  Batch batch;
  batch.Add(DType::kInt8, {60000});
  Layout layout({1, 1, 1});
  PlaceOrFail(&layout, StringsOf({1}));
  PlaceOrFail(&layout, batch);
  ExpectTooMany(&layout, batch);
  EXPECT_EQ(layout.shard_bytes().size(), 60001u);
  EXPECT_EQ(PlaceOrFail(&layout, StringsOf({1})).front().shard, 60001);
}

TEST(TensorFlowAssembles, KnowsTheTypesAndRanksThatTensorFlowReadsFromSlices) {
  const std::set<std::string> cannot = {"string",
                                        "variant",
                                        "float16",
                                        "uint16",
                                        "uint32",
                                        "uint64",
                                        "qint16",
                                        "quint16",
                                        "int2",
                                        "uint2",
                                        "float8_e5m2",
                                        "float8_e4m3fn",
                                        "float8_e4m3fnuz",
                                        "float8_e5m2fnuz",
                                        "float4_e2m1fn",
                                        "float8_e4m3b11fnuz"};
  for (const DTypeInfo& info : kDTypes) {
    for (size_t rank = 0; rank < 12; ++rank) {
      EXPECT_EQ(TensorFlowAssembles(info.dtype, rank), rank >= 1 && rank <= 8 && cannot.count(info.name) == 0)
          << info.name << " " << rank;
    }
  }
}

}  // namespace
}  // namespace tensorbundle
