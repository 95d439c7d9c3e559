#include "checkpoint/v1_save.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <optional>

#include "checkpoint/block_job.h"
#include "checkpoint/convert.h"
#include "checkpoint/opener.h"
#include "checkpoint/read_job.h"
#include "checkpoint/region.h"
#include "checkpoint/v1_packed.h"
#include "io/owned_memory.h"
#include "slices/assemble.h"
#include "slices/key.h"
#include "slices/slice.h"
#include "util/crc32c.h"
#include "util/endian.h"
#include "util/status_macros.h"
#include "v1/naming.h"

namespace tensorbundle {
namespace {

// Packed values are little-endian.
constexpr bool kForeignByteOrder = !kHostIsLittleEndian;

Status NoView(const Entry& entry) {
  return Status(StatusCode::kInvalidArgument,
                "a view is not possible: in the V1 format values are encoded; allow a copy")
      .WithTensor(entry.name);
}

// Of one of two jobs that are one call to whoever made it.
ProgressFunction PartOf(const ProgressFunction& whole, uint64_t done_before, uint64_t total) {
  if (!whole) return nullptr;
  return [&whole, done_before, total](const Progress& part) {
    return whole({done_before + part.done_bytes, total, part.tensor});
  };
}

bool Overlaps(const Box& box, const Region& region, uint64_t element_bytes) {
  return !RunPlan(box, region, element_bytes).empty();
}

// The files of a checkpoint that are there, their numbers among its shards, and the names of the others.
struct ShardFiles {
  std::vector<std::shared_ptr<const ByteSource>> sources;
  std::vector<int32_t> shards;
  std::vector<std::string> missing;
};

// An error if none is there, or if one is that can't be opened.
Result<ShardFiles> OpenThoseThere(const std::vector<std::string>& paths, const OpenOptions& options) {
  const SourceOpener open = OpenerFor(options);
  ShardFiles files;
  Status first_missing;
  for (size_t i = 0; i < paths.size(); ++i) {
    auto source = open(paths[i]);
    if (source.ok()) {
      files.sources.push_back(*std::move(source));
      files.shards.push_back(static_cast<int32_t>(i));
      continue;
    }
    if (!IsMissing(source.status())) return std::move(source).status();
    if (files.missing.empty()) first_missing = std::move(source).status().AsData();
    files.missing.push_back(paths[i]);
  }
  if (files.sources.empty()) return first_missing;
  return files;
}

// True unless one of the files has been replaced, came or went since, as far as sources can tell.
bool AreStill(const std::vector<std::string>& paths, const ShardFiles& files, const OpenOptions& options) {
  const auto again = OpenThoseThere(paths, options);
  if (!again.ok()) return false;
  return files.shards == again->shards &&
         std::equal(files.sources.begin(), files.sources.end(), again->sources.begin(),
                    [](const auto& a, const auto& b) { return a->identity() == b->identity(); });
}

Result<v1::Index> ReadIndex(const ShardFiles& files) {
  std::vector<v1::TableFile> tables;
  for (const std::shared_ptr<const ByteSource>& source : files.sources) {
    auto table = v1::TableFile::Open(source);
    if (!table.ok()) return std::move(table).status().WithPath(source->name());
    tables.push_back(*std::move(table));
  }
  return v1::Index::Read(std::move(tables), files.missing);
}

}  // namespace

Result<std::unique_ptr<const Save>> V1Save::Open(const std::string& path, const OpenOptions& options) {
  const std::vector<std::string> paths = v1::ShardsOf(path).value_or(std::vector<std::string>{path});
  for (int attempt = 0; attempt < kMaxOpeningAttempts; ++attempt) {
    ASSIGN_OR_RETURN(ShardFiles files, OpenThoseThere(paths, options));
    auto index = ReadIndex(files);
    // One file is always one save.
    if (paths.size() > 1 && !AreStill(paths, files, options)) {
      index.status().IgnoreError();
      continue;
    }
    if (!index.ok()) return std::move(index).status();
    return std::unique_ptr<const Save>(
        std::make_unique<V1Save>(path, *std::move(index), std::move(files.shards), std::move(files.missing)));
  }
  return Status::FromErrno(EBUSY, path, "it is replaced faster than it can be opened:");
}

// What one call reads: packed pieces as those of V2 are read, and records of blocks.
class V1Save::Plan {
 public:
  explicit Plan(const V1Save& save) : save_(save) {}

