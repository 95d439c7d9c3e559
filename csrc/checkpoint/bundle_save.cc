#include "checkpoint/bundle_save.h"

#include <algorithm>
#include <utility>

#include "checkpoint/convert.h"
#include "checkpoint/read_job.h"
#include "checkpoint/region.h"
#include "checkpoint/select_strings.h"
#include "io/owned_memory.h"
#include "slices/slice.h"
#include "util/status_macros.h"

namespace tensorbundle {

const ByteSource* BundleSave::SourceOf(int32_t shard) const {
  const auto found = bundle_.shards.find(shard);
  return found == bundle_.shards.end() ? nullptr : found->second.get();
}

void BundleSave::AddPieces(const Entry& entry, size_t request, std::vector<PlannedPiece>* pieces) const {
  const bool divisible = !HasLengths(entry.dtype);
  if (entry.slices.empty()) {
    pieces->push_back({request, nullptr, StoredBytesOf(entry), SourceOf(entry.shard), divisible});
    return;
  }
  for (const StoredSlice& slice : bundle_.index.Slices(PositionOf(entry))) {
    pieces->push_back({request, &slice.box, slice.bytes, SourceOf(slice.bytes.shard), divisible});
  }
}

std::unique_ptr<const Save> BundleSave::Renamed(std::vector<std::string> names, std::vector<size_t>* positions) const {
  OpenedBundle named = bundle_;
  named.index = bundle_.index.Renamed(std::move(names), positions);
  return std::make_unique<BundleSave>(std::move(named));
}

bool BundleSave::CanView(const Entry& entry) const {
  const DTypeInfo* const info = FindDTypeInfo(entry.dtype);
  if (info == nullptr || info->size_bytes == 0 || !entry.slices.empty()) return false;
  if (foreign_byte_order() && info->alignment > 1) return false;
  if (entry.size_bytes == 0) return true;
  const ByteSource* const source = SourceOf(entry.shard);
  return source != nullptr && source->reads_are_views();
}

bool BundleSave::Aligned(const Entry& entry) const {
  const DTypeInfo* const info = FindDTypeInfo(entry.dtype);
  // Sources hand out memory that is aligned for any dtype, so the offset decides.
  return info != nullptr && info->size_bytes > 0 && entry.slices.empty() &&
         entry.offset_in_shard % info->alignment == 0;
}

Result<Buffer> BundleSave::View(const Entry& entry) const {
  if (entry.size_bytes == 0) return Buffer();
  return SourceOf(entry.shard)->Read({entry.offset_in_shard, entry.size_bytes});
}

std::vector<StoredExtent> BundleSave::Extents(const Entry& entry) const {
  std::vector<PlannedPiece> pieces;
  AddPieces(entry, 0, &pieces);
  std::vector<StoredExtent> extents;
  for (const PlannedPiece& piece : pieces) {
    const StoredBytes& bytes = piece.bytes;
    extents.push_back({static_cast<size_t>(bytes.shard), {bytes.offset, bytes.size_bytes}, piece.source});
  }
  return extents;
}

std::optional<RowMajorPieces> BundleSave::InRowMajorOrder(const Entry& entry) const {
  if (HasLengths(entry.dtype)) return std::nullopt;
  RowMajorPieces stored{{}, foreign_byte_order()};
  AddPieces(entry, 0, &stored.pieces);
  if (entry.slices.empty()) return stored;
  for (const PlannedPiece& piece : stored.pieces) {
    if (!IsRowMajorRun(*piece.box, entry.shape)) return std::nullopt;
  }
  // They cover the tensor exactly, so those that are runs follow one another.
  std::sort(stored.pieces.begin(), stored.pieces.end(),
            [](const PlannedPiece& a, const PlannedPiece& b) { return a.box->start < b.box->start; });
  for (PlannedPiece& piece : stored.pieces) piece.box = nullptr;
  return stored;
}

namespace {

// What one call of ReadMany asks for, request by request, and the tensors that it will return.
class Batch {
 public:
  Batch(const Save& save, bool foreign_byte_order, const ReadOptions& options)
      : save_(save), foreign_byte_order_(foreign_byte_order), options_(options) {}

