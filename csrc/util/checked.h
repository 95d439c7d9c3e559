// Arithmetic on numbers that come from a file.
//
// Every length, offset and dimension in a checkpoint was written by somebody else, and a sum or product of two of them
// that wraps passes the very check it was made for. No `+` or `*` on such numbers outside this header.

#ifndef TENSORBUNDLE_UTIL_CHECKED_H_
#define TENSORBUNDLE_UTIL_CHECKED_H_

#include <cstdint>

namespace tensorbundle {

// True if [offset, offset + length) lies inside [0, limit). Subtracts, because `offset + length <= limit` also holds
// for offset = 8 and length = 2^64 - 8.
constexpr bool RangeFits(uint64_t offset, uint64_t length, uint64_t limit) {
  return offset <= limit && length <= limit - offset;
}

// Set *sum or *product and return true, or return false if the result does not fit.
template <typename T>
[[nodiscard]] inline bool CheckedAdd(T a, T b, T* sum) {
  return !__builtin_add_overflow(a, b, sum);
}
template <typename T>
[[nodiscard]] inline bool CheckedMultiply(T a, T b, T* product) {
  return !__builtin_mul_overflow(a, b, product);
}

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_CHECKED_H_
