// What a slice or region means in a tensor of a given shape, and the boxes it turns into.

#ifndef TENSORBUNDLE_SLICES_SLICE_H_
#define TENSORBUNDLE_SLICES_SLICE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// The elements of a tensor from start[d] to start[d] + shape[d] in each dimension d. Two boxes of rank 0 are the same
// box, and hold one element.
struct Box {
  std::vector<int64_t> start;
  std::vector<int64_t> shape;

  // REQUIRES: the box lies in a tensor whose elements can be counted.
  uint64_t NumElements() const;

  friend bool operator==(const Box& a, const Box& b) { return a.start == b.start && a.shape == b.shape; }
};

// True if the elements of the box follow one another in the row-major order of a tensor of this shape.
//
// REQUIRES: the box lies in the tensor.
bool IsRowMajorRun(const Box& box, const std::vector<int64_t>& shape);

// The number of elements of this shape, or nullopt if a dimension is negative or the number exceeds 2^63 - 1. A shape
// with a zero has no elements, however large its other dimensions are.
std::optional<uint64_t> CountElements(const std::vector<int64_t>& shape);

// kDataLoss unless this is the shape of a tensor that a checkpoint can hold: its rank is one of TensorFlow's, no
// dimension is negative, and its elements can be counted.
Status CheckShape(const std::vector<int64_t>& shape);

// The box of a whole tensor.
Box WholeBox(const std::vector<int64_t>& shape);

// The elements of a tensor of this shape that `slice` covers, or kDataLoss if its rank differs, an extent leaves its
// dimension or has no elements, or a whole dimension does not start at 0.
//
// REQUIRES: no dimension of `shape` is negative.
Result<Box> ResolveSlice(const Slice& slice, const std::vector<int64_t>& shape);

// The elements of both boxes, or nullopt if there are none.
//
// REQUIRES: both have the same rank, and no start + shape overflows.
std::optional<Box> Intersect(const Box& a, const Box& b);

// kInvalidArgument unless `region` is valid in a tensor of this shape.
//
// REQUIRES: no dimension of `shape` is negative.
Status CheckRegion(const Region& region, const std::vector<int64_t>& shape);

// A shape, for messages: "[40, 5]".
std::string ShapeText(const std::vector<int64_t>& shape);

// A box as NumPy writes it, for messages: "[30:70, 0:5]". Dimensions after the sixteenth are left out and counted.
std::string BoxText(const Box& box);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_SLICES_SLICE_H_
