#include "tensorbundle/checkpoint.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "checkpoint/extents.h"
#include "checkpoint/save.h"
#include "slices/slice.h"
#include "tensorbundle/object_graph.h"
#include "util/quote.h"
#include "util/status_macros.h"
#include "v1/naming.h"

namespace tensorbundle {

class Checkpoint::Rep {
 public:
  explicit Rep(std::unique_ptr<const Save> opened) : save(std::move(opened)) {}
  Rep(std::unique_ptr<const Save> named, std::shared_ptr<const Rep> by_key, std::vector<size_t> positions_by_key)
      : save(std::move(named)), keyed(std::move(by_key)), keyed_positions(std::move(positions_by_key)) {}

  Result<const Entry*> FindReadable(std::string_view name) const;

  const std::unique_ptr<const Save> save;
  // Of tensors that are not named by their keys: the same checkpoint where they are, and the position of each there.
  const std::shared_ptr<const Rep> keyed;
  const std::vector<size_t> keyed_positions;
};

Result<const Entry*> Checkpoint::Rep::FindReadable(std::string_view name) const {
  const Entry* const entry = save->Find(name);
  if (entry == nullptr) {
    return Status(StatusCode::kNotFound, Quote(name) + " not found in checkpoint " + save->path() +
                                             v1::MayBeMissing("it", save->missing_shards()))
        .WithPath(save->path());
  }
  RETURN_IF_ERROR(save->Problem(*entry));
  return entry;
}

Result<Checkpoint> Checkpoint::Open(const std::string& path, const OpenOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<const Save> save, OpenSave(path, options));
  return Checkpoint(std::make_shared<const Rep>(std::move(save)));
}

const std::string& Checkpoint::prefix() const { return rep_->save->path(); }
int32_t Checkpoint::num_shards() const { return rep_->save->num_shards(); }
uint64_t Checkpoint::index_size_bytes() const { return rep_->save->index_size_bytes(); }
uint32_t Checkpoint::index_crc32c() const { return rep_->save->index_crc32c(); }
std::vector<std::string> Checkpoint::missing_shards() const { return rep_->save->missing_shards(); }
const std::vector<Entry>& Checkpoint::entries() const { return rep_->save->entries(); }
const Entry* Checkpoint::Find(std::string_view name) const { return rep_->save->Find(name); }
Status Checkpoint::Problem(const Entry& entry) const { return rep_->save->Problem(entry); }

Result<std::optional<ObjectGraph>> Checkpoint::ReadObjectGraph() const {
  if (rep_->keyed != nullptr) return Checkpoint(rep_->keyed).ReadObjectGraph();
  const Entry* const entry = Find(kObjectGraphKey);
  if (entry == nullptr) return std::optional<ObjectGraph>();
  RETURN_IF_ERROR(Problem(*entry));
  if (entry->dtype != DType::kString || !entry->shape.empty()) {
    return Status(StatusCode::kDataLoss, "an object graph is stored as a scalar string, and this is none")
        .WithTensor(entry->name)
        .WithPath(prefix());
  }
  ASSIGN_OR_RETURN(const Tensor tensor, Read(kObjectGraphKey));
  Result<ObjectGraph> graph = ParseObjectGraph(tensor.strings[0]);
  if (!graph.ok()) return std::move(graph).status().WithTensor(entry->name).WithPath(prefix());
  return std::make_optional(*std::move(graph));
}

Result<Checkpoint> Checkpoint::Named(NamesBy by) const {
  if (rep_->keyed != nullptr) return Checkpoint(rep_->keyed).Named(by);
  if (by == NamesBy::kKey) return *this;
  ASSIGN_OR_RETURN(const std::optional<ObjectGraph> graph, ReadObjectGraph());
  if (!graph) return *this;
  std::vector<std::string_view> keys;
  keys.reserve(entries().size());
  for (const Entry& entry : entries()) keys.push_back(entry.name);
  Result<std::vector<std::string>> names = NameTensors(*graph, keys, by);
  if (!names.ok()) return std::move(names).status().WithTensor(std::string(kObjectGraphKey)).WithPath(prefix());
  std::vector<size_t> positions;
  std::unique_ptr<const Save> named = rep_->save->Renamed(*std::move(names), &positions);
  if (named == nullptr) return *this;
  return Checkpoint(std::make_shared<const Rep>(std::move(named), rep_, std::move(positions)));
}

const std::string& Checkpoint::Key(const Entry& entry) const {
  if (rep_->keyed == nullptr) return entry.name;
  const auto position = static_cast<size_t>(&entry - entries().data());
  return rep_->keyed->save->entries()[rep_->keyed_positions[position]].name;
}

uint64_t Checkpoint::NumElements(const Entry& entry) const { return CountElements(entry.shape).value_or(0); }

