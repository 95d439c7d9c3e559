// Sorted entries -> a whole table file in memory, byte for byte as TensorFlow writes it.

#ifndef TENSORBUNDLE_TABLE_TABLE_BUILDER_H_
#define TENSORBUNDLE_TABLE_TABLE_BUILDER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "table/block_builder.h"
#include "table/format.h"

namespace tensorbundle {

// A data block is finished as soon as it has this many bytes.
inline constexpr size_t kTableBlockSize = 262144;

// Takes entries in key order and holds the file as it grows; an entry costs no allocation of its own.
//
//   TableBuilder table;
//   for (const auto& [key, value] : entries) table.Add(key, value);
//   const std::string file = std::move(table).Finish();
class TableBuilder {
 public:
  // REQUIRES: keys ascend strictly, as unsigned bytes; key and value together have less than 2 GiB.
  void Add(std::string_view key, std::string_view value);

  // The file. A table without entries is sound, but TensorFlow does not open it as an index.
  std::string Finish() &&;

 private:
  void FinishDataBlock();
  void AddToIndex(const std::string& key);
  BlockHandle AppendBlock(BlockBuilder* block);

  std::string file_;
  BlockBuilder data_{16};
  BlockBuilder index_{1};
  // A finished block that is not in the index yet: its key there depends on the key that comes next.
  std::optional<BlockHandle> pending_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_TABLE_BUILDER_H_
