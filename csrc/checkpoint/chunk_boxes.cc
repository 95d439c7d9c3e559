#include "checkpoint/chunk_boxes.h"

#include <algorithm>
#include <utility>

#include "slices/slice.h"

namespace tensorbundle {

ChunkBoxes::ChunkBoxes(std::vector<int64_t> shape, uint64_t max_elements)
    : shape_(std::move(shape)), box_(Region::Whole(shape_)) {
  const uint64_t most = std::max<uint64_t>(1, max_elements);
  if (*CountElements(shape_) <= most) return;
  // From the last dimension to the one that no longer fits.
  axis_ = shape_.size() - 1;
  uint64_t inner = 1;
  while (inner * static_cast<uint64_t>(shape_[axis_]) <= most) inner *= static_cast<uint64_t>(shape_[axis_--]);
  length_ = static_cast<int64_t>(most / inner);
  std::fill(box_.shape.begin(), box_.shape.begin() + static_cast<ptrdiff_t>(axis_), 1);
  box_.shape[axis_] = length_;
}

uint64_t ChunkBoxes::num_elements() const { return *CountElements(box_.shape); }

void ChunkBoxes::Advance() {
  first_element_ += num_elements();
  has_box_ = false;
  if (shape_.empty()) return;
  has_box_ = NextIn(axis_, length_);
  for (size_t d = axis_; !has_box_ && d > 0; --d) has_box_ = NextIn(d - 1, 1);
}

bool ChunkBoxes::NextIn(size_t dimension, int64_t length) {
  int64_t& start = box_.start[dimension];
  start += box_.shape[dimension];
  const bool is_inside = start < shape_[dimension];
  if (!is_inside) start = 0;
  box_.shape[dimension] = std::min(length, shape_[dimension] - start);
  return is_inside;
}

}  // namespace tensorbundle
