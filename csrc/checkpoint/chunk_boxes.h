// A tensor cut into boxes that are runs in row-major order.

#ifndef TENSORBUNDLE_CHECKPOINT_CHUNK_BOXES_H_
#define TENSORBUNDLE_CHECKPOINT_CHUNK_BOXES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorbundle/slice.h"

namespace tensorbundle {

// Walks the boxes in row-major order. They are as large as they may be: of one dimension as many indices as fit, of
// those before it one, of those after it all.
class ChunkBoxes {
 public:
  // Of at most `max_elements`, at least 1. A tensor without elements is one box. REQUIRES: its elements can be counted.
  ChunkBoxes(std::vector<int64_t> shape, uint64_t max_elements);

  // False after the last.
  bool has_box() const { return has_box_; }
  // The box, and which elements it holds, counted in row-major order. REQUIRES: has_box().
  const Region& box() const { return box_; }
  uint64_t first_element() const { return first_element_; }
  uint64_t num_elements() const;
  void Advance();

 private:
  // Moves to the next box of the same indices in the dimensions before; false if there is none.
  bool NextIn(size_t dimension, int64_t length);

  std::vector<int64_t> shape_;
  size_t axis_ = 0;     // The dimension that is cut.
  int64_t length_ = 1;  // How many of its indices a box has; the last may have fewer.
  bool has_box_ = true;
  Region box_;
  uint64_t first_element_ = 0;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_CHUNK_BOXES_H_
