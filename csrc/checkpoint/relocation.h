// A new checkpoint made of records and data files of others.

#ifndef TENSORBUNDLE_CHECKPOINT_RELOCATION_H_
#define TENSORBUNDLE_CHECKPOINT_RELOCATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/commit.h"
#include "checkpoint/stored_index.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// A record on its way from one index to another.
struct MovedRecord {
  std::string key;    // The new one.
  std::string value;  // As it was stored.
  size_t source = 0;  // The position of the checkpoint that it is from.
  Entry entry;        // What `value` says, under the name of the old key.
  int32_t shard = 0;  // The data file in the new checkpoint; 0 for a partitioned tensor, which is in none.
};

// The record `record` of `sources[source]` under a new key. kDataLoss if it makes no sense; of an unknown dtype, it is
// moved like any other.
Result<MovedRecord> MoveRecord(const std::vector<StoredIndex>& sources, size_t source, const IndexRecord& record,
                               std::string new_key);

// A scalar string that is written anew, into a data file of its own.
struct NewString {
  std::string key;
  std::string value;
};

struct RelocateOptions {
  bool link = false;  // Data files become further names of the old ones, where that can be, and not copies.
  bool durable = true;
  ProgressFunction progress;
};

// Makes `records` the checkpoint at `destination`. Data files are numbered anew, in the order of the sources and of
// their numbers there, without those that no record names.
//
// Every extent is compared with its data file before anything is written. kIo with EBUSY if another save took the place
// of a source meanwhile.
//
// REQUIRES: keys ascend strictly, CheckPrefix is ok, and the sources agree in their headers but for the number of
// data files. None of the records has the key of `added`, and with it the byte order is the host's.
Status Relocate(const std::vector<StoredIndex>& sources, std::vector<MovedRecord> records,
                const std::string& destination, const RelocateOptions& options,
                std::optional<NewString> added = std::nullopt);

// The same for `source` itself, as CommitUpdate makes it: its data files get further names, where that can be, and are
// copied where not.
//
// So that the number of data files does not grow from one edit to the next, one that is a single small tensor's goes
// into that of `added` where this keeps the numbers apart.
Result<NewBundle> RelocateInPlace(StoredIndex source, std::vector<MovedRecord> records, NewString added,
                                  const RelocateOptions& options);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_RELOCATION_H_