  // Adds a request: what is stored of the region.
  void Add(const Entry& entry, Region region, uint8_t* destination, bool check_only, const ReadOptions& options) {
    const size_t request = blocks.size();
    const uint64_t element_bytes = std::max<uint64_t>(1, FindDTypeInfo(entry.dtype)->size_bytes);
    for (const v1::StoredPiece& piece : save_.index_.Pieces(save_.PositionOf(entry))) {
      if (Overlaps(piece.box, region, element_bytes)) AddPiece(entry, request, piece);
    }
    const ReadAction action = check_only             ? ReadAction::kCheck
                              : entry.slices.empty() ? ReadAction::kCopy
                                                     : ReadAction::kScatter;
    JobRequest job{&entry, action, check_only || options.verify, {}, destination, false};
    job.conversion = ConversionFor(*FindDTypeInfo(entry.dtype), kForeignByteOrder);
    jobs.push_back(job);
    blocks.push_back({&entry, std::move(region), destination, check_only});
  }

  std::vector<JobRequest> jobs;
  std::vector<PlannedPiece> packed;
  std::vector<BlockRequest> blocks;
  std::vector<WantedRecord> records;
  std::deque<BlockFrame> frames;  // Those that `packed` points to.

 private:
  void AddPiece(const Entry& entry, size_t request, const v1::StoredPiece& piece) {
    const v1::TableFile& file = save_.index_.files()[piece.file];
    std::string key = EncodeSliceKey(entry.name, piece.slice);
    const auto found =
        FindPacked(file, save_.shards_[piece.file], piece.block, key, entry.dtype, piece.box.NumElements());
    if (!found) {
      records.push_back({request, &piece, std::move(key)});
      return;
    }
    frames.push_back(found->frame);
    const Box* const box = entry.slices.empty() ? nullptr : &piece.box;
    packed.push_back({request, box, found->bytes, &file.source(), true, &frames.back()});
  }

  const V1Save& save_;
};

uint64_t V1Save::index_size_bytes() const {
  uint64_t size_bytes = 0;  // Files of one file system: no sum overflows.
  for (const v1::TableFile& file : index_.files()) size_bytes += file.source().size_bytes();
  return size_bytes;
}

uint32_t V1Save::index_crc32c() const {
  uint32_t crc = 0;
  for (const v1::TableFile& file : index_.files()) {
    for (const TableBlock& block : file.blocks()) {
      uint8_t trailer[kBlockTrailerSize];
      const ByteRange range{block.handle.offset + block.handle.size, sizeof(trailer)};
      if (!file.source().ReadInto(range, trailer).ok()) return 0;
      crc = crc32c::Extend(crc, ByteView(trailer, sizeof(trailer)));
    }
  }
  return crc;
}

Result<Buffer> V1Save::View(const Entry& entry) const { return NoView(entry); }

std::vector<StoredExtent> V1Save::Extents(const Entry& entry) const {
  std::vector<StoredExtent> extents;
  for (const v1::StoredPiece& piece : index_.Pieces(PositionOf(entry))) {
    const v1::TableFile& file = index_.files()[piece.file];
    const BlockHandle& block = file.blocks()[piece.block].handle;
    extents.push_back({piece.file, {block.offset, block.size + kBlockTrailerSize}, &file.source()});
  }
  return extents;
}

bool V1Save::RegionsAreDirect(const Entry& entry) const {
  Plan plan(*this);
  plan.Add(entry, Region::Whole(entry.shape), nullptr, true, {});
  return plan.records.empty();
}

Result<std::vector<Tensor>> V1Save::ReadMany(const std::vector<ReadRequest>& requests,
                                             const ReadOptions& options) const {
  Plan plan(*this);
  std::vector<Tensor> tensors;
  for (const ReadRequest& request : requests) {
    const Entry& entry = *request.entry;
    RETURN_IF_ERROR(Problem(entry));
    if (request.copy == CopyMode::kNever) return NoView(entry);
    Tensor tensor{entry.dtype, entry.shape, {}, {}};
    uint8_t* destination = request.destination;
    if (destination == nullptr && !HasLengths(entry.dtype)) {
      ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(entry.size_bytes));
      destination = memory.data;
      tensor.data = memory.buffer;
    }
    plan.Add(entry, Region::Whole(entry.shape), destination, false, options);
    plan.jobs.back().destination_is_used = request.destination_is_used;
    tensors.push_back(std::move(tensor));
  }
  ReadJob packed(std::move(plan.jobs), std::move(plan.packed), kForeignByteOrder);
  BlockJob blocks(index_, std::move(plan.blocks), std::move(plan.records));
  const uint64_t packed_bytes = packed.plan().total_bytes;
  const uint64_t total = packed_bytes + blocks.total_bytes();
  RETURN_IF_ERROR(packed.Run({options.verify, options.threads, PartOf(options.progress, 0, total)}));
  RETURN_IF_ERROR(blocks.Run({options.verify, options.threads, PartOf(options.progress, packed_bytes, total)}));
  ASSIGN_OR_RETURN(auto strings, blocks.TakeStrings());
  for (auto& [i, taken] : strings) tensors[i].strings = std::move(taken);
  return tensors;
}

