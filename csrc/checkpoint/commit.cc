#include "checkpoint/commit.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "bundle/entry.h"
#include "bundle/naming.h"
#include "table/table_reader.h"
#include "tensorbundle/byte_source.h"
#include "util/parallel.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// What temporaries are named after, and "os" appends to.
constexpr std::string_view kIndexTarget = ".index";
constexpr std::string_view kDataTarget = ".data-";
constexpr std::string_view kTemporary = ".tmp-";

// The number of shards that an index file gives, without looking at what comes after its header.
Result<int32_t> ReadNumShards(const std::string& index_path) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> source, OpenFile(index_path, FileAccess::kRead));
  ASSIGN_OR_RETURN(const Buffer bytes, source->Read({0, source->size_bytes()}));
  std::optional<int32_t> num_shards;
  Status problem = VisitTable(bytes.view(), [&num_shards](ByteView key, ByteView value) {
    if (!key.empty()) return Status(StatusCode::kDataLoss, "no header");
    ASSIGN_OR_RETURN(const Header header, ParseHeader(value));
    num_shards = header.num_shards;
    return Status(StatusCode::kExternal, "enough");
  });
  if (num_shards) {
    problem.IgnoreError();
    return *num_shards;
  }
  return problem.ok() ? Status(StatusCode::kDataLoss, "no header") : problem;
}

// What is at a prefix before a commit.
struct OldBundle {
  bool has_index = false;
  int32_t num_shards = 0;          // By its index; 0: there is none, or it can't be read.
  std::vector<std::string> files;  // Data files of the prefix, with any number of shards in their names.
};

Result<std::vector<std::string>> DataFiles(const std::string& prefix) {
  const std::string directory = os::DirectoryOf(prefix);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDirectory(directory));
  const std::string start = prefix.substr(0, prefix.rfind('/') + 1);  // With it, paths compare as prefixes do.
  std::vector<std::string> files;
  for (const std::string& name : names) {
    if (NumShardsInName(prefix, start + name)) files.push_back(start + name);
  }
  return files;
}

Result<OldBundle> FindOldBundle(const std::string& prefix) {
  OldBundle old;
  ASSIGN_OR_RETURN(old.files, DataFiles(prefix));
  Result<int32_t> num_shards = ReadNumShards(IndexPath(prefix));
  old.has_index = num_shards.ok() || num_shards.status().system_error() != ENOENT;
  if (num_shards.ok()) old.num_shards = *num_shards;
  return old;
}

// True if a checkpoint of so many shards could not be told from the old one by the names of its data files. An index
// that can't be read may mean any of the files there are.
bool NamesAreTaken(const std::string& prefix, const OldBundle& old, int32_t num_shards) {
  if (!old.has_index) return false;
  if (old.num_shards != 0) return old.num_shards == num_shards;
  return std::any_of(old.files.begin(), old.files.end(),
                     [&](const std::string& path) { return NumShardsInName(prefix, path) == num_shards; });
}

// True if `path` is named as temporaries of this prefix are, and not as those of a longer one.
bool IsTemporaryOf(const std::string& prefix, const std::string& path, bool* is_index) {
  std::string_view rest = std::string_view(path).substr(prefix.size());
  *is_index = rest.substr(0, kIndexTarget.size()) == kIndexTarget;
  if (*is_index) {
    rest.remove_prefix(kIndexTarget.size());
  } else {
    if (rest.substr(0, kDataTarget.size()) != kDataTarget) return false;
    rest.remove_prefix(kDataTarget.size());
    rest.remove_prefix(std::min(rest.find_first_not_of("0123456789"), rest.size()));
  }
  // And nowhere else: a longer prefix may have this in it, too.
  return rest.rfind(kTemporary) == 0;
}

