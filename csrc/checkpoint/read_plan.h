// Which bytes of which shard a call reads, in file order, cut so that threads can share the work.

#ifndef TENSORBUNDLE_CHECKPOINT_READ_PLAN_H_
#define TENSORBUNDLE_CHECKPOINT_READ_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bundle/entry.h"
#include "slices/slice.h"
#include "tensorbundle/byte_source.h"

namespace tensorbundle {

// A tensor that is stored whole, or one piece of a partitioned one, that a request asks for.
struct PlannedPiece {
  size_t request = 0;        // Position in the caller's list.
  const Box* box = nullptr;  // Where in the tensor it belongs; null: it is the tensor.
  StoredBytes bytes;
  const ByteSource* source = nullptr;  // The shard; null only if there are no bytes.
  bool divisible = true;               // False if its bytes only make sense together.
};

// The bytes [begin, end) of a piece. Cuts fall on multiples of kChunkBytes, so between elements of any dtype.
struct Chunk {
  size_t piece = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// A megabyte is read in about a tenth of a millisecond: small enough to share fairly, to stop soon when asked to and to
// stay in a core's second-level cache; large enough that its bookkeeping does not show.
inline constexpr uint64_t kChunkBytes = uint64_t{1} << 20;

struct ReadPlan {
  std::vector<PlannedPiece> pieces;  // In file order.
  std::vector<Chunk> chunks;         // In file order; a piece without bytes has none.
  // Task i, the unit that a thread takes, is chunks[task_begins[i], task_begins[i + 1]): one large chunk, or
  // neighbouring small ones of about kChunkBytes together.
  std::vector<size_t> task_begins;
  uint64_t total_bytes = 0;

  size_t num_tasks() const { return task_begins.size() - 1; }
};

ReadPlan PlanReads(std::vector<PlannedPiece> pieces);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_READ_PLAN_H_
