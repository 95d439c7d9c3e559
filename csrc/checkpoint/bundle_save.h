// An opened V2 checkpoint: tensors lie in its data files as they lie in memory.

#ifndef TENSORBUNDLE_CHECKPOINT_BUNDLE_SAVE_H_
#define TENSORBUNDLE_CHECKPOINT_BUNDLE_SAVE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/open_bundle.h"
#include "checkpoint/read_plan.h"
#include "checkpoint/save.h"

namespace tensorbundle {

class BundleSave final : public Save {
 public:
  explicit BundleSave(OpenedBundle opened)
      : bundle_(std::move(opened)), view_verified_(bundle_.index.entries().size()) {}

  const std::string& path() const override { return bundle_.prefix; }
  int32_t num_shards() const override { return bundle_.index.header().num_shards; }
  uint64_t index_size_bytes() const override { return bundle_.index_size_bytes; }
  uint32_t index_crc32c() const override { return bundle_.index_crc32c; }

  const std::vector<Entry>& entries() const override { return bundle_.index.entries(); }
  const Entry* Find(std::string_view name) const override { return bundle_.index.Find(name); }
  Status Problem(const Entry& entry) const override { return bundle_.index.Problem(PositionOf(entry)); }
  std::unique_ptr<const Save> Renamed(std::vector<std::string> names, std::vector<size_t>* positions) const override;

  bool CanView(const Entry& entry) const override;
  bool Aligned(const Entry& entry) const override;
  Result<Buffer> View(const Entry& entry) const override;

  std::vector<StoredExtent> Extents(const Entry& entry) const override;
  std::optional<RowMajorPieces> InRowMajorOrder(const Entry& entry) const override;
  bool RegionsAreDirect(const Entry& entry) const override { return !HasLengths(entry.dtype); }

  Result<std::vector<Tensor>> ReadMany(const std::vector<ReadRequest>& requests,
                                       const ReadOptions& options) const override;
  Result<Tensor> ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                            const ReadOptions& options) const override;
  Result<VerifyReport> Verify(const std::vector<const Entry*>& wanted, const ReadOptions& options) const override;

 private:
  bool foreign_byte_order() const { return bundle_.index.header().foreign_byte_order; }
  const ByteSource* SourceOf(int32_t shard) const;
  // Adds what is stored of `entry` to *pieces.
  void AddPieces(const Entry& entry, size_t request, std::vector<PlannedPiece>* pieces) const;

  OpenedBundle bundle_;
  // Whether the view of entries()[i] was handed out with its checksum verified. Threads that race verify it twice.
  mutable std::vector<std::atomic<bool>> view_verified_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_BUNDLE_SAVE_H_