uint64_t Checkpoint::MemorySize(const Entry& entry) const {
  // The pieces of a tensor cover it exactly, and an element of fixed width counts as many bytes as it takes in memory.
  return HasLengths(entry.dtype) ? 0 : entry.size_bytes;
}

uint64_t Checkpoint::EstimateMemory(const Entry& entry) const {
  if (!HasLengths(entry.dtype)) return entry.size_bytes;
  constexpr uint64_t kObjectBytes = 48;
  uint64_t stored_bytes = 0;  // Each element takes a byte of them at least, so no number overflows.
  for (const StoredExtent& extent : save().Extents(entry)) stored_bytes += extent.range.length;
  return stored_bytes + NumElements(entry) * kObjectBytes;
}

bool Checkpoint::CanView(const Entry& entry) const { return rep_->save->CanView(entry); }
bool Checkpoint::Aligned(const Entry& entry) const { return rep_->save->Aligned(entry); }
bool Checkpoint::WillView(const Entry& entry, CopyMode copy) const { return rep_->save->WillView(entry, copy); }
Result<Buffer> Checkpoint::View(const Entry& entry) const { return rep_->save->View(entry); }

Result<Tensor> Checkpoint::Read(std::string_view name, const ReadOptions& options) const {
  ASSIGN_OR_RETURN(const Entry* const entry, rep_->FindReadable(name));
  ASSIGN_OR_RETURN(std::vector<Tensor> tensors, ReadMany({{entry, CopyMode::kIfNeeded, nullptr, false}}, options));
  return std::move(tensors.front());
}

Status Checkpoint::ReadInto(std::string_view name, uint8_t* destination, size_t size_bytes,
                            const ReadOptions& options) const {
  ASSIGN_OR_RETURN(const Entry* const entry, rep_->FindReadable(name));
  if (HasLengths(entry->dtype) || size_bytes != MemorySize(*entry)) {
    return Status(StatusCode::kInvalidArgument, Quote(name) + " needs " + std::to_string(MemorySize(*entry)) +
                                                    " bytes of memory and was given " + std::to_string(size_bytes));
  }
  return ReadMany({{entry, CopyMode::kAlways, destination, false}}, options).status();
}

Result<Tensor> Checkpoint::Read(std::string_view name, const std::vector<int64_t>& start,
                                const std::vector<int64_t>& shape) const {
  ASSIGN_OR_RETURN(const Entry* const entry, rep_->FindReadable(name));
  return ReadRegion(*entry, Region{start, shape, {}});
}

Result<std::vector<Tensor>> Checkpoint::ReadMany(const std::vector<ReadRequest>& requests,
                                                 const ReadOptions& options) const {
  return rep_->save->ReadMany(requests, options);
}

Status Checkpoint::CheckRegion(const Entry& entry, const Region& region) const {
  return tensorbundle::CheckRegion(region, entry.shape).WithTensor(entry.name);
}

Result<Tensor> Checkpoint::ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                                      const ReadOptions& options) const {
  RETURN_IF_ERROR(Problem(entry));
  RETURN_IF_ERROR(CheckRegion(entry, region));
  return rep_->save->ReadRegion(entry, region, destination, options);
}

Result<VerifyReport> Checkpoint::VerifyAll(const ReadOptions& options) const {
  std::vector<const Entry*> all;
  all.reserve(entries().size());
  for (const Entry& entry : entries()) all.push_back(&entry);
  auto report = Verify(all, options);
  if (report.ok()) report->missing_shards = missing_shards();
  return report;
}

Result<VerifyReport> Checkpoint::Verify(const std::vector<const Entry*>& entries, const ReadOptions& options) const {
  std::vector<const Entry*> wanted = entries;
  std::sort(wanted.begin(), wanted.end());  // Key order: they point into one list.
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return rep_->save->Verify(wanted, options);
}

std::vector<const Entry*> Checkpoint::InFileOrder(const std::vector<const Entry*>& entries) const {
  std::vector<std::pair<StoredExtent, const Entry*>> placed;
  for (const Entry* entry : entries) {
    const std::vector<StoredExtent> extents = save().Extents(*entry);
    const auto first = std::min_element(extents.begin(), extents.end());
    placed.emplace_back(first == extents.end() ? StoredExtent() : *first, entry);
  }
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const Entry*> ordered;
  for (const auto& [extent, entry] : placed) ordered.push_back(entry);
  return ordered;
}

void Checkpoint::DropCache(const std::vector<const Entry*>& entries) const {
  std::vector<StoredExtent> all;
  for (const Entry* entry : entries) {
    const std::vector<StoredExtent> extents = save().Extents(*entry);
    all.insert(all.end(), extents.begin(), extents.end());
  }
  tensorbundle::DropCache(std::move(all));
}

const Save& Checkpoint::save() const { return *rep_->save; }

}  // namespace tensorbundle
