#include "slices/slice.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "slices/random_boxes.h"

namespace tensorbundle {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

TEST(Slice, IsEqualOnlyIfSpelledEqually) {
  const Slice whole{{Extent{}, Extent{0, 5}}};
  EXPECT_EQ(whole, (Slice{{{0, kWholeDimension}, {0, 5}}}));
  EXPECT_NE(whole, (Slice{{{0, 5}, {0, 5}}}));
  EXPECT_NE(whole, (Slice{{Extent{}}}));
  EXPECT_NE((Extent{1, 5}), (Extent{0, 5}));
}

TEST(RegionWhole, StartsAtZeroWithTheShapeAndNoSteps) {
  const Region region = Region::Whole({4, 0, 3});
  EXPECT_EQ(region.start, Shape({0, 0, 0}));
  EXPECT_EQ(region.shape, Shape({4, 0, 3}));
  EXPECT_TRUE(region.step.empty());
}

TEST(CountElements, MultipliesDimensions) {
  EXPECT_EQ(CountElements({}), 1u);
  EXPECT_EQ(CountElements({7}), 7u);
  EXPECT_EQ(CountElements({2, 3, 4}), 24u);
  EXPECT_EQ(CountElements({kMax}), static_cast<uint64_t>(kMax));
  EXPECT_EQ(CountElements({kMax, 1}), static_cast<uint64_t>(kMax));
}

TEST(CountElements, RefusesNegativeDimensionsAndMoreThan63Bits) {
  EXPECT_EQ(CountElements({-1}), std::nullopt);
  EXPECT_EQ(CountElements({3, kMin}), std::nullopt);
  EXPECT_EQ(CountElements({0, -1}), std::nullopt);
  EXPECT_EQ(CountElements({int64_t{1} << 32, int64_t{1} << 31}), std::nullopt);
  EXPECT_EQ(CountElements({int64_t{1} << 32, int64_t{1} << 32}), std::nullopt);  // 0 if it wrapped.
  EXPECT_EQ(CountElements({kMax, 2}), std::nullopt);
}

TEST(CountElements, OfAShapeWithAZeroIsZeroWhateverTheOthersAre) {
  EXPECT_EQ(CountElements({0}), 0u);
  EXPECT_EQ(CountElements({0, int64_t{1} << 40, int64_t{1} << 40}), 0u);
  EXPECT_EQ(CountElements({kMax, kMax, 0}), 0u);
}

TEST(Box, CountsItsElements) {
  EXPECT_EQ((Box{{}, {}}).NumElements(), 1u);
  EXPECT_EQ((Box{{5, 5}, {3, 4}}).NumElements(), 12u);
}

TEST(ResolveSlice, ResolvesBothSpellingsOfAWholeDimension) {
  const Shape shape = {70, 5};
  const Box rows = {{30, 0}, {40, 5}};
  EXPECT_EQ(*ResolveSlice({{{30, 40}, {0, 5}}}, shape), rows);
  EXPECT_EQ(*ResolveSlice({{{30, 40}, Extent{}}}, shape), rows);
  EXPECT_EQ(*ResolveSlice({{Extent{}, Extent{}}}, shape), WholeBox(shape));
}

TEST(ResolveSlice, ResolvesTheSliceOfAScalar) { EXPECT_EQ(*ResolveSlice({}, {}), (Box{{}, {}})); }

TEST(ResolveSlice, GivesAWholeEmptyDimensionNoElements) {
  EXPECT_EQ(*ResolveSlice({{Extent{}, {1, 2}}}, {0, 5}), (Box{{0, 1}, {0, 2}}));
}

TEST(IsRowMajorRun, TellsWhatFollowsOneAnother) {
  Random random(3);
  for (int round = 0; round < 500; ++round) {
    const Shape shape = RandomShape(&random, 4, 4);
    const Box box = RandomBox(&random, shape);
    size_t next = PositionIn(Shape(shape.size(), 0), shape, box.start);
    bool is_run = true;
    ForEachIndex(box.shape, [&](Shape index) {
      for (size_t d = 0; d < index.size(); ++d) index[d] += box.start[d];
      is_run = is_run && PositionIn(Shape(shape.size(), 0), shape, index) == next++;
    });
    ASSERT_EQ(IsRowMajorRun(box, shape), is_run) << BoxText(box) << " of " << ShapeText(shape);
  }
}

struct BadSlice {
  Extent extent;
  const char* message;
};

class ResolveBadSlice : public testing::TestWithParam<BadSlice> {};

TEST_P(ResolveBadSlice, IsDataLossNamingDimensionAndNumbers) {
  const auto box = ResolveSlice({{Extent{}, GetParam().extent}}, {7, 70});
  EXPECT_EQ(box.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(box.status().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, ResolveBadSlice,
    testing::Values(
        BadSlice{{-1, 5}, "slice, dimension 1: start -1, length 5; the dimension has 70 elements"},
        BadSlice{{0, 0}, "slice, dimension 1: start 0, length 0; the dimension has 70 elements"},
        BadSlice{{0, -2}, "slice, dimension 1: start 0, length -2; the dimension has 70 elements"},
        BadSlice{{0, 71}, "slice, dimension 1: start 0, length 71; the dimension has 70 elements"},
        BadSlice{{70, 1}, "slice, dimension 1: start 70, length 1; the dimension has 70 elements"},
        BadSlice{{kMax, kMax},
                 "slice, dimension 1: start 9223372036854775807, length 9223372036854775807; the dimension has 70 "
                 "elements"},
        BadSlice{{kMin, 1}, "slice, dimension 1: start -9223372036854775808, length 1; the dimension has 70 elements"},
        BadSlice{{3, kWholeDimension}, "slice, dimension 1: the whole dimension, but it starts at 3"}));

TEST(ResolveSlice, RefusesAnotherRank) {
  const auto box = ResolveSlice({{{0, 1}, {0, 1}}}, {5});
  EXPECT_EQ(box.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(box.status().message(), "slice has 2 extents, its tensor has 1 dimensions");
}

TEST(Intersect, HoldsExactlyTheElementsOfBoth) {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    const Shape shape = RandomShape(&random, 4, 5);
    const Box a = RandomBox(&random, shape);
    const Box b = RandomBox(&random, shape);
    const std::optional<Box> common = Intersect(a, b);
    ForEachIndex(shape, [&](const Shape& index) {
      ASSERT_EQ(common.has_value() && Contains(*common, index), Contains(a, index) && Contains(b, index));
    });
    ASSERT_TRUE(!common || common->NumElements() > 0);
  }
}

TEST(Intersect, OfNeighboursIsNothing) {
  EXPECT_EQ(Intersect({{0, 0}, {3, 5}}, {{3, 0}, {4, 5}}), std::nullopt);
  EXPECT_EQ(Intersect({{0, 0}, {4, 5}}, {{3, 4}, {4, 9}}), (Box{{3, 4}, {1, 1}}));
}

TEST(CheckRegion, AcceptsWhatTheTensorHas) {
  const Shape shape = {10, 5};
  EXPECT_TRUE(CheckRegion(Region::Whole(shape), shape).ok());
  EXPECT_TRUE(CheckRegion({{9, 4}, {1, 1}, {}}, shape).ok());
  EXPECT_TRUE(CheckRegion({{10, 5}, {0, 0}, {}}, shape).ok());
  EXPECT_TRUE(CheckRegion({{0, 0}, {4, 2}, {3, 4}}, shape).ok());  // Rows 0, 3, 6, 9; columns 0, 4.
  EXPECT_TRUE(CheckRegion({{9, 0}, {1, 5}, {kMax, 1}}, shape).ok());
  EXPECT_TRUE(CheckRegion({{}, {}, {}}, {}).ok());
}

struct BadRegion {
  Region region;
  const char* message;
};

class CheckBadRegion : public testing::TestWithParam<BadRegion> {};

TEST_P(CheckBadRegion, IsTheCallersMistake) {
  const Status status = CheckRegion(GetParam().region, {10});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, CheckBadRegion,
    testing::Values(
        BadRegion{{{-1}, {1}, {}}, "region, dimension 0: start -1 is negative"},
        BadRegion{{{0}, {-1}, {}}, "region, dimension 0: shape -1 is negative"},
        BadRegion{{{0}, {1}, {0}}, "region, dimension 0: step 0 is below 1"},
        BadRegion{{{11}, {0}, {}},
                  "region, dimension 0: 0 elements from 11 in steps of 1 leave the dimension, which has 10"},
        BadRegion{{{10}, {1}, {}},
                  "region, dimension 0: 1 elements from 10 in steps of 1 leave the dimension, which has 10"},
        BadRegion{{{0}, {11}, {}},
                  "region, dimension 0: 11 elements from 0 in steps of 1 leave the dimension, which has 10"},
        BadRegion{{{1}, {4}, {3}},
                  "region, dimension 0: 4 elements from 1 in steps of 3 leave the dimension, which has 10"},
        BadRegion{
            {{0}, {2}, {kMax}},
            "region, dimension 0: 2 elements from 0 in steps of 9223372036854775807 leave the dimension, which has "
            "10"},
        BadRegion{{{0}, {kMax}, {kMax}},
                  "region, dimension 0: 9223372036854775807 elements from 0 in steps of 9223372036854775807 leave the "
                  "dimension, which has 10"},
        BadRegion{{{0, 0}, {1}, {}}, "region has 2 starts, 1 sizes and 0 steps, its tensor has 1 dimensions"},
        BadRegion{{{0}, {1}, {1, 1}}, "region has 1 starts, 1 sizes and 2 steps, its tensor has 1 dimensions"}));

TEST(BoxText, LooksLikeAnIndexingExpression) {
  EXPECT_EQ(BoxText({{30, 0}, {40, 5}}), "[30:70, 0:5]");
  EXPECT_EQ(BoxText({{}, {}}), "[]");
}

TEST(BoxText, LeavesOutDimensionsAfterTheSixteenth) {
  EXPECT_EQ(BoxText(WholeBox(Shape(16, 1))),
            "[0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1]");
  EXPECT_EQ(BoxText(WholeBox(Shape(254, 1))),
            "[0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, 0:1, ... (254 dimensions)]");
}

}  // namespace
}  // namespace tensorbundle
