// Carrying out one call: every chunk of its plan read, summed, and put where it belongs, by several threads.

#ifndef TENSORBUNDLE_CHECKPOINT_READ_JOB_H_
#define TENSORBUNDLE_CHECKPOINT_READ_JOB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "checkpoint/convert.h"
#include "checkpoint/read_plan.h"
#include "checkpoint/reporter.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"

namespace tensorbundle {

// What becomes of the bytes of a tensor.
enum class ReadAction {
  kCheck,         // They are summed and left.
  kCheckStrings,  // They are strings or variants, and are decoded, summed and dropped.
  kView,          // They stay where they are; summed, and looked at for noise, as far as the request asks.
  kCopy,          // They go to `destination`, converted.
  kScatter,       // They are pieces, and go to their places in `destination`, converted.
  kDecode,        // They are strings or variants, and become `strings`.
};

struct JobRequest {
  const Entry* entry = nullptr;
  ReadAction action = ReadAction::kCheck;
  bool sum = true;  // Compare checksums.
  Conversion conversion;
  uint8_t* destination = nullptr;
  bool destination_is_used = false;  // As in ReadRequest.
};

// A piece that is not as it was saved, or could not be read.
struct PieceFailure {
  size_t piece = 0;
  Status why;
  std::optional<uint32_t> found_crc32c;  // Set if the checksum is what failed.
};

// What a checksum that is not the piece's own is: damage, of a tensor that the caller names.
Status ChecksumMismatch(const PlannedPiece& piece, uint32_t found);

class ReadJob {
 public:
  // `pieces` in any order; a request may have none. Entries and boxes that they point to must outlive the job.
  ReadJob(std::vector<JobRequest> requests, std::vector<PlannedPiece> pieces, bool foreign_byte_order);

  // Does it all, or stops at an error: the first in file order among those that were met.
  Status Run(const ReadOptions& options);
  // Does what can be done and returns what failed, in file order. Only the end of the caller's patience is an error.
  Result<std::vector<PieceFailure>> RunThrough(const ReadOptions& options);
  // As Run, but compares nothing: returns the checksum of each request's one piece, 0 where it is not to be summed.
  Result<std::vector<uint32_t>> RunForSums(const ReadOptions& options);

  const ReadPlan& plan() const { return plan_; }
  // After a run: whether the bytes that request `i` looked at need converting.
  bool noisy(size_t i) const { return noisy_[i].load(std::memory_order_relaxed); }
  // After a run: moves the strings of each request that decodes into its tensor, whose shape is set.
  // kResourceExhausted if there is no memory to put pieces together in.
  Status TakeStrings(std::vector<Tensor>* tensors);

 private:
  Status RunTasks(const ReadOptions& options, const std::function<Status(size_t chunk)>& on_chunk);
  void PrefetchAhead(size_t task);
  void PrefetchTask(size_t task);
  Status RunChunk(size_t chunk);
  Status CopyChunk(const Chunk& chunk, uint32_t* crc);
  Status ScatterChunk(const Chunk& chunk, uint32_t* crc);
  Status LookAtChunk(const Chunk& chunk, uint32_t* crc);
  Status DecodePiece(const Chunk& chunk, uint32_t* crc);
  Result<Buffer> ReadIndivisible(const ByteSource& source, ByteRange range);
  Status RunChunks(const ReadOptions& options);
  // Calls `take(position of a piece, its checksum)` for each piece, in file order.
  template <typename Take>
  void ForEachSum(const Take& take) const;
  // The checksum of each piece, compared; calls `on_failure` for each that differs, in file order.
  void CompareSums(const std::function<void(PieceFailure)>& on_failure) const;

  const bool foreign_byte_order_;
  std::vector<JobRequest> requests_;
  ReadPlan plan_;
  std::vector<uint32_t> chunk_crcs_;
  std::vector<std::atomic<bool>> noisy_;
  // Strings are decoded piece by piece and put together at the end. Empty unless a request decodes.
  std::map<size_t, StringArray> decoded_;
  std::optional<Reporter> reporter_;  // Of the run.
  std::atomic<size_t> next_prefetch_{0};
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_READ_JOB_H_
