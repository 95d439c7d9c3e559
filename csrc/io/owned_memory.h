// Memory for bytes that are read or copied.

#ifndef TENSORBUNDLE_IO_OWNED_MEMORY_H_
#define TENSORBUNDLE_IO_OWNED_MEMORY_H_

#include <cstdint>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Memory to be filled through `data`, and the buffer that it then is. It lives as long as any copy of the buffer.
struct OwnedMemory {
  uint8_t* data = nullptr;
  Buffer buffer;
};

// `size_bytes` of undefined contents, aligned for every dtype; kResourceExhausted if there is no such memory. Large
// allocations ask for huge pages where the system has them, since faulting in small ones takes longer than filling
// them.
//
// Callers compare a size that came from a file with the bytes that exist before they ask.
Result<OwnedMemory> AllocateMemory(uint64_t size_bytes);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_IO_OWNED_MEMORY_H_
