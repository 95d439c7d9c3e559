#include "checkpoint/relocation.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "bundle/naming.h"
#include "bundle/string_encoder.h"
#include "checkpoint/commit.h"
#include "checkpoint/reporter.h"
#include "io/os.h"
#include "io/os_write.h"
#include "io/process.h"
#include "table/table_builder.h"
#include "tensorbundle/byte_source.h"
#include "util/checked.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Where a tensor that is moved beside another begins: aligned for any array.
constexpr uint64_t kAlignment = 64;

// What the temporary of a data file is named after, which is what CreateDataFile names it after: the part of the name
// that does not depend on the number of shards.
std::string DataTarget(const std::string& prefix, int32_t shard) {
  const std::string path = DataPath(prefix, shard, 1);
  return path.substr(0, path.rfind("-of-"));
}

// Removes what killed writers left of data files of the checkpoint at `prefix`. A commit does so too, but not if it is
// about to give the same files these names: then they are locked, as if somebody were still writing them.
Status RemoveLeftData(const std::string& prefix) {
  const std::string start = prefix + ".data-";
  ASSIGN_OR_RETURN(const std::vector<std::string> leftovers, os::FindLeftovers(start));
  for (const std::string& path : leftovers) {
    const size_t digits_end = path.find_first_not_of("0123456789", start.size());
    // Longer prefixes have leftovers of their own.
    if (digits_end == path.rfind(".tmp-")) os::RemoveLeftover(path).IgnoreError();
  }
  return Status();
}

class Relocation {
 public:
  Relocation(const std::vector<StoredIndex>& sources, std::vector<MovedRecord> records, const std::string& destination,
             const RelocateOptions& options)
      : sources_(sources), records_(std::move(records)), destination_(destination), options_(options) {}

  Status Run(std::optional<NewString> added) {
    RETURN_IF_ERROR(PlaceFiles());
    if (added) RETURN_IF_ERROR(AddString(*std::move(added)));
    os::NewDirectories directories;  // Those that hold no file any more go after those of `bundle`.
    RETURN_IF_ERROR(directories.Make(os::DirectoryOf(destination_), options_.durable));
    if (options_.link) RETURN_IF_ERROR(RemoveLeftData(destination_));
    Reporter reporter(options_.progress, TotalBytes());
    ASSIGN_OR_RETURN(NewBundle bundle, Make(&reporter));
    RETURN_IF_ERROR(CheckSourcesAreStillThere());
    RETURN_IF_ERROR(CommitBundle(destination_, &bundle, {options_.durable, 0, reporter.poll()}));
    directories.Keep();
    return Status();
  }

  // The bundle refers to this object.
  Result<NewBundle> MakeInPlace(NewString added) {
    RETURN_IF_ERROR(PlaceFiles());
    MovedRecord* const alone = NumberWouldStay() ? FindAlone() : nullptr;
    if (alone != nullptr) RETURN_IF_ERROR(TakeOut(alone));
    RETURN_IF_ERROR(AddString(std::move(added)));
    Reporter reporter(options_.progress, TotalBytes());
    return Make(&reporter);
  }

 private:
  // A data file of a source, in the order of the new numbers.
  struct DataFile {
    std::string path;
    uint64_t size_bytes = 0;
    size_t num_records = 0;
    std::string taken_path;  // The temporary.
  };

  Status PlaceFiles() {
    NumberFiles();
    RETURN_IF_ERROR(MeasureFiles());
    RETURN_IF_ERROR(CheckExtents());
    return os::CheckCanOpen(files_.size(), destination_);
  }

  Result<NewBundle> Make(Reporter* reporter) {
    NewBundle bundle;
    RETURN_IF_ERROR(TakeFiles(reporter, &bundle.data));
    bundle.encode_index = [this](int32_t num_shards) { return EncodeIndex(num_shards); };
    bundle.fill_added_shard = [this](const os::TemporaryFile& file, int32_t shard) {
      return MoveSmallest(file, shard);
    };
    return bundle;
  }

  void NumberFiles() {
    std::map<std::pair<size_t, int32_t>, int32_t> numbers;
    for (const MovedRecord& record : records_) {
      if (record.entry.slices.empty()) numbers[{record.source, record.entry.shard}];
    }
    for (auto& [place, number] : numbers) {
      number = static_cast<int32_t>(files_.size());
      const StoredIndex& source = sources_[place.first];
      files_.push_back({DataPath(source.prefix, place.second, source.header.num_shards), 0, 0, {}});
    }
    for (MovedRecord& record : records_) {
      if (!record.entry.slices.empty()) continue;
      record.shard = numbers.at({record.source, record.entry.shard});
      ++FileOf(record).num_records;
    }
  }

  DataFile& FileOf(const MovedRecord& record) { return files_[static_cast<size_t>(record.shard)]; }

  Status MeasureFiles() {
    for (DataFile& file : files_) {
      ASSIGN_OR_RETURN(const os::OpenedFile opened, os::OpenForReading(file.path));
      file.size_bytes = opened.identity.size_bytes;
    }
    return Status();
  }

