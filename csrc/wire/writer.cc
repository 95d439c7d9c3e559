#include "wire/writer.h"

#include "util/endian.h"
#include "util/varint.h"

namespace tensorbundle::wire {

void AppendVarint(uint32_t number, uint64_t value, std::string* message) {
  tensorbundle::AppendVarint(VarintTag(number), message);
  tensorbundle::AppendVarint(value, message);
}

void AppendInt(uint32_t number, int64_t value, std::string* message) {
  AppendVarint(number, static_cast<uint64_t>(value), message);
}

void AppendFixed32(uint32_t number, uint32_t value, std::string* message) {
  tensorbundle::AppendVarint(Fixed32Tag(number), message);
  uint8_t bytes[sizeof(value)];
  StoreLittleEndian(value, bytes);
  message->append(ByteView(bytes, sizeof(bytes)).AsText());
}

void AppendFixed64(uint32_t number, uint64_t value, std::string* message) {
  tensorbundle::AppendVarint(Fixed64Tag(number), message);
  uint8_t bytes[sizeof(value)];
  StoreLittleEndian(value, bytes);
  message->append(ByteView(bytes, sizeof(bytes)).AsText());
}

void AppendBytes(uint32_t number, ByteView bytes, std::string* message) {
  tensorbundle::AppendVarint(BytesTag(number), message);
  tensorbundle::AppendVarint(bytes.size(), message);
  message->append(bytes.AsText());
}

void AppendField(const Field& field, std::string* message) {
  switch (field.type()) {
    case WireType::kFixed32:
      return AppendFixed32(field.number(), field.AsFixed32(), message);
    case WireType::kFixed64:
      return AppendFixed64(field.number(), field.scalar, message);
    case WireType::kBytes:
      return AppendBytes(field.number(), field.bytes, message);
    default:
      return AppendVarint(field.number(), field.scalar, message);
  }
}

// Leaves one byte for the length, which is enough for nearly all nested messages.
size_t BeginMessage(uint32_t number, std::string* message) {
  tensorbundle::AppendVarint(BytesTag(number), message);
  message->push_back(0);
  return message->size();
}

void EndMessage(size_t begin, std::string* message) {
  const size_t length = message->size() - begin;
  if (length < 0x80) {
    (*message)[begin - 1] = static_cast<char>(length);
    return;
  }
  uint8_t bytes[kMaxVarint64Length];
  const uint8_t* const end = StoreVarint(length, bytes);
  message->replace(begin - 1, 1, ByteView(bytes, static_cast<size_t>(end - bytes)).AsText());
}

}  // namespace tensorbundle::wire
