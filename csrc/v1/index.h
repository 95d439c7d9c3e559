// The tensors of a V1 checkpoint, out of the metadata of all its files, validated once.
//
// What this accepts, later code relies on: dtypes are ones that the format stores, shapes multiply, pieces cover their
// tensor exactly, and each has a block that is large enough for it. Whether a record is there and sound is seen when
// its block is read. What it does not accept is a problem of one tensor; the others stay readable.

#ifndef TENSORBUNDLE_V1_INDEX_H_
#define TENSORBUNDLE_V1_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "slices/slice.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"
#include "util/entry_list.h"
#include "v1/table_file.h"

namespace tensorbundle::v1 {

// A tensor, or one piece of it: where it belongs, and which block of which file its record is in.
struct StoredPiece {
  Box box;
  Slice slice;  // As the file spells it, which its key depends on.
  size_t file = 0;
  size_t block = 0;
};

class Index : public EntryList {
 public:
  // Reads the metadata of every file. An error means that the metadata of one of them is damaged, or that it is none,
  // and carries its path. `missing_shards` are names of files that are not there; a problem that they explain names
  // them.
  static Result<Index> Read(std::vector<TableFile> files, const std::vector<std::string>& missing_shards = {});

  const std::vector<TableFile>& files() const { return files_; }
  // All that is stored of entries()[position]: one piece where it is stored whole, none where it has no elements.
  // REQUIRES: its Problem is ok.
  const std::vector<StoredPiece>& Pieces(size_t position) const { return pieces_[position]; }

 private:
  friend class IndexReader;

  std::vector<TableFile> files_;
  std::vector<std::vector<StoredPiece>> pieces_;  // By position.
};

}  // namespace tensorbundle::v1

#endif  // TENSORBUNDLE_V1_INDEX_H_
