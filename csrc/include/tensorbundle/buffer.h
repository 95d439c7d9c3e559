// Bytes: where they are (ByteView), where they lie in a file (ByteRange), and who keeps them alive (Buffer).

#ifndef TENSORBUNDLE_BUFFER_H_
#define TENSORBUNDLE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace tensorbundle {

// Pointer and size of bytes that somebody else owns. A value; copy freely. As a parameter it is borrowed for the call.
class ByteView {
 public:
  constexpr ByteView() = default;
  constexpr ByteView(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  explicit ByteView(std::string_view text) : data_(reinterpret_cast<const uint8_t*>(text.data())), size_(text.size()) {}

  constexpr const uint8_t* data() const { return data_; }
  constexpr size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr const uint8_t* begin() const { return data_; }
  constexpr const uint8_t* end() const { return data_ + size_; }
  constexpr uint8_t operator[](size_t i) const { return data_[i]; }

  // The part that starts at `offset` and has `length` bytes. REQUIRES: it lies inside this view.
  constexpr ByteView Slice(size_t offset, size_t length) const { return ByteView(data_ + offset, length); }

  // Takes `length` bytes off the front. REQUIRES: length <= size().
  constexpr void RemovePrefix(size_t length) {
    data_ += length;
    size_ -= length;
  }

  std::string_view AsText() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// `length` bytes from byte `offset` of a file or other source.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;

  friend constexpr bool operator==(const ByteRange& a, const ByteRange& b) {
    return a.offset == b.offset && a.length == b.length;
  }
};

// Bytes together with what keeps them: a mapping, an allocation, somebody's object. The bytes stay where they are, and
// unchanged, as long as any copy of the buffer lives. A value; copying shares the owner and not the bytes.
class Buffer {
 public:
  Buffer() = default;
  Buffer(ByteView view, std::shared_ptr<const void> owner) : view_(view), owner_(std::move(owner)) {}

  const uint8_t* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  ByteView view() const { return view_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

  // A part of this buffer, kept by the same owner. REQUIRES: it lies inside this buffer.
  Buffer Slice(size_t offset, size_t length) const { return Buffer(view_.Slice(offset, length), owner_); }

 private:
  ByteView view_;
  std::shared_ptr<const void> owner_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUFFER_H_