  Status CheckExtents() {
    for (const MovedRecord& record : records_) {
      if (!record.entry.slices.empty()) continue;
      const DataFile& file = FileOf(record);
      const Entry& entry = record.entry;
      if (RangeFits(entry.offset_in_shard, entry.size_bytes, file.size_bytes)) continue;
      return Status(StatusCode::kDataLoss, "truncated: " + std::to_string(entry.size_bytes) + " bytes at " +
                                               std::to_string(entry.offset_in_shard) + " are expected, the file has " +
                                               std::to_string(file.size_bytes))
          .WithOffset(entry.offset_in_shard)
          .WithPath(file.path)
          .WithTensor(entry.name);
    }
    return Status();
  }

  // True if with one file more there were as many as there are: then their names would be taken.
  bool NumberWouldStay() const { return files_.size() + 1 == static_cast<size_t>(sources_[0].header.num_shards); }

  // A small tensor or piece that a data file holds and nothing else; null if there is none that can be moved.
  MovedRecord* FindAlone() {
    const auto is_alone = [this](const MovedRecord& record) {
      return record.entry.slices.empty() && record.entry.size_bytes <= kMaxMovedBytes &&
             FileOf(record).num_records == 1 && IsPlain(record);
    };
    const auto found = std::find_if(records_.begin(), records_.end(), is_alone);
    return found == records_.end() ? nullptr : &*found;
  }

  // Reads a record's bytes, which AddString writes, and leaves its file out.
  Status TakeOut(MovedRecord* record) {
    ASSIGN_OR_RETURN(beside_, ReadBytes(FileOf(*record).path, record->entry));
    const int32_t left_out = record->shard;
    files_.erase(files_.begin() + left_out);
    for (MovedRecord& other : records_) {
      if (other.shard > left_out) --other.shard;
    }
    beside_key_ = record->key;
    return Status();
  }

