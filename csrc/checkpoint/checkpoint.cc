#include "tensorbundle/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "bundle/index.h"
#include "bundle/naming.h"
#include "checkpoint/open_bundle.h"
#include "checkpoint/read_job.h"
#include "checkpoint/region.h"
#include "checkpoint/select_strings.h"
#include "io/owned_memory.h"
#include "slices/slice.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {

class Checkpoint::Rep {
 public:
  explicit Rep(OpenedBundle opened) : bundle(std::move(opened)), view_verified(bundle.index.entries().size()) {}
  Rep(OpenedBundle named, std::shared_ptr<const Rep> by_key, std::vector<size_t> positions_by_key)
      : bundle(std::move(named)),
        view_verified(bundle.index.entries().size()),
        keyed(std::move(by_key)),
        keyed_positions(std::move(positions_by_key)) {}

  size_t PositionOf(const Entry& entry) const { return static_cast<size_t>(&entry - bundle.index.entries().data()); }
  const ByteSource* SourceOf(int32_t shard) const {
    const auto found = bundle.shards.find(shard);
    return found == bundle.shards.end() ? nullptr : found->second.get();
  }
  Result<const Entry*> FindReadable(std::string_view name) const;
  // Adds what is stored of `entry` to *pieces.
  void AddPieces(const Entry& entry, size_t request, std::vector<PlannedPiece>* pieces) const;

  OpenedBundle bundle;
  // Whether the view of entries()[i] was handed out with its checksum verified. Threads that race verify it twice.
  mutable std::vector<std::atomic<bool>> view_verified;

  // Of tensors that are not named by their keys: the same checkpoint where they are, and the position of each there.
  std::shared_ptr<const Rep> keyed;
  std::vector<size_t> keyed_positions;
};

namespace {

bool HasLengths(const Entry& entry) { return entry.dtype == DType::kString || entry.dtype == DType::kVariant; }

}  // namespace

Result<const Entry*> Checkpoint::Rep::FindReadable(std::string_view name) const {
  const Entry* const entry = bundle.index.Find(name);
  if (entry == nullptr) {
    return Status(StatusCode::kNotFound, Quote(name) + " not found in checkpoint " + bundle.prefix)
        .WithPath(bundle.prefix);
  }
  RETURN_IF_ERROR(bundle.index.Problem(PositionOf(*entry)));
  return entry;
}

void Checkpoint::Rep::AddPieces(const Entry& entry, size_t request, std::vector<PlannedPiece>* pieces) const {
  const bool divisible = !HasLengths(entry);
  if (entry.slices.empty()) {
    pieces->push_back({request, nullptr, StoredBytesOf(entry), SourceOf(entry.shard), divisible});
    return;
  }
  for (const StoredSlice& slice : bundle.index.Slices(PositionOf(entry))) {
    pieces->push_back({request, &slice.box, slice.bytes, SourceOf(slice.bytes.shard), divisible});
  }
}

Result<Checkpoint> Checkpoint::Open(const std::string& prefix, const OpenOptions& options) {
  ASSIGN_OR_RETURN(OpenedBundle opened, OpenBundle(prefix, options));
  return Checkpoint(std::make_shared<const Rep>(std::move(opened)));
}

const std::string& Checkpoint::prefix() const { return rep_->bundle.prefix; }
int32_t Checkpoint::num_shards() const { return rep_->bundle.index.header().num_shards; }
uint64_t Checkpoint::index_size_bytes() const { return rep_->bundle.index_size_bytes; }
uint32_t Checkpoint::index_crc32c() const { return rep_->bundle.index_crc32c; }
const std::vector<Entry>& Checkpoint::entries() const { return rep_->bundle.index.entries(); }
const Entry* Checkpoint::Find(std::string_view name) const { return rep_->bundle.index.Find(name); }

Status Checkpoint::Problem(const Entry& entry) const { return rep_->bundle.index.Problem(rep_->PositionOf(entry)); }

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
  OpenedBundle named = rep_->bundle;
  std::vector<size_t> positions;
  named.index = rep_->bundle.index.Renamed(*std::move(names), &positions);
  return Checkpoint(std::make_shared<const Rep>(std::move(named), rep_, std::move(positions)));
}

const std::string& Checkpoint::Key(const Entry& entry) const {
  if (rep_->keyed == nullptr) return entry.name;
  return rep_->keyed->bundle.index.entries()[rep_->keyed_positions[rep_->PositionOf(entry)]].name;
}

uint64_t Checkpoint::NumElements(const Entry& entry) const { return CountElements(entry.shape).value_or(0); }

uint64_t Checkpoint::MemorySize(const Entry& entry) const {
  // Stored and in memory an element takes the same bytes, and the pieces of a tensor cover it exactly.
  return HasLengths(entry) ? 0 : entry.size_bytes;
}

