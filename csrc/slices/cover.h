// Whether the stored pieces of a tensor are a tiling of it: every element in exactly one piece.

#ifndef TENSORBUNDLE_SLICES_COVER_H_
#define TENSORBUNDLE_SLICES_COVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "slices/slice.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Success if every element of a tensor of this shape is in exactly one of `pieces`.
//
// kDataLoss if two pieces overlap, naming both by number and box; or if elements are in no piece, with how many there
// are and the first box of them in row-major order, and then `about_holes`. A tensor without elements needs no pieces
// and minds none.
//
// Grids and anything else that straight cuts can take apart cost O(rank * n log n) for n pieces and each level of cuts.
// What can't be taken apart is compared pair by pair, and all work together is limited to a fixed amount for each
// extent of a piece: beyond it, which only a file made for it gets to, kResourceExhausted.
//
// REQUIRES: CountElements(shape) has a value, and ResolveSlice made every piece for this shape.
Status CheckCover(const std::vector<int64_t>& shape, const std::vector<Box>& pieces,
                  const std::string& about_holes = {});

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_SLICES_COVER_H_
