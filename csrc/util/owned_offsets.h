// Memory for the offsets of strings that are decoded or put together.

#ifndef TENSORBUNDLE_UTIL_OWNED_OFFSETS_H_
#define TENSORBUNDLE_UTIL_OWNED_OFFSETS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"

namespace tensorbundle {

// Offsets up to this one are kept in 32 bits. What makes arrays takes it as a parameter, so that tests need no 4 GiB.
inline constexpr uint64_t kMaxNarrowOffset = UINT32_MAX;

// The offsets of a StringArray while they are found. Whoever makes one fills it and calls Finish.
class OwnedOffsets {
 public:
  // Room for `size` strings and the end of the last, undefined but for offset 0, which is 0. `max_offset`: none will be
  // larger. kResourceExhausted if there is no such memory; callers compare a size from a file with the bytes that exist
  // before they ask.
  static Result<OwnedOffsets> Allocate(uint64_t size, uint64_t max_offset, uint64_t max_narrow = kMaxNarrowOffset);

  // REQUIRES: i <= size. An offset that is larger than announced is cut.
  void Set(size_t i, uint64_t offset) {
    if (type_ == StringArray::OffsetType::kUInt32) {
      narrow()[i] = static_cast<uint32_t>(offset);
    } else {
      wide()[i] = offset;
    }
  }
  uint64_t Get(size_t i) const { return type_ == StringArray::OffsetType::kUInt32 ? narrow()[i] : wide()[i]; }

  // The strings that these offsets make of `bytes`. REQUIRES: all are set, and as StringArray wants them.
  StringArray Finish(Buffer bytes) const;

 private:
  OwnedOffsets(std::shared_ptr<uint8_t[]> memory, size_t size_bytes, StringArray::OffsetType type, size_t size);
  uint32_t* narrow() const { return reinterpret_cast<uint32_t*>(data_); }
  uint64_t* wide() const { return reinterpret_cast<uint64_t*>(data_); }

  uint8_t* data_;
  Buffer buffer_;
  StringArray::OffsetType type_;
  size_t size_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_OWNED_OFFSETS_H_
