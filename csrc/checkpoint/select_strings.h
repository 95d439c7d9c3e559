// Strings of several pieces, or of a part of one, as an array of their own.

#ifndef TENSORBUNDLE_CHECKPOINT_SELECT_STRINGS_H_
#define TENSORBUNDLE_CHECKPOINT_SELECT_STRINGS_H_

#include <cstdint>
#include <vector>

#include "slices/slice.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"
#include "util/owned_offsets.h"

namespace tensorbundle {

// Elements of a tensor of strings or variants: those of `box`, in row-major order.
struct StringPiece {
  Box box;
  StringArray strings;
};

// The elements of `region`, in row-major order, packed into memory of their own. kResourceExhausted if there is none.
//
// REQUIRES: the region is valid in the tensor, and each element of it is in exactly one piece.
Result<StringArray> SelectStrings(const std::vector<StringPiece>& pieces, const Region& region,
                                  uint64_t max_narrow_offset = kMaxNarrowOffset);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_SELECT_STRINGS_H_
