#include "slices/key.h"

#include <cstddef>
#include <cstdint>

namespace tensorbundle {
namespace {

// The low `length` bytes of `value`, most significant first.
void AppendBigEndian(uint64_t value, int length, std::string* key) {
  for (int shift = 8 * (length - 1); shift >= 0; shift -= 8) key->push_back(static_cast<char>(value >> shift));
}

// An unsigned number: how many bytes it needs, then these.
void AppendUnsigned(uint64_t value, std::string* key) {
  int length = 0;
  while (length < 8 && value >> (8 * length) != 0) ++length;
  key->push_back(static_cast<char>(length));
  AppendBigEndian(value, length, key);
}

// A string, ended by 00 01. A 00 or FF inside it is followed by a byte that the end can't have: 00 FF, FF 00.
void AppendString(std::string_view text, std::string* key) {
  for (const char byte : text) {
    key->push_back(byte);
    if (byte == '\x00') key->push_back('\xFF');
    if (byte == '\xFF') key->push_back('\x00');
  }
  key->push_back('\x00');
  key->push_back('\x01');
}

// Bytes that a signed number needs: of each byte seven bits are its own, of the whole one more is the sign.
int SignedLength(int64_t value) {
  const auto magnitude = static_cast<uint64_t>(value < 0 ? ~value : value);
  int length = 1;
  while (length < 10 && magnitude >> (7 * length - 1) != 0) ++length;
  return length;
}

// A signed number: two's complement, its first bits flipped by a header of as many ones as there are bytes. So longer
// positive numbers sort higher, longer negative ones lower.
void AppendSigned(int64_t value, std::string* key) {
  const int length = SignedLength(value);
  const size_t first = key->size();
  // Nine and ten bytes are more than the number has: they start with copies of its sign.
  for (int i = 8; i < length; ++i) key->push_back(value < 0 ? '\xFF' : '\x00');
  AppendBigEndian(static_cast<uint64_t>(value), length < 8 ? length : 8, key);
  const uint32_t header = 0xFFFFu << (16 - length) & 0xFFFFu;
  (*key)[first] = static_cast<char>((*key)[first] ^ static_cast<char>(header >> 8));
  if (length > 1) (*key)[first + 1] = static_cast<char>((*key)[first + 1] ^ static_cast<char>(header));
}

}  // namespace

std::string EncodeSliceKey(std::string_view name, const Slice& slice) {
  return EncodeSliceKeyStem(name) + EncodeSliceKeyEnd(slice);
}

std::string EncodeSliceKeyStem(std::string_view name) {
  std::string key;
  AppendUnsigned(0, &key);
  AppendString(name, &key);
  return key;
}

std::string EncodeSliceKeyEnd(const Slice& slice) {
  std::string key;
  AppendUnsigned(slice.extents.size(), &key);
  for (const Extent& extent : slice.extents) {
    AppendSigned(extent.start, &key);
    AppendSigned(extent.length, &key);
  }
  return key;
}

}  // namespace tensorbundle
