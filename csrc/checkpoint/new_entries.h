// What a checkpoint that is being written will say of its tensors, and the index that this becomes. No I/O.

#ifndef TENSORBUNDLE_CHECKPOINT_NEW_ENTRIES_H_
#define TENSORBUNDLE_CHECKPOINT_NEW_ENTRIES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "bundle/entry.h"
#include "checkpoint/layout.h"
#include "slices/slice.h"
#include "tensorbundle/checkpoint_writer.h"
#include "tensorbundle/status.h"
#include "util/text_store.h"

namespace tensorbundle {

class NewEntries {
 public:
  NewEntries() = default;
  NewEntries(const NewEntries&) = delete;
  NewEntries& operator=(const NewEntries&) = delete;

  bool empty() const { return records_.empty(); }

  // kInvalidArgument, naming the tensor, if there is one of its name already, or two are among these.
  Status CheckNames(const TensorToWrite* tensors, size_t count);
  // kInvalidArgument unless this piece of a tensor of `full_shape` fits those that there are of it.
  Status CheckPiece(const TensorToWrite& piece, const std::vector<int64_t>& full_shape, const Box& box);
  // kInvalidArgument if elements of a tensor are in no piece.
  Status CheckAllThere() const;

  // Adds a tensor of `shape`, or the piece of it that has this place. REQUIRES: it was checked.
  void Add(const std::string& name, DType dtype, const std::vector<int64_t>& shape, const Placement& place,
           uint32_t crc);

  // Where the smallest tensor or piece lies that is not alone in its shard; no bytes in shard -1 if all are alone.
  struct Place {
    int32_t shard = -1;
    uint64_t offset = 0;
    uint64_t size_bytes = 0;
  };
  Place FindSmallest(size_t num_shards) const;
  // Puts what lies at `from` to the beginning of another shard.
  Status Move(const Place& from, int32_t shard);

  std::string EncodeIndex(int32_t num_shards) const;

 private:
  // A tensor or a piece: its key and the value that the index will have for it.
  struct Record {
    std::string_view key;
    std::string_view value;
    Place place;
  };

  // What is known of a tensor that is stored in pieces.
  struct Partition {
    DType dtype;
    std::vector<int64_t> shape;
    std::vector<Box> boxes;  // In the order added.
    // By where they begin in the first dimension in which not all begin together, so that a new one meets few.
    size_t axis = 0;
    std::multimap<int64_t, size_t> by_start;
    int64_t longest = 0;  // Along that dimension.

    void Add(const Box& box);
    const Box* FindOverlap(const Box& box) const;
  };

  std::string_view Encode(const Entry& entry);

  TextStore texts_;
  std::string encoded_;                         // The last value, kept for its memory.
  std::vector<Record> records_;                 // As they came.
  std::unordered_set<std::string_view> names_;  // Of the first num_names_ records that are tensors.
  size_t num_names_ = 0;
  std::map<std::string, Partition> partitions_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_NEW_ENTRIES_H_