bool Checkpoint::CanView(const Entry& entry) const {
  const DTypeInfo* const info = FindDTypeInfo(entry.dtype);
  if (info == nullptr || info->size_bytes == 0 || !entry.slices.empty()) return false;
  if (rep_->bundle.index.header().foreign_byte_order && info->alignment > 1) return false;
  if (entry.size_bytes == 0) return true;
  const ByteSource* const source = rep_->SourceOf(entry.shard);
  return source != nullptr && source->reads_are_views();
}

bool Checkpoint::Aligned(const Entry& entry) const {
  const DTypeInfo* const info = FindDTypeInfo(entry.dtype);
  // Sources hand out memory that is aligned for any dtype, so the offset decides.
  return info != nullptr && info->size_bytes > 0 && entry.slices.empty() &&
         entry.offset_in_shard % info->alignment == 0;
}

bool Checkpoint::WillView(const Entry& entry, CopyMode copy) const {
  return copy != CopyMode::kAlways && CanView(entry) && (copy == CopyMode::kNever || Aligned(entry));
}

Result<Buffer> Checkpoint::View(const Entry& entry) const {
  if (entry.size_bytes == 0) return Buffer();
  return rep_->SourceOf(entry.shard)->Read({entry.offset_in_shard, entry.size_bytes});
}

Result<Tensor> Checkpoint::Read(std::string_view name, const ReadOptions& options) const {
  ASSIGN_OR_RETURN(const Entry* const entry, rep_->FindReadable(name));
  ASSIGN_OR_RETURN(std::vector<Tensor> tensors, ReadMany({{entry, CopyMode::kIfNeeded, nullptr, false}}, options));
  return std::move(tensors.front());
}

Status Checkpoint::ReadInto(std::string_view name, uint8_t* destination, size_t size_bytes,
                            const ReadOptions& options) const {
  ASSIGN_OR_RETURN(const Entry* const entry, rep_->FindReadable(name));
  if (HasLengths(*entry) || size_bytes != MemorySize(*entry)) {
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

namespace {

// What one call of ReadMany asks for, request by request, and the tensors that it will return.
class Batch {
 public:
  Batch(const Checkpoint& checkpoint, bool foreign_byte_order, const ReadOptions& options)
      : checkpoint_(checkpoint), foreign_byte_order_(foreign_byte_order), options_(options) {}

  // Decides how a request is served; `verified` says that its view was handed out before.
  Status Add(const ReadRequest& request, bool verified) {
    const Entry& entry = *request.entry;
    RETURN_IF_ERROR(checkpoint_.Problem(entry));
    JobRequest job{&entry, ReadAction::kDecode, options_.verify, {}, request.destination, request.destination_is_used};
    Tensor tensor{entry.dtype, entry.shape, {}, {}};
    if (!HasLengths(entry)) job.conversion = ConversionFor(*FindDTypeInfo(entry.dtype), foreign_byte_order_);
    if (request.destination == nullptr && checkpoint_.WillView(entry, request.copy)) {
      job.action = ReadAction::kView;
      job.sum = options_.verify && !verified;
      ASSIGN_OR_RETURN(tensor.data, checkpoint_.View(entry));
    } else if (request.copy == CopyMode::kNever) {
      return NoView(entry);
    } else if (!HasLengths(entry)) {
      job.action = entry.slices.empty() ? ReadAction::kCopy : ReadAction::kScatter;
      if (job.destination == nullptr) {
        ASSIGN_OR_RETURN(tensor.data, Allocate(entry, &job.destination));
      }
    }
    jobs.push_back(job);
    tensors.push_back(std::move(tensor));
    return Status();
  }

  bool ReadsBytes(size_t i) const {
    return jobs[i].action != ReadAction::kView || jobs[i].sum || jobs[i].conversion.has_noise();
  }

  // Gives a request whose view turned out to hold noise a cleaned copy instead.
  Status CleanCopy(size_t i, CopyMode copy) {
    if (copy == CopyMode::kNever) return NoView(*jobs[i].entry);
    const Buffer view = tensors[i].data;
    uint8_t* memory = nullptr;
    ASSIGN_OR_RETURN(tensors[i].data, Allocate(*jobs[i].entry, &memory));
    std::copy(view.view().begin(), view.view().end(), memory);
    ConvertInPlace(jobs[i].conversion, memory, view.size());
    return Status();
  }

  std::vector<JobRequest> jobs;
  std::vector<Tensor> tensors;

 private:
  static Status NoView(const Entry& entry) {
    return Status(StatusCode::kInvalidArgument,
                  "a view is not possible: its bytes, as they are stored, are not the array (strings, slices, noise in "
                  "narrow types, another byte order, or a file that is read and not mapped); allow a copy")
        .WithTensor(entry.name);
  }

  static Result<Buffer> Allocate(const Entry& entry, uint8_t** memory) {
    ASSIGN_OR_RETURN(OwnedMemory owned, AllocateMemory(entry.size_bytes));
    *memory = owned.data;
    return owned.buffer;
  }

  const Checkpoint& checkpoint_;
  const bool foreign_byte_order_;
  const ReadOptions& options_;
};

}  // namespace

Result<std::vector<Tensor>> Checkpoint::ReadMany(const std::vector<ReadRequest>& requests,
                                                 const ReadOptions& options) const {
  const bool foreign_byte_order = rep_->bundle.index.header().foreign_byte_order;
  Batch batch(*this, foreign_byte_order, options);
  std::vector<PlannedPiece> pieces;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Entry& entry = *requests[i].entry;
    RETURN_IF_ERROR(
        batch.Add(requests[i], rep_->view_verified[rep_->PositionOf(entry)].load(std::memory_order_relaxed)));
    if (batch.ReadsBytes(i)) rep_->AddPieces(entry, i, &pieces);
  }
  ReadJob job(batch.jobs, std::move(pieces), foreign_byte_order);
  RETURN_IF_ERROR(job.Run(options));
  RETURN_IF_ERROR(job.TakeStrings(&batch.tensors));
  for (size_t i = 0; i < requests.size(); ++i) {
    if (batch.jobs[i].action != ReadAction::kView) continue;
    if (batch.jobs[i].sum)
      rep_->view_verified[rep_->PositionOf(*requests[i].entry)].store(true, std::memory_order_relaxed);
    if (!job.noisy(i)) continue;
    const Entry& entry = *requests[i].entry;
    RETURN_IF_ERROR(rep_->SourceOf(entry.shard)->Populate({entry.offset_in_shard, entry.size_bytes}));
    RETURN_IF_ERROR(batch.CleanCopy(i, requests[i].copy));
  }
  return std::move(batch.tensors);
}

Status Checkpoint::CheckRegion(const Entry& entry, const Region& region) const {
  return tensorbundle::CheckRegion(region, entry.shape).WithTensor(entry.name);
}

Result<Tensor> Checkpoint::ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                                      const ReadOptions& options) const {
  RETURN_IF_ERROR(Problem(entry));
  RETURN_IF_ERROR(CheckRegion(entry, region));
  if (HasLengths(entry)) {
    ASSIGN_OR_RETURN(std::vector<Tensor> tensors, ReadMany({{&entry, CopyMode::kIfNeeded, nullptr, false}}, options));
    auto strings = SelectStrings({{WholeBox(entry.shape), std::move(tensors.front().strings)}}, region);
    if (!strings.ok()) return std::move(strings).status().WithTensor(entry.name);
    return Tensor{entry.dtype, region.shape, {}, std::move(strings).value()};
  }
  std::vector<PlannedPiece> pieces;
  rep_->AddPieces(entry, 0, &pieces);
  return ReadFixedRegion(entry, region, rep_->bundle.index.header().foreign_byte_order, pieces, destination, options);
}

