#include "table/table_builder.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tensorbundle/buffer.h"
#include "util/crc32c.h"
#include "util/endian.h"
#include "util/varint.h"

namespace tensorbundle {
namespace {

// An entry of this size does not join the block at hand, however little that holds.
constexpr size_t kLargeEntrySize = 2 * kTableBlockSize;

uint8_t ByteAt(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// The first i + 1 bytes of `key`, the last of them plus one.
std::string Raised(const std::string& key, size_t i) {
  std::string raised = key.substr(0, i + 1);
  ++raised[i];
  return raised;
}

// A key that sorts between a, or is a, and b: one byte larger where the two differ, if there is room for that. Not
// always the shortest there is, but what TensorFlow writes.
//
// REQUIRES: a < b.
std::string Separator(const std::string& a, std::string_view b) {
  const size_t shared = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
  const bool has_room = shared < a.size() && ByteAt(a, shared) + 1 < ByteAt(b, shared);
  return has_room ? Raised(a, shared) : a;
}

// A short key that does not sort before `key`.
std::string Successor(const std::string& key) {
  const size_t i = key.find_first_not_of('\xFF');
  return i == std::string::npos ? key : Raised(key, i);
}

template <typename T>
void AppendFixed(T value, std::string* output) {
  uint8_t bytes[sizeof(T)];
  StoreLittleEndian(value, bytes);
  output->append(ByteView(bytes, sizeof(bytes)).AsText());
}

void AppendBlockHandle(BlockHandle handle, std::string* output) {
  AppendVarint(handle.offset, output);
  AppendVarint(handle.size, output);
}

void AppendFooter(const Footer& footer, std::string* file) {
  const size_t begin = file->size();
  AppendBlockHandle(footer.metaindex, file);
  AppendBlockHandle(footer.index, file);
  file->resize(begin + kFooterSize - kTableMagicSize);
  AppendFixed(kTableMagic, file);
}

}  // namespace

void TableBuilder::Add(std::string_view key, std::string_view value) {
  if (key.size() + value.size() >= kLargeEntrySize) FinishDataBlock();
  if (pending_) AddToIndex(Separator(data_.last_key(), key));
  data_.Add(key, value);
  if (data_.FinishedSize() >= kTableBlockSize) FinishDataBlock();
}

std::string TableBuilder::Finish() && {
  FinishDataBlock();
  BlockBuilder empty(1);
  Footer footer;
  footer.metaindex = AppendBlock(&empty);
  if (pending_) AddToIndex(Successor(data_.last_key()));
  footer.index = AppendBlock(&index_);
  AppendFooter(footer, &file_);
  return std::move(file_);
}

void TableBuilder::FinishDataBlock() {
  if (!data_.empty()) pending_ = AppendBlock(&data_);
}

// Adds the pending block under `key`.
void TableBuilder::AddToIndex(const std::string& key) {
  std::string handle;
  AppendBlockHandle(*pending_, &handle);
  index_.Add(key, handle);
  pending_.reset();
}

// Finishes `block`, appends it and its trailer, and clears it.
BlockHandle TableBuilder::AppendBlock(BlockBuilder* block) {
  const std::string_view contents = block->Finish();
  const BlockHandle handle{file_.size(), contents.size()};
  file_.append(contents);
  file_.push_back(static_cast<char>(Compression::kNone));
  const ByteView checked = ByteView(file_).Slice(handle.offset, handle.size + 1);
  AppendFixed(crc32c::Mask(crc32c::Extend(0, checked)), &file_);
  block->Clear();
  return handle;
}

}  // namespace tensorbundle
