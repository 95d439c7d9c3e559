// Makes tables for tests: sound ones byte for byte as TensorFlow writes them, and damaged ones, field by field.
//
// Nothing here is shared with the product but names and the checksum, so that a mistake cannot hide in both.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_TABLE_MAKER_H_
#define TENSORBUNDLE_TESTS_SUPPORT_TABLE_MAKER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "table/format.h"
#include "tensorbundle/buffer.h"
#include "util/crc32c.h"

namespace tensorbundle::test_support {

using Entries = std::vector<std::pair<std::string, std::string>>;

inline void AppendVarint(uint64_t value, std::string* output) {
  for (; value >= 0x80; value >>= 7) output->push_back(static_cast<char>(value | 0x80));
  output->push_back(static_cast<char>(value));
}

// `value` in `width` bytes, least significant first.
inline void AppendFixed(uint64_t value, int width, std::string* output) {
  for (int i = 0; i < width; ++i) output->push_back(static_cast<char>(value >> (8 * i)));
}

// The bytes of a hexadecimal text; spaces and line breaks are for reading only.
inline std::string FromHex(std::string_view hex) {
  std::string bytes;
  int high = -1;
  for (const char digit : hex) {
    const size_t value = std::string_view("0123456789abcdef").find(digit);
    if (value == std::string_view::npos) continue;
    if (high >= 0) bytes.push_back(static_cast<char>(high << 4 | static_cast<int>(value)));
    high = high >= 0 ? -1 : static_cast<int>(value);
  }
  return bytes;
}

inline std::string EncodeHandle(BlockHandle handle) {
  std::string bytes;
  AppendVarint(handle.offset, &bytes);
  AppendVarint(handle.size, &bytes);
  return bytes;
}

inline std::string EncodeEntry(uint32_t shared, std::string_view suffix, std::string_view value) {
  std::string bytes;
  AppendVarint(shared, &bytes);
  AppendVarint(suffix.size(), &bytes);
  AppendVarint(value.size(), &bytes);
  return bytes.append(suffix).append(value);
}

// A block's contents from its entries' bytes.
inline std::string FinishBlock(std::string entries, const std::vector<uint32_t>& restarts) {
  for (const uint32_t offset : restarts) AppendFixed(offset, 4, &entries);
  AppendFixed(restarts.size(), 4, &entries);
  return entries;
}

// A block that takes entries one by one. Every `restart_interval`-th is a restart; 0: the first alone.
class BlockMaker {
 public:
  explicit BlockMaker(size_t restart_interval) : restart_interval_(restart_interval) {}

  void Add(std::string_view key, std::string_view value) {
    const bool restart = restart_interval_ != 0 && count_ != 0 && count_ % restart_interval_ == 0;
    if (restart) restarts_.push_back(static_cast<uint32_t>(entries_.size()));
    size_t shared = 0;
    while (!restart && shared < key.size() && shared < last_key_.size() && key[shared] == last_key_[shared]) ++shared;
    entries_ += EncodeEntry(static_cast<uint32_t>(shared), key.substr(shared), value);
    last_key_ = key;
    ++count_;
  }
  size_t SizeEstimate() const { return entries_.size() + 4 * restarts_.size() + 4; }
  bool empty() const { return count_ == 0; }
  std::string Finish() const { return FinishBlock(entries_, restarts_); }

 private:
  size_t restart_interval_;
  size_t count_ = 0;
  std::string last_key_;
  std::string entries_;
  std::vector<uint32_t> restarts_ = {0};
};

inline std::string EncodeBlock(const Entries& entries, size_t restart_interval = 16) {
  BlockMaker block(restart_interval);
  for (const auto& [key, value] : entries) block.Add(key, value);
  return block.Finish();
}

// A Snappy block of literals only: valid, and longer than what it holds.
inline std::string SnappyLiterals(std::string_view bytes) {
  std::string encoded;
  AppendVarint(bytes.size(), &encoded);
  for (size_t done = 0; done < bytes.size(); done += 60) {
    const std::string_view piece = bytes.substr(done, 60);
    encoded.push_back(static_cast<char>((piece.size() - 1) << 2));
    encoded.append(piece);
  }
  return encoded;
}

// A finished table, and where its fields are. Change bytes as you like, then Repair the checksum of the block.
struct MadeTable {
  std::string bytes;
  std::vector<BlockHandle> data;
  BlockHandle metaindex;
  BlockHandle index;

  ByteView view() const { return ByteView(bytes); }
  size_t FooterOffset() const { return bytes.size() - 48; }
  size_t MagicOffset() const { return bytes.size() - 8; }
  static size_t KindOffset(BlockHandle block) { return block.offset + block.size; }
  static size_t ChecksumOffset(BlockHandle block) { return block.offset + block.size + 1; }
  static size_t RestartCountOffset(BlockHandle block) { return block.offset + block.size - 4; }

