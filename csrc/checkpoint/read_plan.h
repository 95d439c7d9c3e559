// Which bytes of which shard a call reads, in file order, cut so that threads can share the work.

#ifndef TENSORBUNDLE_CHECKPOINT_READ_PLAN_H_
#define TENSORBUNDLE_CHECKPOINT_READ_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bundle/entry.h"
#include "slices/slice.h"
#include "table/format.h"
#include "tensorbundle/byte_source.h"

namespace tensorbundle {

// The table block that a piece is a part of, where the block has the checksum and not the piece.
struct BlockFrame {
  BlockHandle handle;
  uint32_t head_crc32c = 0;      // Of the block's bytes before the piece,
  uint32_t tail_crc32c = 0;      // and of those after it, its compression kind included,
  uint64_t tail_size_bytes = 0;  // of which there are so many.

  // The block's checksum, masked as it is stored, from that of the piece.
  uint32_t Enclose(uint32_t piece_crc32c, uint64_t piece_size_bytes) const;
};

// A tensor that is stored whole, or one piece of a partitioned one, that a request asks for.
struct PlannedPiece {
  size_t request = 0;        // Position in the caller's list.
  const Box* box = nullptr;  // Where in the tensor it belongs; null: it is the tensor.
  StoredBytes bytes;
  const ByteSource* source = nullptr;  // The shard; null only if there are no bytes.
  bool divisible = true;               // False if its bytes only make sense together.
  const BlockFrame* frame = nullptr;   // If set, bytes.crc32c is what is stored for the block.
};

// The bytes [begin, end) of a piece. Cuts fall between elements of any dtype.
struct Chunk {
  size_t piece = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Shards are cut where their offsets are multiples of this, and threads take what lies in between: read in about a
// tenth of a millisecond, it is small enough to share fairly and to stop soon when asked to. It is what one page table
// maps; two threads that populate the same table wait for each other, which made a pass over a mapping a third longer.
inline constexpr uint64_t kWindowBytes = uint64_t{2} << 20;

struct ReadPlan {
  std::vector<PlannedPiece> pieces;  // In file order.
  std::vector<Chunk> chunks;         // In file order; a piece without bytes has none.
  // Task i, the unit that a thread takes, is chunks[task_begins[i], task_begins[i + 1]): those that begin in one window
  // of one shard, and of those that overlap only as many as have twice kWindowBytes together.
  std::vector<size_t> task_begins;
  uint64_t total_bytes = 0;

  size_t num_tasks() const { return task_begins.size() - 1; }
};

ReadPlan PlanReads(std::vector<PlannedPiece> pieces);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_READ_PLAN_H_
