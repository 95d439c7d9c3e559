// What the index says of one tensor.

#ifndef TENSORBUNDLE_ENTRY_H_
#define TENSORBUNDLE_ENTRY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tensorbundle/dtype.h"
#include "tensorbundle/slice.h"

namespace tensorbundle {

// Plain data. Everything in it was checked when the checkpoint was opened; Checkpoint::Problem tells where that failed.
struct Entry {
  std::string name;               // Any bytes; most are UTF-8.
  DType dtype = DType::kInvalid;  // kInvalid: the record could not be understood, only `name` means something.
  std::vector<int64_t> shape;     // Empty for a scalar.
  // Bytes stored, over all slices. Of the V1 format, where values are encoded: bytes that the elements take in memory,
  // and 0 for strings, whose sizes are seen when they are read.
  uint64_t size_bytes = 0;

  // Where a tensor that is stored whole lies, and the CRC-32C of its bytes (strings: of their lengths and bytes, by a
  // rule of their own). -1 and 0 for a tensor in slices, and for all of V1: there a tensor has no bytes and no checksum
  // of its own, the table block that its record is in has.
  int32_t shard = -1;
  uint64_t offset_in_shard = 0;
  uint32_t crc32c = 0;

  // The pieces of a partitioned tensor, as the index spells them; empty for one that is stored whole.
  std::vector<Slice> slices;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_ENTRY_H_
