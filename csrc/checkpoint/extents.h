// Where the bytes of tensors lie in the files of a checkpoint.

#ifndef TENSORBUNDLE_CHECKPOINT_EXTENTS_H_
#define TENSORBUNDLE_CHECKPOINT_EXTENTS_H_

#include <cstddef>
#include <tuple>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/byte_source.h"

namespace tensorbundle {

struct StoredExtent {
  size_t file = 0;  // Its number in the checkpoint.
  ByteRange range;
  const ByteSource* source = nullptr;

  friend bool operator<(const StoredExtent& a, const StoredExtent& b) {
    return std::tie(a.file, a.range.offset) < std::tie(b.file, b.range.offset);
  }
};

// ByteSource::DropCache of each, of neighbours at once.
void DropCache(std::vector<StoredExtent> extents);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_EXTENTS_H_
