#include "v1/index.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "slices/cover.h"
#include "slices/key.h"
#include "table/block.h"
#include "table/snappy.h"
#include "util/checked.h"
#include "util/key_budget.h"
#include "util/quote.h"
#include "util/status_macros.h"
#include "v1/naming.h"
#include "v1/records.h"
#include "wire/messages.h"

namespace tensorbundle::v1 {
namespace {

// What the files say of one tensor, put together.
struct Collected {
  TensorMeta first;                              // Of the first file that has it; its slices are below.
  std::vector<std::pair<Slice, size_t>> slices;  // And their files.
  Status problem;
};

Status Unstorable(int32_t dtype) {
  RETURN_IF_ERROR(wire::CheckDType(dtype));
  const DTypeInfo* const info = FindDTypeInfo(static_cast<DType>(dtype));
  const std::string name = info == nullptr ? "unknown dtype number " + std::to_string(dtype) : info->name;
  return Status(StatusCode::kUnimplemented, name + " is not a dtype of the V1 format");
}

Status CheckTensor(const TensorMeta& meta) {
  RETURN_IF_ERROR(CheckShape(meta.shape));
  const auto dtype = static_cast<DType>(meta.dtype);
  if (!MinStoredBytes(dtype)) return Unstorable(meta.dtype);
  uint64_t size_bytes = 0;
  const uint64_t width = std::max<uint64_t>(1, FindDTypeInfo(dtype)->size_bytes);
  if (CheckedMultiply(*CountElements(meta.shape), width, &size_bytes) && size_bytes <= INT64_MAX) return Status();
  return Status(StatusCode::kDataLoss, "Invalid tensor shape: more than 2^63 bytes");
}

}  // namespace

// Builds an Index: first the metadata of each file, then the pieces of each tensor.
class IndexReader {
 public:
  IndexReader(std::vector<TableFile> files, const std::vector<std::string>& missing_shards)
      : claims_(files.size()), about_holes_(MayBeMissing("they", missing_shards)) {
    for (size_t i = 0; i < files.size(); ++i) claims_[i].resize(files[i].blocks().size());
    index_.files_ = std::move(files);
  }

  Result<Index> Read() {
    for (size_t file = 0; file < index_.files_.size(); ++file) {
      const std::string path = index_.files_[file].source().name();
      RETURN_IF_ERROR(ReadMetadata(file).WithPath(path));
    }
    for (auto& [name, collected] : tensors_) Add(name, std::move(collected));
    return std::move(index_);
  }

 private:
  // The metadata is the value of the key "", the first of all.
  Status ReadMetadata(size_t file) {
    const TableFile& table = index_.files_[file];
    if (table.blocks().empty()) return NoMetadata("the table has no entries");
    ASSIGN_OR_RETURN(const Buffer contents, table.ReadBlock(0));
    BlockCursor cursor;
    const bool any = cursor.Enter(contents.view()).ok() && cursor.Next();
    if (!cursor.status().ok()) return table.Damaged(0, cursor.status());
    if (!any) return NoMetadata("its first block is empty");
    if (!cursor.key().empty()) return NoMetadata("its first key is " + Quote(cursor.key().AsText()));
    ASSIGN_OR_RETURN(std::vector<TensorMeta> tensors, ParseMetadata(cursor.value()));
    keys_.Allow(cursor.value().size());
    for (TensorMeta& meta : tensors) RETURN_IF_ERROR(Collect(std::move(meta), file));
    return Status();
  }

  Status Collect(TensorMeta meta, size_t file) {
    uint64_t key_bytes = 0;
    if (!CheckedMultiply<uint64_t>(meta.name.size(), meta.slices.size(), &key_bytes) || !keys_.Take(key_bytes)) {
      return Status(StatusCode::kResourceExhausted, "the keys of the slices are out of proportion to the metadata");
    }
    std::vector<Slice> slices = std::move(meta.slices);
    const auto [found, is_new] = tensors_.try_emplace(meta.name);
    Collected& collected = found->second;
    if (is_new) {
      collected.problem = CheckTensor(meta).AsData();
      collected.first = std::move(meta);
    } else if (meta.dtype != collected.first.dtype || meta.shape != collected.first.shape) {
      collected.problem = Status(StatusCode::kDataLoss,
                                 "the files disagree on its dtype or shape: " + index_.files_[file].source().name() +
                                     " has another than the files before it")
                              .AsData();
    }
    for (Slice& slice : slices) collected.slices.emplace_back(std::move(slice), file);
    return Status();
  }

