// Base-128 variable-length integers, as the table format and protobuf write them: seven bits a byte, least significant
// first, the top bit set on every byte but the last.

#ifndef TENSORBUNDLE_UTIL_VARINT_H_
#define TENSORBUNDLE_UTIL_VARINT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tensorbundle/buffer.h"

namespace tensorbundle {

inline constexpr int kMaxVarint32Length = 5;
inline constexpr int kMaxVarint64Length = 10;

// Take one varint off the front of *input.
//
// Return nullopt, and leave *input as it was, if the input ends inside the varint or the value needs more bits than the
// result has. Longer-than-needed encodings up to the maximum length are accepted: TensorFlow accepts them.
std::optional<uint32_t> TakeVarint32(ByteView* input);
std::optional<uint64_t> TakeVarint64(ByteView* input);

// The bytes that the shortest encoding of `value` takes, which is the one that the functions below write.
inline size_t VarintLength(uint64_t value) {
  // The significant bits in sevens, rounded up: 9/64 is close enough to 1/7 for 64 of them.
  const auto bits = static_cast<size_t>(64 - __builtin_clzll(value | 1));
  return (bits * 9 + 64) / 64;
}

// Stores `value` and returns the end of it. REQUIRES: kMaxVarint64Length bytes can be stored to.
inline uint8_t* StoreVarint(uint64_t value, uint8_t* bytes) {
  for (; value >= 0x80; value >>= 7) *bytes++ = static_cast<uint8_t>(value | 0x80);
  *bytes++ = static_cast<uint8_t>(value);
  return bytes;
}

void AppendVarint(uint64_t value, std::string* output);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_VARINT_H_
