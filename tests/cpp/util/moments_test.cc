#include "tensorbundle/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace tensorbundle {
namespace {

template <typename T>
Moments<T> MomentsOf(const std::vector<T>& elements) {
  return ComputeMoments(elements.data(), elements.size());
}

template <typename T>
class MomentsOfEveryType : public testing::Test {};
using Types = testing::Types<float, double, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
TYPED_TEST_SUITE(MomentsOfEveryType, Types);

// 0 to 9, over and over: mean 4.5, variance 8.25. Sizes on both sides of lanes and blocks.
TYPED_TEST(MomentsOfEveryType, AreThoseOfWholePeriods) {
  for (const size_t periods : {1, 2, 204, 205, 1000, 1639}) {
    std::vector<TypeParam> elements(periods * 10);
    for (size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<TypeParam>(i % 10);
    const Moments<TypeParam> moments = MomentsOf(elements);
    EXPECT_EQ(moments.num_finite, elements.size());
    EXPECT_EQ(moments.num_zero, periods);
    EXPECT_EQ(moments.least, TypeParam{0});
    EXPECT_EQ(moments.most, TypeParam{9});
    EXPECT_NEAR(moments.mean, 4.5, 1e-14);
    EXPECT_NEAR(moments.spread / static_cast<double>(elements.size()), 8.25, 1e-13);
  }
}

TYPED_TEST(MomentsOfEveryType, OfNothingAreZero) {
  const Moments<TypeParam> moments = MomentsOf(std::vector<TypeParam>());
  EXPECT_EQ(moments.num_finite, 0u);
  EXPECT_EQ(moments.mean, 0);
  EXPECT_EQ(moments.spread, 0);
}

TYPED_TEST(MomentsOfEveryType, HaveExactExtremes) {
  using Limits = std::numeric_limits<TypeParam>;
  for (const size_t position : {0, 7, 8, 2047, 2048, 4999}) {
    std::vector<TypeParam> elements(5000, TypeParam{1});
    elements[position] = Limits::max();
    EXPECT_EQ(MomentsOf(elements).most, Limits::max());
    EXPECT_EQ(MomentsOf(elements).least, TypeParam{1});
    elements[position] = Limits::lowest();
    EXPECT_EQ(MomentsOf(elements).least, Limits::lowest());
    EXPECT_EQ(MomentsOf(elements).num_zero, Limits::lowest() == 0 ? 1u : 0u);
  }
}

TEST(Moments, CountWhatIsNoNumberAndLeaveItOut) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const size_t position : {0, 5, 2046, 6000}) {
    std::vector<float> elements(6005, 3);
    elements[position] = std::nanf("");
    elements[position + 1] = inf;
    elements[position + 2] = -inf;
    elements[position + 3] = -inf;
    elements[position + 4] = -0.0F;
    const Moments<float> moments = MomentsOf(elements);
    EXPECT_EQ(moments.num_nan, 1u);
    EXPECT_EQ(moments.num_positive_infinity, 1u);
    EXPECT_EQ(moments.num_negative_infinity, 2u);
    EXPECT_EQ(moments.num_zero, 1u);
    EXPECT_EQ(moments.num_finite, 6001u);
    EXPECT_EQ(moments.least, 0.0F);
    EXPECT_EQ(moments.most, 3.0F);
    EXPECT_NEAR(moments.mean, 3 * 6000.0 / 6001, 1e-13);
  }
}

TEST(Moments, OfNothingFiniteAreZero) {
  const Moments<double> moments = MomentsOf(std::vector<double>(5000, std::nan("")));
  EXPECT_EQ(moments.num_nan, 5000u);
  EXPECT_EQ(moments.num_finite, 0u);
  EXPECT_EQ(moments.mean, 0);
}

// The sum of the squares is about 1e16, and its last digit larger than what is asked for.
TEST(Moments, KeepASmallSpreadAboutALargeMean) {
  std::vector<float> elements(10000);
  for (size_t i = 0; i < elements.size(); ++i) elements[i] = 1048576.0F + 0.125F * static_cast<float>(i % 2);
  const Moments<float> moments = MomentsOf(elements);
  EXPECT_EQ(moments.mean, 1048576.0625);
  EXPECT_EQ(moments.spread, 10000 * 0.0625 * 0.0625);
}

TEST(Moments, AreNotFiniteBeyondDoublePrecision) {
  const double most = std::numeric_limits<double>::max();
  const Moments<double> moments = MomentsOf(std::vector<double>{most, most, -most});
  EXPECT_EQ(moments.num_finite, 3u);
  EXPECT_EQ(moments.most, most);
  EXPECT_FALSE(std::isfinite(moments.spread));
}

}  // namespace
}  // namespace tensorbundle
