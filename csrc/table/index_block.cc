#include "table/index_block.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "table/block.h"
#include "util/key_budget.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

class IndexBlockParser {
 public:
  IndexBlockParser(ByteView contents, uint64_t file_size)
      : contents_(contents), file_size_(file_size), data_bytes_left_(file_size), keys_(contents.size()) {}

  Result<std::vector<TableBlock>> Parse() {
    BlockCursor cursor;
    RETURN_IF_ERROR(cursor.Enter(contents_));
    while (cursor.Next()) {
      const auto offset = static_cast<uint64_t>(cursor.value().data() - contents_.data());
      RETURN_IF_ERROR(Take(cursor.key().AsText(), cursor.value()).WithOffset(offset));
    }
    RETURN_IF_ERROR(cursor.status());
    return std::move(blocks_);
  }

 private:
  Status Take(std::string_view key, ByteView value) {
    if (!keys_.Take(key.size())) {
      return Status(StatusCode::kResourceExhausted, "the keys of the index block are out of proportion to it");
    }
    const std::optional<BlockHandle> handle = TakeBlockHandle(&value);  // TensorFlow ignores bytes after it.
    if (!handle) {
      return Status(StatusCode::kDataLoss,
                    "bad block handle: the value of key " + Quote(key) + " is not a pair of varints");
    }
    RETURN_IF_ERROR(CheckHandle(*handle, file_size_, "data block"));
    const uint64_t stored_size = handle->size + kBlockTrailerSize;  // Fits: it lies inside the file.
    if (stored_size > data_bytes_left_) {
      return Status(StatusCode::kDataLoss,
                    "bad block handle: blocks overlap: with the " + DescribeBlock("data block", *handle) +
                        " there are more data blocks than fit a file of " + std::to_string(file_size_));
    }
    data_bytes_left_ -= stored_size;
    blocks_.push_back({std::string(key), *handle});
    return Status();
  }

  const ByteView contents_;
  const uint64_t file_size_;
  uint64_t data_bytes_left_;  // Data blocks lie apart, so they cannot add up to more than the file.
  KeyBudget keys_;
  std::vector<TableBlock> blocks_;
};

}  // namespace

Result<std::vector<TableBlock>> ParseIndexBlock(ByteView contents, uint64_t file_size) {
  return IndexBlockParser(contents, file_size).Parse();
}

size_t FindBlock(const std::vector<TableBlock>& blocks, std::string_view key) {
  const auto found = std::lower_bound(
      blocks.begin(), blocks.end(), key,
      [](const TableBlock& block, std::string_view wanted) { return std::string_view(block.index_key) < wanted; });
  return static_cast<size_t>(found - blocks.begin());
}

}  // namespace tensorbundle
