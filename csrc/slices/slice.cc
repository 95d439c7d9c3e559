#include "slices/slice.h"

#include <algorithm>
#include <utility>

#include "util/checked.h"

namespace tensorbundle {
namespace {

// Messages stay readable: a tensor may have 254 dimensions.
constexpr size_t kMaxShownDimensions = 16;

constexpr size_t kMaxRank = 254;  // TensorFlow's.

Status SliceError(size_t dimension, const std::string& problem) {
  return Status(StatusCode::kDataLoss, "slice, dimension " + std::to_string(dimension) + ": " + problem);
}

Status RegionError(size_t dimension, const std::string& problem) {
  return Status(StatusCode::kInvalidArgument, "region, dimension " + std::to_string(dimension) + ": " + problem);
}

// Why `extent` is not a part of a dimension of `size` elements, or success.
Status CheckExtent(const Extent& extent, size_t dimension, int64_t size) {
  if (extent.length == kWholeDimension) {
    if (extent.start == 0) return Status();
    return SliceError(dimension, "the whole dimension, but it starts at " + std::to_string(extent.start));
  }
  const bool sane = extent.start >= 0 && extent.length >= 1;
  if (sane && RangeFits(static_cast<uint64_t>(extent.start), static_cast<uint64_t>(extent.length),
                        static_cast<uint64_t>(size))) {
    return Status();
  }
  return SliceError(dimension, "start " + std::to_string(extent.start) + ", length " + std::to_string(extent.length) +
                                   "; the dimension has " + std::to_string(size) + " elements");
}

// Why `count` elements from `start`, `step` apart, are not in a dimension of `size` elements, or success.
Status CheckSelection(int64_t start, int64_t count, int64_t step, size_t dimension, int64_t size) {
  if (start < 0) return RegionError(dimension, "start " + std::to_string(start) + " is negative");
  if (count < 0) return RegionError(dimension, "shape " + std::to_string(count) + " is negative");
  if (step < 1) return RegionError(dimension, "step " + std::to_string(step) + " is below 1");
  const bool fits = count == 0 ? start <= size : start < size && (count - 1) <= (size - 1 - start) / step;
  if (fits) return Status();
  return RegionError(dimension, std::to_string(count) + " elements from " + std::to_string(start) + " in steps of " +
                                    std::to_string(step) + " leave the dimension, which has " + std::to_string(size));
}

}  // namespace

std::optional<uint64_t> CountElements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  bool empty = false;
  bool overflow = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    empty = empty || size == 0;
    overflow = overflow || !CheckedMultiply(count, size, &count);
  }
  if (empty) return 0;
  if (overflow) return std::nullopt;
  return static_cast<uint64_t>(count);
}

Status CheckShape(const std::vector<int64_t>& shape) {
  const std::string invalid = "Invalid tensor shape: ";
  if (shape.size() > kMaxRank) {
    return Status(StatusCode::kDataLoss,
                  invalid + "rank " + std::to_string(shape.size()) + " is above " + std::to_string(kMaxRank));
  }
  for (const int64_t dimension : shape) {
    if (dimension < 0) return Status(StatusCode::kDataLoss, invalid + "dimension " + std::to_string(dimension));
  }
  if (!CountElements(shape)) return Status(StatusCode::kDataLoss, invalid + "more than 2^63 elements");
  return Status();
}

uint64_t Box::NumElements() const {
  uint64_t count = 1;
  for (const int64_t size : shape) count *= static_cast<uint64_t>(size);
  return count;
}

bool IsRowMajorRun(const Box& box, const std::vector<int64_t>& shape) {
  // One index, any number of times; part of a dimension, once; whole dimensions.
  size_t d = 0;
  while (d < shape.size() && box.shape[d] == 1) ++d;
  for (++d; d < shape.size(); ++d) {
    if (box.shape[d] != shape[d]) return false;
  }
  return true;
}

Box WholeBox(const std::vector<int64_t>& shape) { return Box{std::vector<int64_t>(shape.size(), 0), shape}; }

Result<Box> ResolveSlice(const Slice& slice, const std::vector<int64_t>& shape) {
  if (slice.extents.size() != shape.size()) {
    return Status(StatusCode::kDataLoss, "slice has " + std::to_string(slice.extents.size()) +
                                             " extents, its tensor has " + std::to_string(shape.size()) +
                                             " dimensions");
  }
  Box box = WholeBox(shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    const Extent& extent = slice.extents[d];
    Status status = CheckExtent(extent, d, shape[d]);
    if (!status.ok()) return status;
    if (extent.length == kWholeDimension) continue;
    box.start[d] = extent.start;
    box.shape[d] = extent.length;
  }
  return box;
}

std::optional<Box> Intersect(const Box& a, const Box& b) {
  Box common = a;
  for (size_t d = 0; d < a.start.size(); ++d) {
    const int64_t start = std::max(a.start[d], b.start[d]);
    const int64_t end = std::min(a.start[d] + a.shape[d], b.start[d] + b.shape[d]);
    if (end <= start) return std::nullopt;
    common.start[d] = start;
    common.shape[d] = end - start;
  }
  return common;
}

Status CheckRegion(const Region& region, const std::vector<int64_t>& shape) {
  const size_t rank = shape.size();
  const bool ranks_agree =
      region.start.size() == rank && region.shape.size() == rank && (region.step.empty() || region.step.size() == rank);
  if (!ranks_agree) {
    return Status(StatusCode::kInvalidArgument, "region has " + std::to_string(region.start.size()) + " starts, " +
                                                    std::to_string(region.shape.size()) + " sizes and " +
                                                    std::to_string(region.step.size()) + " steps, its tensor has " +
                                                    std::to_string(rank) + " dimensions");
  }
  for (size_t d = 0; d < rank; ++d) {
    const int64_t step = region.step.empty() ? 1 : region.step[d];
    Status status = CheckSelection(region.start[d], region.shape[d], step, d, shape[d]);
    if (!status.ok()) return status;
  }
  return Status();
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dimension : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  return text + "]";
}

std::string BoxText(const Box& box) {
  std::string text = "[";
  const size_t shown = std::min(box.start.size(), kMaxShownDimensions);
  for (size_t d = 0; d < shown; ++d) {
    if (d > 0) text += ", ";
    text += std::to_string(box.start[d]) + ":" + std::to_string(box.start[d] + box.shape[d]);
  }
  if (shown < box.start.size()) text += ", ... (" + std::to_string(box.start.size()) + " dimensions)";
  return text + "]";
}

}  // namespace tensorbundle
