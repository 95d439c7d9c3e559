// One block of a table, decompressed: entries in key order, and where to start among them.
//
//   entry*  restart offset[0] .. restart offset[n-1] (fixed32 each)  n (fixed32)
//   entry = varint32 shared, varint32 non_shared, varint32 value size, key suffix, value
//
// A key is the first `shared` bytes of the key before it, and the suffix. At a restart offset `shared` is 0.

#ifndef TENSORBUNDLE_TABLE_BLOCK_H_
#define TENSORBUNDLE_TABLE_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Walks through the entries of one block, then of the next, and checks all of it: lengths, restart offsets, and that
// keys ascend strictly, across blocks too. Every error is kDataLoss with the offset inside the block's contents.
//
//   RETURN_IF_ERROR(cursor.Enter(contents));
//   while (cursor.Next()) Use(cursor.key(), cursor.value());
//   RETURN_IF_ERROR(cursor.status());
class BlockCursor {
 public:
  // Goes to the front of a block. Its keys must sort after those that this cursor met in the blocks before. `contents`
  // must stay where they are as long as the cursor is in them.
  Status Enter(ByteView contents);

  // Goes to the next entry. False at the end of the block, and at damage: status() tells which.
  bool Next();
  const Status& status() const { return status_; }

  // The entry that Next went to. The key stays after the last entry, until Next finds another; the value is a part of
  // the contents.
  ByteView key() const { return ByteView(key_); }
  ByteView value() const { return value_; }

 private:
  // The three numbers in front of every entry.
  struct EntryHeader {
    uint32_t shared = 0;
    uint32_t non_shared = 0;
    uint32_t value_size = 0;
  };

  Status ParseRestarts(ByteView contents);
  uint32_t RestartOffset(size_t i) const;
  void AdvanceRestart();
  bool PassRestart(uint32_t shared);
  std::string DescribeRestart() const;
  bool TakeHeader(EntryHeader* header);
  bool ExtendKey(uint32_t shared, ByteView suffix);
  bool Finish();
  bool Fail(const std::string& what);

  ByteView restarts_;                 // The restart offsets.
  size_t next_restart_ = 0;           // The first one beyond the entries read so far,
  uint64_t next_restart_offset_ = 0;  // and what it says, or kNoRestart.

  size_t entries_size_ = 0;
  ByteView remaining_;       // Entries not read yet.
  size_t entry_offset_ = 0;  // Where in the contents the entry at hand starts.

  std::string key_;
  ByteView value_;
  bool must_ascend_ = false;  // key_ is of an entry, so the next key must sort after it.
  Status status_;
};

// The one entry of a block that has no other: where in the contents its key and its value are.
struct OnlyEntry {
  size_t key_offset = 0;
  size_t key_size = 0;
  uint64_t value_offset = 0;
  uint64_t value_size = 0;
};

// What a restart array of one offset takes: the offset, and their number.
inline constexpr size_t kOnlyRestartSize = 2 * sizeof(uint32_t);

// Finds the entry of a block of `contents_size` bytes that begins with `head`, the three lengths of its entry at least,
// and ends with `tail`, kOnlyRestartSize bytes, without looking at what is between. nullopt if the block has other
// entries, or is malformed.
std::optional<OnlyEntry> FindOnlyEntry(ByteView head, ByteView tail, uint64_t contents_size);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_BLOCK_H_
