// The index block of a table: which data block may hold a key, for those who don't read the whole table.

#ifndef TENSORBUNDLE_TABLE_INDEX_BLOCK_H_
#define TENSORBUNDLE_TABLE_INDEX_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "table/format.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// A data block and its key in the index: no key of the block is larger, and all keys of the next one are.
struct TableBlock {
  std::string index_key;
  BlockHandle handle;
};

// The data blocks of a table file of `file_size` bytes, in key order, from the contents of its index block.
//
// kDataLoss with the offset in the contents if they are malformed, a block and its trailer don't lie inside the file,
// or the blocks together are larger than it. kResourceExhausted if the keys are out of proportion to the block.
Result<std::vector<TableBlock>> ParseIndexBlock(ByteView contents, uint64_t file_size);

// The position of the one block that may hold `key`, or blocks.size().
size_t FindBlock(const std::vector<TableBlock>& blocks, std::string_view key);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_INDEX_BLOCK_H_
