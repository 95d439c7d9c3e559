#include "util/checked.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace tensorbundle {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
constexpr int64_t kSignedMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kSignedMin = std::numeric_limits<int64_t>::min();

TEST(RangeFits, IsTrueUpToTheLimitAndNotBeyond) {
  EXPECT_TRUE(RangeFits(0, 10, 10));
  EXPECT_TRUE(RangeFits(3, 7, 10));
  EXPECT_FALSE(RangeFits(3, 8, 10));
  EXPECT_FALSE(RangeFits(0, 11, 10));
}

TEST(RangeFits, AllowsAnEmptyRangeAtTheLimitOnly) {
  EXPECT_TRUE(RangeFits(0, 0, 0));
  EXPECT_TRUE(RangeFits(10, 0, 10));
  EXPECT_FALSE(RangeFits(11, 0, 10));
}

TEST(RangeFits, IsNotFooledBySumsThatWrap) {
  EXPECT_FALSE(RangeFits(8, kMax - 7, 10));   // The sum is 0.
  EXPECT_FALSE(RangeFits(kMax, 1, kMax));     // The sum is 0.
  EXPECT_FALSE(RangeFits(kMax, kMax, kMax));  // The sum is 2^64 - 2.
  EXPECT_TRUE(RangeFits(kMax - 1, 1, kMax));
  EXPECT_TRUE(RangeFits(0, kMax, kMax));
}

TEST(CheckedAdd, AddsWhatFits) {
  uint64_t sum = 0;
  EXPECT_TRUE(CheckedAdd<uint64_t>(kMax - 1, 1, &sum));
  EXPECT_EQ(sum, kMax);
  int64_t signed_sum = 0;
  EXPECT_TRUE(CheckedAdd<int64_t>(kSignedMin, kSignedMax, &signed_sum));
  EXPECT_EQ(signed_sum, -1);
}

TEST(CheckedAdd, RejectsWhatDoesNot) {
  uint64_t sum = 0;
  EXPECT_FALSE(CheckedAdd<uint64_t>(kMax, 1, &sum));
  int64_t signed_sum = 0;
  EXPECT_FALSE(CheckedAdd<int64_t>(kSignedMax, 1, &signed_sum));
  EXPECT_FALSE(CheckedAdd<int64_t>(kSignedMin, -1, &signed_sum));
  uint32_t narrow = 0;
  EXPECT_FALSE(CheckedAdd<uint32_t>(UINT32_MAX, 1, &narrow));
}

TEST(CheckedMultiply, MultipliesWhatFits) {
  uint64_t product = 1;
  EXPECT_TRUE(CheckedMultiply<uint64_t>(kMax, 0, &product));
  EXPECT_EQ(product, 0u);
  EXPECT_TRUE(CheckedMultiply<uint64_t>(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, &product));
  EXPECT_EQ(product, kMax - UINT32_MAX);
  int64_t signed_product = 0;
  EXPECT_TRUE(CheckedMultiply<int64_t>(kSignedMax, -1, &signed_product));
  EXPECT_EQ(signed_product, kSignedMin + 1);
}

TEST(CheckedMultiply, RejectsWhatDoesNot) {
  uint64_t product = 0;
  EXPECT_FALSE(CheckedMultiply<uint64_t>(uint64_t{1} << 32, uint64_t{1} << 32, &product));
  EXPECT_FALSE(CheckedMultiply<uint64_t>(kMax, 2, &product));
  int64_t signed_product = 0;
  EXPECT_FALSE(CheckedMultiply<int64_t>(kSignedMin, -1, &signed_product));
}

}  // namespace
}  // namespace tensorbundle