  void Add(const std::string& name, Collected collected) {
    const size_t position = index_.entries_.size();
    Entry entry;
    entry.name = name;
    std::vector<StoredPiece> pieces;
    Status problem = std::move(collected.problem);
    if (problem.ok()) {
      entry.dtype = static_cast<DType>(collected.first.dtype);
      entry.shape = std::move(collected.first.shape);
      entry.size_bytes = *CountElements(entry.shape) * FindDTypeInfo(entry.dtype)->size_bytes;
      problem = FindPieces(collected.slices, &entry, &pieces);
    }
    if (!problem.ok()) index_.problems_.emplace(position, std::move(problem).AsData());
    index_.entries_.push_back(std::move(entry));
    index_.pieces_.push_back(std::move(pieces));
  }

  Status FindPieces(const std::vector<std::pair<Slice, size_t>>& slices, Entry* entry,
                    std::vector<StoredPiece>* pieces) {
    if (*CountElements(entry->shape) == 0) return Status();  // There may be no records: nobody reads them.
    std::vector<Box> boxes;
    for (const auto& [slice, file] : slices) {
      ASSIGN_OR_RETURN(Box box, ResolveSlice(slice, entry->shape));
      const size_t block = index_.files_[file].Find(EncodeSliceKey(entry->name, slice));
      boxes.push_back(box);
      pieces->push_back({std::move(box), slice, file, block});
    }
    if (pieces->size() != 1 || !(boxes.front() == WholeBox(entry->shape))) {
      for (const StoredPiece& piece : *pieces) entry->slices.push_back(piece.slice);
    }
    RETURN_IF_ERROR(CheckCover(entry->shape, boxes, about_holes_));
    for (const StoredPiece& piece : *pieces) RETURN_IF_ERROR(CheckBlock(*entry, piece));
    return Status();
  }

  // Memory for a tensor is asked for before its record is seen, so the records that a block is said to hold must
  // fit it, all together.
  Status CheckBlock(const Entry& entry, const StoredPiece& piece) {
    const TableFile& table = index_.files_[piece.file];
    const std::string record = entry.slices.empty() ? "its record" : "its piece " + BoxText(piece.box);
    if (piece.block == table.blocks().size()) {
      return Status(StatusCode::kDataLoss, "Error copying slice data: " + record + " is not in the file")
          .WithPath(table.source().name());
    }
    const BlockHandle handle = table.blocks()[piece.block].handle;
    uint64_t* const claimed = &claims_[piece.file][piece.block];
    uint64_t needed = 0;
    bool fits = CheckedMultiply(piece.box.NumElements(), *MinStoredBytes(entry.dtype), &needed) &&
                CheckedAdd(*claimed, needed, &needed);
    if (fits && needed > handle.size) {  // Unless it is compressed, which few are.
      ASSIGN_OR_RETURN(const uint64_t capacity, table.MaxContentsSize(piece.block));
      fits = needed <= capacity;
    }
    if (fits) {
      *claimed = needed;
      return Status();
    }
    return Status(StatusCode::kDataLoss, "Error copying slice data: " + record + " of " +
                                             std::to_string(piece.box.NumElements()) + " elements of " +
                                             FindDTypeInfo(entry.dtype)->name + " does not fit the " +
                                             DescribeBlock("data block", handle))
        .WithOffset(handle.offset)
        .WithPath(table.source().name());
  }

  Index index_;
  std::map<std::string, Collected> tensors_;
  std::vector<std::vector<uint64_t>> claims_;  // Of each block of each file: bytes, of the tensors so far.
  const std::string about_holes_;
  KeyBudget keys_;  // Each piece has a key with the whole name in it.
};

Result<Index> Index::Read(std::vector<TableFile> files, const std::vector<std::string>& missing_shards) {
  return IndexReader(std::move(files), missing_shards).Read();
}

}  // namespace tensorbundle::v1
