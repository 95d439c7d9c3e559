// From elements as they are stored to elements as programs use them.

#ifndef TENSORBUNDLE_CHECKPOINT_CONVERT_H_
#define TENSORBUNDLE_CHECKPOINT_CONVERT_H_

#include <cstddef>
#include <cstdint>

#include "tensorbundle/buffer.h"
#include "tensorbundle/dtype.h"

namespace tensorbundle {

// What a dtype's stored bytes need. For most dtypes, on most hosts: nothing.
struct Conversion {
  uint8_t swap_unit = 1;        // Bytes of each unit of this size are reversed; 1: none.
  uint8_t value_bits = 8;       // Below 8, other bits of each byte are noise.
  bool nonzero_is_one = false;  // bool: any byte but 0 is read as 1.

  bool needs_swap() const { return swap_unit > 1; }
  bool has_noise() const { return value_bits < 8; }
  bool needs_anything() const { return needs_swap() || has_noise(); }
};

inline Conversion ConversionFor(const DTypeInfo& info, bool foreign_byte_order) {
  return {foreign_byte_order ? info.alignment : uint8_t{1}, info.value_bits, info.dtype == DType::kBool};
}

// Converts whole elements in place.
void ConvertInPlace(const Conversion& conversion, uint8_t* elements, size_t size_bytes);

// True if `elements` hold no noise, so that they may be used as they are.
bool FreeOfNoise(const Conversion& conversion, ByteView elements);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_CONVERT_H_
