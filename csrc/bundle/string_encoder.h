// The inverse of bundle/string_tensor.h, which says how strings and variants are stored: elements -> the bytes of a
// data file and their checksum, a block at a time.

#ifndef TENSORBUNDLE_BUNDLE_STRING_ENCODER_H_
#define TENSORBUNDLE_BUNDLE_STRING_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// The bytes that EncodeStrings and EncodeVariants emit. Looks at the sizes of the elements only.
//
// REQUIRES: they are less than 2^64.
uint64_t EncodedStringsSize(const ByteView* elements, uint64_t count);
uint64_t EncodedVariantsSize(const ByteView* elements, uint64_t count);

// Passes the stored form of `count` strings to `emit`, front to back, and sets *crc to its checksum, which is the
// entry's, unmasked. Elements that are large come straight from where they are, the rest through one buffer: no call
// has more than kEncodedBlockBytes and a few, and a tensor that fits one block takes one call. No call has no bytes.
//
// An error from `emit` is returned, and *crc stays unset. Nobody may change the elements before the return.
inline constexpr size_t kEncodedBlockBytes = size_t{256} << 10;
Status EncodeStrings(const ByteView* elements, uint64_t count, const std::function<Status(ByteView)>& emit,
                     uint32_t* crc);

// The same for variants. Each element is a serialized VariantTensorDataProto, stored as it is.
Status EncodeVariants(const ByteView* elements, uint64_t count, const std::function<Status(ByteView)>& emit,
                      uint32_t* crc);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUNDLE_STRING_ENCODER_H_
