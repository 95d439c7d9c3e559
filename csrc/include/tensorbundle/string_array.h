// Strings in memory: one run of bytes, and where each of them ends in it.

#ifndef TENSORBUNDLE_STRING_ARRAY_H_
#define TENSORBUNDLE_STRING_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "tensorbundle/buffer.h"

namespace tensorbundle {

// Strings of any bytes, in order: the layout of Arrow's binary arrays, at 4 or 8 bytes a string beside its own.
//
// A value that shares its memory: copying is cheap, and the strings stay where they are, and unchanged, as long as any
// copy lives. Safe to read from many threads.
class StringArray {
 public:
  class Iterator;

  // What the numbers in `offsets` are.
  enum class OffsetType { kUInt32, kUInt64 };

  StringArray() = default;
  // String i is the bytes of `bytes` from offset i to offset i + 1. REQUIRES: `offsets` holds `size` + 1 aligned
  // numbers of that type, in the host's byte order, none less than the one before and the last at most bytes.size().
  StringArray(Buffer bytes, Buffer offsets, OffsetType type, size_t size)
      : bytes_(std::move(bytes)), offsets_(std::move(offsets)), type_(type), size_(size) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // REQUIRES: i < size(). As all views of it, it borrows from the array and its copies.
  ByteView operator[](size_t i) const { return Join(i, i + 1); }
  // The bytes of all strings in [begin, end), one after the other. REQUIRES: begin <= end <= size().
  ByteView Join(size_t begin, size_t end) const;

  // One after the other; they borrow from this object itself.
  Iterator begin() const;
  Iterator end() const;

 private:
  size_t OffsetOf(size_t i) const;

  Buffer bytes_;
  Buffer offsets_;
  OffsetType type_ = OffsetType::kUInt32;
  size_t size_ = 0;
};

class StringArray::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = ByteView;
  using difference_type = std::ptrdiff_t;
  using pointer = const ByteView*;
  using reference = ByteView;

  Iterator() = default;
  Iterator(const StringArray* array, size_t i) : array_(array), i_(i) {}

  ByteView operator*() const { return (*array_)[i_]; }
  Iterator& operator++() {
    ++i_;
    return *this;
  }
  Iterator operator++(int) { return Iterator(array_, i_++); }
  // REQUIRES: both are of the same array.
  friend bool operator==(const Iterator& a, const Iterator& b) { return a.i_ == b.i_; }
  friend bool operator!=(const Iterator& a, const Iterator& b) { return a.i_ != b.i_; }

 private:
  const StringArray* array_ = nullptr;
  size_t i_ = 0;
};

inline size_t StringArray::OffsetOf(size_t i) const {
  if (type_ == OffsetType::kUInt32) return reinterpret_cast<const uint32_t*>(offsets_.data())[i];
  return static_cast<size_t>(reinterpret_cast<const uint64_t*>(offsets_.data())[i]);
}

inline ByteView StringArray::Join(size_t begin, size_t end) const {
  if (size_ == 0) return ByteView();
  const size_t offset = OffsetOf(begin);
  return bytes_.view().Slice(offset, OffsetOf(end) - offset);
}

inline StringArray::Iterator StringArray::begin() const { return Iterator(this, 0); }
inline StringArray::Iterator StringArray::end() const { return Iterator(this, size_); }

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_STRING_ARRAY_H_
