// CRC-32C for the library's own use: the public functions, and the backends that do the work.

#ifndef TENSORBUNDLE_UTIL_CRC32C_H_
#define TENSORBUNDLE_UTIL_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/crc32c.h"

namespace tensorbundle::crc32c {

// ExtendCopy for one piece of a copy that is larger than the caches as a whole, which only the caller can know. Stores
// bypass the caches, where the processor can: into memory that was written to before this saves a third of the traffic;
// into pages that the system has yet to supply it is somewhat slower than ExtendCopy. Short pieces are stored as usual.
uint32_t ExtendCopyStreaming(uint32_t crc, ByteView bytes, uint8_t* destination);

// One way to compute it. Every backend gives the same answers.
struct Backend {
  const char* name;  // "portable", "sse42", "avx512", "armv8".
  bool supported;    // By this processor.
  uint32_t (*extend)(uint32_t crc, const uint8_t* bytes, size_t size);
  uint32_t (*extend_copy)(uint32_t crc, const uint8_t* bytes, size_t size, uint8_t* destination);
  uint32_t (*extend_copy_streaming)(uint32_t crc, const uint8_t* bytes, size_t size, uint8_t* destination);
};

// Every backend compiled in, slowest first.
const std::vector<Backend>& Backends();
// The one in use: what TENSORBUNDLE_CRC32C names, if it is compiled in and supported, else the fastest that is.
const Backend& ActiveBackend();

}  // namespace tensorbundle::crc32c

#endif  // TENSORBUNDLE_UTIL_CRC32C_H_
