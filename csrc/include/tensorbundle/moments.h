// Sums over the elements of an array, in one call: extremes, mean, spread, and what is no number.

#ifndef TENSORBUNDLE_MOMENTS_H_
#define TENSORBUNDLE_MOMENTS_H_

#include <cstddef>
#include <cstdint>

#include "tensorbundle/export.h"

namespace tensorbundle {

// Only finite elements count for `num_finite` and what follows. Without one, extremes, mean and spread are 0.
template <typename T>
struct Moments {
  uint64_t num_nan = 0;
  uint64_t num_positive_infinity = 0;
  uint64_t num_negative_infinity = 0;
  uint64_t num_zero = 0;
  uint64_t num_finite = 0;
  T least = 0;
  T most = 0;
  // In double precision, whatever T is: not finite where sums, or squares of distances from the mean, leave its range.
  double mean = 0;
  double spread = 0;  // The sum of these squares.
};

// T: float, double, or an integer of 8 to 64 bits.
template <typename T>
TENSORBUNDLE_EXPORT Moments<T> ComputeMoments(const T* elements, size_t count);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_MOMENTS_H_