Result<VerifyReport> Checkpoint::VerifyAll(const ReadOptions& options) const {
  std::vector<const Entry*> all;
  all.reserve(entries().size());
  for (const Entry& entry : entries()) all.push_back(&entry);
  return Verify(all, options);
}

Result<VerifyReport> Checkpoint::Verify(const std::vector<const Entry*>& entries, const ReadOptions& options) const {
  std::vector<const Entry*> wanted = entries;
  std::sort(wanted.begin(), wanted.end());  // Key order: they point into one list.
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());

  std::vector<JobRequest> jobs;
  std::vector<PlannedPiece> pieces;
  std::vector<Status> problems;
  for (size_t i = 0; i < wanted.size(); ++i) {
    problems.push_back(Problem(*wanted[i]));
    jobs.push_back(
        {wanted[i], HasLengths(*wanted[i]) ? ReadAction::kCheckStrings : ReadAction::kCheck, true, {}, nullptr, false});
    if (problems[i].ok()) rep_->AddPieces(*wanted[i], i, &pieces);
  }
  ReadJob job(std::move(jobs), std::move(pieces), rep_->bundle.index.header().foreign_byte_order);
  ASSIGN_OR_RETURN(std::vector<PieceFailure> failures, job.RunThrough(options));

  VerifyReport report;
  report.num_tensors = wanted.size();
  report.num_bytes = job.plan().total_bytes;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (problems[i].ok()) continue;
    const Entry& entry = *wanted[i];
    report.damaged.push_back({entry.name, entry.shard, entry.offset_in_shard, {}, {}, problems[i]});
  }
  for (PieceFailure& failure : failures) {
    const PlannedPiece& piece = job.plan().pieces[failure.piece];
    Damage damage{wanted[piece.request]->name, piece.bytes.shard, piece.bytes.offset, {},
                  failure.found_crc32c,        failure.why};
    if (failure.found_crc32c) damage.expected_crc32c = piece.bytes.crc32c;
    report.damaged.push_back(std::move(damage));
  }
  std::stable_sort(report.damaged.begin(), report.damaged.end(),
                   [](const Damage& a, const Damage& b) { return a.name < b.name; });
  return report;
}

}  // namespace tensorbundle
