#include "checkpoint/relocation.h"

#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "bundle/naming.h"
#include "checkpoint/commit.h"
#include "checkpoint/reporter.h"
#include "io/os.h"
#include "io/os_write.h"
#include "table/table_builder.h"
#include "tensorbundle/byte_source.h"
#include "util/checked.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// What is moved for the sake of TensorFlow's merging, at most.
constexpr uint64_t kMaxMovedBytes = uint64_t{64} << 20;

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

  Status Run() {
    NumberFiles();
    RETURN_IF_ERROR(MeasureFiles());
    RETURN_IF_ERROR(CheckExtents());
    RETURN_IF_ERROR(os::MakeDirectory(os::DirectoryOf(destination_), options_.durable));
    if (options_.link) RETURN_IF_ERROR(RemoveLeftData(destination_));
    Reporter reporter(options_.progress, TotalBytes());
    NewBundle bundle;
    RETURN_IF_ERROR(TakeFiles(&reporter, &bundle.data));
    RETURN_IF_ERROR(CheckSourcesAreStillThere());
    bundle.encode_index = [this](int32_t num_shards) { return EncodeIndex(num_shards); };
    bundle.fill_added_shard = [&](const os::TemporaryFile& file, int32_t shard) {
      return MoveSmallest(bundle.data, file, shard);
    };
    return CommitBundle(destination_, &bundle, {options_.durable, 0, reporter.poll()});
  }

 private:
  // A data file of a source, in the order of the new numbers.
  struct DataFile {
    std::string path;
    uint64_t size_bytes = 0;
    size_t num_records = 0;
  };

  void NumberFiles() {
    std::map<std::pair<size_t, int32_t>, int32_t> numbers;
    for (const MovedRecord& record : records_) {
      if (record.entry.slices.empty()) numbers[{record.source, record.entry.shard}];
    }
    for (auto& [place, number] : numbers) {
      number = static_cast<int32_t>(files_.size());
      const StoredIndex& source = sources_[place.first];
      files_.push_back({DataPath(source.prefix, place.second, source.header.num_shards), 0, 0});
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

  uint64_t TotalBytes() const {
    uint64_t total = 0;
    for (const DataFile& file : files_) total += file.size_bytes;
    return total;
  }

  Status TakeFiles(Reporter* reporter, std::vector<os::TemporaryFile>* data) const {
    for (const DataFile& file : files_) {
      RETURN_IF_ERROR(reporter->KeepGoing());
      ASSIGN_OR_RETURN(os::TemporaryFile taken, TakeFile(file, static_cast<int32_t>(data->size()), reporter));
      data->push_back(std::move(taken));
    }
    return reporter->Report();
  }

  Result<os::TemporaryFile> TakeFile(const DataFile& file, int32_t shard, Reporter* reporter) const {
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
  Status MoveSmallest(const std::vector<os::TemporaryFile>& data, const os::TemporaryFile& file, int32_t shard) {
    MovedRecord* const record = FindSmallest();
    if (record == nullptr) return Status();
    const std::string& path = data[static_cast<size_t>(record->shard)].path();
    ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> source, OpenFile(path, FileAccess::kRead));
    ASSIGN_OR_RETURN(const Buffer bytes, source->Read({record->entry.offset_in_shard, record->entry.size_bytes}));
    RETURN_IF_ERROR(file.WriteAt(0, bytes.view()));
    record->entry.shard = shard;
    record->entry.offset_in_shard = 0;
    record->shard = shard;
    EncodeEntry(record->entry, &record->value);
    return Status();
  }

  const std::vector<StoredIndex>& sources_;
  std::vector<MovedRecord> records_;
  const std::string& destination_;
  const RelocateOptions& options_;
  std::vector<DataFile> files_;
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

Status CheckDestination(const std::string& prefix) {
  const auto invalid = [](const char* message) { return Status(StatusCode::kInvalidArgument, message); };
  if (prefix.find('\0') != std::string::npos) return invalid("a path may not contain a NUL byte");
  if (!prefix.empty() && prefix.back() != '/') return Status();
  return invalid("a checkpoint's path ends with its name, as in run/model.ckpt-100; this names a directory")
      .WithPath(prefix);
}

Status Relocate(const std::vector<StoredIndex>& sources, std::vector<MovedRecord> records,
                const std::string& destination, const RelocateOptions& options) {
  return Relocation(sources, std::move(records), destination, options).Run();
}

}  // namespace tensorbundle