  void SetByte(size_t offset, uint8_t value) { bytes[offset] = static_cast<char>(value); }
  void Flip(size_t offset) { bytes[offset] = static_cast<char>(~bytes[offset]); }
  void SetFixed32(size_t offset, uint32_t value) {
    std::string field;
    AppendFixed(value, 4, &field);
    bytes.replace(offset, 4, field);
  }
  uint32_t Fixed32(size_t offset) const {
    uint32_t value = 0;
    for (size_t i = 4; i > 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i - 1]);
    return value;
  }
  uint32_t Checksum(BlockHandle block) const {
    return crc32c::Mask(crc32c::Extend(0, view().Slice(block.offset, block.size + 1)));
  }
  void Repair(BlockHandle block) { SetFixed32(ChecksumOffset(block), Checksum(block)); }
};

// Puts a table together from blocks that can hold anything.
class TableMaker {
 public:
  // Appends a block with its trailer. Compressed means literals only.
  BlockHandle AppendBlock(std::string_view contents, Compression compression = Compression::kNone) {
    if (compression == Compression::kNone) return AppendStored(contents, 0);
    return AppendStored(SnappyLiterals(contents), 1);
  }
  // The same with bytes that are stored as they are under any compression kind.
  BlockHandle AppendStored(std::string_view stored, uint8_t kind) {
    const BlockHandle handle{table_.bytes.size(), stored.size()};
    table_.bytes.append(stored);
    table_.bytes.push_back(static_cast<char>(kind));
    AppendFixed(table_.Checksum(handle), 4, &table_.bytes);
    return handle;
  }
  void AppendRaw(std::string_view bytes) { table_.bytes.append(bytes); }
  // Appends a data block, to which `index_key` will lead.
  void AppendData(const std::string& index_key, std::string_view contents,
                  Compression compression = Compression::kNone) {
    table_.data.push_back(AppendBlock(contents, compression));
    AppendIndex(index_key, EncodeHandle(table_.data.back()));
  }
  void AppendIndex(const std::string& key, const std::string& value) { index_.emplace_back(key, value); }

  // Appends an empty metaindex block, an index block of what was added, and the footer.
  MadeTable Finish(Compression compression = Compression::kNone, size_t index_restart_interval = 1) {
    return FinishWith(EncodeBlock({}), EncodeBlock(index_, index_restart_interval), compression);
  }
  MadeTable FinishWith(std::string_view metaindex, std::string_view index,
                       Compression compression = Compression::kNone) {
    table_.metaindex = AppendBlock(metaindex, compression);
    table_.index = AppendBlock(index, compression);
    return FinishAt(EncodeHandle(table_.metaindex) + EncodeHandle(table_.index));
  }
  // Appends a footer whose first bytes are `handles`.
  MadeTable FinishAt(std::string handles) {
    handles.resize(40);
    table_.bytes += handles;
    AppendFixed(0xDB4775248B80FB57u, 8, &table_.bytes);
    return std::move(table_);
  }

 private:
  MadeTable table_;
  Entries index_;
};

struct TableOptions {
  size_t block_size = 262144;
  size_t restart_interval = 16;
  Compression compression = Compression::kNone;
  bool shorten_index_keys = true;
};

// The shortest key that is >= a and < b, as TensorFlow finds it, or a.
inline std::string Separator(const std::string& a, const std::string& b) {
  size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  if (i == a.size() || i == b.size()) return a;
  const auto next = static_cast<uint8_t>(a[i]) + 1;
  if (next > 0xFF || next >= static_cast<uint8_t>(b[i])) return a;
  return a.substr(0, i) + static_cast<char>(next);
}

// The shortest key that is >= a.
inline std::string Successor(const std::string& a) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (static_cast<uint8_t>(a[i]) != 0xFF) return a.substr(0, i) + static_cast<char>(static_cast<uint8_t>(a[i]) + 1);
  }
  return a;
}

// A table of `entries`, which must ascend. With the default options, the very bytes that TensorFlow writes.
inline MadeTable MakeTable(const Entries& entries, const TableOptions& options = {}) {
  TableMaker table;
  BlockMaker block(options.restart_interval);
  for (size_t i = 0; i < entries.size(); ++i) {
    block.Add(entries[i].first, entries[i].second);
    const bool last = i + 1 == entries.size();
    const bool next_is_large =
        !last && entries[i + 1].first.size() + entries[i + 1].second.size() >= 2 * options.block_size;
    if (!last && !next_is_large && block.SizeEstimate() < options.block_size) continue;
    std::string index_key = entries[i].first;
    if (options.shorten_index_keys) {
      index_key = last ? Successor(index_key) : Separator(index_key, entries[i + 1].first);
    }
    table.AppendData(index_key, block.Finish(), options.compression);
    block = BlockMaker(options.restart_interval);
  }
  return table.Finish(options.compression);
}

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_TABLE_MAKER_H_
