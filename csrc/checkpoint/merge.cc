#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "bundle/naming.h"
#include "checkpoint/relocation.h"
#include "checkpoint/stored_index.h"
#include "io/os_write.h"
#include "slices/cover.h"
#include "slices/key.h"
#include "slices/slice.h"
#include "tensorbundle/checkpoint_edits.h"
#include "tensorbundle/object_graph.h"
#include "util/status_macros.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace tensorbundle {
namespace {

// BundleEntryProto.slices.
constexpr uint32_t kSlicesNumber = 7;
// Pairs of pieces that are compared, for one tensor: more is no partition that anybody makes.
constexpr uint64_t kMaxComparedPairs = 50'000'000;

Status Invalid(const std::string& message) { return Status(StatusCode::kInvalidArgument, message); }

std::string TypeText(const Entry& entry) {
  const DTypeInfo* const info = FindDTypeInfo(entry.dtype);
  std::string text = info != nullptr ? info->name : "dtype number " + std::to_string(static_cast<int32_t>(entry.dtype));
  text += " [";
  for (size_t d = 0; d < entry.shape.size(); ++d) text += (d > 0 ? ", " : "") + std::to_string(entry.shape[d]);
  return text + "]";
}

// Success if no two of the pieces have an element in common, whether or not they are all of the tensor.
Status CheckDisjoint(std::vector<Box> pieces) {
  const auto start_of = [](const Box& piece) { return piece.start.empty() ? 0 : piece.start[0]; };
  const auto end_of = [&](const Box& piece) { return piece.start.empty() ? 1 : start_of(piece) + piece.shape[0]; };
  std::sort(pieces.begin(), pieces.end(), [&](const Box& a, const Box& b) { return start_of(a) < start_of(b); });
  uint64_t compared = 0;
  for (size_t a = 0; a < pieces.size(); ++a) {
    for (size_t b = a + 1; b < pieces.size() && start_of(pieces[b]) < end_of(pieces[a]); ++b) {
      if (Intersect(pieces[a], pieces[b])) {
        return Status(StatusCode::kDataLoss, BoxText(pieces[a]) + " and " + BoxText(pieces[b]) + " overlap");
      }
      if (++compared == kMaxComparedPairs) {
        return Status(StatusCode::kResourceExhausted,
                      "there are too many, " + std::to_string(pieces.size()) + ", to be compared with each other");
      }
    }
  }
  return Status();
}

// Appends the slices that one record of a partitioned tensor lists to those of another.
Status AppendSlices(const MovedRecord& from, MovedRecord* to) {
  wire::Reader reader{ByteView(from.value)};
  while (reader.Next()) {
    if (reader.field().tag != wire::BytesTag(kSlicesNumber)) continue;
    wire::AppendBytes(kSlicesNumber, reader.field().bytes, &to->value);
  }
  to->entry.slices.insert(to->entry.slices.end(), from.entry.slices.begin(), from.entry.slices.end());
  return reader.status();
}

// True for the directories that TensorFlow makes for the parts of one save: "<prefix>_temp", and in older releases
// "<prefix>_temp_<32 hexadecimal digits>".
bool IsMadeForParts(std::string_view directory) {
  constexpr std::string_view kMark = "_temp";
  constexpr size_t kDigits = 32;
  const size_t mark = directory.rfind(kMark);
  if (mark == std::string_view::npos || mark == 0 || directory[mark - 1] == '/') return false;
  const std::string_view rest = directory.substr(mark + kMark.size());
  if (rest.empty()) return true;
  return rest.size() == 1 + kDigits && rest[0] == '_' &&
         rest.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
}

class Merge {
 public:
  Merge(const std::vector<std::string>& prefixes, const std::string& destination, const MergeOptions& options)
      : prefixes_(prefixes), destination_(destination), options_(options) {}

  Status Run() {
    if (prefixes_.empty()) return Invalid("there is nothing to merge: no checkpoint is given");
    RETURN_IF_ERROR(CheckPrefix(destination_));
    RETURN_IF_ERROR(ReadSources());
    RETURN_IF_ERROR(CheckSourcesDiffer());
    RETURN_IF_ERROR(CheckHeaders());
    RETURN_IF_ERROR(CollectRecords());
    RETURN_IF_ERROR(JoinRecords());
    RETURN_IF_ERROR(CheckPartitions());
    RETURN_IF_ERROR(std::move(duplicate_piece_));
    if (records_.empty()) return Invalid("there is nothing to merge: the checkpoints hold no tensor");
    RETURN_IF_ERROR(
        Relocate(sources_, std::move(records_), destination_, {/*link=*/true, options_.durable, options_.progress}));
    return options_.keep_sources ? Status() : RemoveSources();
  }

