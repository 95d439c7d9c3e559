// One opened save, in either format: what Checkpoint does, it asks of this.

#ifndef TENSORBUNDLE_CHECKPOINT_SAVE_H_
#define TENSORBUNDLE_CHECKPOINT_SAVE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/extents.h"
#include "checkpoint/read_plan.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// All that is stored of a tensor of fixed width, where these bytes, one piece after the other, are its elements in
// row-major order.
struct RowMajorPieces {
  std::vector<PlannedPiece> pieces;  // Without boxes.
  bool foreign_byte_order = false;
};

// Immutable, and shared by threads. Functions that have a namesake in Checkpoint do what is said there; arguments were
// checked as far as they can be without knowing the format.
class Save {
 public:
  virtual ~Save() = default;

  virtual const std::string& path() const = 0;
  virtual int32_t num_shards() const = 0;
  virtual std::vector<std::string> missing_shards() const { return {}; }
  virtual uint64_t index_size_bytes() const = 0;
  virtual uint32_t index_crc32c() const = 0;

  virtual const std::vector<Entry>& entries() const = 0;
  virtual const Entry* Find(std::string_view name) const = 0;
  virtual Status Problem(const Entry& entry) const = 0;
  // The same tensors under other names, in the order of these; `positions` gets for each the position that it has here.
  // Null for a format that knows no object graphs. REQUIRES: one name for each of entries(), all different.
  virtual std::unique_ptr<const Save> Renamed([[maybe_unused]] std::vector<std::string> names,
                                              [[maybe_unused]] std::vector<size_t>* positions) const {
    return nullptr;
  }

  virtual bool CanView(const Entry& entry) const = 0;
  virtual bool Aligned(const Entry& entry) const = 0;
  virtual Result<Buffer> View(const Entry& entry) const = 0;

  // What follows REQUIRES that the entry has no Problem.

  // Where all that is stored of it lies; of V1 with what else is in the blocks.
  virtual std::vector<StoredExtent> Extents(const Entry& entry) const = 0;
  // Its pieces if they lie so; nullopt else.
  virtual std::optional<RowMajorPieces> InRowMajorOrder([[maybe_unused]] const Entry& entry) const {
    return std::nullopt;
  }
  // True if ReadRegion reads hardly more than the region.
  virtual bool RegionsAreDirect(const Entry& entry) const = 0;

  virtual Result<std::vector<Tensor>> ReadMany(const std::vector<ReadRequest>& requests,
                                               const ReadOptions& options) const = 0;
  // REQUIRES: the entry has no Problem, and the region is valid in it.
  virtual Result<Tensor> ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                                    const ReadOptions& options) const = 0;
  // REQUIRES: `wanted` ascends strictly.
  virtual Result<VerifyReport> Verify(const std::vector<const Entry*>& wanted, const ReadOptions& options) const = 0;

  bool WillView(const Entry& entry, CopyMode copy) const {
    return copy != CopyMode::kAlways && CanView(entry) && (copy == CopyMode::kNever || Aligned(entry));
  }

 protected:
  size_t PositionOf(const Entry& entry) const { return static_cast<size_t>(&entry - entries().data()); }
};

// Opens the save that `path` names: a V2 prefix or a file of it, or else a V1 file or the pattern of one's shards.
Result<std::unique_ptr<const Save>> OpenSave(const std::string& path, const OpenOptions& options);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_SAVE_H_