// Removes what writers left who were killed: their temporaries, and data files that they had given names already but no
// index. An index that never got its name tells how many shards those have, and so goes after them. What can't be
// removed, such as what others own in a directory that keeps users apart, is left to the next writer.
//
// `own` are temporaries, too. Their locks need not keep this process from taking them for leftovers: there are network
// file systems on which a process never keeps out itself.
Status RemoveLeftovers(const std::string& prefix, const OldBundle& old, const std::vector<os::TemporaryFile>& own) {
  ASSIGN_OR_RETURN(std::vector<std::string> leftovers, os::FindLeftovers(prefix));
  std::vector<std::string> temporaries;
  std::set<int32_t> dead;
  for (std::string& path : leftovers) {
    const auto is_this = [&path](const os::TemporaryFile& file) { return file.path() == path; };
    bool is_index = false;
    if (!IsTemporaryOf(prefix, path, &is_index) || std::any_of(own.begin(), own.end(), is_this)) continue;
    if (is_index) {
      const Result<int32_t> num_shards = ReadNumShards(path);
      if (num_shards.ok() && *num_shards != old.num_shards) dead.insert(*num_shards);
    }
    temporaries.push_back(std::move(path));
  }
  const bool knows_old = !old.has_index || old.num_shards != 0;
  for (const std::string& path : old.files) {
    if (knows_old && dead.count(*NumShardsInName(prefix, path)) != 0) os::RemoveFile(path).IgnoreError();
  }
  for (const std::string& path : temporaries) os::RemoveLeftover(path).IgnoreError();
  return Status();
}

// The steps from names to the end, taken back if one fails before the index has its name.
class Commit {
 public:
  Commit(const std::string& prefix, bool durable)
      : prefix_(prefix), directory_(os::DirectoryOf(prefix)), durable_(durable) {}
  ~Commit() {
    if (committed_) return;
    for (const std::string& path : named_) os::RemoveFile(path).IgnoreError();
  }
  Commit(const Commit&) = delete;
  Commit& operator=(const Commit&) = delete;

  Status NameData(std::vector<os::TemporaryFile>* data) {
    const auto num_shards = static_cast<int32_t>(data->size());
    for (int32_t shard = 0; shard < num_shards; ++shard) {
      const std::string path = DataPath(prefix_, shard, num_shards);
      RETURN_IF_ERROR((*data)[static_cast<size_t>(shard)].RenameTo(path));
      named_.push_back(path);
    }
    return durable_ ? os::SyncDirectory(directory_) : Status();
  }

  Status NameIndex(os::TemporaryFile* index) {
    if (durable_) RETURN_IF_ERROR(index->Sync());
    RETURN_IF_ERROR(index->RenameTo(IndexPath(prefix_)));
    committed_ = true;
    if (!durable_) return Status();
    Status synced = os::SyncDirectory(directory_);
    if (synced.ok()) return Status();
    return Status::FromErrno(synced.system_error(), directory_,
                             "the new checkpoint is in its place, but may not survive a power cut, so the old one's "
                             "data files are kept: sync");
  }

 private:
  const std::string& prefix_;
  const std::string directory_;
  const bool durable_;
  bool committed_ = false;
  std::vector<std::string> named_;
};

Result<os::TemporaryFile> WriteIndex(const std::string& prefix, const std::string& index) {
  ASSIGN_OR_RETURN(os::TemporaryFile file, os::TemporaryFile::Create(IndexPath(prefix)));
  RETURN_IF_ERROR(file.WriteAt(0, ByteView(reinterpret_cast<const uint8_t*>(index.data()), index.size())));
  return file;
}

Status AddShards(const std::string& prefix, const OldBundle& old, NewBundle* bundle, bool durable) {
  for (bool first = true; NamesAreTaken(prefix, old, static_cast<int32_t>(bundle->data.size())); first = false) {
    const auto shard = static_cast<int32_t>(bundle->data.size());
    ASSIGN_OR_RETURN(os::TemporaryFile file, CreateDataFile(prefix, shard));
    if (first && bundle->fill_added_shard) RETURN_IF_ERROR(bundle->fill_added_shard(file, shard));
    if (durable) RETURN_IF_ERROR(file.Sync());
    bundle->data.push_back(std::move(file));
  }
  return Status();
}

