// Encodes one block of a table; table/block.h says how it is laid out.

#ifndef TENSORBUNDLE_TABLE_BLOCK_BUILDER_H_
#define TENSORBUNDLE_TABLE_BLOCK_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tensorbundle {

// Collects the entries of one block, then of the next. Keeps its memory from block to block, so that an entry costs no
// allocation.
class BlockBuilder {
 public:
  // Every `restart_interval`-th entry is a restart: its key is stored whole.
  explicit BlockBuilder(size_t restart_interval) : restart_interval_(restart_interval) {}

  // REQUIRES: the key sorts after the one before, and key and value together have less than 2 GiB. Neither may be part
  // of this builder.
  void Add(std::string_view key, std::string_view value);

  bool empty() const { return contents_.empty(); }
  // The bytes that the block would have if it were finished now.
  size_t FinishedSize() const { return contents_.size() + (restarts_.size() + 1) * sizeof(uint32_t); }
  // The key that was added last, be it to a block before.
  const std::string& last_key() const { return last_key_; }

  // Closes the block and returns its contents, which are valid until Clear. Nothing can be added before that.
  std::string_view Finish();
  // Starts a new block.
  void Clear();

 private:
  size_t TakeShared(std::string_view key);

  const size_t restart_interval_;
  std::string contents_;
  std::vector<uint32_t> restarts_ = {0};  // Even a block without entries has one.
  size_t since_restart_ = 0;              // Entries.
  std::string last_key_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_BLOCK_BUILDER_H_