  static Result<Buffer> ReadBytes(const std::string& path, const Entry& entry) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> source, OpenFile(path, FileAccess::kRead));
    return source->Read({entry.offset_in_shard, entry.size_bytes});
  }

  static void Place(int32_t shard, uint64_t offset, MovedRecord* record) {
    record->entry.shard = shard;
    record->entry.offset_in_shard = offset;
    record->shard = shard;
    EncodeEntry(record->entry, &record->value);
  }

  // Adds a file that is written here, with the string in it, and after it what was taken out of another.
  Status AddString(NewString added) {
    const auto shard = static_cast<int32_t>(files_.size());
    MovedRecord record{added.key, {}, 0, {}, 0};
    record.entry.name = std::move(added.key);
    record.entry.dtype = DType::kString;
    const ByteView value(added.value);
    const auto append = [this](ByteView bytes) {
      written_.append(bytes.AsText());
      return Status();
    };
    RETURN_IF_ERROR(EncodeStrings(&value, 1, append, &record.entry.crc32c));
    record.entry.size_bytes = written_.size();
    Place(shard, 0, &record);
    const auto is_before = [](const MovedRecord& a, const MovedRecord& b) { return a.key < b.key; };
    records_.insert(std::lower_bound(records_.begin(), records_.end(), record, is_before), record);
    if (!beside_key_.empty()) {
      written_.resize((written_.size() + kAlignment - 1) / kAlignment * kAlignment);
      const auto has_key = [this](const MovedRecord& other) { return other.key == beside_key_; };
      Place(shard, written_.size(), &*std::find_if(records_.begin(), records_.end(), has_key));
      written_.append(beside_.view().AsText());
    }
    files_.push_back({{}, written_.size(), beside_key_.empty() ? size_t{1} : size_t{2}, {}});
    return Status();
  }

  uint64_t TotalBytes() const {
    uint64_t total = 0;
    for (const DataFile& file : files_) total += file.size_bytes;
    return total;
  }

  Status TakeFiles(Reporter* reporter, std::vector<os::TemporaryFile>* data) {
    for (DataFile& file : files_) {
      RETURN_IF_ERROR(reporter->KeepGoing());
      ASSIGN_OR_RETURN(os::TemporaryFile taken, TakeFile(file, static_cast<int32_t>(data->size()), reporter));
      file.taken_path = taken.path();
      data->push_back(std::move(taken));
    }
    return reporter->Report();
  }

  Result<os::TemporaryFile> TakeFile(const DataFile& file, int32_t shard, Reporter* reporter) const {
    if (file.path.empty()) return WriteFile(shard);
    if (options_.link) {
      auto linked = os::TemporaryFile::Link(DataTarget(destination_, shard), file.path);
      if (linked.ok()) {
        reporter->Done(file.size_bytes);
        return linked;
      }
      // Whatever kept it from being linked: if it is more than that, copying meets it too.
    }
    ASSIGN_OR_RETURN(os::TemporaryFile copy, CreateDataFile(destination_, shard));
    RETURN_IF_ERROR(CopyFile(file, reporter, &copy));
    return copy;
  }

  Result<os::TemporaryFile> WriteFile(int32_t shard) const {
    ASSIGN_OR_RETURN(os::TemporaryFile file, CreateDataFile(destination_, shard));
    RETURN_IF_ERROR(file.WriteAt(0, ByteView(written_)));
    return file;
  }

  static Status CopyFile(const DataFile& file, Reporter* reporter, os::TemporaryFile* copy) {
    uint64_t steps = 0;
    const auto poll = [&] {
      if (steps++ > 0) reporter->Done(os::kCopyStepBytes);
      return reporter->KeepGoing();
    };
    RETURN_IF_ERROR(copy->CopyFrom(file.path, poll).status());
    // A file that shares its blocks takes no step; one that is copied counts its last step here.
    const uint64_t counted = steps > 1 ? (steps - 1) * os::kCopyStepBytes : 0;
    reporter->Done(file.size_bytes > counted ? file.size_bytes - counted : 0);
    return Status();
  }

  // The files that were taken belong to the indexes that were read only if these have not been replaced since.
  Status CheckSourcesAreStillThere() const {
    for (const StoredIndex& source : sources_) {
      if (IndexIdentity(source.prefix) == source.identity) continue;
      return Status::FromErrno(EBUSY, IndexPath(source.prefix), "another save takes the place of");
    }
    return Status();
  }

  Result<std::string> EncodeIndex(int32_t num_shards) const {
    Header header = sources_.front().header;
    header.num_shards = num_shards;
    TableBuilder table;
    table.Add("", EncodeHeader(header));
    for (const MovedRecord& record : records_) {
      ASSIGN_OR_RETURN(const std::string value, WithShard(ByteView(record.value), record.shard));
      table.Add(record.key, value);
    }
    return std::move(table).Finish();
  }

  // True if all that the record says is in its Entry, so that it can be written anew with another place.
  static bool IsPlain(const MovedRecord& record) {
    std::string value;
    EncodeEntry(record.entry, &value);
    return value == record.value;
  }

  // The smallest tensor or piece whose data file keeps another; null if there is none that can be moved.
  MovedRecord* FindSmallest() {
    MovedRecord* smallest = nullptr;
    uint64_t limit = kMaxMovedBytes + 1;
    for (MovedRecord& record : records_) {
      if (!record.entry.slices.empty() || record.entry.size_bytes >= limit) continue;
      if (FileOf(record).num_records < 2 || !IsPlain(record)) continue;
      smallest = &record;
      limit = record.entry.size_bytes;
    }
    return smallest;
  }

  // Gives the smallest a copy in a data file that was added, where it is read from now on.
  Status MoveSmallest(const os::TemporaryFile& file, int32_t shard) {
    MovedRecord* const record = FindSmallest();
    if (record == nullptr) return Status();
    ASSIGN_OR_RETURN(const Buffer bytes, ReadBytes(FileOf(*record).taken_path, record->entry));
    RETURN_IF_ERROR(file.WriteAt(0, bytes.view()));
    Place(shard, 0, record);
    return Status();
  }

  const std::vector<StoredIndex>& sources_;
  std::vector<MovedRecord> records_;
  const std::string& destination_;
  const RelocateOptions& options_;
  std::vector<DataFile> files_;
  std::string written_;  // The contents of the file that has no path.
  Buffer beside_;        // What is in it besides the string: of the tensor of that key, if it isn't empty.
  std::string beside_key_;
};

}  // namespace

Result<MovedRecord> MoveRecord(const std::vector<StoredIndex>& sources, size_t source, const IndexRecord& record,
                               std::string new_key) {
  MovedRecord moved{std::move(new_key), record.value, source, {}, 0};
  const int32_t num_shards = sources[source].header.num_shards;
  Status parsed = ParseEntry(ByteView(record.key), ByteView(record.value), num_shards, &moved.entry);
  if (parsed.ok() || parsed.code() == StatusCode::kUnimplemented) return moved;
  return std::move(parsed).WithTensor(record.key).WithPath(IndexPath(sources[source].prefix));
}

Status Relocate(const std::vector<StoredIndex>& sources, std::vector<MovedRecord> records,
                const std::string& destination, const RelocateOptions& options, std::optional<NewString> added) {
  return Relocation(sources, std::move(records), destination, options).Run(std::move(added));
}

Result<NewBundle> RelocateInPlace(StoredIndex source, std::vector<MovedRecord> records, NewString added,
                                  const RelocateOptions& options) {
  // What the bundle's functions refer to.
  struct Kept {
    Kept(StoredIndex source, std::vector<MovedRecord> records, const RelocateOptions& given)
        : sources{std::move(source)},
          options(given),
          relocation(sources, std::move(records), sources[0].prefix, options) {}
    std::vector<StoredIndex> sources;
    RelocateOptions options;
    Relocation relocation;
  };
  const auto kept = std::make_shared<Kept>(std::move(source), std::move(records), options);
  ASSIGN_OR_RETURN(NewBundle bundle, kept->relocation.MakeInPlace(std::move(added)));
  bundle.encode_index = [kept, encode = std::move(bundle.encode_index)](int32_t num_shards) {
    return encode(num_shards);
  };
  return bundle;
}

}  // namespace tensorbundle
