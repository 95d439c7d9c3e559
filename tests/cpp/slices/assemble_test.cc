#include "slices/assemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <vector>

#include "slices/random_boxes.h"

namespace tensorbundle {
namespace {

using CopyRun = std::tuple<uint64_t, uint64_t, uint64_t>;  // Source offset, destination offset, length.

std::vector<CopyRun> Runs(const RunPlan& plan) {
  std::vector<CopyRun> runs;
  plan.ForEachRun(
      [&](uint64_t source, uint64_t destination, uint64_t length) { runs.push_back({source, destination, length}); });
  return runs;
}

std::vector<CopyRun> RunsIn(const RunPlan& plan, uint64_t begin, uint64_t end) {
  std::vector<CopyRun> runs;
  plan.ForEachRunIn(begin, end, [&](uint64_t source, uint64_t destination, uint64_t length) {
    runs.push_back({source, destination, length});
  });
  return runs;
}

Region RandomRegion(Random* random, const Shape& shape) {
  Region region = Region::Whole(shape);
  const bool steps = random->Below(2) == 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t step = steps ? 1 + random->Below(3) : 1;
    if (steps) region.step.push_back(step);
    region.start[d] = random->Below(shape[d] + 1);
    const int64_t most = (shape[d] - region.start[d] + step - 1) / step;
    region.shape[d] = random->Below(8) == 0 ? 0 : random->Below(most + 1);
    if (random->Below(3) == 0) {  // All there is.
      region.start[d] = 0;
      region.shape[d] = (shape[d] + step - 1) / step;
    }
  }
  return region;
}

// For each byte of the region, the byte of the piece that belongs there, or -1: one element after the other.
std::vector<int64_t> Reference(const Box& piece, const Region& region, uint64_t width) {
  std::vector<int64_t> bytes;
  ForEachIndex(region.shape, [&](const Shape& index) {
    Shape element = index;
    for (size_t d = 0; d < index.size(); ++d) {
      element[d] = region.start[d] + index[d] * (region.step.empty() ? 1 : region.step[d]);
    }
    const bool inside = Contains(piece, element);
    const auto from = static_cast<int64_t>(inside ? PositionIn(piece.start, piece.shape, element) * width : 0);
    for (uint64_t i = 0; i < width; ++i) bytes.push_back(inside ? from + static_cast<int64_t>(i) : -1);
  });
  return bytes;
}

// Enters runs into `bytes` as Reference does, and checks their order.
void Enter(const std::vector<CopyRun>& runs, std::vector<int64_t>* bytes) {
  uint64_t source_end = 0;
  uint64_t destination_end = 0;
  for (const auto& [source, destination, length] : runs) {
    ASSERT_GT(length, 0u);
    ASSERT_GE(source, source_end);
    ASSERT_GE(destination, destination_end);
    source_end = source + length;
    destination_end = destination + length;
    ASSERT_LE(destination_end, bytes->size());
    for (uint64_t i = 0; i < length; ++i) (*bytes)[destination + i] = static_cast<int64_t>(source + i);
  }
}

struct Case {
  Shape shape;
  Box piece;
  Region region;
  uint64_t width;
};

Case RandomCase(Random* random) {
  const uint64_t widths[] = {1, 2, 3, 4, 8, 16};
  Case made;
  made.shape = RandomShape(random, 5, 5);
  made.piece = random->Below(4) == 0 ? WholeBox(made.shape) : RandomBox(random, made.shape);
  made.region = RandomRegion(random, made.shape);
  made.width = widths[random->Below(6)];
  return made;
}

TEST(RunPlan, PutsEveryByteWhereElementByElementPutsIt) {
  Random random(1);
  for (int round = 0; round < 20000; ++round) {
    const Case made = RandomCase(&random);
    ASSERT_TRUE(CheckRegion(made.region, made.shape).ok());
    const std::vector<int64_t> expected = Reference(made.piece, made.region, made.width);
    const RunPlan plan(made.piece, made.region, made.width);
    std::vector<int64_t> found(expected.size(), -1);
    Enter(Runs(plan), &found);
    ASSERT_EQ(found, expected);
    const auto copied =
        static_cast<uint64_t>(std::count_if(expected.begin(), expected.end(), [](int64_t byte) { return byte >= 0; }));
    ASSERT_EQ(plan.total_bytes(), copied);
    ASSERT_EQ(plan.empty(), copied == 0);
  }
}

TEST(RunPlan, NeverCutsWhatLiesTogetherInBothUnlessThereAreSteps) {
  Random random(2);
  for (int round = 0; round < 10000; ++round) {
    Case made = RandomCase(&random);
    if (!made.region.step.empty()) continue;
    const std::vector<CopyRun> runs = Runs(RunPlan(made.piece, made.region, made.width));
    for (size_t i = 1; i < runs.size(); ++i) {
      const auto& [source, destination, length] = runs[i - 1];
      ASSERT_FALSE(std::get<0>(runs[i]) == source + length && std::get<1>(runs[i]) == destination + length);
    }
  }
}

TEST(RunPlan, SpansTheBytesFromTheFirstRunToTheLast) {
  Random random(3);
  for (int round = 0; round < 5000; ++round) {
    const Case made = RandomCase(&random);
    const RunPlan plan(made.piece, made.region, made.width);
    const std::vector<CopyRun> runs = Runs(plan);
    ByteRange span;
    if (!runs.empty()) {
      span.offset = std::get<0>(runs.front());
      span.length = std::get<0>(runs.back()) + std::get<2>(runs.back()) - span.offset;
    }
    ASSERT_EQ(plan.source_span(), span);
  }
}

TEST(RunPlan, GivesThePartsOfAPieceThatTogetherAreTheWhole) {
  Random random(4);
  for (int round = 0; round < 10000; ++round) {
    const Case made = RandomCase(&random);
    const RunPlan plan(made.piece, made.region, made.width);
    const std::vector<int64_t> expected = Reference(made.piece, made.region, made.width);
    std::vector<int64_t> found(expected.size(), -1);
    const auto size = static_cast<int64_t>(made.piece.NumElements() * made.width);
    for (int64_t begin = 0; begin < size;) {
      const int64_t end = std::min(size, begin + 1 + random.Below(40));  // Cuts inside elements too.
      const std::vector<CopyRun> runs = RunsIn(plan, static_cast<uint64_t>(begin), static_cast<uint64_t>(end));
      for (const auto& [source, destination, length] : runs) {
        ASSERT_GE(source, static_cast<uint64_t>(begin));
        ASSERT_LE(source + length, static_cast<uint64_t>(end));
      }
      Enter(runs, &found);
      begin = end;
    }
    ASSERT_EQ(found, expected);
  }
}

TEST(CopyRuns, CopiesAPiecePartByPart) {
  Random random(5);
  for (int round = 0; round < 10000; ++round) {
    const Case made = RandomCase(&random);
    const RunPlan plan(made.piece, made.region, made.width);
    std::vector<uint8_t> piece(made.piece.NumElements() * made.width);
    for (uint8_t& byte : piece) byte = static_cast<uint8_t>(random.Below(256));
    const std::vector<int64_t> reference = Reference(made.piece, made.region, made.width);
    std::vector<uint8_t> expected(reference.size(), 0xEE);
    for (size_t i = 0; i < reference.size(); ++i) {
      if (reference[i] >= 0) expected[i] = piece[static_cast<size_t>(reference[i])];
    }
    std::vector<uint8_t> copied(reference.size(), 0xEE);
    const int64_t part_size = 1 + random.Below(50);
    for (size_t begin = 0; begin < piece.size(); begin += static_cast<size_t>(part_size)) {
      const size_t length = std::min(static_cast<size_t>(part_size), piece.size() - begin);
      const std::vector<uint8_t> part(piece.begin() + static_cast<int64_t>(begin),
                                      piece.begin() + static_cast<int64_t>(begin + length));
      CopyRuns(plan, begin, ByteView(part.data(), part.size()), copied.data());
    }
    ASSERT_EQ(copied, expected);
  }
}

TEST(RunPlan, AssemblesATensorFromATiling) {
  Random random(6);
  for (int round = 0; round < 500; ++round) {
    const Shape shape = RandomShape(&random, 5, 6);
    std::vector<Box> tiles;
    RandomTiling(&random, WholeBox(shape), &tiles);
    std::vector<uint32_t> assembled(*CountElements(shape), UINT32_MAX);
    for (const Box& tile : tiles) {
      std::vector<uint32_t> stored;  // Each element holds its position in the tensor.
      ForEachIndex(tile.shape, [&](Shape index) {
        for (size_t d = 0; d < index.size(); ++d) index[d] += tile.start[d];
        stored.push_back(static_cast<uint32_t>(PositionIn(Shape(shape.size(), 0), shape, index)));
      });
      const ByteView bytes(reinterpret_cast<const uint8_t*>(stored.data()), stored.size() * 4);
      CopyRuns(RunPlan(tile, Region::Whole(shape), 4), 0, bytes, reinterpret_cast<uint8_t*>(assembled.data()));
    }
    for (uint32_t i = 0; i < assembled.size(); ++i) ASSERT_EQ(assembled[i], i);
  }
}

TEST(RunPlan, PutsThePiecesOfATensorFlowCheckpointTogether) {
  // w = 0..11, shape [4, 3], as rows 0 and 1 and rows 2 and 3.
  const Shape shape = {4, 3};
  const Box first = *ResolveSlice({{{0, 2}, Extent{}}}, shape);
  const Box second = *ResolveSlice({{{2, 2}, {0, 3}}}, shape);
  EXPECT_EQ(Runs(RunPlan(first, Region::Whole(shape), 4)), (std::vector<CopyRun>{{0, 0, 24}}));
  EXPECT_EQ(Runs(RunPlan(second, Region::Whole(shape), 4)), (std::vector<CopyRun>{{0, 24, 24}}));
  const Region middle = {{1, 1}, {2, 2}, {}};
  EXPECT_EQ(Runs(RunPlan(first, middle, 4)), (std::vector<CopyRun>{{16, 0, 8}}));
  EXPECT_EQ(Runs(RunPlan(second, middle, 4)), (std::vector<CopyRun>{{4, 8, 8}}));
}

TEST(RunPlan, JoinsTrailingDimensionsThatBothHaveWhole) {
  const RunPlan plan({{2, 0, 0}, {4, 5, 6}}, {{3, 0, 0}, {2, 5, 6}, {}}, 8);
  EXPECT_EQ(Runs(plan), (std::vector<CopyRun>{{240, 0, 480}}));
  EXPECT_EQ(plan.run_bytes(), 480u);
}

TEST(RunPlan, JoinsNothingAcrossSteps) {
  const RunPlan plan(WholeBox({2, 6}), {{0, 1}, {2, 3}, {1, 2}}, 4);
  EXPECT_EQ(Runs(plan),
            (std::vector<CopyRun>{{4, 0, 4}, {12, 4, 4}, {20, 8, 4}, {28, 12, 4}, {36, 16, 4}, {44, 20, 4}}));
}

TEST(RunPlan, OfAScalarIsOneRun) { EXPECT_EQ(Runs(RunPlan(Box(), Region(), 16)), (std::vector<CopyRun>{{0, 0, 16}})); }

TEST(RunPlan, OfAnEmptyRegionHasNoRuns) {
  const RunPlan plan(WholeBox({4, 5}), {{4, 0}, {0, 5}, {}}, 4);
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.total_bytes(), 0u);
  EXPECT_EQ(plan.source_span(), ByteRange());
  EXPECT_TRUE(Runs(plan).empty());
  EXPECT_TRUE(RunsIn(plan, 0, 100).empty());
}

