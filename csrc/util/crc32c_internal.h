// What the CRC-32C backends share: arithmetic modulo the polynomial, and the walk over the bytes to be summed.
//
// A 32-bit value stands for a polynomial over GF(2) whose highest bit is the coefficient of x^0 ("reflected"), so that
// the checksum register after some bytes is those bytes, as a polynomial, times x^32 modulo P. Moving a register past
// n more bytes without looking at them is a multiplication by x^(8n): this is how streams that were summed side by
// side are joined, and how checksums of parts are combined.

#ifndef TENSORBUNDLE_UTIL_CRC32C_INTERNAL_H_
#define TENSORBUNDLE_UTIL_CRC32C_INTERNAL_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "util/crc32c.h"

namespace tensorbundle::crc32c {

inline constexpr uint32_t kPolynomial = 0x82F63B78;
inline constexpr uint32_t kOne = 0x80000000;  // x^0.

// P is (x + 1) times a primitive polynomial of degree 31: the powers of x repeat after this many.
inline constexpr uint64_t kOrderOfX = (uint64_t{1} << 31) - 1;

// a * x mod P.
constexpr uint32_t TimesX(uint32_t a) { return (a >> 1) ^ (kPolynomial & (0u - (a & 1))); }

// a * b mod P. Without branches: the bits are as good as random, and a predictor would be wrong half of the time.
constexpr uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (int i = 31; i >= 0; --i) {
    product ^= b & (0u - ((a >> i) & 1));
    b = TimesX(b);
  }
  return product;
}

// x^n mod P.
constexpr uint32_t PowerOfX(uint64_t n) {
  uint32_t power = kOne;
  uint32_t square = TimesX(kOne);
  for (n %= kOrderOfX; n != 0; n >>= 1) {
    if ((n & 1) != 0) power = Multiply(power, square);
    square = Multiply(square, square);
  }
  return power;
}

// What the carry-less multiplication instructions must be given to multiply by x^n. Their product of two reflected
// numbers is one bit short of reflected, and a 32-bit number in a 64-bit operand stands for 32 powers more.
constexpr uint64_t ShiftConstant(uint64_t n) { return PowerOfX(n - 33); }

// What becomes of the bytes besides being summed.
enum class Copy {
  kNone,
  kCached,
  kStreaming,  // Stored past the caches.
};

// The bytes still to be summed, and where they are copied to. Every backend eats them from the front.
template <Copy kCopy>
struct Cursor {
  const uint8_t* bytes;
  size_t size;
  uint8_t* destination;  // Null, and never touched, for Copy::kNone.

  void Advance(size_t length) {
    bytes += length;
    size -= length;
    if constexpr (kCopy != Copy::kNone) destination += length;
  }
};

// The word at bytes + offset, copied as well if the cursor copies. Stores made here are ordinary ones.
template <Copy kCopy>
inline uint64_t TakeWord(const Cursor<kCopy>& cursor, size_t offset) {
  uint64_t word;
  std::memcpy(&word, cursor.bytes + offset, sizeof(word));
  if constexpr (kCopy != Copy::kNone) std::memcpy(cursor.destination + offset, &word, sizeof(word));
  return word;
}

// How many bytes lie before the first one that goes to a multiple of `alignment`, but at most all of them.
template <Copy kCopy>
inline size_t BytesToAlignment(const Cursor<kCopy>& cursor, size_t alignment) {
  const void* aligned = kCopy == Copy::kNone ? cursor.bytes : cursor.destination;
  const size_t before = (alignment - reinterpret_cast<uintptr_t>(aligned) % alignment) % alignment;
  return before < cursor.size ? before : cursor.size;
}

Backend PortableBackend();
#if defined(__x86_64__)
Backend Sse42Backend();
Backend Avx512Backend();
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
Backend Armv8Backend();
#endif

// The backend called `name`; or, if there is none, it is not supported or `name` is null, the fastest supported one.
const Backend& ChooseBackend(const char* name);
// The same for the name in the environment, as it is now. ActiveBackend asks once.
const Backend& ChooseBackendByEnvironment();

}  // namespace tensorbundle::crc32c

#endif  // TENSORBUNDLE_UTIL_CRC32C_INTERNAL_H_
