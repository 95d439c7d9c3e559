// An opened V1 checkpoint: values are encoded in the blocks of its tables.

#ifndef TENSORBUNDLE_CHECKPOINT_V1_SAVE_H_
#define TENSORBUNDLE_CHECKPOINT_V1_SAVE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/save.h"
#include "v1/index.h"

namespace tensorbundle {

class V1Save final : public Save {
 public:
  // Opens the file at `path`, or the shards of which it is the pattern: those that are there, and one must be. One that
  // is damaged, or that the system refuses to open, is an error.
  //
  // Shards have names of their own, so a save that replaces them can do so while they are being opened. They are
  // therefore looked at again afterwards, and if one is another file, came or went, opening starts over.
  static Result<std::unique_ptr<const Save>> Open(const std::string& path, const OpenOptions& options);

  // `shards` are the numbers of the index's files.
  V1Save(std::string path, v1::Index index, std::vector<int32_t> shards, std::vector<std::string> missing)
      : path_(std::move(path)), index_(std::move(index)), shards_(std::move(shards)), missing_(std::move(missing)) {}

  const std::string& path() const override { return path_; }
  int32_t num_shards() const override { return static_cast<int32_t>(shards_.size() + missing_.size()); }
  std::vector<std::string> missing_shards() const override { return missing_; }
  // The files' sizes together.
  uint64_t index_size_bytes() const override;
  // The checksums that are stored of all blocks, taken together; they are read for it. 0 if they can't be.
  uint32_t index_crc32c() const override;

  const std::vector<Entry>& entries() const override { return index_.entries(); }
  const Entry* Find(std::string_view name) const override { return index_.Find(name); }
  Status Problem(const Entry& entry) const override { return index_.Problem(PositionOf(entry)); }

  bool CanView(const Entry& /*entry*/) const override { return false; }
  bool Aligned(const Entry& /*entry*/) const override { return false; }
  Result<Buffer> View(const Entry& entry) const override;

  std::vector<StoredExtent> Extents(const Entry& entry) const override;
  // Large floats are; others are decoded with all that is in their blocks.
  bool RegionsAreDirect(const Entry& entry) const override;

  Result<std::vector<Tensor>> ReadMany(const std::vector<ReadRequest>& requests,
                                       const ReadOptions& options) const override;
  Result<Tensor> ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                            const ReadOptions& options) const override;
  Result<VerifyReport> Verify(const std::vector<const Entry*>& wanted, const ReadOptions& options) const override;

 private:
  class Plan;

  const std::string path_;
  const v1::Index index_;
  const std::vector<int32_t> shards_;
  const std::vector<std::string> missing_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_V1_SAVE_H_
