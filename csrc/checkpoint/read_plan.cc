#include "checkpoint/read_plan.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace tensorbundle {
namespace {

bool InFileOrder(const PlannedPiece& a, const PlannedPiece& b) {
  return std::tie(a.bytes.shard, a.bytes.offset) < std::tie(b.bytes.shard, b.bytes.offset);
}

void CutIntoChunks(ReadPlan* plan) {
  for (size_t i = 0; i < plan->pieces.size(); ++i) {
    const PlannedPiece& piece = plan->pieces[i];
    const uint64_t size = piece.bytes.size_bytes;
    plan->total_bytes += size;
    const uint64_t step = piece.divisible ? kChunkBytes : size;
    for (uint64_t begin = 0; begin < size; begin += step) {
      plan->chunks.push_back({i, begin, begin + std::min(step, size - begin)});
    }
  }
}

void GroupIntoTasks(ReadPlan* plan) {
  // A chunk costs something besides its bytes; counted in, so that a task of many empty-handed chunks stays short too.
  constexpr uint64_t kChunkOverheadBytes = 256;
  uint64_t task_bytes = kChunkBytes;  // The first chunk begins a task.
  for (size_t i = 0; i < plan->chunks.size(); ++i) {
    const uint64_t chunk_bytes = plan->chunks[i].end - plan->chunks[i].begin + kChunkOverheadBytes;
    if (task_bytes + chunk_bytes > kChunkBytes) {
      plan->task_begins.push_back(i);
      task_bytes = 0;
    }
    task_bytes += chunk_bytes;
  }
  plan->task_begins.push_back(plan->chunks.size());
}

}  // namespace

ReadPlan PlanReads(std::vector<PlannedPiece> pieces) {
  ReadPlan plan;
  plan.pieces = std::move(pieces);
  std::stable_sort(plan.pieces.begin(), plan.pieces.end(), InFileOrder);
  CutIntoChunks(&plan);
  GroupIntoTasks(&plan);
  return plan;
}

}  // namespace tensorbundle
