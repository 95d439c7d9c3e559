#include "checkpoint/region.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "checkpoint/convert.h"
#include "io/coalesce.h"
#include "io/owned_memory.h"
#include "slices/assemble.h"
#include "slices/slice.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Runs are gathered in batches of this many, or of this many bytes: memory stays bounded whatever the region's shape.
constexpr size_t kBatchRuns = 1 << 16;
constexpr uint64_t kBatchBytes = uint64_t{8} << 20;

// Bytes come by the page, so what lies closer together than one costs nothing.
constexpr CoalesceLimits kLimits = {/*max_gap_bytes=*/4096, /*max_request_bytes=*/kBatchBytes};

constexpr auto kReportEvery = std::chrono::milliseconds(50);

// Copies runs of bytes from one piece to the destination, a batch at a time.
class Gatherer {
 public:
  Gatherer(const PlannedPiece& piece, const Conversion& conversion, uint8_t* destination)
      : piece_(piece), conversion_(conversion), destination_(destination) {}

  // True if it is time for Flush.
  bool Add(uint64_t source, uint64_t destination, uint64_t length) {
    ranges_.push_back({piece_.bytes.offset + source, length});
    destinations_.push_back(destination);
    batch_bytes_ += length;
    return ranges_.size() >= kBatchRuns || batch_bytes_ >= kBatchBytes;
  }

  Status Flush() {
    const Coalesced merged = Coalesce(ranges_, kLimits);
    for (const ByteRange& range : merged.requests) RETURN_IF_ERROR(piece_.source->Populate(range));
    ASSIGN_OR_RETURN(const std::vector<Buffer> buffers, piece_.source->ReadMany(merged.requests));
    for (size_t i = 0; i < ranges_.size(); ++i) {
      const CoalescedPart& part = merged.parts[i];
      uint8_t* const target = destination_ + destinations_[i];
      std::memcpy(target, buffers[part.request].data() + part.offset, ranges_[i].length);
      ConvertInPlace(conversion_, target, ranges_[i].length);
    }
    ranges_.clear();
    destinations_.clear();
    batch_bytes_ = 0;
    return Status();
  }

 private:
  const PlannedPiece& piece_;
  const Conversion& conversion_;
  uint8_t* const destination_;
  std::vector<ByteRange> ranges_;
  std::vector<uint64_t> destinations_;
  uint64_t batch_bytes_ = 0;
};

// Tells the caller now and then how far the call is.
class Reporter {
 public:
  Reporter(const ReadOptions& options, uint64_t total_bytes, std::string_view tensor)
      : options_(options), progress_{0, total_bytes, tensor} {}

  Status Done(uint64_t bytes) {
    progress_.done_bytes += bytes;
    const auto now = std::chrono::steady_clock::now();
    const bool finished = progress_.done_bytes == progress_.total_bytes;
    if (!options_.progress || (now - last_ < kReportEvery && !finished)) return Status();
    last_ = now;
    return options_.progress(progress_);
  }

 private:
  const ReadOptions& options_;
  Progress progress_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
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
  Reporter reporter(options, size_bytes, entry.name);
  const Box whole = WholeBox(entry.shape);
  for (const PlannedPiece& piece : pieces) {
    const RunPlan runs(piece.box != nullptr ? *piece.box : whole, region, info.size_bytes);
    Gatherer gatherer(piece, conversion, destination);
    uint64_t gathered = 0;
    Status status;
    runs.ForEachRun([&](uint64_t source, uint64_t target, uint64_t length) {
      if (!status.ok()) return;
      gathered += length;
      if (!gatherer.Add(source, target, length)) return;
      status = gatherer.Flush();
      if (status.ok()) status = reporter.Done(std::exchange(gathered, 0));
    });
    if (status.ok()) status = gatherer.Flush();
    if (status.ok()) status = reporter.Done(gathered);
    if (!status.ok()) return std::move(status).WithTensor(entry.name);
  }
  return tensor;
}

Tensor SelectStrings(Tensor tensor, const Region& region) {
  Tensor selected{tensor.dtype, region.shape, std::move(tensor.data), {}};
  selected.strings.resize(CountElements(region.shape).value_or(0));
  // A string is moved as one unit.
  RunPlan(WholeBox(tensor.shape), region, 1).ForEachRun([&](uint64_t source, uint64_t target, uint64_t length) {
    std::copy_n(tensor.strings.begin() + source, length, selected.strings.begin() + target);
  });
  return selected;
}

}  // namespace tensorbundle
