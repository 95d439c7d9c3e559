#include "bundle/index.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <utility>

#include "slices/cover.h"
#include "slices/key.h"
#include "table/table_reader.h"
#include "util/checked.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {

namespace {

// Keys share bytes with the keys before them, so a small file can list names that fill any memory. Names of real
// checkpoints share all but a few bytes, and take some bytes of entry each: far from this.
constexpr uint64_t kMaxNameBytesPerFileByte = 64;
constexpr uint64_t kMaxNameBytesAnyway = uint64_t{16} << 20;

}  // namespace

// Builds an Index from the entries of a table: first each record for itself, then pieces joined to their tensors.
class IndexParser {
 public:
  Result<Index> Parse(ByteView file) {
    max_name_bytes_ = kMaxNameBytesAnyway + kMaxNameBytesPerFileByte * file.size();
    RETURN_IF_ERROR(VisitTable(file, [this](ByteView key, ByteView value) { return TakeRecord(key, value); }));
    if (!has_header_) return Status(StatusCode::kDataLoss, "not a checkpoint index: the table has no entries");
    JoinPieces();
    return std::move(index_);
  }

 private:
  Status TakeRecord(ByteView key, ByteView record) {
    if (!has_header_) return TakeHeader(key, record);
    name_bytes_ += key.size();
    if (name_bytes_ > max_name_bytes_) {
      return Status(StatusCode::kResourceExhausted, "the names of the tensors take more than " +
                                                        std::to_string(max_name_bytes_) +
                                                        " bytes, which is out of proportion to the index");
    }
    Entry entry;
    if (Status problem = ParseEntry(key, record, index_.header_.num_shards, &entry); !problem.ok()) {
      index_.problems_.emplace(index_.entries_.size(), std::move(problem).AsData());
    }
    index_.entries_.push_back(std::move(entry));
    return Status();
  }

  Status TakeHeader(ByteView key, ByteView record) {
    if (!key.empty()) {
      return Status(StatusCode::kDataLoss, "not a checkpoint index: its first key is " + Quote(key.AsText()) +
                                               " and not the header's, which is empty");
    }
    ASSIGN_OR_RETURN(index_.header_, ParseHeader(record));
    has_header_ = true;
    return Status();
  }

  // The positions [begin, end) of all pieces of one tensor, and how long the part of the key is that they share.
  struct Family {
    size_t begin;
    size_t end;
    size_t stem_size;
  };

  Family FamilyOf(const std::string& name) const {
    const std::string stem = EncodeSliceKeyStem(name);
    const auto is_before = [](const Entry& entry, const std::string& key) { return entry.name < key; };
    const auto& entries = index_.entries_;
    const auto begin = std::lower_bound(entries.begin(), entries.end(), stem, is_before);
    auto end = begin;
    while (end != entries.end() && end->name.compare(0, stem.size(), stem) == 0) ++end;
    return {static_cast<size_t>(begin - entries.begin()), static_cast<size_t>(end - entries.begin()), stem.size()};
  }

  // Gives each partitioned tensor its pieces. They are no tensors of their own, even if theirs is bad or does not name
  // them all, so they are taken out of the list.
  void JoinPieces() {
    std::vector<Entry>& entries = index_.entries_;
    std::set<size_t> pieces;  // Positions.
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].slices.empty()) continue;
      const Family family = FamilyOf(entries[i].name);
      for (size_t position = family.begin; position < family.end; ++position) pieces.insert(position);
      if (index_.problems_.count(i) != 0) continue;
      auto stored = FindPieces(&entries[i], family);
      if (stored.ok()) {
        index_.slices_.emplace(i, *std::move(stored));
      } else {
        index_.problems_.emplace(i, std::move(stored).status().AsData());
      }
    }
    if (!pieces.empty()) Remove(pieces);
  }

  Result<std::vector<StoredSlice>> FindPieces(Entry* entry, const Family& family) {
    std::vector<StoredSlice> stored;
    std::vector<Box> boxes;
    entry->size_bytes = 0;
    for (const Slice& slice : entry->slices) {
      ASSIGN_OR_RETURN(Box box, ResolveSlice(slice, entry->shape));
      const Entry* const piece = FindPiece(family, slice);
      if (piece == nullptr) {
        return Status(StatusCode::kDataLoss, "its piece " + BoxText(box) + " is not in the index");
      }
      RETURN_IF_ERROR(CheckPiece(*entry, *piece, box));
      if (!CheckedAdd(entry->size_bytes, piece->size_bytes, &entry->size_bytes)) {
        return Status(StatusCode::kDataLoss, "its pieces are larger together than 2^64 bytes");
      }
      boxes.push_back(box);
      stored.push_back({std::move(box), StoredBytesOf(*piece)});
    }
    RETURN_IF_ERROR(CheckCover(entry->shape, boxes));
    return stored;
  }

  // Compares ends of keys only: a slice takes two bytes of a record, and a name may be as long as the file.
  const Entry* FindPiece(const Family& family, const Slice& slice) const {
    const std::string end = EncodeSliceKeyEnd(slice);
    const auto end_of = [&](const Entry& entry) { return std::string_view(entry.name).substr(family.stem_size); };
    const Entry* const entries = index_.entries_.data();
    const Entry* const found =
        std::lower_bound(entries + family.begin, entries + family.end, end,
                         [&](const Entry& entry, const std::string& key) { return end_of(entry) < key; });
    return found != entries + family.end && end_of(*found) == end ? found : nullptr;
  }

  size_t PositionOf(const Entry& entry) const { return static_cast<size_t>(&entry - index_.entries_.data()); }

  // TensorFlow trusts that a piece is what its tensor says; a smaller one makes it read memory that isn't the tensor's.
  Status CheckPiece(const Entry& entry, const Entry& piece, const Box& box) const {
    if (const auto problem = index_.problems_.find(PositionOf(piece)); problem != index_.problems_.end()) {
      return Status(problem->second.code(), "its piece " + BoxText(box) + ": " + problem->second.message());
    }
    if (piece.dtype == entry.dtype && piece.shape == box.shape && piece.slices.empty()) return Status();
    return Status(
        StatusCode::kDataLoss,
        "its piece " + BoxText(box) + " is stored with another dtype or shape than the tensor's own record says");
  }

  // Takes `pieces` out of the entries, and moves what is keyed by position along.
  void Remove(const std::set<size_t>& pieces) {
    Index kept;
    kept.header_ = index_.header_;
    for (size_t i = 0; i < index_.entries_.size(); ++i) {
      if (pieces.count(i) != 0) continue;
      const size_t position = kept.entries_.size();
      if (auto problem = index_.problems_.find(i); problem != index_.problems_.end()) {
        kept.problems_.emplace(position, std::move(problem->second));
      }
      if (auto slices = index_.slices_.find(i); slices != index_.slices_.end()) {
        kept.slices_.emplace(position, std::move(slices->second));
      }
      kept.entries_.push_back(std::move(index_.entries_[i]));
    }
    index_ = std::move(kept);
  }

  Index index_;
  bool has_header_ = false;
  uint64_t name_bytes_ = 0;
  uint64_t max_name_bytes_ = 0;
};

