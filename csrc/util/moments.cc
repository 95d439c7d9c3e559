#include "tensorbundle/moments.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace tensorbundle {
namespace {

// Elements. A block stays in the first-level cache while it is gone over several times. Squares are those of distances
// from its mean, so that a small spread about a large mean keeps its digits.
constexpr size_t kBlockSize = 2048;
// Sums that do not wait for each other, and that compilers turn into vectors.
constexpr size_t kLanes = 8;

// Calls take(element, lane) for each element.
template <typename T, typename Function>
void ForEach(const T* elements, size_t count, const Function& take) {
  const size_t even = count - count % kLanes;
  for (size_t i = 0; i < even; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) take(elements[i + lane], lane);
  }
  for (size_t i = even; i < count; ++i) take(elements[i], i - even);
}

template <typename T>
T Sum(const T (&lanes)[kLanes]) {
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

template <typename T>
double MeanOf(const T* elements, size_t count) {
  double sums[kLanes] = {};
  ForEach(elements, count, [&](T element, size_t lane) { sums[lane] += static_cast<double>(element); });
  return Sum(sums) / static_cast<double>(count);
}

template <typename T>
double SpreadOf(const T* elements, size_t count, double mean) {
  double squares[kLanes] = {};
  ForEach(elements, count, [&](T element, size_t lane) {
    const double distance = static_cast<double>(element) - mean;
    squares[lane] += distance * distance;
  });
  return Sum(squares);
}

template <typename T>
uint64_t ZerosOf(const T* elements, size_t count) {
  uint32_t zeros[kLanes] = {};
  ForEach(elements, count, [&](T element, size_t lane) { zeros[lane] += element == 0 ? 1 : 0; });
  return Sum(zeros);
}

template <typename T>
void FindExtremes(const T* elements, size_t count, Moments<T>* moments) {
  T least[kLanes];
  T most[kLanes];
  std::fill_n(least, kLanes, elements[0]);
  std::fill_n(most, kLanes, elements[0]);
  ForEach(elements, count, [&](T element, size_t lane) {
    least[lane] = element < least[lane] ? element : least[lane];
    most[lane] = element > most[lane] ? element : most[lane];
  });
  moments->least = *std::min_element(least, least + kLanes);
  moments->most = *std::max_element(most, most + kLanes);
}

// REQUIRES: count > 0. If an element is no number, so is the mean, and nothing else means anything.
template <typename T>
Moments<T> MomentsOfFinite(const T* elements, size_t count) {
  Moments<T> moments;
  moments.num_finite = count;
  moments.mean = MeanOf(elements, count);
  moments.spread = SpreadOf(elements, count, moments.mean);
  FindExtremes(elements, count, &moments);
  if (moments.least <= 0 && moments.most >= 0) moments.num_zero = ZerosOf(elements, count);
  return moments;
}

// Merged as Chan, Golub and LeVeque do.
template <typename T>
void Merge(const Moments<T>& more, Moments<T>* moments) {
  moments->num_nan += more.num_nan;
  moments->num_positive_infinity += more.num_positive_infinity;
  moments->num_negative_infinity += more.num_negative_infinity;
  moments->num_zero += more.num_zero;
  if (more.num_finite == 0) return;
  const bool is_first = moments->num_finite == 0;
  moments->least = is_first ? more.least : std::min(moments->least, more.least);
  moments->most = is_first ? more.most : std::max(moments->most, more.most);
  const auto before = static_cast<double>(moments->num_finite);
  moments->num_finite += more.num_finite;
  const double share = static_cast<double>(more.num_finite) / static_cast<double>(moments->num_finite);
  const double distance = more.mean - moments->mean;
  moments->mean += distance * share;
  moments->spread += more.spread + distance * distance * before * share;
}

// Sorts out what is no finite number.
template <typename T>
Moments<T> MomentsOfMixed(const T* elements, size_t count) {
  T finite[kBlockSize];
  size_t num_finite = 0;
  Moments<T> others;
  for (size_t i = 0; i < count; ++i) {
    const T element = elements[i];
    if (std::isfinite(element)) {
      finite[num_finite++] = element;
    } else if (std::isnan(element)) {
      ++others.num_nan;
    } else {
      ++(element > 0 ? others.num_positive_infinity : others.num_negative_infinity);
    }
  }
  if (num_finite > 0) Merge(MomentsOfFinite(finite, num_finite), &others);
  return others;
}

}  // namespace

template <typename T>
Moments<T> ComputeMoments(const T* elements, size_t count) {
  Moments<T> moments;
  for (size_t begin = 0; begin < count; begin += kBlockSize) {
    const size_t size = std::min(kBlockSize, count - begin);
    Moments<T> block = MomentsOfFinite(elements + begin, size);
    if constexpr (std::is_floating_point_v<T>) {
      // Sums of finite doubles may leave their range, too; then this is the same once more.
      if (!std::isfinite(block.mean)) block = MomentsOfMixed(elements + begin, size);
    }
    Merge(block, &moments);
  }
  return moments;
}

template Moments<float> ComputeMoments(const float*, size_t);
template Moments<double> ComputeMoments(const double*, size_t);
template Moments<int8_t> ComputeMoments(const int8_t*, size_t);
template Moments<uint8_t> ComputeMoments(const uint8_t*, size_t);
template Moments<int16_t> ComputeMoments(const int16_t*, size_t);
template Moments<uint16_t> ComputeMoments(const uint16_t*, size_t);
template Moments<int32_t> ComputeMoments(const int32_t*, size_t);
template Moments<uint32_t> ComputeMoments(const uint32_t*, size_t);
template Moments<int64_t> ComputeMoments(const int64_t*, size_t);
template Moments<uint64_t> ComputeMoments(const uint64_t*, size_t);

}  // namespace tensorbundle