// Brings the data files of a prefix to the disk: whoever saved them may not have waited for that.
Status SyncData(const std::string& prefix) {
  ASSIGN_OR_RETURN(const std::vector<std::string> files, DataFiles(prefix));
  for (const std::string& path : files) RETURN_IF_ERROR(os::SyncFile(path));
  return Status();
}

// Data files that no index names any more. What can't be removed is left to the next writer.
void RemoveOldData(const std::string& prefix, const OldBundle& old, int32_t num_shards) {
  if (!old.has_index) return;
  for (const std::string& path : old.files) {
    if (NumShardsInName(prefix, path) != num_shards) os::RemoveFile(path).IgnoreError();
  }
}

Status SyncData(const NewBundle& bundle, const CommitOptions& options) {
  if (!options.durable) return Status();
  return ParallelFor(bundle.data.size(), options.threads, [&](size_t i) { return bundle.data[i].Sync(); });
}

// The steps of a commit that come when the directory is locked and tidy, and the data is on the disk.
Status CommitLocked(const std::string& prefix, const OldBundle& old, NewBundle* bundle, const CommitOptions& options) {
  RETURN_IF_ERROR(AddShards(prefix, old, bundle, options.durable));
  const auto num_shards = static_cast<int32_t>(bundle->data.size());
  ASSIGN_OR_RETURN(const std::string bytes, bundle->encode_index(num_shards));
  // There before the first data file has its name: so whoever cleans up after a killed writer knows what is its.
  ASSIGN_OR_RETURN(os::TemporaryFile index, WriteIndex(prefix, bytes));
  Commit commit(prefix, options.durable);
  RETURN_IF_ERROR(commit.NameData(&bundle->data));
  RETURN_IF_ERROR(commit.NameIndex(&index));
  RemoveOldData(prefix, old, num_shards);
  return Status();
}

}  // namespace

Result<os::TemporaryFile> CreateDataFile(const std::string& prefix, int32_t shard) {
  std::string number = std::to_string(shard);
  number.insert(0, 5 - std::min<size_t>(number.size(), 5), '0');
  return os::TemporaryFile::Create(prefix + std::string(kDataTarget) + number);
}

int32_t FindNumShards(const std::string& prefix) {
  const Result<int32_t> num_shards = ReadNumShards(IndexPath(prefix));
  return num_shards.ok() ? *num_shards : 0;
}

Status CommitBundle(const std::string& prefix, NewBundle* bundle, const CommitOptions& options) {
  RETURN_IF_ERROR(SyncData(*bundle, options));
  ASSIGN_OR_RETURN(const os::DirectoryLock lock, os::DirectoryLock::Acquire(os::DirectoryOf(prefix), options.poll));
  ASSIGN_OR_RETURN(const OldBundle old, FindOldBundle(prefix));
  RETURN_IF_ERROR(RemoveLeftovers(prefix, old, bundle->data));
  return CommitLocked(prefix, old, bundle, options);
}

Status CommitUpdate(const std::string& prefix, const std::function<Result<NewBundle>()>& make,
                    const CommitOptions& options) {
  // Twice, so that nobody waits for the long part. What is on the disk already costs next to nothing.
  if (options.durable) RETURN_IF_ERROR(SyncData(prefix));
  ASSIGN_OR_RETURN(const os::DirectoryLock lock, os::DirectoryLock::Acquire(os::DirectoryOf(prefix), options.poll));
  ASSIGN_OR_RETURN(const OldBundle old, FindOldBundle(prefix));
  RETURN_IF_ERROR(RemoveLeftovers(prefix, old, {}));
  ASSIGN_OR_RETURN(NewBundle bundle, make());
  if (!bundle.data.empty()) {
    RETURN_IF_ERROR(SyncData(bundle, options));
    return CommitLocked(prefix, old, &bundle, options);
  }
  if (options.durable) RETURN_IF_ERROR(SyncData(prefix));
  ASSIGN_OR_RETURN(const std::string bytes, bundle.encode_index(old.num_shards));
  ASSIGN_OR_RETURN(os::TemporaryFile index, WriteIndex(prefix, bytes));
  return Commit(prefix, options.durable).NameIndex(&index);
}

}  // namespace tensorbundle
