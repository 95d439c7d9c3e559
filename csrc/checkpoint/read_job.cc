#include "checkpoint/read_job.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "bundle/string_tensor.h"
#include "checkpoint/select_strings.h"
#include "io/owned_memory.h"
#include "slices/assemble.h"
#include "table/format.h"
#include "util/crc32c.h"
#include "util/parallel.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// What is read, rather than mapped, is read in parts that stay in a core's second-level cache until they are summed.
constexpr uint64_t kReadBytes = 256 << 10;

// From this size on what was copied first has left the caches before the copy is finished, so that storing past them
// costs nothing later and saves a third of the traffic now.
constexpr uint64_t kStreamingBytes = uint64_t{32} << 20;

// Neighbours this close are asked for as one.
constexpr uint64_t kPrefetchGapBytes = 4096;

constexpr uint64_t kMinPrefetchBytes = 256 << 10;

// What is asked for at once: more would keep the caller waiting where a request is not free.
constexpr uint64_t kMaxPrefetchBytes = uint64_t{8} << 20;

// A chunk that cannot be divided is read in steps, so that it can be given up in the middle.
constexpr uint64_t kIndivisibleStepBytes = uint64_t{8} << 20;

// How far ahead of the thread that is furthest files are asked for.
constexpr size_t kPrefetchTasks = 32;

ByteRange RangeOf(const PlannedPiece& piece, uint64_t begin, uint64_t end) {
  return {piece.bytes.offset + begin, end - begin};  // Inside the file: bundle/index.h saw to it.
}

// Calls `take(bytes, offset in the chunk)` with the chunk's bytes, part by part, in order.
template <typename Take>
Status ForEachPart(const PlannedPiece& piece, const Chunk& chunk, const Take& take) {
  const ByteRange range = RangeOf(piece, chunk.begin, chunk.end);
  if (piece.source->reads_are_views()) {
    RETURN_IF_ERROR(piece.source->Populate(range));
    ASSIGN_OR_RETURN(const Buffer view, piece.source->Read(range));
    take(view.view(), uint64_t{0});
    return Status();
  }
  const uint64_t part_bytes = std::min(kReadBytes, range.length);
  const std::unique_ptr<uint8_t[]> part(new uint8_t[part_bytes]);
  for (uint64_t done = 0; done < range.length; done += part_bytes) {
    const uint64_t length = std::min(part_bytes, range.length - done);
    RETURN_IF_ERROR(piece.source->ReadInto({range.offset + done, length}, part.get()));
    take(ByteView(part.get(), length), done);
  }
  return Status();
}

}  // namespace

Status ChecksumMismatch(const PlannedPiece& piece, uint32_t found) {
  const StoredBytes& bytes = piece.bytes;
  if (piece.frame != nullptr) {
    return CheckBlockSum(piece.frame->handle, bytes.crc32c, found, "data block").WithPath(piece.source->name());
  }
  Status status(StatusCode::kDataLoss, "Checksum does not match: shard " + std::to_string(bytes.shard) + ", " +
                                           std::to_string(bytes.size_bytes) + " bytes at " +
                                           std::to_string(bytes.offset) + ": stored " + Hex32(bytes.crc32c) +
                                           ", computed " + Hex32(found));
  if (piece.source != nullptr) status = std::move(status).WithPath(piece.source->name());
  return std::move(status).WithOffset(bytes.offset);
}

ReadJob::ReadJob(std::vector<JobRequest> requests, std::vector<PlannedPiece> pieces, bool foreign_byte_order)
    : foreign_byte_order_(foreign_byte_order),
      requests_(std::move(requests)),
      plan_(PlanReads(std::move(pieces))),
      chunk_crcs_(plan_.chunks.size()),
      noisy_(requests_.size()) {
  for (size_t i = 0; i < plan_.pieces.size(); ++i) {
    // Made here, so that threads only look them up.
    const ReadAction action = requests_[plan_.pieces[i].request].action;
    if (action == ReadAction::kDecode) decoded_[i];
  }
}

