// Copying what a caller wants of a tensor out of one stored piece of it, in runs of bytes that lie together in both.

#ifndef TENSORBUNDLE_SLICES_ASSEMBLE_H_
#define TENSORBUNDLE_SLICES_ASSEMBLE_H_

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "slices/slice.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/slice.h"

namespace tensorbundle {

// Where the elements that a piece and a region have in common lie: in the piece's bytes (the source) and in those of
// the region (the destination), both row-major without gaps. A tensor stored whole is one piece, WholeBox(shape).
//
// Immutable; safe to share between threads. Making one costs O(rank).
class RunPlan {
 public:
  // REQUIRES: piece and region are valid in one tensor (ResolveSlice or WholeBox, CheckRegion) whose size in bytes is
  // below 2^63; element_bytes >= 1.
  RunPlan(const Box& piece, const Region& region, uint64_t element_bytes);

  // True if they have no element in common.
  bool empty() const { return run_bytes_ == 0; }
  // Bytes of each run, the same for all, and of all runs together. In a region without steps what lies together in both
  // is one run.
  uint64_t run_bytes() const { return run_bytes_; }
  uint64_t total_bytes() const { return total_bytes_; }
  // The part of the piece's bytes from the first run to the end of the last one: all that has to be read.
  ByteRange source_span() const { return source_span_; }

  // Calls run(uint64_t source_offset, uint64_t destination_offset, uint64_t length) for every run, in rising order of
  // both offsets, in bytes from the start of the piece and of the region. It may return false, which ends the walk.
  template <typename Run>
  void ForEachRun(Run run) const {
    Enumerate(0, UINT64_MAX, run);
  }

  // The same for bytes [begin, end) of the piece alone; a run that crosses an end, even inside an element, is cut
  // there. So a piece can be read, checked and copied part by part, or by several threads: runs of disjoint parts are
  // disjoint in the destination too. Finding the first run costs O(rank).
  template <typename Run>
  void ForEachRunIn(uint64_t begin, uint64_t end, Run run) const {
    Enumerate(begin, end, run);
  }

 private:
  // One nesting level of the loops over all runs; strides in bytes.
  struct Loop {
    uint64_t count;
    uint64_t source_stride;
    uint64_t destination_stride;
  };
  // One run, and which turn of each loop it is.
  struct Cursor {
    std::vector<uint64_t> turns;
    uint64_t source;
    uint64_t destination;
  };

  // Adds the next outer dimension: runs repeat `count` times at these strides.
  void Repeat(uint64_t count, uint64_t source_stride, uint64_t destination_stride);
  // The last run that starts at or before byte `offset` of the piece, or the first run if there is none.
  Cursor Seek(uint64_t offset) const;
  // From any turn of the innermost loop to the first turn of its next round; false if that was the last round.
  bool NextRow(Cursor* cursor) const;
  template <typename Run>
  static bool Call(Run& run, uint64_t source, uint64_t destination, uint64_t length);
  template <typename Run>
  void Enumerate(uint64_t begin, uint64_t end, Run& run) const;

  std::vector<Loop> loops_;  // Innermost first; at least one unless empty.
  uint64_t run_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  ByteRange source_span_;
  uint64_t first_destination_ = 0;
};

// Copies the runs among `bytes`, which are those of the piece from byte `begin` on, to their places in `destination`,
// the memory of the whole region.
void CopyRuns(const RunPlan& plan, uint64_t begin, ByteView bytes, uint8_t* destination);

inline bool RunPlan::NextRow(Cursor* cursor) const {
  for (size_t level = 1; level < loops_.size(); ++level) {
    const Loop& loop = loops_[level];
    cursor->source += loop.source_stride;
    cursor->destination += loop.destination_stride;
    if (++cursor->turns[level] < loop.count) return true;
    cursor->source -= loop.count * loop.source_stride;
    cursor->destination -= loop.count * loop.destination_stride;
    cursor->turns[level] = 0;
  }
  return false;
}

template <typename Run>
bool RunPlan::Call(Run& run, uint64_t source, uint64_t destination, uint64_t length) {
  if constexpr (std::is_void_v<decltype(run(source, destination, length))>) {
    run(source, destination, length);
    return true;
  } else {
    return run(source, destination, length);
  }
}

template <typename Run>
void RunPlan::Enumerate(uint64_t begin, uint64_t end, Run& run) const {
  if (empty() || begin >= end) return;
  Cursor cursor = Seek(begin);
  const Loop row = loops_[0];
  uint64_t turn = cursor.turns[0];
  cursor.source -= turn * row.source_stride;  // From here on the cursor is at the first run of its row.
  cursor.destination -= turn * row.destination_stride;
  do {
    for (; turn < row.count; ++turn) {
      const uint64_t source = cursor.source + turn * row.source_stride;
      if (source >= end) return;
      const uint64_t first = std::max(source, begin);
      const uint64_t last = std::min(source + run_bytes_, end);
      const uint64_t destination = cursor.destination + turn * row.destination_stride + (first - source);
      if (first < last && !Call(run, first, destination, last - first)) return;
    }
    turn = 0;
  } while (NextRow(&cursor));
}

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_SLICES_ASSEMBLE_H_
