// Many byte ranges, few requests: a pure function that joins ranges which lie close together and says how to cut the
// answers back.

#ifndef TENSORBUNDLE_IO_COALESCE_H_
#define TENSORBUNDLE_IO_COALESCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorbundle/buffer.h"

namespace tensorbundle {

struct CoalesceLimits {
  // Ranges with at most this many unwanted bytes between them are joined...
  uint64_t max_gap_bytes = 0;
  // ...unless the request would grow beyond this. A range that is larger by itself is never cut, and one that lies
  // inside a request always joins it.
  uint64_t max_request_bytes = UINT64_MAX;
};

// Where one of the ranges is: its first byte is byte `offset` of the answer to requests[request].
struct CoalescedPart {
  size_t request = 0;
  uint64_t offset = 0;

  friend bool operator==(const CoalescedPart& a, const CoalescedPart& b) {
    return a.request == b.request && a.offset == b.offset;
  }
};

struct Coalesced {
  std::vector<ByteRange> requests;   // By rising offset.
  std::vector<CoalescedPart> parts;  // One for each range, in the caller's order.
};

// Ranges may come in any order, overlap, repeat and be empty. Any numbers are fine: a range whose end is beyond 2^64 is
// passed on, for the source to refuse.
Coalesced Coalesce(const std::vector<ByteRange>& ranges, const CoalesceLimits& limits);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_IO_COALESCE_H_