namespace {

// Why `bytes` cannot be read from its shard, or ok. `shards` has a result for every shard with bytes.
Status CheckExtent(const StoredBytes& bytes, const std::unordered_map<int32_t, Result<ShardFile>>& shards) {
  if (bytes.size_bytes == 0) return Status();
  const Result<ShardFile>& file = shards.at(bytes.shard);
  if (!file.ok()) return file.status();
  if (RangeFits(bytes.offset, bytes.size_bytes, file->size_bytes)) return Status();
  return Status(StatusCode::kDataLoss, "truncated: " + std::to_string(bytes.size_bytes) + " bytes at " +
                                           std::to_string(bytes.offset) + " are expected, the file has " +
                                           std::to_string(file->size_bytes))
      .WithOffset(bytes.offset)
      .WithPath(file->path);
}

}  // namespace

Result<Index> Index::Parse(ByteView file) { return IndexParser().Parse(file); }

const std::vector<StoredSlice>& Index::Slices(size_t position) const {
  static const std::vector<StoredSlice>* const none = new std::vector<StoredSlice>;  // Outlives static objects.
  const auto found = slices_.find(position);
  return found == slices_.end() ? *none : found->second;
}

std::vector<int32_t> Index::ReferencedShards() const {
  std::set<int32_t> shards;
  int32_t last = -1;  // Neighbours mostly lie in one shard.
  const auto add = [&](const StoredBytes& bytes) {
    if (bytes.size_bytes == 0 || bytes.shard == last) return;
    last = bytes.shard;
    shards.insert(last);
  };
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (problems_.count(i) != 0) continue;
    if (entries_[i].slices.empty()) add(StoredBytesOf(entries_[i]));
    for (const StoredSlice& slice : Slices(i)) add(slice.bytes);
  }
  return std::vector<int32_t>(shards.begin(), shards.end());
}

void Index::CheckExtents(const std::unordered_map<int32_t, Result<ShardFile>>& shards) {
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (problems_.count(i) != 0) continue;
    Status problem;
    if (entries_[i].slices.empty()) problem = CheckExtent(StoredBytesOf(entries_[i]), shards);
    for (const StoredSlice& slice : Slices(i)) {
      if (problem.ok()) problem = CheckExtent(slice.bytes, shards);
    }
    if (!problem.ok()) problems_.emplace(i, std::move(problem).AsData());
  }
}

Index Index::Renamed(std::vector<std::string> names, std::vector<size_t>* positions) const {
  positions->resize(names.size());
  std::iota(positions->begin(), positions->end(), size_t{0});
  std::sort(positions->begin(), positions->end(), [&](size_t a, size_t b) { return names[a] < names[b]; });
  Index renamed;
  renamed.header_ = header_;
  renamed.entries_.reserve(names.size());
  for (const size_t i : *positions) {
    const size_t position = renamed.entries_.size();
    if (const auto found = problems_.find(i); found != problems_.end()) {
      renamed.problems_.emplace(position, Status(found->second).AsData());
    }
    if (const auto found = slices_.find(i); found != slices_.end()) renamed.slices_.emplace(position, found->second);
    renamed.entries_.push_back(entries_[i]);
    renamed.entries_.back().name = std::move(names[i]);
  }
  return renamed;
}

}  // namespace tensorbundle
