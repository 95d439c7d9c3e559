// The records of an index: the header and one entry a tensor, from and to wire bytes.
//
// These functions know what one record says. Whether it makes sense beside the others is for bundle/index.h.

#ifndef TENSORBUNDLE_BUNDLE_ENTRY_H_
#define TENSORBUNDLE_BUNDLE_ENTRY_H_

#include <cstdint>
#include <string>

#include "tensorbundle/buffer.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// A run of bytes in one shard, and the checksum that its writer took.
struct StoredBytes {
  int32_t shard = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint32_t crc32c = 0;
};

inline StoredBytes StoredBytesOf(const Entry& entry) {
  return {entry.shard, entry.offset_in_shard, entry.size_bytes, entry.crc32c};
}

// BundleHeaderProto, the value of the empty key.
struct Header {
  int32_t num_shards = 0;
  bool foreign_byte_order = false;  // The data files are not in the host's byte order.
  // The VersionDef as it is stored: producer 1, unless another was read; empty if there is none.
  std::string version = "\x08\x01";
};

// Reads and validates a header. kDataLoss if it is malformed or its shard count is not in [1, 99999999]; kUnimplemented
// if it asks for a reader of another version.
Result<Header> ParseHeader(ByteView record);

// Reads a BundleEntryProto and checks what can be checked of it alone: the shape, the dtype, and that size, offset and
// shard are possible for them. `num_shards` is the header's.
//
// An unknown dtype is kUnimplemented. On any error *entry holds the name alone, or, for an unknown dtype, all.
Status ParseEntry(ByteView key, ByteView record, int32_t num_shards, Entry* entry);

// The record of a header, byte for byte as TensorFlow writes it.
std::string EncodeHeader(const Header& header);

// Sets *record to that of `entry`, byte for byte as TensorFlow writes it. An entry with slices is that of a partitioned
// tensor, and only its dtype, shape and slices are stored. Each of the pieces is an entry too: the piece's own shape
// and place, no slices.
void EncodeEntry(const Entry& entry, std::string* record);

// The same entry in another shard. All its other fields, known or not, stay as they are and in their order. kDataLoss
// if the record is malformed.
//
// REQUIRES: shard >= 0.
Result<std::string> WithShard(ByteView record, int32_t shard);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUNDLE_ENTRY_H_
