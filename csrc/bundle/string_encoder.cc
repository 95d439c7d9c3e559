#include "bundle/string_encoder.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "util/crc32c.h"
#include "util/status_macros.h"
#include "util/varint.h"

namespace tensorbundle {
namespace {

constexpr size_t kChecksumBytes = sizeof(uint32_t);

// From here on, copying an element into the buffer costs more than a call of its own.
constexpr size_t kMinDirectBytes = size_t{64} << 10;

// The memory of an integer, in the host's byte order, which is that of the data files.
template <typename T>
ByteView MemoryOf(const T& value) {
  return ByteView(reinterpret_cast<const uint8_t*>(&value), sizeof(value));
}

// Puts a length into the form that the checksum of strings covers, and returns the bytes of that.
inline size_t StoreCovered(uint64_t length, uint8_t* bytes) {
  if (length > UINT32_MAX) {
    std::memcpy(bytes, &length, sizeof(length));
    return sizeof(length);
  }
  const auto narrow = static_cast<uint32_t>(length);
  std::memcpy(bytes, &narrow, sizeof(narrow));
  return sizeof(narrow);
}

// Collects the bytes of one tensor into blocks, emits each when it is full, and keeps the running checksum. That is
// taken of many bytes at once, which is much faster than element by element.
class BlockEmitter {
 public:
  // `size_bytes` is at least what a small tensor will have, so that it gets a small buffer.
  BlockEmitter(uint64_t size_bytes, const std::function<Status(ByteView)>& emit)
      : emit_(emit),
        capacity_(static_cast<size_t>(std::min<uint64_t>(size_bytes, kEncodedBlockBytes))),
        block_(new uint8_t[capacity_ + kMaxVarint64Length]) {}

  // Stores a length, which the checksum does not cover in this form.
  Status AppendLength(uint64_t length) {
    Sum();
    size_ = summed_ = static_cast<size_t>(StoreVarint(length, block_.get() + size_) - block_.get());
    return size_ < capacity_ ? Status() : Flush();
  }

  // Stores bytes that the checksum covers.
  Status Append(ByteView bytes) {
    if (bytes.size() > capacity_ - size_) return AppendAcrossBlocks(bytes);
    if (!bytes.empty()) std::memcpy(block_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return Status();
  }

  // Stores the masked checksum of all so far, which what follows covers.
  Status AppendChecksum() {
    Sum();
    const uint32_t masked = crc32c::Mask(crc_);
    return Append(MemoryOf(masked));
  }

  // Lets the checksum cover bytes that are not stored.
  void Cover(ByteView bytes) {
    Sum();
    crc_ = crc32c::Extend(crc_, bytes);
  }

  // Emits what is left and returns the checksum of all.
  Result<uint32_t> Finish() {
    if (size_ > 0) RETURN_IF_ERROR(Flush());
    return crc_;
  }

 private:
  void Sum() {
    if (summed_ == size_) return;
    crc_ = crc32c::Extend(crc_, ByteView(block_.get() + summed_, size_ - summed_));
    summed_ = size_;
  }

  Status Flush() {
    Sum();
    const ByteView block(block_.get(), size_);
    size_ = summed_ = 0;
    return emit_(block);
  }

  // A block at a time, so that it is in the caches when it is emitted, having been summed.
  Status EmitDirectly(ByteView bytes) {
    while (!bytes.empty()) {
      const ByteView step = bytes.Slice(0, std::min(bytes.size(), kEncodedBlockBytes));
      crc_ = crc32c::Extend(crc_, step);
      RETURN_IF_ERROR(emit_(step));
      bytes.RemovePrefix(step.size());
    }
    return Status();
  }

  Status AppendAcrossBlocks(ByteView bytes) {
    if (bytes.size() < kMinDirectBytes) {
      const size_t room = capacity_ - size_;
      RETURN_IF_ERROR(Append(bytes.Slice(0, room)));
      RETURN_IF_ERROR(Flush());
      bytes.RemovePrefix(room);
      return Append(bytes);
    }
    if (size_ > 0) RETURN_IF_ERROR(Flush());
    return EmitDirectly(bytes);
  }

  const std::function<Status(ByteView)>& emit_;
  const size_t capacity_;
  const std::unique_ptr<uint8_t[]> block_;  // Room for a length beyond the capacity.
  size_t size_ = 0;
  size_t summed_ = 0;  // Bytes of the block that crc_ covers, or that it leaves out.
  uint32_t crc_ = 0;
};

Status AppendLengths(const ByteView* elements, uint64_t count, BlockEmitter* emitter) {
  uint8_t covered[4096];
  size_t covered_bytes = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t length = elements[i].size();
    RETURN_IF_ERROR(emitter->AppendLength(length));
    covered_bytes += StoreCovered(length, covered + covered_bytes);
    if (covered_bytes <= sizeof(covered) - sizeof(uint64_t)) continue;
    emitter->Cover(ByteView(covered, covered_bytes));
    covered_bytes = 0;
  }
  emitter->Cover(ByteView(covered, covered_bytes));
  return Status();
}

Status AppendVariant(ByteView element, BlockEmitter* emitter) {
  const uint64_t length = element.size();
  RETURN_IF_ERROR(emitter->AppendLength(length));
  emitter->Cover(MemoryOf(length));
  RETURN_IF_ERROR(emitter->Append(element));
  return emitter->AppendChecksum();
}

}  // namespace

uint64_t EncodedStringsSize(const ByteView* elements, uint64_t count) {
  uint64_t size = kChecksumBytes;
  for (uint64_t i = 0; i < count; ++i) size += VarintLength(elements[i].size()) + elements[i].size();
  return size;
}

uint64_t EncodedVariantsSize(const ByteView* elements, uint64_t count) {
  uint64_t size = 0;
  for (uint64_t i = 0; i < count; ++i) size += VarintLength(elements[i].size()) + elements[i].size() + kChecksumBytes;
  return size;
}

Status EncodeStrings(const ByteView* elements, uint64_t count, const std::function<Status(ByteView)>& emit,
                     uint32_t* crc) {
  // Every element takes a byte, so that so many need no counting.
  BlockEmitter emitter(count < kEncodedBlockBytes ? EncodedStringsSize(elements, count) : count, emit);
  RETURN_IF_ERROR(AppendLengths(elements, count, &emitter));
  RETURN_IF_ERROR(emitter.AppendChecksum());
  for (uint64_t i = 0; i < count; ++i) RETURN_IF_ERROR(emitter.Append(elements[i]));
  ASSIGN_OR_RETURN(*crc, emitter.Finish());
  return Status();
}

Status EncodeVariants(const ByteView* elements, uint64_t count, const std::function<Status(ByteView)>& emit,
                      uint32_t* crc) {
  BlockEmitter emitter(count < kEncodedBlockBytes ? EncodedVariantsSize(elements, count) : count, emit);
  for (uint64_t i = 0; i < count; ++i) RETURN_IF_ERROR(AppendVariant(elements[i], &emitter));
  ASSIGN_OR_RETURN(*crc, emitter.Finish());
  return Status();
}

}  // namespace tensorbundle
