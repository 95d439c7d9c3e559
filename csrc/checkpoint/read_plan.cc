#include "checkpoint/read_plan.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "util/crc32c.h"

namespace tensorbundle {
namespace {

bool InFileOrder(const PlannedPiece& a, const PlannedPiece& b) {
  return std::tie(a.bytes.shard, a.bytes.offset) < std::tie(b.bytes.shard, b.bytes.offset);
}

// Above the size of any element, and a power of two.
constexpr uint64_t kCutAlignment = 64;

// Where in a piece its shard's next window begins, up to the end of an element.
uint64_t NextCut(const StoredBytes& bytes, uint64_t begin) {
  const uint64_t to_window = kWindowBytes - (bytes.offset + begin) % kWindowBytes;
  return (begin + to_window + kCutAlignment - 1) / kCutAlignment * kCutAlignment;
}

void CutIntoChunks(ReadPlan* plan) {
  for (size_t i = 0; i < plan->pieces.size(); ++i) {
    const PlannedPiece& piece = plan->pieces[i];
    const uint64_t size = piece.bytes.size_bytes;
    plan->total_bytes += size;
    for (uint64_t begin = 0, end = 0; begin < size; begin = end) {
      end = piece.divisible ? std::min(NextCut(piece.bytes, begin), size) : size;
      plan->chunks.push_back({i, begin, end});
    }
  }
}

void GroupIntoTasks(ReadPlan* plan) {
  // A chunk costs something besides its bytes; counted in, so that a task of many empty-handed chunks stays short too.
  constexpr uint64_t kChunkOverheadBytes = 256;
  int32_t shard = -1;
  uint64_t window = 0;
  uint64_t task_bytes = 0;
  for (size_t i = 0; i < plan->chunks.size(); ++i) {
    const Chunk& chunk = plan->chunks[i];
    const StoredBytes& bytes = plan->pieces[chunk.piece].bytes;
    const uint64_t chunk_window = (bytes.offset + chunk.begin) / kWindowBytes;
    const uint64_t chunk_bytes = chunk.end - chunk.begin + kChunkOverheadBytes;
    if (i == 0 || bytes.shard != shard || chunk_window != window || task_bytes + chunk_bytes > 2 * kWindowBytes) {
      plan->task_begins.push_back(i);
      task_bytes = 0;
    }
    shard = bytes.shard;
    window = chunk_window;
    task_bytes += chunk_bytes;
  }
  plan->task_begins.push_back(plan->chunks.size());
}

}  // namespace

uint32_t BlockFrame::Enclose(uint32_t piece_crc32c, uint64_t piece_size_bytes) const {
  const uint32_t crc = crc32c::Combine(head_crc32c, piece_crc32c, piece_size_bytes);
  return crc32c::Mask(crc32c::Combine(crc, tail_crc32c, tail_size_bytes));
}

ReadPlan PlanReads(std::vector<PlannedPiece> pieces) {
  ReadPlan plan;
  plan.pieces = std::move(pieces);
  std::stable_sort(plan.pieces.begin(), plan.pieces.end(), InFileOrder);
  CutIntoChunks(&plan);
  GroupIntoTasks(&plan);
  return plan;
}

}  // namespace tensorbundle
