#include "table/table_reader.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "table/block.h"
#include "table/format.h"
#include "table/snappy.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// A block of the file, ready to be walked through.
struct LoadedBlock {
  const char* role = "";  // "data block", for messages.
  BlockHandle handle;
  bool compressed = false;
  ByteView contents;

  // Where in the file a byte of the contents is. Compressed bytes have no place of their own.
  uint64_t FileOffset(uint64_t position) const { return compressed ? handle.offset : handle.offset + position; }
  uint64_t FileOffset(ByteView part) const { return FileOffset(static_cast<uint64_t>(part.data() - contents.data())); }

  std::string Describe() const { return DescribeBlock(role, handle); }
  // Damage of the contents, as damage of the file.
  Status Damaged(const Status& in_contents) const {
    const std::string decoded = compressed ? "decoded to " + std::to_string(contents.size()) + " bytes: " : "";
    return Status(in_contents.code(), Describe() + ": " + decoded + in_contents.message())
        .WithOffset(FileOffset(in_contents.offset().value_or(0)));
  }
};

class TableWalk {
 public:
  TableWalk(ByteView file, const EntryVisitor& visit) : file_(file), visit_(visit), data_bytes_left_(file.size()) {}

  Status Run();

 private:
  Result<LoadedBlock> Load(const char* role, BlockHandle handle, std::vector<uint8_t>* scratch) const;
  Status CheckMetaindex(BlockHandle handle);
  Status VisitIndex(const LoadedBlock& index);
  Result<LoadedBlock> LoadDataBlock(const LoadedBlock& index);
  Status VisitDataBlock(const LoadedBlock& index, const LoadedBlock& data);
  Status CheckFirstKey(const LoadedBlock& data) const;
  Status CheckLastKey(const LoadedBlock& index, const LoadedBlock& data) const;

  const ByteView file_;
  const EntryVisitor& visit_;

  // Decoded bytes of the index block, and of any other that is at hand, if they are compressed.
  std::vector<uint8_t> index_scratch_;
  std::vector<uint8_t> block_scratch_;

  BlockCursor index_;  // At the data block at hand.
  BlockCursor entries_;

  // One entry behind index_, at the block before. A cursor and not a copy of its key: long keys that share most of
  // their bytes are cheap to store, and would be dear to copy.
  BlockCursor separator_;
  bool has_separator_ = false;

  // Data blocks lie apart, so they cannot add up to more than the file. A small file whose blocks overlap would make
  // the work of a huge one.
  uint64_t data_bytes_left_;
};

Status TableWalk::Run() {
  ASSIGN_OR_RETURN(const Footer footer, ParseFooter(file_));
  const uint64_t footer_offset = file_.size() - kFooterSize;
  Result<LoadedBlock> index = Load("index block", footer.index, &index_scratch_);
  if (!index.ok()) return std::move(index).status().WithOffset(footer_offset);
  RETURN_IF_ERROR(CheckMetaindex(footer.metaindex).WithOffset(footer_offset));
  return VisitIndex(*index);
}

// Finds, verifies and decodes a block. An error without an offset is the handle's.
Result<LoadedBlock> TableWalk::Load(const char* role, BlockHandle handle, std::vector<uint8_t>* scratch) const {
  ASSIGN_OR_RETURN(const StoredBlock stored, ParseStoredBlock(file_, handle, role));
  LoadedBlock block{role, handle, false, stored.bytes};
  if (stored.compression == Compression::kNone) return block;
  Result<ByteView> decoded = DecodeSnappy(stored.bytes, scratch);
  if (!decoded.ok()) return block.Damaged(decoded.status());
  block.compressed = true;
  block.contents = *decoded;
  return block;
}

// TensorFlow writes this block and never reads it. Its entries mean nothing to us; that they are sound, we can say.
Status TableWalk::CheckMetaindex(BlockHandle handle) {
  ASSIGN_OR_RETURN(const LoadedBlock block, Load("metaindex block", handle, &block_scratch_));
  BlockCursor cursor;
  if (cursor.Enter(block.contents).ok()) {
    while (cursor.Next()) {
    }
  }
  return cursor.status().ok() ? Status() : block.Damaged(cursor.status());
}

Status TableWalk::VisitIndex(const LoadedBlock& index) {
  if (!index_.Enter(index.contents).ok()) return index.Damaged(index_.status());
  RETURN_IF_ERROR(separator_.Enter(index.contents));
  while (index_.Next()) {
    ASSIGN_OR_RETURN(const LoadedBlock data, LoadDataBlock(index));
    RETURN_IF_ERROR(VisitDataBlock(index, data));
    has_separator_ = separator_.Next();
  }
  return index_.status().ok() ? Status() : index.Damaged(index_.status());
}

Result<LoadedBlock> TableWalk::LoadDataBlock(const LoadedBlock& index) {
  const uint64_t handle_offset = index.FileOffset(index_.value());
  ByteView value = index_.value();  // TensorFlow ignores bytes after the handle.
  const std::optional<BlockHandle> handle = TakeBlockHandle(&value);
  if (!handle) {
    return Status(StatusCode::kDataLoss, index.Describe() + ": bad block handle: the value of key " +
                                             Quote(index_.key().AsText()) + " is not a pair of varints")
        .WithOffset(handle_offset);
  }
  Result<LoadedBlock> data = Load("data block", *handle, &block_scratch_);
  if (!data.ok()) return std::move(data).status().WithOffset(handle_offset);
  const uint64_t stored_size = handle->size + kBlockTrailerSize;  // Fits: the block was loaded.
  if (stored_size > data_bytes_left_) {
    return Status(StatusCode::kDataLoss, "bad block handle: blocks overlap: with the " + data->Describe() +
                                             " there are more data blocks than fit a file of " +
                                             std::to_string(file_.size()))
        .WithOffset(handle_offset);
  }
  data_bytes_left_ -= stored_size;
  return data;
}

Status TableWalk::VisitDataBlock(const LoadedBlock& index, const LoadedBlock& data) {
  if (!entries_.Enter(data.contents).ok()) return data.Damaged(entries_.status());
  bool any = false;
  while (entries_.Next()) {
    if (!any) RETURN_IF_ERROR(CheckFirstKey(data));
    any = true;
    RETURN_IF_ERROR(visit_(entries_.key(), entries_.value()));
  }
  if (!entries_.status().ok()) return data.Damaged(entries_.status());
  return any ? CheckLastKey(index, data) : Status();
}

// An index key is not less than any key of its block, and less than every key of the next block.
Status TableWalk::CheckFirstKey(const LoadedBlock& data) const {
  if (!has_separator_ || separator_.key().AsText() < entries_.key().AsText()) return Status();
  return Status(StatusCode::kDataLoss,
                data.Describe() + ": keys are not in order: the first key " + Quote(entries_.key().AsText()) +
                    " is not after the index key of the block before, " + Quote(separator_.key().AsText()))
      .WithOffset(data.handle.offset);
}

Status TableWalk::CheckLastKey(const LoadedBlock& index, const LoadedBlock& data) const {
  if (entries_.key().AsText() <= index_.key().AsText()) return Status();
  return Status(StatusCode::kDataLoss, index.Describe() + ": keys are not in order: key " +
                                           Quote(index_.key().AsText()) + " is before " +
                                           Quote(entries_.key().AsText()) + ", the last key of its " + data.Describe())
      .WithOffset(index.FileOffset(index_.value()));
}

}  // namespace

Status VisitTable(ByteView file, const EntryVisitor& visit) { return TableWalk(file, visit).Run(); }

}  // namespace tensorbundle
