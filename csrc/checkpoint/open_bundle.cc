#include "checkpoint/open_bundle.h"

#include <cerrno>
#include <optional>
#include <utility>

#include "bundle/naming.h"
#include "checkpoint/opener.h"
#include "util/crc32c.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// The index is read, never mapped: it stays as it is whatever happens to the file.
Result<std::shared_ptr<const ByteSource>> OpenIndex(const std::string& path, const OpenOptions& options) {
  return options.opener ? options.opener(path) : OpenFile(path, FileAccess::kRead);
}

std::unordered_map<int32_t, Result<ShardFile>> OpenShards(const SourceOpener& open, OpenedBundle* bundle) {
  std::unordered_map<int32_t, Result<ShardFile>> files;
  for (const int32_t shard : bundle->index.ReferencedShards()) {
    auto source = open(DataPath(bundle->prefix, shard, bundle->index.header().num_shards));
    if (source.ok()) {
      files.emplace(shard, ShardFile{(*source)->name(), (*source)->size_bytes()});
      bundle->shards.emplace(shard, *std::move(source));
    } else {
      files.emplace(shard, std::move(source).status().AsData());
    }
  }
  return files;
}

// True if the index at `path` is still the very file that `source` has open; where the source can't tell, if it still
// holds the same bytes.
bool IsStill(const std::string& path, const ByteSource& source, ByteView bytes, const OpenOptions& options) {
  const auto again = OpenIndex(path, options);
  if (!again.ok()) return false;
  if (!source.identity().empty()) return (*again)->identity() == source.identity();
  if ((*again)->size_bytes() != bytes.size()) return false;
  const auto same = (*again)->Read({0, bytes.size()});
  return same.ok() && same->view().AsText() == bytes.AsText();
}

// One attempt; nullopt if another save took the place of this one meanwhile.
Result<std::optional<OpenedBundle>> TryOpen(const std::string& prefix, const OpenOptions& options) {
  const std::string index_path = IndexPath(prefix);
  ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> source, OpenIndex(index_path, options));
  ASSIGN_OR_RETURN(const Buffer bytes, source->Read({0, source->size_bytes()}));
  auto index = Index::Parse(bytes.view());
  if (!index.ok()) {
    // A file that is being written in place reads as damaged once, and then as another.
    if (!IsStill(index_path, *source, bytes.view(), options)) return std::optional<OpenedBundle>();
    return std::move(index).status().WithPath(index_path);
  }
  OpenedBundle bundle{prefix, *std::move(index), bytes.size(), crc32c::Extend(0, bytes.view()), {}};
  const auto files = OpenShards(OpenerFor(options), &bundle);
  if (!IsStill(index_path, *source, bytes.view(), options)) return std::optional<OpenedBundle>();
  bundle.index.CheckExtents(files);
  return std::optional<OpenedBundle>(std::move(bundle));
}

}  // namespace

Result<OpenedBundle> OpenBundle(const std::string& path, const OpenOptions& options) {
  const std::string prefix = PrefixOf(path);
  for (int attempt = 0; attempt < kMaxOpeningAttempts; ++attempt) {
    ASSIGN_OR_RETURN(std::optional<OpenedBundle> bundle, TryOpen(prefix, options));
    if (bundle) return *std::move(bundle);
  }
  return Status::FromErrno(EBUSY, prefix, "it is replaced faster than it can be opened:");
}

}  // namespace tensorbundle
