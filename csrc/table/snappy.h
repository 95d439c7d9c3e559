// Snappy, reading only: the raw block format, which tables of older TensorFlow versions compress their blocks with.
//
//   varint32 length of the decoded bytes, then literals (bytes) and copies (of bytes decoded before)

#ifndef TENSORBUNDLE_TABLE_SNAPPY_H_
#define TENSORBUNDLE_TABLE_SNAPPY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// The longest block that DecodeSnappy makes. Blocks of an index are a quarter of a MiB, or one entry.
inline constexpr uint64_t kMaxSnappyBlockSize = uint64_t{1} << 30;

// No valid `encoded_size` bytes, the length in front not counted, decode to more than this.
uint64_t MaxSnappyDecodedSize(uint64_t encoded_size);

// Decodes `compressed` into *scratch, which grows as needed and never shrinks, and returns the part of it that was
// decoded. That is valid until *scratch is used again.
//
// Nothing is allocated before the announced length was compared with what `compressed` can possibly hold. kDataLoss
// with the offset inside `compressed` if it is malformed; kResourceExhausted if it is longer than kMaxSnappyBlockSize.
Result<ByteView> DecodeSnappy(ByteView compressed, std::vector<uint8_t>* scratch);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_SNAPPY_H_
