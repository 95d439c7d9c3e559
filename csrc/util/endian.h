// Integers in memory, in a stated byte order whatever the host's.

#ifndef TENSORBUNDLE_UTIL_ENDIAN_H_
#define TENSORBUNDLE_UTIL_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tensorbundle {

inline constexpr bool kHostIsLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

inline uint16_t ByteSwap(uint16_t value) { return __builtin_bswap16(value); }
inline uint32_t ByteSwap(uint32_t value) { return __builtin_bswap32(value); }
inline uint64_t ByteSwap(uint64_t value) { return __builtin_bswap64(value); }

template <typename T>
T LoadLittleEndian(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return kHostIsLittleEndian ? value : ByteSwap(value);
}

template <typename T>
void StoreLittleEndian(T value, uint8_t* bytes) {
  if (!kHostIsLittleEndian) value = ByteSwap(value);
  std::memcpy(bytes, &value, sizeof(T));
}

// Reverses the bytes of each of the `size_bytes / unit` units at `bytes`. `unit` is 1, 2, 4 or 8.
// REQUIRES: size_bytes is a multiple of unit. `bytes` may be unaligned.
void SwapUnits(uint8_t* bytes, size_t size_bytes, size_t unit);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_ENDIAN_H_
