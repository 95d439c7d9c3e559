// Carrying out one call for tensors of a V1 checkpoint that have to be decoded: each block that holds some of them is
// read once, by one of several threads, and its records become elements where they belong.

#ifndef TENSORBUNDLE_CHECKPOINT_BLOCK_JOB_H_
#define TENSORBUNDLE_CHECKPOINT_BLOCK_JOB_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/reporter.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"
#include "v1/index.h"

namespace tensorbundle {

// What a call wants of one tensor.
struct BlockRequest {
  const Entry* entry = nullptr;
  Region region;
  // Where the region's elements go; null for strings, and where records are only checked.
  uint8_t* destination = nullptr;
  bool check_only = false;
};

// A record that is wanted.
struct WantedRecord {
  size_t request = 0;
  const v1::StoredPiece* piece = nullptr;
  std::string key;
};

// A record that is not as it was saved, is not there, or could not be read.
struct RecordFailure {
  size_t request = 0;
  const v1::StoredPiece* piece = nullptr;
  Status why;
  std::optional<v1::SumMismatch> sum;  // Set if the block's checksum is what failed.
};

class BlockJob {
 public:
  // The index and all that requests and records point to must outlive the job.
  BlockJob(const v1::Index& index, std::vector<BlockRequest> requests, std::vector<WantedRecord> records);

  // Bytes of the blocks to be read, as they are stored.
  uint64_t total_bytes() const { return total_bytes_; }

  // Does it all, or stops at an error: the first in file order among those that were met.
  Status Run(const ReadOptions& options);
  // Does what can be done, checksums compared, and returns what failed. Only the end of the caller's patience is an
  // error.
  Result<std::vector<RecordFailure>> RunThrough(const ReadOptions& options);
  // After a run: the strings of each request for some. kResourceExhausted if there is no memory to put them together
  // in.
  Result<std::map<size_t, StringArray>> TakeStrings();

 private:
  // Takes what failed; an error from it ends the walk.
  using OnFailure = std::function<Status(RecordFailure)>;

  // The records [begin, end) of one block.
  struct Task {
    size_t begin;
    size_t end;
  };

  Status RunTasks(const ReadOptions& options, bool verify, const OnFailure& on_failure);
  Status RunBlock(const Task& task, bool verify, const OnFailure& on_failure);
  Status WalkBlock(const Task& task, ByteView contents, const OnFailure& on_failure);
  Status Fail(size_t record, Status why, std::optional<v1::SumMismatch> sum, const OnFailure& on_failure) const;
  Status Missing(size_t record) const;
  Status Decode(size_t record, ByteView value);
  Status DecodeNumbers(const BlockRequest& request, const v1::StoredPiece& piece, ByteView value);
  const v1::TableFile& FileOf(const v1::StoredPiece& piece) const { return index_.files()[piece.file]; }

  const v1::Index& index_;
  std::vector<BlockRequest> requests_;
  std::vector<WantedRecord> records_;  // In file order, those of a block by key.
  std::vector<Task> tasks_;
  std::vector<StringArray> strings_;  // By record.
  uint64_t total_bytes_ = 0;
  std::optional<Reporter> reporter_;  // Of the run.
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_BLOCK_JOB_H_
