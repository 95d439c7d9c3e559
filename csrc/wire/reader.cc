#include "wire/reader.h"

#include <algorithm>
#include <array>

#include "util/endian.h"
#include "util/varint.h"

namespace tensorbundle::wire {
namespace {

// `number` is 0 where there is no field yet.
Status Malformed(size_t offset, uint32_t number, const std::string& what) {
  const std::string field = number == 0 ? "" : "field " + std::to_string(number) + ": ";
  return Status(StatusCode::kDataLoss,
                "malformed protobuf message: byte " + std::to_string(offset) + ": " + field + what);
}

// Sets *value to a varint off the front of *input, taken by `take` unless it has one byte, as nearly all have.
template <typename T>
inline bool TakeNumber(std::optional<T> (*take)(ByteView*), ByteView* input, T* value) {
  if (!input->empty() && (*input)[0] < 0x80) {
    *value = (*input)[0];
    input->RemovePrefix(1);
    return true;
  }
  const std::optional<T> taken = take(input);
  if (taken) *value = *taken;
  return taken.has_value();
}

}  // namespace

std::optional<uint64_t> TakeVarint(ByteView* input) {
  const size_t limit = std::min<size_t>(input->size(), kMaxVarint64Length);
  uint64_t value = 0;
  for (size_t i = 0; i < limit; ++i) {
    const uint8_t byte = (*input)[i];
    value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      input->RemovePrefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

Status BadPackedVarint(uint32_t number, size_t offset) {
  return Malformed(offset, number, "a packed varint is cut short or has more than 10 bytes");
}

bool Reader::Next() {
  while (!input_.empty()) {
    if (!TakeTag()) return false;
    if (field_.type() != WireType::kStartGroup) return TakeValue();
    if (!SkipGroup()) return false;
  }
  return false;
}

// A tag has 32 bits, and the field number in it 29.
bool Reader::TakeTag() {
  field_.tag = 0;
  field_.offset = offset();
  if (!TakeNumber(TakeVarint32, &input_, &field_.tag)) return Fail("a tag is cut short or has more than 32 bits");
  if (field_.number() == 0) return Fail("there is no field number 0");
  field_.offset = offset();
  return true;
}

bool Reader::TakeValue() {
  switch (field_.type()) {
    case WireType::kVarint:
      return TakeScalar();
    case WireType::kFixed64:
      return TakeFixed(8);
    case WireType::kBytes:
      return TakeBytes();
    case WireType::kFixed32:
      return TakeFixed(4);
    case WireType::kEndGroup:
      return Fail("the end of a group that did not start");
    default:
      return Fail("there is no wire type " + std::to_string(field_.tag & 7));
  }
}

bool Reader::TakeScalar() {
  if (TakeNumber(TakeVarint, &input_, &field_.scalar)) return true;
  return Fail("a varint is cut short or has more than 10 bytes");
}

bool Reader::TakeFixed(size_t width) {
  if (input_.size() < width) {
    return Fail(std::to_string(width) + " bytes wanted, where " + std::to_string(input_.size()) + " are left");
  }
  field_.scalar = width == 4 ? LoadLittleEndian<uint32_t>(input_.data()) : LoadLittleEndian<uint64_t>(input_.data());
  input_.RemovePrefix(width);
  return true;
}

bool Reader::TakeBytes() {
  uint32_t length = 0;
  if (!TakeNumber(TakeVarint32, &input_, &length)) return Fail("a length is cut short or has more than 32 bits");
  if (length > input_.size()) {
    return Fail(std::to_string(length) + " bytes wanted, where " + std::to_string(input_.size()) + " are left");
  }
  field_.offset = offset();
  field_.bytes = input_.Slice(0, length);
  input_.RemovePrefix(length);
  return true;
}

// Passes over the group whose start was just taken. Its fields are checked as all others; the numbers of the groups
// that are open are kept, because an end names its group. No recursion: the depth is the writer's choice.
bool Reader::SkipGroup() {
  std::array<uint32_t, kMaxGroupDepth> open;
  size_t depth = 0;
  open[depth++] = field_.number();
  while (depth > 0) {
    if (input_.empty()) {
      field_ = Field{Tag(open[depth - 1], WireType::kStartGroup), offset(), 0, ByteView()};
      return Fail("the message ends inside this group");
    }
    if (!TakeTag()) return false;
    if (field_.type() == WireType::kStartGroup) {
      if (depth == open.size())
        return Fail("more than " + std::to_string(kMaxGroupDepth) + " groups inside each other");
      open[depth++] = field_.number();
    } else if (field_.type() == WireType::kEndGroup && field_.number() == open[depth - 1]) {
      --depth;
    } else if (!TakeValue()) {
      return false;
    }
  }
  return true;
}

bool Reader::Fail(const std::string& what) {
  status_ = Malformed(field_.offset, field_.number(), what);
  input_ = ByteView();
  return false;
}

}  // namespace tensorbundle::wire
