#include "checkpoint/select_strings.h"

#include <algorithm>

#include "io/owned_memory.h"
#include "slices/assemble.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Calls copy(piece's strings, index of the first there, index of the first in the region, number) for each run of
// elements that follow one another in both.
template <typename Copy>
void ForEachRun(const std::vector<StringPiece>& pieces, const Region& region, const Copy& copy) {
  for (const StringPiece& piece : pieces) {
    const RunPlan runs(piece.box, region, 1);  // A string is moved as one unit.
    runs.ForEachRun([&](uint64_t from, uint64_t to, uint64_t count) { copy(piece.strings, from, to, count); });
  }
}

}  // namespace

Result<StringArray> SelectStrings(const std::vector<StringPiece>& pieces, const Region& region,
                                  uint64_t max_narrow_offset) {
  const uint64_t count = *CountElements(region.shape);
  uint64_t max_bytes = 0;  // No sum of what is in memory overflows.
  for (const StringPiece& piece : pieces) max_bytes += piece.strings.Join(0, piece.strings.size()).size();
  ASSIGN_OR_RETURN(OwnedOffsets offsets, OwnedOffsets::Allocate(count, max_bytes, max_narrow_offset));
  // Lengths first, then their sums, since pieces may come in any order.
  ForEachRun(pieces, region, [&](const StringArray& strings, uint64_t from, uint64_t to, uint64_t run) {
    for (uint64_t i = 0; i < run; ++i) offsets.Set(to + i + 1, strings[from + i].size());
  });
  for (uint64_t i = 0; i < count; ++i) offsets.Set(i + 1, offsets.Get(i) + offsets.Get(i + 1));

  ASSIGN_OR_RETURN(const OwnedMemory packed, AllocateMemory(offsets.Get(count)));
  ForEachRun(pieces, region, [&](const StringArray& strings, uint64_t from, uint64_t to, uint64_t run) {
    const ByteView bytes = strings.Join(from, from + run);
    std::copy(bytes.begin(), bytes.end(), packed.data + offsets.Get(to));
  });
  return offsets.Finish(packed.buffer);
}

}  // namespace tensorbundle
