#include "checkpoint/region.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checkpoint/convert.h"
#include "checkpoint/reporter.h"
#include "io/coalesce.h"
#include "io/owned_memory.h"
#include "slices/assemble.h"
#include "slices/slice.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// A run of this size is read by itself, straight to where it goes, in steps of it.
constexpr uint64_t kDirectBytes = uint64_t{1} << 20;

// What is asked for ahead of such steps.
constexpr uint64_t kWindowBytes = 8 * kDirectBytes;

// Smaller ones are gathered in batches of this many, or of this many bytes to be read: memory stays bounded whatever
// the shape of the region.
constexpr size_t kBatchRuns = 1 << 16;
constexpr uint64_t kBatchBytes = uint64_t{4} << 20;

// Bytes come by the page, so what lies closer together than one costs nothing.
constexpr CoalesceLimits kLimits = {/*max_gap_bytes=*/4096, /*max_request_bytes=*/kDirectBytes};

// Copies runs of bytes from one piece to the destination.
class Gatherer {
 public:
  Gatherer(const PlannedPiece& piece, const Conversion& conversion, uint8_t* destination, Reporter* reporter)
      : piece_(piece), conversion_(conversion), destination_(destination), reporter_(reporter) {}

  // `source` is in the piece and rises from call to call.
  Status Add(uint64_t source, uint64_t destination, uint64_t length) {
    const ByteRange range{piece_.bytes.offset + source, length};
    if (length >= kDirectBytes) return ReadDirectly(range, destination_ + destination);
    const uint64_t gap = ranges_.empty() ? 0 : range.offset - (ranges_.back().offset + ranges_.back().length);
    batch_bytes_ += length + std::min(gap, kLimits.max_gap_bytes);
    ranges_.push_back(range);
    destinations_.push_back(destination);
    return ranges_.size() >= kBatchRuns || batch_bytes_ >= kBatchBytes ? Flush() : Status();
  }

  Status Flush() {
    const Coalesced merged = Coalesce(ranges_, kLimits);
    // Asked for exactly: what a touched page brings along by itself may be megabytes.
    for (const ByteRange& range : merged.requests) piece_.source->Prefetch(range);
    for (const ByteRange& range : merged.requests) RETURN_IF_ERROR(piece_.source->Populate(range));
    ASSIGN_OR_RETURN(const std::vector<Buffer> buffers, piece_.source->ReadMany(merged.requests));
    uint64_t copied_bytes = 0;
    for (size_t i = 0; i < ranges_.size(); ++i) {
      const CoalescedPart& part = merged.parts[i];
      uint8_t* const target = destination_ + destinations_[i];
      std::memcpy(target, buffers[part.request].data() + part.offset, ranges_[i].length);
      ConvertInPlace(conversion_, target, ranges_[i].length);
      copied_bytes += ranges_[i].length;
    }
    ranges_.clear();
    destinations_.clear();
    batch_bytes_ = 0;
    reporter_->Done(copied_bytes);
    return reporter_->KeepGoing();
  }

 private:
  Status ReadDirectly(ByteRange range, uint8_t* target) {
    for (uint64_t done = 0; done < range.length;) {
      if (done % kWindowBytes == 0) {
        piece_.source->Prefetch({range.offset + done, std::min(kWindowBytes, range.length - done)});
      }
      const ByteRange step{range.offset + done, std::min(kDirectBytes, range.length - done)};
      RETURN_IF_ERROR(piece_.source->ReadInto(step, target + done));
      ConvertInPlace(conversion_, target + done, step.length);
      reporter_->Done(step.length);
      RETURN_IF_ERROR(reporter_->KeepGoing());
      done += step.length;
    }
    return Status();
  }

  const PlannedPiece& piece_;
  const Conversion& conversion_;
  uint8_t* const destination_;
  Reporter* const reporter_;
  std::vector<ByteRange> ranges_;
  std::vector<uint64_t> destinations_;
  uint64_t batch_bytes_ = 0;
};

}  // namespace

Result<Tensor> ReadFixedRegion(const Entry& entry, const Region& region, bool foreign_byte_order,
                               const std::vector<PlannedPiece>& pieces, uint8_t* destination,
                               const ReadOptions& options) {
  const DTypeInfo& info = *FindDTypeInfo(entry.dtype);
  const Conversion conversion = ConversionFor(info, foreign_byte_order);
  // A valid region has no more elements than the tensor, so neither number overflows.
  const uint64_t size_bytes = *CountElements(region.shape) * info.size_bytes;
  Tensor tensor{entry.dtype, region.shape, {}, {}};
  if (destination == nullptr) {
    ASSIGN_OR_RETURN(const OwnedMemory owned, AllocateMemory(size_bytes));
    destination = owned.data;
    tensor.data = owned.buffer;
  }
  if (size_bytes == 0) return tensor;
  Reporter reporter(options.progress, size_bytes);
  reporter.Begin(entry.name);
  const Box whole = WholeBox(entry.shape);
  for (const PlannedPiece& piece : pieces) {
    const RunPlan runs(piece.box != nullptr ? *piece.box : whole, region, info.size_bytes);
    Gatherer gatherer(piece, conversion, destination, &reporter);
    Status status;
    runs.ForEachRun([&](uint64_t source, uint64_t target, uint64_t length) {
      status = gatherer.Add(source, target, length);
      return status.ok();
    });
    if (status.ok()) status = gatherer.Flush();
    if (!status.ok()) return std::move(status).WithTensor(entry.name);
  }
  RETURN_IF_ERROR(reporter.Report());
  return tensor;
}

}  // namespace tensorbundle
