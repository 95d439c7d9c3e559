// Where tensors go: in which data file, at which offset, whole or in slices. Pure arithmetic; nothing is written here.

#ifndef TENSORBUNDLE_CHECKPOINT_LAYOUT_H_
#define TENSORBUNDLE_CHECKPOINT_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "slices/slice.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

struct LayoutOptions {
  int32_t num_shards = 1;
  uint64_t max_shard_bytes = 0;  // 0: no limit.
  uint64_t alignment = 1;        // A power of two.
};

// A tensor, as far as its place is concerned.
struct TensorExtent {
  DType dtype = DType::kInvalid;
  const std::vector<int64_t>* shape = nullptr;
  uint64_t size_bytes = 0;  // As stored.
  bool may_be_sliced = true;
};

// The bytes [begin, end) of a tensor, as they are stored, and their place.
struct Placement {
  size_t tensor = 0;       // Position in the list given.
  std::optional<Box> box;  // The piece that they are; nullopt: the tensor, whole.
  uint64_t begin = 0;
  uint64_t end = 0;
  int32_t shard = 0;
  uint64_t offset = 0;
};

// Places tensors, batch after batch.
//
// A piece is a run of its tensor's bytes: it is cut along the first dimension whose rows are small enough, and has one
// index in those before.
class Layout {
 public:
  explicit Layout(const LayoutOptions& options) : options_(options) {}

  // The places of a batch, in the order given, pieces of a tensor one after the other. The first batch is spread over
  // the shards evenly, in its order, no more shards than it has pieces; what comes later goes where the fewest bytes
  // are, to a new shard while there are fewer than asked for. With a limit on bytes, shards
  // are filled one after the other.
  //
  // `avoid`, if not 0, is a number of shards that the first batch should not end up with: where it would, its last
  // piece gets a shard of its own. kInvalidArgument if the limit would need more shards than a folder should hold.
  Result<std::vector<Placement>> Place(const std::vector<TensorExtent>& tensors, int32_t avoid = 0);

  // The bytes of each shard so far; a shard that nothing was put into has none.
  const std::vector<uint64_t>& shard_bytes() const { return shard_bytes_; }

 private:
  Result<std::vector<Placement>> Cut(const std::vector<TensorExtent>& tensors) const;
  void Spread(std::vector<Placement>* placements);
  void Fill(uint64_t limit, std::vector<Placement>* placements);
  void PutWhereFewestBytesAre(Placement* placement);
  void Avoid(int32_t num_shards, std::vector<Placement>* placements);
  void Put(int32_t shard, Placement* placement);

  LayoutOptions options_;
  std::vector<uint64_t> shard_bytes_;
};

// True if TensorFlow can read a tensor of this dtype and rank from slices.
bool TensorFlowAssembles(DType dtype, size_t rank);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_LAYOUT_H_
