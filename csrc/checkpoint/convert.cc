#include "checkpoint/convert.h"

#include "util/endian.h"

namespace tensorbundle {

void ConvertInPlace(const Conversion& conversion, uint8_t* elements, size_t size_bytes) {
  if (conversion.needs_swap()) SwapUnits(elements, size_bytes, conversion.swap_unit);
  if (!conversion.has_noise()) return;
  if (conversion.nonzero_is_one) {
    for (size_t i = 0; i < size_bytes; ++i) elements[i] = elements[i] != 0;
  } else {
    const auto mask = static_cast<uint8_t>((1u << conversion.value_bits) - 1);
    for (size_t i = 0; i < size_bytes; ++i) elements[i] &= mask;
  }
}

bool FreeOfNoise(const Conversion& conversion, ByteView elements) {
  uint8_t seen = 0;
  for (const uint8_t byte : elements) seen |= byte;
  return seen >> conversion.value_bits == 0;
}

}  // namespace tensorbundle
