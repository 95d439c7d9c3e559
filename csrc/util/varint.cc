#include "util/varint.h"

#include <algorithm>

namespace tensorbundle {
namespace {

template <typename T, int kMaxLength>
std::optional<T> TakeVarint(ByteView* input) {
  constexpr int kBits = static_cast<int>(sizeof(T) * 8);
  constexpr uint8_t kLastByteMax = (1u << (kBits - 7 * (kMaxLength - 1))) - 1;
  const size_t limit = std::min<size_t>(input->size(), kMaxLength);
  T value = 0;
  for (size_t i = 0; i < limit; ++i) {
    const uint8_t byte = (*input)[i];
    if (i == kMaxLength - 1 && byte > kLastByteMax) return std::nullopt;
    value |= static_cast<T>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      input->RemovePrefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint32_t> TakeVarint32(ByteView* input) { return TakeVarint<uint32_t, kMaxVarint32Length>(input); }
std::optional<uint64_t> TakeVarint64(ByteView* input) { return TakeVarint<uint64_t, kMaxVarint64Length>(input); }

void AppendVarint(uint64_t value, std::string* output) {
  if (value < 0x80) {
    output->push_back(static_cast<char>(value));
    return;
  }
  uint8_t bytes[kMaxVarint64Length];
  const uint8_t* const end = StoreVarint(value, bytes);
  output->append(ByteView(bytes, static_cast<size_t>(end - bytes)).AsText());
}

}  // namespace tensorbundle
