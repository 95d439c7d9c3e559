// Large tensors of a V1 file that lie in it as they lie in memory, so that they are read as those of V2 are: by parts,
// in parallel, in one pass.

#ifndef TENSORBUNDLE_CHECKPOINT_V1_PACKED_H_
#define TENSORBUNDLE_CHECKPOINT_V1_PACKED_H_

#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/read_plan.h"
#include "tensorbundle/dtype.h"
#include "v1/table_file.h"

namespace tensorbundle {

// Smaller blocks are read whole.
inline constexpr uint64_t kMinPackedBlockBytes = uint64_t{512} << 10;

// Elements as they are in memory, little-endian, in a block of their own.
struct PackedPiece {
  StoredBytes bytes;  // The checksum is that of the block, masked as it is stored.
  BlockFrame frame;
};

// Finds the `count` elements of the record `key` in a block that holds nothing else and is not compressed, as
// TensorFlow writes floats of half a MiB and more. nullopt if the block is any other, if it is damaged, or if it can't
// be read: whoever reads all of it says how. Reads some kilobytes. `shard` is the number of the file.
//
// REQUIRES: MinStoredBytes has a value for the dtype.
std::optional<PackedPiece> FindPacked(const v1::TableFile& file, int32_t shard, size_t block, const std::string& key,
                                      DType dtype, uint64_t count);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_V1_PACKED_H_