Result<Tensor> V1Save::ReadRegion(const Entry& entry, const Region& region, uint8_t* destination,
                                  const ReadOptions& options) const {
  Tensor tensor{entry.dtype, region.shape, {}, {}};
  // A valid region has no more elements than the tensor.
  const uint64_t size_bytes = *CountElements(region.shape) * FindDTypeInfo(entry.dtype)->size_bytes;
  if (destination == nullptr && size_bytes > 0) {
    ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(size_bytes));
    destination = memory.data;
    tensor.data = memory.buffer;
  }
  Plan plan(*this);
  plan.Add(entry, region, destination, false, options);
  BlockJob blocks(index_, std::move(plan.blocks), std::move(plan.records));
  const uint64_t packed_bytes = plan.packed.empty() ? 0 : size_bytes;
  const uint64_t total = packed_bytes + blocks.total_bytes();
  if (!plan.packed.empty()) {
    const ReadOptions packed{false, options.threads, PartOf(options.progress, 0, total)};
    RETURN_IF_ERROR(ReadFixedRegion(entry, region, kForeignByteOrder, plan.packed, destination, packed).status());
  }
  RETURN_IF_ERROR(blocks.Run({options.verify, options.threads, PartOf(options.progress, packed_bytes, total)}));
  ASSIGN_OR_RETURN(auto strings, blocks.TakeStrings());
  if (!strings.empty()) tensor.strings = std::move(strings.begin()->second);
  return tensor;
}

Result<VerifyReport> V1Save::Verify(const std::vector<const Entry*>& wanted, const ReadOptions& options) const {
  VerifyReport report;
  report.num_tensors = wanted.size();
  Plan plan(*this);
  for (const Entry* entry : wanted) {
    Status problem = Problem(*entry);
    if (problem.ok()) {
      plan.Add(*entry, Region::Whole(entry->shape), nullptr, true, options);
    } else {
      report.damaged.push_back({entry->name, -1, 0, {}, {}, std::move(problem).AsData()});
    }
  }
  const std::vector<JobRequest> requests = plan.jobs;
  ReadJob packed(std::move(plan.jobs), std::move(plan.packed), kForeignByteOrder);
  BlockJob blocks(index_, std::move(plan.blocks), std::move(plan.records));
  const uint64_t packed_bytes = packed.plan().total_bytes;
  report.num_bytes = packed_bytes + blocks.total_bytes();
  ASSIGN_OR_RETURN(std::vector<PieceFailure> pieces,
                   packed.RunThrough({true, options.threads, PartOf(options.progress, 0, report.num_bytes)}));
  for (PieceFailure& failure : pieces) {
    const PlannedPiece& piece = packed.plan().pieces[failure.piece];
    Damage damage{requests[piece.request].entry->name,
                  piece.bytes.shard,
                  piece.frame->handle.offset,
                  {},
                  failure.found_crc32c,
                  std::move(failure.why)};
    if (failure.found_crc32c) damage.expected_crc32c = piece.bytes.crc32c;
    report.damaged.push_back(std::move(damage));
  }
  ASSIGN_OR_RETURN(
      std::vector<RecordFailure> records,
      blocks.RunThrough({true, options.threads, PartOf(options.progress, packed_bytes, report.num_bytes)}));
  for (RecordFailure& failure : records) {
    const v1::StoredPiece& piece = *failure.piece;
    Damage damage{requests[failure.request].entry->name,
                  shards_[piece.file],
                  index_.files()[piece.file].blocks()[piece.block].handle.offset,
                  {},
                  {},
                  std::move(failure.why)};
    if (failure.sum) {
      damage.expected_crc32c = failure.sum->stored;
      damage.found_crc32c = failure.sum->computed;
    }
    report.damaged.push_back(std::move(damage));
  }
  std::stable_sort(report.damaged.begin(), report.damaged.end(),
                   [](const Damage& a, const Damage& b) { return a.name < b.name; });
  return report;
}

}  // namespace tensorbundle
