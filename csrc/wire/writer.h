// Protobuf messages, field by field: the inverse of wire/reader.h.
//
// The same calls give the same bytes: fields lie in the order of the calls, numbers and lengths in their shortest form.
// Nothing is left out by itself. A field that is at its default is the caller's to skip, as the schema wants it:
//
//   if (entry.shard != 0) wire::AppendInt(3, entry.shard, &message);
//   wire::AppendMessage(2, &message, [&] { wire::AppendInt(1, size, &message); });

#ifndef TENSORBUNDLE_WIRE_WRITER_H_
#define TENSORBUNDLE_WIRE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensorbundle/buffer.h"
#include "wire/reader.h"

namespace tensorbundle::wire {

// Each of these appends one field to *message. REQUIRES: 1 <= number < 2^29.

// A uint32, uint64 or bool.
void AppendVarint(uint32_t number, uint64_t value, std::string* message);
// An int32, int64 or enum: a negative one takes ten bytes, whatever its type.
void AppendInt(uint32_t number, int64_t value, std::string* message);
void AppendFixed32(uint32_t number, uint32_t value, std::string* message);
void AppendFixed64(uint32_t number, uint64_t value, std::string* message);
// A string, bytes, or a message that is encoded already. REQUIRES: less than 2 GiB, which is all that protobuf reads.
void AppendBytes(uint32_t number, ByteView bytes, std::string* message);
// A field as a reader gave it.
void AppendField(const Field& field, std::string* message);

// The two ends of a nested message. What is appended between them is its contents; EndMessage takes what BeginMessage
// returned.
size_t BeginMessage(uint32_t number, std::string* message);
void EndMessage(size_t begin, std::string* message);

// A nested message, whose fields `append_fields` appends to *message.
template <typename AppendFields>
void AppendMessage(uint32_t number, std::string* message, AppendFields&& append_fields) {
  const size_t begin = BeginMessage(number, message);
  append_fields();
  EndMessage(begin, message);
}

}  // namespace tensorbundle::wire

#endif  // TENSORBUNDLE_WIRE_WRITER_H_
