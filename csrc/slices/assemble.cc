#include "slices/assemble.h"

#include <cstring>

namespace tensorbundle {
namespace {

// Indices [first, first + count) of one dimension of a region.
struct Selected {
  int64_t first;
  int64_t count;
};

// The least i >= 0 with start + i * step >= position.
int64_t FirstIndexAt(int64_t position, int64_t start, int64_t step) {
  return position <= start ? 0 : (position - start - 1) / step + 1;
}

// The indices of the region's dimension `d` whose elements are in the piece.
Selected SelectIndices(const Box& piece, const Region& region, size_t d, int64_t step) {
  const int64_t start = region.start[d];
  const int64_t first = FirstIndexAt(piece.start[d], start, step);
  const int64_t beyond = std::min(region.shape[d], FirstIndexAt(piece.start[d] + piece.shape[d], start, step));
  return {first, std::max<int64_t>(beyond - first, 0)};
}

// Copies runs of kBytes each: with a fixed size memcpy is one load and one store. Only a run that was cut is shorter.
template <size_t kBytes>
void CopyFixedRuns(const RunPlan& plan, uint64_t begin, ByteView bytes, uint8_t* destination) {
  plan.ForEachRunIn(begin, begin + bytes.size(), [=](uint64_t from, uint64_t to, uint64_t length) {
    const uint8_t* const source = bytes.data() + (from - begin);
    if (length == kBytes) {
      std::memcpy(destination + to, source, kBytes);
    } else {
      std::memcpy(destination + to, source, length);
    }
  });
}

}  // namespace

RunPlan::RunPlan(const Box& piece, const Region& region, uint64_t element_bytes) {
  const size_t rank = piece.start.size();
  std::vector<Selected> selected(rank);
  for (size_t d = 0; d < rank; ++d) {
    selected[d] = SelectIndices(piece, region, d, region.step.empty() ? 1 : region.step[d]);
    if (selected[d].count == 0) return;
  }
  run_bytes_ = element_bytes;
  total_bytes_ = element_bytes;
  // No dimension is empty, so nothing below exceeds the tensor's size in bytes.
  uint64_t source_bytes = element_bytes;  // Of one index of dimension d.
  uint64_t destination_bytes = element_bytes;
  for (size_t d = rank; d-- > 0;) {
    const uint64_t step = region.step.empty() ? 1 : static_cast<uint64_t>(region.step[d]);
    const auto first = static_cast<uint64_t>(selected[d].first);
    const auto count = static_cast<uint64_t>(selected[d].count);
    const uint64_t into_piece = static_cast<uint64_t>(region.start[d]) + first * step;
    source_span_.offset += (into_piece - static_cast<uint64_t>(piece.start[d])) * source_bytes;
    first_destination_ += first * destination_bytes;
    if (count > 1) {
      source_span_.length += (count - 1) * step * source_bytes;
      Repeat(count, step * source_bytes, destination_bytes);
    }
    total_bytes_ *= count;
    source_bytes *= static_cast<uint64_t>(piece.shape[d]);
    destination_bytes *= static_cast<uint64_t>(region.shape[d]);
  }
  source_span_.length += element_bytes;
  if (loops_.empty()) loops_.push_back({1, 0, 0});
}

void RunPlan::Repeat(uint64_t count, uint64_t source_stride, uint64_t destination_stride) {
  if (loops_.empty() && source_stride == run_bytes_ && destination_stride == run_bytes_) {
    run_bytes_ *= count;
    return;
  }
  if (!loops_.empty()) {
    Loop& inner = loops_.back();
    if (source_stride == inner.count * inner.source_stride &&
        destination_stride == inner.count * inner.destination_stride) {
      inner.count *= count;
      return;
    }
  }
  loops_.push_back({count, source_stride, destination_stride});
}

RunPlan::Cursor RunPlan::Seek(uint64_t offset) const {
  Cursor cursor{std::vector<uint64_t>(loops_.size(), 0), source_span_.offset, first_destination_};
  // The last run that starts at or before `offset`: from the outermost loop inwards, as many turns as fit. All turns of
  // the inner loops together are shorter than one stride of the outer one.
  for (size_t level = loops_.size(); level-- > 0;) {
    const Loop& loop = loops_[level];
    if (offset <= cursor.source || loop.count == 1) continue;
    const uint64_t turn = std::min((offset - cursor.source) / loop.source_stride, loop.count - 1);
    cursor.turns[level] = turn;
    cursor.source += turn * loop.source_stride;
    cursor.destination += turn * loop.destination_stride;
  }
  return cursor;
}

void CopyRuns(const RunPlan& plan, uint64_t begin, ByteView bytes, uint8_t* destination) {
  switch (plan.run_bytes()) {
    case 1:
      return CopyFixedRuns<1>(plan, begin, bytes, destination);
    case 2:
      return CopyFixedRuns<2>(plan, begin, bytes, destination);
    case 4:
      return CopyFixedRuns<4>(plan, begin, bytes, destination);
    case 8:
      return CopyFixedRuns<8>(plan, begin, bytes, destination);
    case 16:
      return CopyFixedRuns<16>(plan, begin, bytes, destination);
  }
  plan.ForEachRunIn(begin, begin + bytes.size(), [=](uint64_t from, uint64_t to, uint64_t length) {
    std::memcpy(destination + to, bytes.data() + (from - begin), length);
  });
}

}  // namespace tensorbundle
