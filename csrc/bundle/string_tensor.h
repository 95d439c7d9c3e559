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
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Decodes `num_elements` strings, all of `stored`, into views of `stored` in row-major order, and sets *crc to their
// checksum, which is the entry's, unmasked, if nothing is damaged. `foreign_byte_order` says that the data files are
// not in the host's.
//
// kDataLoss, with the offset in `stored`, if a length is cut off or needs more than 64 bits, the length checksum is not
// that of the lengths, or the lengths do not sum to exactly the bytes that follow. Nothing is allocated before all of
// that holds, and nothing set. No elements may be stored as a length checksum alone, or as no bytes at all.
//
// `keep_going` is called every few milliseconds while the bytes are summed; an error from it is returned.
Status DecodeStrings(ByteView stored, uint64_t num_elements, bool foreign_byte_order, std::vector<ByteView>* elements,
                     uint32_t* crc, const std::function<Status()>& keep_going = nullptr);

// The same for variants. Each element is a serialized VariantTensorDataProto, left as it is.
//
// kDataLoss, with the offset in `stored`, if a length, an element or its checksum is cut off, a checksum doesn't match,
// or bytes are left over. kUnimplemented for the foreign byte order: the numbers inside an element could not be
// swapped.
Status DecodeVariants(ByteView stored, uint64_t num_elements, bool foreign_byte_order, std::vector<ByteView>* elements,
                      uint32_t* crc, const std::function<Status()>& keep_going = nullptr);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUNDLE_STRING_TENSOR_H_
