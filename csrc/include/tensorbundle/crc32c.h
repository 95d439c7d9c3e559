// CRC-32C (Castagnoli), the checksum of table blocks and tensors.
//
// Reflected polynomial 0x82F63B78, initial value and final XOR 0xFFFFFFFF; the checksum of "123456789" is 0xE3069283.
// The work is done by the fastest backend that this processor has; TENSORBUNDLE_CRC32C=<name> in the environment forces
// one, for tests and measurements. Everything here is safe to call from many threads.

#ifndef TENSORBUNDLE_CRC32C_H_
#define TENSORBUNDLE_CRC32C_H_

#include <cstdint>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/export.h"

namespace tensorbundle::crc32c {

// The checksum of A ++ bytes, where `crc` is the checksum of A. Extend(0, bytes) is the checksum of bytes.
TENSORBUNDLE_EXPORT uint32_t Extend(uint32_t crc, ByteView bytes);

// Extend, while copying `bytes` to `destination`: memory is crossed once, and what is summed is what is stored, even if
// somebody else is writing to `bytes`. The two must not overlap. A single call on very many bytes stores them past the
// caches.
TENSORBUNDLE_EXPORT uint32_t ExtendCopy(uint32_t crc, ByteView bytes, uint8_t* destination);

// The checksum of A ++ B from those of A and B and the length of B, so that parts can be summed in parallel.
TENSORBUNDLE_EXPORT uint32_t Combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b);

// How checksums are stored: rotated and offset, because the checksum of bytes that contain checksums is weak.
inline uint32_t Mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }
inline uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xA282EAD8u;
  return (rotated >> 17) | (rotated << 15);
}

// The backend in use: "portable", "sse42", "avx512" or "armv8".
TENSORBUNDLE_EXPORT const char* ActiveBackendName();
// Those that this processor supports, slowest first.
TENSORBUNDLE_EXPORT std::vector<const char*> SupportedBackendNames();

}  // namespace tensorbundle::crc32c

#endif  // TENSORBUNDLE_CRC32C_H_
