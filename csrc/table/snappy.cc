#include "table/snappy.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "util/status_macros.h"
#include "util/varint.h"

namespace tensorbundle {
namespace {

// The low two bits of an element's first byte.
enum ElementKind { kLiteral = 0, kCopyWithOneByteOffset = 1, kCopyWithTwoByteOffset = 2, kCopyWithFourByteOffset = 3 };

// Literals of up to this many bytes have their length in the first byte; others in 1 to 4 bytes that follow it.
constexpr uint64_t kMaxShortLiteral = 60;

constexpr size_t kMaxCopy = 64;

// Where there is room, bytes are moved in steps of this many, and what is moved beyond the wanted ones is overwritten
// by what comes next.
constexpr size_t kStride = 16;

Status Corrupt(size_t position, const std::string& what) {
  return Status(StatusCode::kDataLoss,
                "corrupted compressed block contents: byte " + std::to_string(position) + ": " + what)
      .WithOffset(position);
}

// Takes a little-endian integer of `width` bytes, 1 to 4, off the front of *input.
std::optional<uint32_t> TakeInteger(size_t width, ByteView* input) {
  if (input->size() < width) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= static_cast<uint32_t>((*input)[i]) << (8 * i);
  input->RemovePrefix(width);
  return value;
}

// The bytes decoded so far and the room for the rest.
class Decoder {
 public:
  Decoder(ByteView compressed, ByteView elements, uint8_t* output, size_t output_size)
      : compressed_(compressed), input_(elements), output_(output), output_size_(output_size) {}

  Status DecodeAll() {
    while (!input_.empty()) {
      element_ = Position();
      const uint8_t tag = input_[0];
      input_.RemovePrefix(1);
      RETURN_IF_ERROR((tag & 3) == kLiteral ? DecodeLiteral(tag) : DecodeCopy(tag));
    }
    if (decoded_ == output_size_) return Status();
    return Corrupt(Position(), "the end, after " + std::to_string(decoded_) + " of " + std::to_string(output_size_) +
                                   " announced bytes");
  }

 private:
  size_t Position() const { return compressed_.size() - input_.size(); }
  size_t Room() const { return output_size_ - decoded_; }

  Status DecodeLiteral(uint8_t tag) {
    uint64_t length = uint64_t{tag} >> 2;
    if (length >= kMaxShortLiteral) {
      const std::optional<uint32_t> stored = TakeInteger(length - kMaxShortLiteral + 1, &input_);
      if (!stored) return Corrupt(element_, "the length of a literal is cut short");
      length = *stored;
    }
    ++length;  // Stored less one; at most 2^32.
    if (length > input_.size()) {
      return Corrupt(element_, "literal of " + std::to_string(length) + " bytes, where " +
                                   std::to_string(input_.size()) + " are left");
    }
    if (length > Room()) return TooLong("literal", length);
    if (length <= kStride && input_.size() >= kStride && Room() >= kStride) {
      std::memcpy(output_ + decoded_, input_.data(), kStride);
    } else {
      std::memcpy(output_ + decoded_, input_.data(), length);
    }
    decoded_ += length;
    input_.RemovePrefix(length);
    return Status();
  }

  Status DecodeCopy(uint8_t tag) {
    const int kind = tag & 3;
    const size_t length = kind == kCopyWithOneByteOffset ? 4 + ((tag >> 2) & 7) : (tag >> 2) + 1;
    const size_t width = kind == kCopyWithOneByteOffset ? 1 : kind == kCopyWithTwoByteOffset ? 2 : 4;
    const std::optional<uint32_t> stored = TakeInteger(width, &input_);
    if (!stored) return Corrupt(element_, "the offset of a copy is cut short");
    const uint32_t offset = kind == kCopyWithOneByteOffset ? (uint32_t{tag} >> 5) << 8 | *stored : *stored;
    if (offset == 0 || offset > decoded_) {
      return Corrupt(element_, "copy from " + std::to_string(offset) + " bytes back, where " +
                                   std::to_string(decoded_) + " are decoded");
    }
    if (length > Room()) return TooLong("copy", length);
    Repeat(offset, length);
    return Status();
  }

  // Appends `length` of the bytes that start `offset` back. A copy may reach into what it makes: then the last `offset`
  // bytes repeat, and the bytes must be made in order, by steps that are no longer than that.
  void Repeat(size_t offset, size_t length) {
    uint8_t* to = output_ + decoded_;
    const uint8_t* from = to - offset;
    if (offset >= kStride && Room() >= kMaxCopy) {
      for (size_t i = 0; i < length; i += kStride) std::memcpy(to + i, from + i, kStride);
    } else {
      for (size_t i = 0; i < length; ++i) to[i] = from[i];
    }
    decoded_ += length;
  }

  Status TooLong(const char* kind, uint64_t length) const {
    return Corrupt(element_, std::string(kind) + " of " + std::to_string(length) + " bytes, where " +
                                 std::to_string(Room()) + " of " + std::to_string(output_size_) +
                                 " announced bytes are missing");
  }

  const ByteView compressed_;
  ByteView input_;      // What is left of it.
  size_t element_ = 0;  // Where in compressed_ the element at hand starts.
  uint8_t* const output_;
  const size_t output_size_;
  size_t decoded_ = 0;  // <= output_size_.
};

}  // namespace

uint64_t MaxSnappyDecodedSize(uint64_t encoded_size) {
  // The best of all elements is a copy with a two-byte offset: 3 bytes for 64. Others give 11 for 2, 64 for 5, and
  // literals less than they take.
  const uint64_t encoded = std::min<uint64_t>(encoded_size, UINT32_MAX);  // The length in front has 32 bits.
  return encoded * 64 / 3;
}

Result<ByteView> DecodeSnappy(ByteView compressed, std::vector<uint8_t>* scratch) {
  ByteView elements = compressed;
  const std::optional<uint32_t> size = TakeVarint32(&elements);
  if (!size) return Corrupt(0, "the length in front is cut short or has more than 32 bits");
  if (*size > MaxSnappyDecodedSize(elements.size())) {
    return Corrupt(0, std::to_string(*size) + " bytes announced, which " + std::to_string(elements.size()) +
                          " bytes cannot decode to");
  }
  if (*size > kMaxSnappyBlockSize) {
    return Status(StatusCode::kResourceExhausted, "compressed block of " + std::to_string(*size) +
                                                      " bytes when decoded, where at most " +
                                                      std::to_string(kMaxSnappyBlockSize) + " are allowed");
  }
  if (scratch->size() < *size) scratch->resize(*size);
  RETURN_IF_ERROR(Decoder(compressed, elements, scratch->data(), *size).DecodeAll());
  return ByteView(scratch->data(), *size);
}

}  // namespace tensorbundle