Status ReadJob::RunChunks(const ReadOptions& options) {
  return RunTasks(options, [this](size_t chunk) {
    return RunChunk(chunk).WithTensor(requests_[plan_.pieces[plan_.chunks[chunk].piece].request].entry->name);
  });
}

Status ReadJob::Run(const ReadOptions& options) {
  RETURN_IF_ERROR(RunChunks(options));
  Status first;
  CompareSums([&first](PieceFailure failure) {
    if (first.ok()) first = std::move(failure.why);
  });
  return first;
}

Result<std::vector<uint32_t>> ReadJob::RunForSums(const ReadOptions& options) {
  RETURN_IF_ERROR(RunChunks(options));
  std::vector<uint32_t> sums(requests_.size());
  ForEachSum([&](size_t piece, uint32_t crc) { sums[plan_.pieces[piece].request] = crc; });
  return sums;
}

Result<std::vector<PieceFailure>> ReadJob::RunThrough(const ReadOptions& options) {
  std::mutex mutex;
  std::map<size_t, PieceFailure> failures;  // By piece; rare.
  RETURN_IF_ERROR(RunTasks(options, [&](size_t chunk) {
    const size_t piece = plan_.chunks[chunk].piece;
    Status status = RunChunk(chunk).WithTensor(requests_[plan_.pieces[piece].request].entry->name);
    // What fails is damage, but for the caller's own word to stop.
    if (status.ok() || reporter_->cancelled()) return status;
    const std::lock_guard<std::mutex> lock(mutex);
    failures.try_emplace(piece, PieceFailure{piece, std::move(status).AsData(), std::nullopt});
    return Status();
  }));
  CompareSums([&failures](PieceFailure failure) {
    failures.try_emplace(failure.piece, std::move(failure));  // A piece that could not be read has its reason already.
  });
  std::vector<PieceFailure> in_order;
  for (auto& [piece, failure] : failures) in_order.push_back(std::move(failure));
  return in_order;
}

Status ReadJob::RunTasks(const ReadOptions& options, const std::function<Status(size_t)>& on_chunk) {
  reporter_.emplace(options.progress, plan_.total_bytes);
  const auto run_task = [&](size_t task) {
    PrefetchAhead(task);
    for (size_t i = plan_.task_begins[task]; i < plan_.task_begins[task + 1]; ++i) {
      reporter_->Begin(requests_[plan_.pieces[plan_.chunks[i].piece].request].entry->name);
      RETURN_IF_ERROR(on_chunk(i));
      reporter_->Done(plan_.chunks[i].end - plan_.chunks[i].begin);
    }
    return Status();
  };
  RETURN_IF_ERROR(ParallelFor(plan_.num_tasks(), options.threads, run_task, reporter_->poll()));
  return reporter_->Report();
}

void ReadJob::PrefetchAhead(size_t task) {
  const size_t end = std::min(plan_.num_tasks(), task + kPrefetchTasks);
  size_t next = next_prefetch_.load(std::memory_order_relaxed);
  while (next < end) {
    if (!next_prefetch_.compare_exchange_weak(next, next + 1, std::memory_order_relaxed)) continue;
    PrefetchTask(next);
    ++next;
  }
}

void ReadJob::PrefetchTask(size_t task) {
  // Neighbouring chunks are asked for together.
  const size_t end = plan_.task_begins[task + 1];
  for (size_t i = plan_.task_begins[task]; i < end;) {
    const PlannedPiece& first = plan_.pieces[plan_.chunks[i].piece];
    ByteRange range = RangeOf(first, plan_.chunks[i].begin, plan_.chunks[i].end);
    for (++i; i < end; ++i) {
      const PlannedPiece& next = plan_.pieces[plan_.chunks[i].piece];
      const uint64_t begin = next.bytes.offset + plan_.chunks[i].begin;
      const uint64_t range_end = range.offset + range.length;
      if (next.source != first.source || begin < range.offset || begin > range_end + kPrefetchGapBytes) break;
      range.length = std::max(range_end, next.bytes.offset + plan_.chunks[i].end) - range.offset;
    }
    // A request in the midst of a sequential pass disturbs the system's own reading ahead.
    if (range.length < kMinPrefetchBytes) continue;
    // What cannot be divided may be gigabytes; its beginning is enough to set out.
    range.length = std::min(range.length, kMaxPrefetchBytes);
    first.source->Prefetch(range);
  }
}