  // Decides how a request is served; `verified` says that its view was handed out before.
  Status Add(const ReadRequest& request, bool verified) {
    const Entry& entry = *request.entry;
    RETURN_IF_ERROR(save_.Problem(entry));
    JobRequest job{&entry, ReadAction::kDecode, options_.verify, {}, request.destination, request.destination_is_used};
    Tensor tensor{entry.dtype, entry.shape, {}, {}};
    if (!HasLengths(entry.dtype)) job.conversion = ConversionFor(*FindDTypeInfo(entry.dtype), foreign_byte_order_);
    if (request.destination == nullptr && save_.WillView(entry, request.copy)) {
      job.action = ReadAction::kView;
      job.sum = options_.verify && !verified;
      ASSIGN_OR_RETURN(tensor.data, save_.View(entry));
    } else if (request.copy == CopyMode::kNever) {
      return NoView(entry);
    } else if (!HasLengths(entry.dtype)) {
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

  const Save& save_;
  const bool foreign_byte_order_;
  const ReadOptions& options_;
};

}  // namespace

Result<std::vector<Tensor>> BundleSave::ReadMany(const std::vector<ReadRequest>& requests,
                                                 const ReadOptions& options) const {
  Batch batch(*this, foreign_byte_order(), options);
  std::vector<PlannedPiece> pieces;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Entry& entry = *requests[i].entry;
    RETURN_IF_ERROR(batch.Add(requests[i], view_verified_[PositionOf(entry)].load(std::memory_order_relaxed)));
    if (batch.ReadsBytes(i)) AddPieces(entry, i, &pieces);
  }
  ReadJob job(batch.jobs, std::move(pieces), foreign_byte_order());
  RETURN_IF_ERROR(job.Run(options));
  RETURN_IF_ERROR(job.TakeStrings(&batch.tensors));
  for (size_t i = 0; i < requests.size(); ++i) {
    if (batch.jobs[i].action != ReadAction::kView) continue;
    if (batch.jobs[i].sum) view_verified_[PositionOf(*requests[i].entry)].store(true, std::memory_order_relaxed);
    if (!job.noisy(i)) continue;
    const Entry& entry = *requests[i].entry;
    RETURN_IF_ERROR(SourceOf(entry.shard)->Populate({entry.offset_in_shard, entry.size_bytes}));
    RETURN_IF_ERROR(batch.CleanCopy(i, requests[i].copy));
  }
  return std::move(batch.tensors);
}

Result<Tensor> BundleSave::ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                                      const ReadOptions& options) const {
  if (HasLengths(entry.dtype)) {
    ASSIGN_OR_RETURN(std::vector<Tensor> tensors, ReadMany({{&entry, CopyMode::kIfNeeded, nullptr, false}}, options));
    auto strings = SelectStrings({{WholeBox(entry.shape), std::move(tensors.front().strings)}}, region);
    if (!strings.ok()) return std::move(strings).status().WithTensor(entry.name);
    return Tensor{entry.dtype, region.shape, {}, std::move(strings).value()};
  }
  std::vector<PlannedPiece> pieces;
  AddPieces(entry, 0, &pieces);
  return ReadFixedRegion(entry, region, foreign_byte_order(), pieces, destination, options);
}

Result<VerifyReport> BundleSave::Verify(const std::vector<const Entry*>& wanted, const ReadOptions& options) const {
  std::vector<JobRequest> jobs;
  std::vector<PlannedPiece> pieces;
  std::vector<Status> problems;
  for (size_t i = 0; i < wanted.size(); ++i) {
    problems.push_back(Problem(*wanted[i]));
    jobs.push_back({wanted[i],
                    HasLengths(wanted[i]->dtype) ? ReadAction::kCheckStrings : ReadAction::kCheck,
                    true,
                    {},
                    nullptr,
                    false});
    if (problems[i].ok()) AddPieces(*wanted[i], i, &pieces);
  }
  ReadJob job(std::move(jobs), std::move(pieces), foreign_byte_order());
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