 private:
  Status ReadSources() {
    std::vector<std::string> missing;
    for (const std::string& prefix : prefixes_) {
      auto index = ReadStoredIndex(prefix);
      if (index.ok()) {
        sources_.push_back(*std::move(index));
      } else if (index.status().system_error() == ENOENT) {
        missing.push_back(IndexPath(prefix));
      } else {
        return std::move(index).status();
      }
    }
    if (missing.empty()) return Status();
    std::string action = "open";
    for (size_t i = 0; i + 1 < missing.size(); ++i) action += " " + missing[i] + ",";
    return Status::FromErrno(ENOENT, missing.back(), action);
  }

  Status CheckSourcesDiffer() const {
    const std::string at_destination = IndexIdentity(destination_);
    std::map<std::string_view, std::string_view> prefixes;  // By identity.
    for (const StoredIndex& source : sources_) {
      if (source.identity == at_destination) {
        return Invalid("the destination is one of the checkpoints that are merged").WithPath(source.prefix);
      }
      if (!prefixes.emplace(source.identity, source.prefix).second) {
        return Invalid("this checkpoint is given twice").WithPath(source.prefix);
      }
    }
    return Status();
  }

  Status CheckHeaders() const {
    const StoredIndex& first = sources_.front();
    for (const StoredIndex& source : sources_) {
      const bool same_order = source.header.foreign_byte_order == first.header.foreign_byte_order;
      if (same_order && source.header.version == first.header.version) continue;
      return Invalid(first.prefix + " and " + source.prefix + " can't be merged: they differ in " +
                     (same_order ? "the version of the format" : "byte order"));
    }
    return Status();
  }

  Status CollectRecords() {
    for (size_t source = 0; source < sources_.size(); ++source) {
      for (const IndexRecord& record : sources_[source].records) {
        ASSIGN_OR_RETURN(MovedRecord moved, MoveRecord(sources_, source, record, record.key));
        records_.push_back(std::move(moved));
      }
    }
    // Of equal keys, that of the first source stays first.
    std::stable_sort(records_.begin(), records_.end(),
                     [](const MovedRecord& a, const MovedRecord& b) { return a.key < b.key; });
    return Status();
  }

  Status JoinRecords() {
    std::vector<MovedRecord> joined;
    joined.reserve(records_.size());
    for (MovedRecord& record : records_) {
      if (joined.empty() || joined.back().key != record.key) {
        joined.push_back(std::move(record));
      } else {
        RETURN_IF_ERROR(Join(record, &joined.back()));
      }
    }
    records_ = std::move(joined);
    return Status();
  }

  // Two sources have a record of the same key: slices of one tensor, or a tensor too many.
  Status Join(const MovedRecord& record, MovedRecord* to) {
    if (record.entry.slices.empty() || to->entry.slices.empty()) {
      const bool is_graph = record.key == kObjectGraphKey;
      Status duplicate = Invalid("it is both in " + PrefixOfSource(*to) + " and in " + PrefixOfSource(record) +
                                 (is_graph ? ": the objects of two checkpoints can't be made one" : ""))
                             .WithTensor(record.key);
      if (!IsSliceKey(record.key)) return duplicate;
      // The tensor's own record, which comes later, can say more of a piece.
      if (duplicate_piece_.ok()) duplicate_piece_ = std::move(duplicate).AsData();
      return Status();
    }
    if (record.entry.dtype != to->entry.dtype || record.entry.shape != to->entry.shape) {
      return Invalid("its slices can't be joined: it is " + TypeText(to->entry) + " in " + PrefixOfSource(*to) +
                     " and " + TypeText(record.entry) + " in " + PrefixOfSource(record))
          .WithTensor(record.key);
    }
    return AppendSlices(record, to);
  }

  const std::string& PrefixOfSource(const MovedRecord& record) const { return sources_[record.source].prefix; }

  Status CheckPartitions() const {
    for (const MovedRecord& record : records_) {
      if (record.entry.slices.empty()) continue;
      RETURN_IF_ERROR(CheckPartition(record.entry).WithTensor(record.key));
    }
    return Status();
  }