Status ReadJob::RunChunk(size_t chunk_index) {
  const Chunk& chunk = plan_.chunks[chunk_index];
  uint32_t* const crc = &chunk_crcs_[chunk_index];
  switch (requests_[plan_.pieces[chunk.piece].request].action) {
    case ReadAction::kCheck:
    case ReadAction::kView:
      return LookAtChunk(chunk, crc);
    case ReadAction::kCopy:
      return CopyChunk(chunk, crc);
    case ReadAction::kScatter:
      return ScatterChunk(chunk, crc);
    case ReadAction::kCheckStrings:
    case ReadAction::kDecode:
      return DecodePiece(chunk, crc);
  }
  return Status(StatusCode::kInternal, "unknown read action");
}

Status ReadJob::LookAtChunk(const Chunk& chunk, uint32_t* crc) {
  const PlannedPiece& piece = plan_.pieces[chunk.piece];
  const JobRequest& request = requests_[piece.request];
  const bool look_for_noise = request.action == ReadAction::kView && request.conversion.has_noise();
  return ForEachPart(piece, chunk, [&](ByteView bytes, uint64_t) {
    if (request.sum) *crc = crc32c::Extend(*crc, bytes);
    if (look_for_noise && !FreeOfNoise(request.conversion, bytes)) {
      noisy_[piece.request].store(true, std::memory_order_relaxed);
    }
  });
}

Status ReadJob::CopyChunk(const Chunk& chunk, uint32_t* crc) {
  const PlannedPiece& piece = plan_.pieces[chunk.piece];
  const JobRequest& request = requests_[piece.request];
  uint8_t* const destination = request.destination + chunk.begin;
  const ByteRange range = RangeOf(piece, chunk.begin, chunk.end);
  if (piece.source->reads_are_views()) {
    RETURN_IF_ERROR(piece.source->Populate(range));
    ASSIGN_OR_RETURN(const Buffer view, piece.source->Read(range));
    if (request.sum && request.destination_is_used && plan_.total_bytes >= kStreamingBytes) {
      *crc = crc32c::ExtendCopyStreaming(*crc, view.view(), destination);
    } else if (request.sum) {
      *crc = crc32c::ExtendCopy(*crc, view.view(), destination);
    } else {
      std::memcpy(destination, view.data(), view.size());
    }
  } else {
    for (uint64_t done = 0; done < range.length; done += kReadBytes) {
      const uint64_t length = std::min(kReadBytes, range.length - done);
      RETURN_IF_ERROR(piece.source->ReadInto({range.offset + done, length}, destination + done));
      if (request.sum) *crc = crc32c::Extend(*crc, ByteView(destination + done, length));
    }
  }
  ConvertInPlace(request.conversion, destination, range.length);
  return Status();
}

Status ReadJob::ScatterChunk(const Chunk& chunk, uint32_t* crc) {
  const PlannedPiece& piece = plan_.pieces[chunk.piece];
  const JobRequest& request = requests_[piece.request];
  const uint64_t element_bytes = FindDTypeInfo(request.entry->dtype)->size_bytes;
  const RunPlan runs(*piece.box, Region::Whole(request.entry->shape), element_bytes);
  return ForEachPart(piece, chunk, [&](ByteView bytes, uint64_t offset) {
    if (request.sum) *crc = crc32c::Extend(*crc, bytes);
    const uint64_t begin = chunk.begin + offset;
    if (!request.conversion.needs_anything()) return CopyRuns(runs, begin, bytes, request.destination);
    runs.ForEachRunIn(begin, begin + bytes.size(), [&](uint64_t source, uint64_t destination, uint64_t length) {
      std::memcpy(request.destination + destination, bytes.data() + (source - begin), length);
      ConvertInPlace(request.conversion, request.destination + destination, length);
    });
  });
}

