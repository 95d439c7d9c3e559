// Base-128 variable-length integers, as the table format and protobuf write them: seven bits a byte, least significant
// first, the top bit set on every byte but the last.

#ifndef TENSORBUNDLE_UTIL_VARINT_H_
#define TENSORBUNDLE_UTIL_VARINT_H_

#include <cstdint>
#include <optional>

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

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_VARINT_H_
