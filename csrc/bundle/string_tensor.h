// The stored forms of tensors whose elements differ in length: strings and variants.
//
//   strings:   varint64 length of each | fixed32 length checksum | the bytes of each
//   variants:  for each: varint64 length | the bytes | fixed32 checksum
//
// Their checksums cover the lengths as integers in the writer's byte order, not the varints: those of strings in 4
// bytes (8 from 2^32 on), those of variants in 8. A stored checksum is masked, and itself covered by what follows.

#ifndef TENSORBUNDLE_BUNDLE_STRING_TENSOR_H_
#define TENSORBUNDLE_BUNDLE_STRING_TENSOR_H_

#include <cstdint>
#include <functional>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"
#include "util/owned_offsets.h"

namespace tensorbundle {

// Decodes `num_elements` strings, all of `stored`, in row-major order, and sets *crc to their checksum, which is the
// entry's, unmasked, if nothing is damaged. The strings stay where they are and share the owner of `stored`, whose
// bytes must not change from the call on: lengths are checked once. `foreign_byte_order` says that the data files are
// not in the host's.
//
// kDataLoss, with the offset in `stored`, if a length is cut off or needs more than 64 bits, the length checksum is not
// that of the lengths, or the lengths do not sum to exactly the bytes that follow; nothing is set then. No elements may
// be stored as a length checksum alone, or as no bytes at all. No memory is asked for before `stored` is seen to have a
// byte for each element, and then at most 8 bytes for each; kResourceExhausted if there are none.
//
// `keep_going` is called every few milliseconds; an error from it is returned. Offsets are as in util/owned_offsets.h.
Status DecodeStrings(const Buffer& stored, uint64_t num_elements, bool foreign_byte_order, StringArray* elements,
                     uint32_t* crc, const std::function<Status()>& keep_going = nullptr,
                     uint64_t max_narrow_offset = kMaxNarrowOffset);

// The same for variants. Each element is a serialized VariantTensorDataProto, left as it is; they are copied, because
// other bytes lie between them.
//
// kDataLoss, with the offset in `stored`, if a length, an element or its checksum is cut off, a checksum doesn't match,
// or bytes are left over. kUnimplemented for the foreign byte order: the numbers inside an element could not be
// swapped.
Status DecodeVariants(const Buffer& stored, uint64_t num_elements, bool foreign_byte_order, StringArray* elements,
                      uint32_t* crc, const std::function<Status()>& keep_going = nullptr,
                      uint64_t max_narrow_offset = kMaxNarrowOffset);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUNDLE_STRING_TENSOR_H_
