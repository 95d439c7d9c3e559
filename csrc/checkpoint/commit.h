// Making new data files and a new index the checkpoint of a prefix, so that at any moment the old one or the new one is
// there, whole.
//
// Under a lock on the directory: the data is brought to the disk, then named; the directory is synced; the index is
// brought to the disk, then named, and this is the commit; the directory is synced; and only then the old data goes.
// Readers follow the index, and the new data files have names that the old index does not know: the number of shards is
// part of them, and it is made to differ.

#ifndef TENSORBUNDLE_CHECKPOINT_COMMIT_H_
#define TENSORBUNDLE_CHECKPOINT_COMMIT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/os_write.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// What is to become a checkpoint.
struct NewBundle {
  std::vector<os::TemporaryFile> data;  // Shard by shard. None, for CommitUpdate: those that are there stay.
  // The index file's bytes, for so many shards.
  std::function<Result<std::string>(int32_t num_shards)> encode_index;
  // Puts something into a shard that was added for the sake of its number, since TensorFlow's merging miscounts shards
  // without a tensor. May do nothing where nothing is small enough to be moved.
  std::function<Status(const os::TemporaryFile& file, int32_t shard)> fill_added_shard;
};

struct CommitOptions {
  bool durable = true;
  int threads = 0;
  std::function<Status()> poll;  // While another writer is waited for; may be empty.
};

// A new temporary for a shard of the checkpoint at `prefix`.
Result<os::TemporaryFile> CreateDataFile(const std::string& prefix, int32_t shard);

// A tensor or piece that is larger is not moved into an added shard.
inline constexpr uint64_t kMaxMovedBytes = uint64_t{64} << 20;

// How many shards the checkpoint at `prefix` has by its index; 0 if there is none, or none that can be read.
int32_t FindNumShards(const std::string& prefix);

// Names the files of `bundle` and removes those of an older checkpoint, and what killed writers left.
//
// On an error nothing has changed, with one exception: if the directory can't be synced after the index was named, the
// new checkpoint is in its place, the old data is kept, and the message says so.
Status CommitBundle(const std::string& prefix, NewBundle* bundle, const CommitOptions& options);

// The same for a checkpoint that is made of the one in its place. `make` is called while nobody else commits, and after
// what killed writers left is gone: so what it reads is still true when the new index takes the old one's place, and it
// may give data files further names. If the new index is to be durable, so are the data files that stay.
Status CommitUpdate(const std::string& prefix, const std::function<Result<NewBundle>()>& make,
                    const CommitOptions& options);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_COMMIT_H_
