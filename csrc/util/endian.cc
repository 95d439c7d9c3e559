#include "util/endian.h"

namespace tensorbundle {
namespace {

// memcpy in and out: bytes may be unaligned, and the compiler turns the loop into vector shuffles.
template <typename T>
void SwapEach(uint8_t* bytes, size_t size_bytes) {
  for (size_t i = 0; i < size_bytes; i += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes + i, sizeof(T));
    value = ByteSwap(value);
    std::memcpy(bytes + i, &value, sizeof(T));
  }
}

}  // namespace

void SwapUnits(uint8_t* bytes, size_t size_bytes, size_t unit) {
  if (unit == 2) SwapEach<uint16_t>(bytes, size_bytes);
  if (unit == 4) SwapEach<uint32_t>(bytes, size_bytes);
  if (unit == 8) SwapEach<uint64_t>(bytes, size_bytes);
}

}  // namespace tensorbundle
