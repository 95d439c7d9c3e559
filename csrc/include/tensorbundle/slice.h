// Parts of a tensor: the pieces that a partitioned tensor is stored in (Slice), and what a caller wants of one
// (Region).

#ifndef TENSORBUNDLE_SLICE_H_
#define TENSORBUNDLE_SLICE_H_

#include <cstdint>
#include <vector>

namespace tensorbundle {

// The length of an extent that is a whole dimension.
inline constexpr int64_t kWholeDimension = -1;

// What a piece covers of one dimension: [start, start + length), or all of it, which is (0, kWholeDimension).
//
// Kept as the file spells it. A dimension that is covered in full may be spelled either way, and the two spellings give
// different keys in the index.
struct Extent {
  int64_t start = 0;
  int64_t length = kWholeDimension;

  friend constexpr bool operator==(const Extent& a, const Extent& b) {
    return a.start == b.start && a.length == b.length;
  }
  friend constexpr bool operator!=(const Extent& a, const Extent& b) { return !(a == b); }
};

// A rectangular piece of a tensor: one extent a dimension. Equal if spelled equally.
struct Slice {
  std::vector<Extent> extents;

  friend bool operator==(const Slice& a, const Slice& b) { return a.extents == b.extents; }
  friend bool operator!=(const Slice& a, const Slice& b) { return !(a == b); }
};

// A regular selection of a tensor's elements: element (i, j, ...) of the region is element
// (start[0] + i * step[0], start[1] + j * step[1], ...) of the tensor, for i < shape[0], j < shape[1], ...
//
// All three have one number a dimension, in elements; `step` may be empty, which is 1 everywhere. Valid in a tensor if
// start >= 0, shape >= 0, step >= 1 and every selected element exists; an empty dimension may start at the end.
struct Region {
  std::vector<int64_t> start;
  std::vector<int64_t> shape;
  std::vector<int64_t> step;

  // All of a tensor of this shape.
  static Region Whole(const std::vector<int64_t>& shape) { return {std::vector<int64_t>(shape.size(), 0), shape, {}}; }
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_SLICE_H_
