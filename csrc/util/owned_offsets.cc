#include "util/owned_offsets.h"

#include <limits>
#include <new>
#include <string>
#include <utility>

#include "util/checked.h"

namespace tensorbundle {

Result<OwnedOffsets> OwnedOffsets::Allocate(uint64_t size, uint64_t max_offset, uint64_t max_narrow) {
  using Type = StringArray::OffsetType;
  const bool narrow = max_offset <= max_narrow;
  uint64_t size_bytes = 0;
  std::shared_ptr<uint8_t[]> memory;
  if (CheckedAdd(size, uint64_t{1}, &size_bytes) &&
      CheckedMultiply(size_bytes, uint64_t{narrow ? sizeof(uint32_t) : sizeof(uint64_t)}, &size_bytes) &&
      size_bytes <= std::numeric_limits<size_t>::max()) {
    memory.reset(new (std::nothrow) uint8_t[static_cast<size_t>(size_bytes)]);
  }
  if (memory == nullptr) {
    return Status(StatusCode::kResourceExhausted, "no memory for " + std::to_string(size) + " strings");
  }
  return OwnedOffsets(std::move(memory), static_cast<size_t>(size_bytes), narrow ? Type::kUInt32 : Type::kUInt64,
                      static_cast<size_t>(size));
}

OwnedOffsets::OwnedOffsets(std::shared_ptr<uint8_t[]> memory, size_t size_bytes, StringArray::OffsetType type,
                           size_t size)
    : data_(memory.get()), buffer_(ByteView(data_, size_bytes), std::move(memory)), type_(type), size_(size) {
  Set(0, 0);
}

StringArray OwnedOffsets::Finish(Buffer bytes) const { return StringArray(std::move(bytes), buffer_, type_, size_); }

}  // namespace tensorbundle