TEST(RunPlan, OfATensorWithoutElementsHasNoRunsHoweverLargeItsOtherDimensionsAre) {
  const Shape shape = {int64_t{1} << 62, 0, int64_t{1} << 62};
  EXPECT_TRUE(Runs(RunPlan(WholeBox(shape), Region::Whole(shape), 16)).empty());
}

TEST(RunPlan, HandlesTheHighestRank) {
  Shape shape(254, 1);
  for (const size_t d : {size_t{0}, size_t{100}, size_t{253}}) shape[d] = 2;
  Region region = Region::Whole(shape);
  region.shape[253] = 1;
  EXPECT_EQ(Runs(RunPlan(WholeBox(shape), region, 1)),
            (std::vector<CopyRun>{{0, 0, 1}, {2, 1, 1}, {4, 2, 1}, {6, 3, 1}}));
}

TEST(RunPlan, FindsAPartDeepInsideAHugePieceAtOnce) {
  // 2^40 rows of 2^20 bytes, of which every other byte of every third row is wanted.
  const int64_t rows = int64_t{1} << 40;
  const int64_t columns = int64_t{1} << 20;
  const RunPlan plan(WholeBox({rows, columns}), {{0, 0}, {(rows + 2) / 3, columns / 2}, {3, 2}}, 1);
  const uint64_t row = uint64_t{3} * 300'000'000'000;
  const uint64_t begin = row << 20;
  const uint64_t target = 300'000'000'000 * (uint64_t{1} << 19);
  EXPECT_EQ(RunsIn(plan, begin, begin + 4), (std::vector<CopyRun>{{begin, target, 1}, {begin + 2, target + 1, 1}}));
  EXPECT_EQ(RunsIn(plan, begin - 4, begin + 2), (std::vector<CopyRun>{{begin, target, 1}}));
}

