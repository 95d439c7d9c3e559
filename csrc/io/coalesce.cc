#include "io/coalesce.h"

#include <algorithm>
#include <numeric>

#include "util/checked.h"

namespace tensorbundle {
namespace {

// Grows *request to hold `range` as well and returns true, or returns false if it should not.
//
// REQUIRES: range.offset >= request->offset. Never computes where a range ends: the end of one that a damaged file made
// up need not fit in 64 bits.
bool Join(ByteRange range, const CoalesceLimits& limits, ByteRange* request) {
  const uint64_t distance = range.offset - request->offset;
  if (distance > request->length && distance - request->length > limits.max_gap_bytes) return false;
  uint64_t length = 0;
  if (!CheckedAdd(distance, range.length, &length)) return false;
  if (length <= request->length) return true;
  if (length > limits.max_request_bytes) return false;
  request->length = length;
  return true;
}

}  // namespace

Coalesced Coalesce(const std::vector<ByteRange>& ranges, const CoalesceLimits& limits) {
  std::vector<size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // The longest first among those that start together, so that the others lie inside it.
  std::sort(order.begin(), order.end(), [&ranges](size_t a, size_t b) {
    if (ranges[a].offset != ranges[b].offset) return ranges[a].offset < ranges[b].offset;
    return ranges[a].length > ranges[b].length;
  });
  Coalesced result;
  result.parts.resize(ranges.size());
  for (const size_t i : order) {
    const ByteRange& range = ranges[i];
    if (result.requests.empty() || !Join(range, limits, &result.requests.back())) result.requests.push_back(range);
    result.parts[i] = {result.requests.size() - 1, range.offset - result.requests.back().offset};
  }
  return result;
}

}  // namespace tensorbundle
