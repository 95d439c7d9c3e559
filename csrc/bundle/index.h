// The index of a bundle: every tensor of it, validated once.
//
// What this accepts, later code relies on and does not check again: dtypes are known, shapes multiply, sizes fit them,
// pieces cover their tensor exactly, extents lie inside the data files. What it does not accept is a problem of one
// tensor; the others stay readable.

#ifndef TENSORBUNDLE_BUNDLE_INDEX_H_
#define TENSORBUNDLE_BUNDLE_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "bundle/entry.h"
#include "slices/slice.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/status.h"
#include "util/entry_list.h"

namespace tensorbundle {

// One piece of a partitioned tensor: where it belongs, and where it lies.
struct StoredSlice {
  Box box;
  StoredBytes bytes;
};

// A data file, as far as extents are compared with it.
struct ShardFile {
  std::string path;
  uint64_t size_bytes = 0;
};

// Pieces of partitioned tensors are not among the entries.
class Index : public EntryList {
 public:
  // Parses a whole index file. An error means that the table or its header is damaged, or that this is none.
  static Result<Index> Parse(ByteView file);

  const Header& header() const { return header_; }
  // The pieces of entries()[position]; empty if it is stored whole. REQUIRES: its Problem is ok.
  const std::vector<StoredSlice>& Slices(size_t position) const;

  // The shards that hold bytes of any readable tensor, ascending.
  std::vector<int32_t> ReferencedShards() const;
  // Compares every extent with its shard: one result for each of ReferencedShards. A shard that could not be opened, or
  // is too short for an extent, becomes the problem of the tensors concerned. A tensor without bytes needs none.
  void CheckExtents(const std::unordered_map<int32_t, Result<ShardFile>>& shards);

  // The same tensors under other names, in the order of these. `positions` gets for each the position that it has here.
  // REQUIRES: `names` has one for each of entries(), all different.
  Index Renamed(std::vector<std::string> names, std::vector<size_t>* positions) const;

 private:
  friend class IndexParser;

  Header header_;
  std::unordered_map<size_t, std::vector<StoredSlice>> slices_;  // By position; few entries have any.
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUNDLE_INDEX_H_
