// The keys that pieces of partitioned tensors have in the index: tensor name and slice, encoded so that the byte order
// of the keys is the order of names and slices.

#ifndef TENSORBUNDLE_SLICES_KEY_H_
#define TENSORBUNDLE_SLICES_KEY_H_

#include <string>
#include <string_view>

#include "tensorbundle/slice.h"

namespace tensorbundle {

// The key of the piece `slice` of tensor `name`: a zero, the name, the rank, then start and length of each extent as it
// is spelled, all in an encoding that sorts as the values do and that ends by itself.
//
// Keys are only ever made, from the slices that an index lists, and looked up; never parsed.
std::string EncodeSliceKey(std::string_view name, const Slice& slice);

// The two parts of such a key: what all pieces of a tensor have in common, and what is the slice's own. No tensor's
// first part is the beginning of another's.
std::string EncodeSliceKeyStem(std::string_view name);
std::string EncodeSliceKeyEnd(const Slice& slice);

// True if `key` is in the range that the keys of pieces have to themselves: they all begin with a zero byte. A tensor
// whose own name begins with one can't be told from a piece by its key.
inline bool IsSliceKey(std::string_view key) { return !key.empty() && key[0] == '\0'; }

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_SLICES_KEY_H_
