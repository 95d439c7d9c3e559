// A table that is read block by block: of a file of gigabytes, opening reads its end and its index block.

#ifndef TENSORBUNDLE_V1_TABLE_FILE_H_
#define TENSORBUNDLE_V1_TABLE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "table/format.h"
#include "table/index_block.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/byte_source.h"
#include "tensorbundle/status.h"

namespace tensorbundle::v1 {

// The checksum of a stored block that is not what its trailer says; both as trailers have it, masked.
struct SumMismatch {
  uint32_t stored = 0;
  uint32_t computed = 0;
};

struct ReadBlockOptions {
  bool verify = true;                         // Compare the checksum.
  std::function<Status()> keep_going;         // Called every few milliseconds; an error from it is returned.
  std::optional<SumMismatch>* sum = nullptr;  // Set if the checksum is what fails.
};

// Immutable; safe to share between threads.
class TableFile {
 public:
  // Reads footer and index block; the metaindex block is nobody's. Errors are those of ParseFooter and ParseIndexBlock,
  // and of the index block itself, with the offset in the file.
  static Result<TableFile> Open(std::shared_ptr<const ByteSource> source);

  const ByteSource& source() const { return *source_; }
  // Data blocks in key order.
  const std::vector<TableBlock>& blocks() const { return blocks_; }
  // The position of the one block that may hold `key`, or blocks().size().
  size_t Find(std::string_view key) const { return FindBlock(blocks_, key); }

  // The contents of a data block, decoded if it is compressed, in memory that nobody else can write to. kDataLoss with
  // its offset if it is damaged.
  Result<Buffer> ReadBlock(size_t block, const ReadBlockOptions& options = {}) const;
  // What the contents of a data block can have at most, by its size and its compression kind.
  Result<uint64_t> MaxContentsSize(size_t block) const;
  // Damage inside the contents of a data block, as damage of the file.
  Status Damaged(size_t block, const Status& in_contents) const;

 private:
  TableFile(std::shared_ptr<const ByteSource> source, std::vector<TableBlock> blocks)
      : source_(std::move(source)), blocks_(std::move(blocks)) {}

  std::shared_ptr<const ByteSource> source_;
  std::vector<TableBlock> blocks_;
};

}  // namespace tensorbundle::v1

#endif  // TENSORBUNDLE_V1_TABLE_FILE_H_
