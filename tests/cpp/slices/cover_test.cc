#include "slices/cover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "slices/random_boxes.h"

namespace tensorbundle {
namespace {

// How often each element of a small tensor is covered.
std::vector<int> Depths(const Shape& shape, const std::vector<Box>& pieces) {
  std::vector<int> depths;
  ForEachIndex(shape, [&](const Shape& index) {
    int depth = 0;
    for (const Box& piece : pieces) depth += Contains(piece, index) ? 1 : 0;
    depths.push_back(depth);
  });
  return depths;
}

// The two pieces of an "overlap" message, or nullopt if it is not one.
std::optional<std::pair<size_t, size_t>> OverlapNamed(const std::string& message) {
  size_t a = 0;
  size_t b = 0;
  const size_t second = message.find(" and ");
  if (second == std::string::npos || message.rfind(" overlap") != message.size() - 8) return std::nullopt;
  if (std::sscanf(message.c_str(), "pieces %zu [", &a) != 1) return std::nullopt;
  if (std::sscanf(message.c_str() + second, " and %zu [", &b) != 1) return std::nullopt;
  return std::make_pair(a, b);
}

void ExpectTrue(const Shape& shape, const std::vector<Box>& pieces, const Status& status) {
  const std::vector<int> depths = Depths(shape, pieces);
  const auto deepest = std::max_element(depths.begin(), depths.end());
  const auto missing = std::count(depths.begin(), depths.end(), 0);
  if (*deepest > 1) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    const auto named = OverlapNamed(status.message());
    ASSERT_TRUE(named) << status.message();
    ASSERT_LT(named->first, named->second);
    ASSERT_LT(named->second, pieces.size());
    EXPECT_TRUE(Intersect(pieces[named->first], pieces[named->second])) << status.message();
    EXPECT_EQ(status.message(), "pieces " + std::to_string(named->first) + " " + BoxText(pieces[named->first]) +
                                    " and " + std::to_string(named->second) + " " + BoxText(pieces[named->second]) +
                                    " overlap");
  } else if (missing > 0) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    const std::string start =
        std::to_string(missing) + " of " + std::to_string(depths.size()) + " elements are in no piece, first ";
    EXPECT_EQ(status.message().substr(0, start.size()), start);
    // The box named begins with the first element that is missing, and no piece reaches into it.
    Box hole = WholeBox(shape);
    const char* text = status.message().c_str() + start.size() + 1;
    for (size_t d = 0; d < shape.size(); ++d) {
      long long begin = 0;
      long long end = 0;
      ASSERT_EQ(std::sscanf(text, "%lld:%lld", &begin, &end), 2) << status.message();
      hole.start[d] = begin;
      hole.shape[d] = end - begin;
      text = std::strchr(text, d + 1 < shape.size() ? ' ' : ']') + 1;
    }
    EXPECT_EQ(PositionIn(Shape(shape.size(), 0), shape, hole.start),
              static_cast<size_t>(std::find(depths.begin(), depths.end(), 0) - depths.begin()));
    for (const Box& piece : pieces) EXPECT_EQ(Intersect(piece, hole), std::nullopt) << status.message();
    EXPECT_TRUE(hole.NumElements() > 0);
  } else {
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST(CheckCover, AcceptsEveryTiling) {
  Random random(1);
  for (int round = 0; round < 1000; ++round) {
    const Shape shape = RandomShape(&random, 5, 6);
    std::vector<Box> pieces;
    RandomTiling(&random, WholeBox(shape), &pieces);
    Shuffle(&random, &pieces);
    const Status status = CheckCover(shape, pieces);
    ASSERT_TRUE(status.ok()) << status.message();
  }
}

TEST(CheckCover, FindsWhatBruteForceFindsInDamagedTilings) {
  Random random(2);
  for (int round = 0; round < 3000; ++round) {
    const Shape shape = RandomShape(&random, 4, 6);
    std::vector<Box> pieces;
    RandomTiling(&random, WholeBox(shape), &pieces);
    Shuffle(&random, &pieces);
    if (random.Below(2) == 0) pieces.resize(static_cast<size_t>(random.Below(static_cast<int64_t>(pieces.size()) + 1)));
    if (random.Below(3) == 0) pieces.push_back(RandomBox(&random, shape));
    if (!pieces.empty() && random.Below(3) == 0) {
      Box& moved = pieces[static_cast<size_t>(random.Below(static_cast<int64_t>(pieces.size())))];
      moved = RandomBox(&random, shape);
    }
    ExpectTrue(shape, pieces, CheckCover(shape, pieces));
    if (HasFailure()) return;
  }
}

TEST(CheckCover, FindsWhatBruteForceFindsInRandomBoxes) {
  Random random(3);
  for (int round = 0; round < 3000; ++round) {
    const Shape shape = RandomShape(&random, 4, 5);
    std::vector<Box> pieces;
    for (int64_t i = random.Below(4); i > 0; --i) pieces.push_back(RandomBox(&random, shape));
    ExpectTrue(shape, pieces, CheckCover(shape, pieces));
    if (HasFailure()) return;
  }
}

TEST(CheckCover, SeesThroughPiecesThatNoCutTakesApart) {
  // Four around a fifth: no straight line passes between them.
  const Shape shape = {3, 3};
  std::vector<Box> pieces = {{{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {1, 1}}};
  EXPECT_TRUE(CheckCover(shape, pieces).ok());
  pieces.pop_back();
  EXPECT_EQ(CheckCover(shape, pieces).message(), "1 of 9 elements are in no piece, first [1:2, 1:2]");
  pieces[3] = {{1, 0}, {1, 3}};
  EXPECT_EQ(CheckCover(shape, pieces).message(), "pieces 1 [0:2, 2:3] and 3 [1:2, 0:3] overlap");
}

TEST(CheckCover, NamesThePiecesThatOverlap) {
  const Status status = CheckCover({70, 5}, {{{0, 0}, {30, 5}}, {{30, 0}, {40, 5}}, {{29, 4}, {1, 1}}});
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "pieces 0 [0:30, 0:5] and 2 [29:30, 4:5] overlap");
}

TEST(CheckCover, TakesTheSamePieceTwiceForAnOverlap) {
  EXPECT_EQ(CheckCover({70}, {{{0}, {70}}, {{0}, {70}}}).message(), "pieces 0 [0:70] and 1 [0:70] overlap");
}

TEST(CheckCover, CountsWhatIsMissingAndSaysWhere) {
  const Status status = CheckCover({70, 5}, {{{0, 0}, {30, 5}}});
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "200 of 350 elements are in no piece, first [30:70, 0:5]");
  EXPECT_EQ(CheckCover({70, 5}, {}).message(), "350 of 350 elements are in no piece, first [0:70, 0:5]");
  EXPECT_EQ(CheckCover({4, 6}, {{{0, 0}, {2, 6}}, {{2, 3}, {2, 3}}}).message(),
            "6 of 24 elements are in no piece, first [2:4, 0:3]");
}

TEST(CheckCover, OfAScalarNeedsExactlyOnePiece) {
  const Box scalar;
  EXPECT_TRUE(CheckCover({}, {scalar}).ok());
  EXPECT_EQ(CheckCover({}, {}).message(), "1 of 1 elements are in no piece, first []");
  EXPECT_EQ(CheckCover({}, {scalar, scalar}).message(), "pieces 0 [] and 1 [] overlap");
}

TEST(CheckCover, OfNoElementsMindsNothing) {
  EXPECT_TRUE(CheckCover({0, 5}, {}).ok());
  EXPECT_TRUE(CheckCover({0, 5}, {{{0, 0}, {0, 5}}, {{0, 0}, {0, 5}}}).ok());
  EXPECT_TRUE(CheckCover({0, int64_t{1} << 62, int64_t{1} << 62}, {}).ok());
}

TEST(CheckCover, CountsUpToTheLargestTensor) {
  const int64_t half = int64_t{1} << 61;
  EXPECT_TRUE(CheckCover({2 * half - 1, 2}, {{{0, 0}, {half, 2}}, {{half, 0}, {half - 1, 2}}}).ok());
  EXPECT_EQ(CheckCover({2 * half - 1, 2}, {{{0, 0}, {half, 2}}, {{half, 1}, {half - 1, 1}}}).message(),
            "2305843009213693951 of 9223372036854775806 elements are in no piece, first "
            "[2305843009213693952:4611686018427387903, 0:1]");
  // Sums of so many overlapping elements would wrap.
  const Box whole = WholeBox({2 * half - 1, 2});
  EXPECT_EQ(CheckCover({2 * half - 1, 2}, {whole, whole, whole}).code(), StatusCode::kDataLoss);
}

// What these take is far from a second on any machine; the way that looks at all pairs would take hours.
TEST(CheckCover, HandlesAGridOfManyPieces) {
  const int64_t side = 300;
  std::vector<Box> pieces;
  for (int64_t i = 0; i < side; ++i) {
    for (int64_t j = 0; j < side; ++j) pieces.push_back({{0, i * 3, 0, j * 7}, {2, 3, 5, 7}});
  }
  Random random(4);
  Shuffle(&random, &pieces);
  const Shape shape = {2, side * 3, 5, side * 7};
  EXPECT_TRUE(CheckCover(shape, pieces).ok());
  const Box last = pieces.back();
  pieces.pop_back();
  EXPECT_EQ(CheckCover(shape, pieces).message(), "210 of 18900000 elements are in no piece, first " +
                                                     BoxText({{0, last.start[1], 0, last.start[3]}, {2, 3, 5, 7}}));
  pieces.push_back(pieces.front());
  EXPECT_EQ(CheckCover(shape, pieces).message(),
            "pieces 0 " + BoxText(pieces[0]) + " and 89999 " + BoxText(pieces[0]) + " overlap");
}

// Halved along one dimension, the halves along the other, and so on: each level of cuts shows only after the one
// before.
void Halve(const Box& box, size_t d, int times, std::vector<Box>* pieces) {
  if (times == 0) {
    pieces->push_back(box);
    return;
  }
  Box first = box;
  Box second = box;
  first.shape[d] = box.shape[d] / 2 - times;  // Nowhere in line with the cuts beside it.
  second.start[d] += first.shape[d];
  second.shape[d] -= first.shape[d];
  Halve(first, 1 - d, times - 1, pieces);
  Halve(second, 1 - d, times - 1, pieces);
}

TEST(CheckCover, HandlesManyLevelsOfCuts) {
  const Shape shape = {1 << 20, 1 << 20};
  std::vector<Box> pieces;
  Halve(WholeBox(shape), 0, 18, &pieces);
  Random random(5);
  Shuffle(&random, &pieces);
  const Status status = CheckCover(shape, pieces);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(CheckCover, ComparesPiecesThatNoCutTakesApartWhereTheyAreFarApart) {
  // Three rows of bricks. The joints of the upper and the lower row alternate, and a brick of each reaches into the
  // middle: no line passes between bricks. Along the rows each brick has few beside it, across them half of all.
  const int64_t length = 20000;
  std::vector<Box> pieces = {
      {{0, 0}, {1, 1}}, {{0, length - 1}, {1, 1}}, {{1, 0}, {1, 3}}, {{1, 5}, {1, 5}}, {{1, 12}, {1, length - 12}}};
  for (int64_t column = 1; column + 2 < length; column += 2) {
    pieces.push_back({{0, column}, {column == 3 ? 2 : 1, 2}});
  }
  for (int64_t column = 0; column < length; column += 2) {
    const bool reaches_up = column == 10;
    pieces.push_back({{reaches_up ? 1 : 2, column}, {reaches_up ? 2 : 1, 2}});
  }
  const Status status = CheckCover({3, length}, pieces);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(CheckCover, HandlesTheHighestRankWithManyPieces) {
  Shape shape(254, 1);
  shape[253] = 2000;
  std::vector<Box> pieces;
  for (int64_t i = 0; i < 2000; ++i) {
    Box piece = WholeBox(Shape(254, 1));
    piece.start[253] = i;
    pieces.push_back(piece);
  }
  EXPECT_TRUE(CheckCover(shape, pieces).ok());
}

TEST(CheckCover, GivesUpOnPiecesThatInterlockOnPurpose) {
  // An onion: each cut takes off one piece, so that all cuts together would look at 10^10 of them.
  const int64_t size = 100000;
  std::vector<Box> pieces;
  for (int64_t i = 0; i + 1 < size; ++i) {
    pieces.push_back({{i, i}, {1, size - i}});
    pieces.push_back({{i + 1, i}, {size - i - 1, 1}});
  }
  const Status status = CheckCover({size, size}, pieces);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the 199998 pieces interlock so that a check for overlaps would take too long");
}

TEST(CheckCover, HasTimeForAThousandPiecesThatInterlock) {
  const int64_t size = 500;
  std::vector<Box> pieces = {{{size - 1, size - 1}, {1, 1}}};
  for (int64_t i = 0; i + 1 < size; ++i) {
    pieces.push_back({{i, i}, {1, size - i}});
    pieces.push_back({{i + 1, i}, {size - i - 1, 1}});
  }
  EXPECT_TRUE(CheckCover({size, size}, pieces).ok());
}

}  // namespace
}  // namespace tensorbundle