TEST(RunPlan, ReachesTheEndOfTheLargestTensor) {
  const int64_t size = (int64_t{1} << 59) - 1;
  const RunPlan plan({{1}, {size - 1}}, {{0}, {size}, {}}, 16);
  EXPECT_EQ(Runs(plan), (std::vector<CopyRun>{{0, 16, static_cast<uint64_t>(size - 1) * 16}}));
  const RunPlan last(WholeBox({size}), {{0}, {2}, {size - 1}}, 16);
  EXPECT_EQ(Runs(last), (std::vector<CopyRun>{{0, 0, 16}, {static_cast<uint64_t>(size - 1) * 16, 16, 16}}));
}

TEST(RunPlan, GivesNothingForAnEmptyOrDistantPart) {
  const RunPlan plan(WholeBox({4, 4}), {{1, 1}, {2, 2}, {}}, 1);
  EXPECT_EQ(Runs(plan), (std::vector<CopyRun>{{5, 0, 2}, {9, 2, 2}}));
  EXPECT_TRUE(RunsIn(plan, 6, 6).empty());
  EXPECT_TRUE(RunsIn(plan, 0, 5).empty());
  EXPECT_TRUE(RunsIn(plan, 7, 9).empty());
  EXPECT_TRUE(RunsIn(plan, 11, 16).empty());
  EXPECT_TRUE(RunsIn(plan, 1000, UINT64_MAX).empty());
  EXPECT_EQ(RunsIn(plan, 6, 10), (std::vector<CopyRun>{{6, 1, 1}, {9, 2, 1}}));
}

}  // namespace
}  // namespace tensorbundle