Status ReadJob::DecodePiece(const Chunk& chunk, uint32_t* crc) {
  const PlannedPiece& piece = plan_.pieces[chunk.piece];
  const Entry& entry = *requests_[piece.request].entry;
  ASSIGN_OR_RETURN(const Buffer stored, ReadIndivisible(*piece.source, RangeOf(piece, chunk.begin, chunk.end)));
  const uint64_t count = *CountElements(piece.box != nullptr ? piece.box->shape : entry.shape);
  const auto decode = entry.dtype == DType::kVariant ? DecodeVariants : DecodeStrings;
  StringArray strings;
  Status status = decode(
      stored, count, foreign_byte_order_, &strings, crc, [this] { return reporter_->KeepGoing(); }, kMaxNarrowOffset);
  if (requests_[piece.request].action == ReadAction::kDecode) decoded_.find(chunk.piece)->second = std::move(strings);
  return std::move(status).WithPath(piece.source->name());
}

Result<Buffer> ReadJob::ReadIndivisible(const ByteSource& source, ByteRange range) {
  // Never as a view: lengths are checked and then used, and somebody may write to a mapped file in between.
  ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(range.length));
  for (uint64_t done = 0; done < range.length;) {
    RETURN_IF_ERROR(reporter_->KeepGoing());
    const ByteRange step{range.offset + done, std::min(kIndivisibleStepBytes, range.length - done)};
    RETURN_IF_ERROR(source.ReadInto(step, memory.data + done));
    done += step.length;
  }
  return memory.buffer;
}

Status ReadJob::TakeStrings(std::vector<Tensor>* tensors) {
  std::map<size_t, std::vector<StringPiece>> pieces;  // By request, of tensors that are stored in several.
  for (auto& [index, strings] : decoded_) {
    const PlannedPiece& piece = plan_.pieces[index];
    if (piece.box == nullptr) {
      (*tensors)[piece.request].strings = std::move(strings);
    } else {
      pieces[piece.request].push_back({*piece.box, std::move(strings)});
    }
  }
  for (const auto& [request, parts] : pieces) {
    Tensor& tensor = (*tensors)[request];
    auto strings = SelectStrings(parts, Region::Whole(tensor.shape));
    if (!strings.ok()) return std::move(strings).status().WithTensor(requests_[request].entry->name);
    tensor.strings = std::move(strings).value();
  }
  return Status();
}

template <typename Take>
void ReadJob::ForEachSum(const Take& take) const {
  size_t chunk = 0;
  for (size_t i = 0; i < plan_.pieces.size(); ++i) {
    uint32_t crc = 0;
    for (uint64_t done = 0; chunk < plan_.chunks.size() && plan_.chunks[chunk].piece == i; ++chunk) {
      const uint64_t length = plan_.chunks[chunk].end - plan_.chunks[chunk].begin;
      crc = done == 0 ? chunk_crcs_[chunk] : crc32c::Combine(crc, chunk_crcs_[chunk], length);
      done += length;
    }
    take(i, crc);
  }
}

void ReadJob::CompareSums(const std::function<void(PieceFailure)>& on_failure) const {
  ForEachSum([&](size_t i, uint32_t crc) {
    const PlannedPiece& piece = plan_.pieces[i];
    if (piece.frame != nullptr) crc = piece.frame->Enclose(crc, piece.bytes.size_bytes);
    const JobRequest& request = requests_[piece.request];
    if (!request.sum || crc == piece.bytes.crc32c) return;
    on_failure({i, ChecksumMismatch(piece, crc).WithTensor(request.entry->name).AsData(), crc});
  });
}

}  // namespace tensorbundle