  Status CheckPartition(const Entry& tensor) const {
    const std::string stem = EncodeSliceKeyStem(tensor.name);
    const auto is_before = [](const MovedRecord& record, const std::string& key) { return record.key < key; };
    const auto begin = std::lower_bound(records_.begin(), records_.end(), stem, is_before);
    auto end = begin;
    while (end != records_.end() && end->key.compare(0, stem.size(), stem) == 0) ++end;
    std::vector<Box> boxes;
    for (const Slice& slice : tensor.slices) {
      ASSIGN_OR_RETURN(Box box, ResolveSlice(slice, tensor.shape));
      RETURN_IF_ERROR(CheckPiece(tensor, box, FindPiece(begin, end, stem.size(), slice)));
      boxes.push_back(std::move(box));
    }
    Status covered = options_.partial ? CheckDisjoint(std::move(boxes)) : CheckCover(tensor.shape, boxes);
    if (covered.code() != StatusCode::kDataLoss) return covered;
    return Invalid("its slices do not make up the tensor: " + covered.message());
  }

  using RecordIterator = std::vector<MovedRecord>::const_iterator;

  // Compares ends of keys only: a slice takes two bytes of a record, and a name may be as long as the file.
  static const MovedRecord* FindPiece(RecordIterator begin, RecordIterator end, size_t stem_size, const Slice& slice) {
    const std::string wanted = EncodeSliceKeyEnd(slice);
    const auto end_of = [&](const MovedRecord& record) { return std::string_view(record.key).substr(stem_size); };
    const auto found = std::lower_bound(
        begin, end, wanted, [&](const MovedRecord& record, const std::string& key) { return end_of(record) < key; });
    return found != end && end_of(*found) == wanted ? &*found : nullptr;
  }

  static Status CheckPiece(const Entry& tensor, const Box& box, const MovedRecord* piece) {
    if (piece == nullptr) {
      return Status(StatusCode::kDataLoss, "its piece " + BoxText(box) + " is not in the index");
    }
    const Entry& entry = piece->entry;
    if (entry.dtype == tensor.dtype && entry.shape == box.shape && entry.slices.empty()) return Status();
    return Status(StatusCode::kDataLoss, "its piece " + BoxText(box) + " is stored as " + TypeText(entry) +
                                             ", which the tensor's own record contradicts");
  }

  Status RemoveSources() const {
    std::map<std::string, std::vector<const StoredIndex*>> in_directory;
    for (const StoredIndex& source : sources_) in_directory[os::DirectoryOf(source.prefix)].push_back(&source);
    for (const auto& [directory, sources] : in_directory) {
      Status removed = RemoveSourcesIn(directory, sources);
      if (removed.ok()) continue;
      if (removed.code() != StatusCode::kIo) return removed;
      return Status::FromErrno(removed.system_error(), removed.path(),
                               "the merged checkpoint " + destination_ + " is complete, but a source stays: remove");
    }
    return Status();
  }

  Status RemoveSourcesIn(const std::string& directory, const std::vector<const StoredIndex*>& sources) const {
    RETURN_IF_ERROR(RemoveFilesIn(directory, sources));
    if (IsMadeForParts(directory)) {
      // With the slash this takes a directory only, and no link to one; and only an empty directory.
      static_cast<void>(std::remove((directory + "/").c_str()));
    }
    return Status();
  }

  Status RemoveFilesIn(const std::string& directory, const std::vector<const StoredIndex*>& sources) const {
    const auto poll = [this] { return options_.progress ? options_.progress({0, 0, {}}) : Status(); };
    ASSIGN_OR_RETURN(const os::DirectoryLock lock, os::DirectoryLock::Acquire(directory, poll));
    std::map<std::string, int32_t> num_shards;  // Of the prefixes whose index is gone.
    for (const StoredIndex* source : sources) {
      // What has been saved there since is not what was merged.
      if (IndexIdentity(source->prefix) != source->identity) continue;
      RETURN_IF_ERROR(os::RemoveFile(IndexPath(source->prefix)));
      num_shards[source->prefix] = source->header.num_shards;
    }
    // By their names there, since an index may claim any number of data files.
    const std::string start = sources[0]->prefix.substr(0, sources[0]->prefix.rfind('/') + 1);
    ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDirectory(directory));
    for (const std::string& name : names) {
      const std::string path = start + name;
      const auto found = num_shards.find(PrefixOf(path));
      if (found == num_shards.end() || NumShardsInName(found->first, path) != found->second) continue;
      RETURN_IF_ERROR(os::RemoveFile(path));
    }
    return Status();
  }

  const std::vector<std::string>& prefixes_;
  const std::string& destination_;
  const MergeOptions& options_;
  std::vector<StoredIndex> sources_;
  std::vector<MovedRecord> records_;  // In key order.
  Status duplicate_piece_;
};

}  // namespace

Status MergeCheckpoints(const std::vector<std::string>& prefixes, const std::string& destination,
                        const MergeOptions& options) {
  return Merge(prefixes, destination, options).Run();
}

}  // namespace tensorbundle
