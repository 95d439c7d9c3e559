// Writes the bytes of many tensors to their places, by many threads, summing them on the way.

#ifndef TENSORBUNDLE_CHECKPOINT_WRITE_JOB_H_
#define TENSORBUNDLE_CHECKPOINT_WRITE_JOB_H_

#include <cstdint>
#include <vector>

#include "io/os_write.h"
#include "tensorbundle/checkpoint_writer.h"

namespace tensorbundle {

// The bytes [begin, end) of a tensor, as they are stored, and where they go. Strings and variants are never cut.
struct WritePiece {
  const TensorToWrite* tensor = nullptr;
  uint64_t begin = 0;
  uint64_t end = 0;
  int32_t shard = 0;
  const os::TemporaryFile* file = nullptr;  // The shard's.
  uint64_t offset = 0;
};

struct WriteJobOptions {
  int threads = 0;
  bool write_back = false;  // Start to bring the bytes to the disk as they come; somebody will wait for that.
  const ProgressFunction* progress = nullptr;
};

// Writes all of them and returns the checksum of each, or the first error. Gaps between pieces stay zeros.
//
// Memory: half a mebibyte a thread, whatever the sizes.
Result<std::vector<uint32_t>> WritePieces(const std::vector<WritePiece>& pieces, const WriteJobOptions& options);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_WRITE_JOB_H_
