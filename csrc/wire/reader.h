// Protobuf messages, field by field: the wire format without a schema.
//
// The caller knows the schema. It picks the fields it wants by tag, which is number and wire type together, and lets
// the others go by. So an unknown field, and a known one of the wrong type, is skipped as protobuf's own parsers skip
// it:
//
//   wire::Reader reader(message);
//   while (reader.Next()) {
//     const wire::Field& field = reader.field();
//     switch (field.tag) {
//       case wire::VarintTag(1): entry.dtype = field.AsInt32(); break;   // The last one wins.
//       case wire::BytesTag(2): RETURN_IF_ERROR(ParseShape(field)); break;
//     }
//   }
//   RETURN_IF_ERROR(reader.status());

#ifndef TENSORBUNDLE_WIRE_READER_H_
#define TENSORBUNDLE_WIRE_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle::wire {

// The low three bits of a tag. Groups are an early way to nest messages, which nothing that we read contains.
enum class WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };

// Groups inside groups, as protobuf's own limit on nesting.
inline constexpr int kMaxGroupDepth = 100;

constexpr uint32_t Tag(uint32_t number, WireType type) { return number << 3 | static_cast<uint32_t>(type); }
constexpr uint32_t VarintTag(uint32_t number) { return Tag(number, WireType::kVarint); }
constexpr uint32_t Fixed64Tag(uint32_t number) { return Tag(number, WireType::kFixed64); }
constexpr uint32_t BytesTag(uint32_t number) { return Tag(number, WireType::kBytes); }
constexpr uint32_t Fixed32Tag(uint32_t number) { return Tag(number, WireType::kFixed32); }

// One field. `scalar` holds a varint, fixed32 or fixed64; `bytes`, a part of the message, what has a length: a string,
// a nested message, packed numbers.
struct Field {
  uint32_t tag = 0;
  size_t offset = 0;  // Of the value, counted as the reader counts.
  uint64_t scalar = 0;
  ByteView bytes;

  uint32_t number() const { return tag >> 3; }
  WireType type() const { return static_cast<WireType>(tag & 7); }

  // A varint as the type that the schema gives it. As in protobuf, the bits that a type lacks are dropped: a negative
  // int32 is stored with 64. An enum is an int32.
  int32_t AsInt32() const { return static_cast<int32_t>(static_cast<uint32_t>(scalar)); }
  int64_t AsInt64() const { return static_cast<int64_t>(scalar); }
  bool AsBool() const { return scalar != 0; }
  // A fixed32.
  uint32_t AsFixed32() const { return static_cast<uint32_t>(scalar); }
};

// Goes through the fields of one message, which must stay in place. Allocates nothing, except for an error.
class Reader {
 public:
  // `origin` is the offset of `message` in the one around it, so that errors count from the outermost:
  // wire::Reader nested(field.bytes, field.offset).
  explicit Reader(ByteView message, size_t origin = 0) : input_(message), end_offset_(origin + message.size()) {}

  // Goes to the next field. False at the end of the message, and at damage: status() tells which.
  //
  // Groups are checked and passed over. Damage is what protobuf's parsers refuse: field number 0, a wire type or a
  // varint that there is not, a length beyond the end, groups that do not match.
  bool Next();
  const Field& field() const { return field_; }
  // Where the field ends, and the next one begins; counted as the field's own offset.
  size_t offset() const { return end_offset_ - input_.size(); }

  // kDataLoss after damage. The offset is in the message text only: where the message lies is not known here.
  const Status& status() const { return status_; }

 private:
  bool TakeTag();
  bool TakeValue();
  bool TakeScalar();
  bool TakeFixed(size_t width);
  bool TakeBytes();
  bool SkipGroup();
  bool Fail(const std::string& what);

  ByteView input_;  // What is not read yet.
  size_t end_offset_;
  Field field_;
  Status status_;
};

// Takes a varint of up to 10 bytes off the front of *input; nullopt if it is cut short or longer. Bits beyond the 64th
// are dropped, as protobuf drops them.
std::optional<uint64_t> TakeVarint(ByteView* input);

// kDataLoss for a varint in a packed field at `offset`.
Status BadPackedVarint(uint32_t number, size_t offset);

// Calls visit(uint64_t) for each number in a field of a repeated integer, enum or bool. A writer may store one number a
// field or pack many into one, and a reader must take both.
//
// REQUIRES: field.tag is VarintTag or BytesTag of its number.
template <typename Visit>
Status VisitVarints(const Field& field, Visit&& visit) {
  if (field.type() == WireType::kVarint) {
    visit(field.scalar);
    return Status();
  }
  for (ByteView packed = field.bytes; !packed.empty();) {
    const size_t offset = field.offset + (field.bytes.size() - packed.size());
    const std::optional<uint64_t> value = TakeVarint(&packed);
    if (!value) return BadPackedVarint(field.number(), offset);
    visit(*value);
  }
  return Status();
}

}  // namespace tensorbundle::wire

#endif  // TENSORBUNDLE_WIRE_READER_H_
