#include "checkpoint/extents.h"

#include <algorithm>
#include <cstdint>

namespace tensorbundle {
namespace {

// A call costs as much as this many bytes are worth, and what lies between tensors of one call is seldom wanted alone.
constexpr uint64_t kMaxGapBytes = uint64_t{1} << 20;

}  // namespace

void DropCache(std::vector<StoredExtent> extents) {
  std::sort(extents.begin(), extents.end());
  for (size_t i = 0; i < extents.size();) {
    const StoredExtent& first = extents[i];
    uint64_t end = first.range.offset + first.range.length;  // Inside the file: the index saw to it.
    for (++i; i < extents.size(); ++i) {
      const ByteRange& next = extents[i].range;
      if (extents[i].source != first.source || next.offset > end + kMaxGapBytes) break;
      end = std::max(end, next.offset + next.length);
    }
    if (first.source != nullptr) first.source->DropCache({first.range.offset, end - first.range.offset});
  }
}

}  // namespace tensorbundle
