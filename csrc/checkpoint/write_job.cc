#include "checkpoint/write_job.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "bundle/string_encoder.h"
#include "checkpoint/gather.h"
#include "checkpoint/reporter.h"
#include "util/crc32c.h"
#include "util/parallel.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Written at once: it stays in a core's second-level cache between being summed and being written, and a system call
// for it costs nothing beside the copying.
constexpr uint64_t kBlockBytes = uint64_t{512} << 10;

// Above the size of any element, and a power of two.
constexpr uint64_t kCutAlignment = 64;

// What a tiny tensor costs beside its bytes, so that a task of many of them stays short.
constexpr uint64_t kChunkOverheadBytes = 64;

// Below this a file is not worth a system call that reserves its space.
constexpr uint64_t kMinReserveBytes = uint64_t{1} << 20;

// A part of a piece: the bytes [begin, end) of its tensor.
struct WriteChunk {
  size_t piece;
  uint64_t begin;
  uint64_t end;
  uint32_t crc32c;
};

class WriteJob {
 public:
  WriteJob(const std::vector<WritePiece>& pieces, const WriteJobOptions& options)
      : pieces_(pieces),
        options_(options),
        reporter_(options.progress != nullptr ? *options.progress : no_progress_, TotalBytes(pieces)) {
    CutIntoChunks();
    GroupIntoTasks();
  }

  Result<std::vector<uint32_t>> Run() {
    RETURN_IF_ERROR(ReserveSpace());
    const auto run_task = [this](size_t task) { return RunTask(tasks_[task]); };
    RETURN_IF_ERROR(reporter_.Finish(ParallelFor(tasks_.size(), options_.threads, run_task, reporter_.poll())));
    return CombineSums();
  }

 private:
  // Chunks [begin, end) lie one after the other in one shard and are written at once.
  struct Task {
    size_t begin;
    size_t end;
  };

  static uint64_t TotalBytes(const std::vector<WritePiece>& pieces) {
    return std::accumulate(pieces.begin(), pieces.end(), uint64_t{0},
                           [](uint64_t sum, const WritePiece& piece) { return sum + (piece.end - piece.begin); });
  }

  uint64_t PlaceOf(const WriteChunk& chunk) const {
    const WritePiece& piece = pieces_[chunk.piece];
    return piece.offset + (chunk.begin - piece.begin);
  }

  // Where the part of a piece that begins with `begin` ends: at the shard's next block, after whole elements.
  uint64_t NextCut(const WritePiece& piece, uint64_t begin) const {
    if (HasLengths(piece.tensor->dtype)) return piece.end;
    const uint64_t done = begin - piece.begin;
    const uint64_t to_block = kBlockBytes - (piece.offset + done) % kBlockBytes;
    return std::min(piece.begin + (done + to_block + kCutAlignment - 1) / kCutAlignment * kCutAlignment, piece.end);
  }

  void CutIntoChunks() {
    std::vector<size_t> in_file_order(pieces_.size());
    std::iota(in_file_order.begin(), in_file_order.end(), size_t{0});
    std::stable_sort(in_file_order.begin(), in_file_order.end(), [this](size_t a, size_t b) {
      return std::tie(pieces_[a].shard, pieces_[a].offset) < std::tie(pieces_[b].shard, pieces_[b].offset);
    });
    for (const size_t i : in_file_order) {
      for (uint64_t begin = pieces_[i].begin; begin < pieces_[i].end;) {
        const uint64_t end = NextCut(pieces_[i], begin);
        chunks_.push_back({i, begin, end, 0});
        begin = end;
      }
    }
  }

  bool BelongTogether(const WriteChunk& first, const WriteChunk& next, uint64_t overhead) const {
    return pieces_[first.piece].shard == pieces_[next.piece].shard &&
           PlaceOf(next) + (next.end - next.begin) - PlaceOf(first) <= kBlockBytes + kCutAlignment &&
           PlaceOf(next) - PlaceOf(first) + overhead <= kBlockBytes;
  }

  void GroupIntoTasks() {
    std::vector<std::vector<Task>> by_shard;
    for (size_t begin = 0, end = 0; begin < chunks_.size(); begin = end) {
      const bool new_shard =
          begin == 0 || pieces_[chunks_[begin - 1].piece].shard != pieces_[chunks_[begin].piece].shard;
      if (new_shard) by_shard.emplace_back();
      for (end = begin + 1; end < chunks_.size(); ++end) {
        if (!BelongTogether(chunks_[begin], chunks_[end], (end - begin) * kChunkOverheadBytes)) break;
      }
      by_shard.back().push_back({begin, end});
    }
    // In turn, so that threads write to different files: two that write to the same one wait for each other.
    const size_t num_tasks = CountTasks(by_shard);
    tasks_.reserve(num_tasks);
    for (size_t round = 0; tasks_.size() < num_tasks; ++round) {
      for (const std::vector<Task>& tasks : by_shard) {
        if (round < tasks.size()) tasks_.push_back(tasks[round]);
      }
    }
  }

  static size_t CountTasks(const std::vector<std::vector<Task>>& by_shard) {
    return std::accumulate(by_shard.begin(), by_shard.end(), size_t{0},
                           [](size_t sum, const std::vector<Task>& tasks) { return sum + tasks.size(); });
  }

  // Halves the time of writing, and says that the disk is full before anything is written.
  Status ReserveSpace() const {
    for (size_t i = 0, end = 0; i < chunks_.size(); i = end) {
      const WritePiece& first = pieces_[chunks_[i].piece];
      for (end = i; end < chunks_.size() && pieces_[chunks_[end].piece].shard == first.shard;) ++end;
      const uint64_t begin = PlaceOf(chunks_[i]);
      const WriteChunk& last = chunks_[end - 1];
      const uint64_t length = PlaceOf(last) + (last.end - last.begin) - begin;
      if (length >= kMinReserveBytes) RETURN_IF_ERROR(first.file->Reserve({begin, length}));
    }
    return Status();
  }

  // Bytes of tensors, without what lies between them.
  uint64_t SizeOf(const Task& task) const {
    uint64_t size = 0;
    for (size_t i = task.begin; i < task.end; ++i) size += chunks_[i].end - chunks_[i].begin;
    return size;
  }

  Status RunTask(const Task& task) {
    const WriteChunk& first = chunks_[task.begin];
    const WriteChunk& last = chunks_[task.end - 1];
    const WritePiece& piece = pieces_[first.piece];
    reporter_.Begin(piece.tensor->name);
    const ByteRange range{PlaceOf(first), PlaceOf(last) + (last.end - last.begin) - PlaceOf(first)};
    const bool alone = task.end - task.begin == 1;
    if (alone && HasLengths(piece.tensor->dtype)) return WriteEncoded(&chunks_[task.begin]);
    RETURN_IF_ERROR(alone && LiesAsStored(*piece.tensor) ? WriteInPlace(&chunks_[task.begin])
                                                         : WriteGathered(task, range));
    reporter_.Done(SizeOf(task));
    if (options_.write_back) piece.file->StartWriteback(range);
    return Status();
  }

  Status WriteInPlace(WriteChunk* chunk) const {
    const WritePiece& piece = pieces_[chunk->piece];
    const ByteView bytes(piece.tensor->data + chunk->begin, chunk->end - chunk->begin);
    chunk->crc32c = crc32c::Extend(0, bytes);
    return piece.file->WriteAt(PlaceOf(*chunk), bytes);
  }

  Status WriteGathered(const Task& task, ByteRange range) {
    const Block block(this);
    uint64_t filled = 0;
    for (size_t i = task.begin; i < task.end; ++i) {
      const uint64_t place = PlaceOf(chunks_[i]) - range.offset;
      std::memset(block.get() + filled, 0, place - filled);
      RETURN_IF_ERROR(Gather(&chunks_[i], block.get() + place));
      filled = place + (chunks_[i].end - chunks_[i].begin);
    }
    return pieces_[chunks_[task.begin].piece].file->WriteAt(range.offset, ByteView(block.get(), filled));
  }

  Status Gather(WriteChunk* chunk, uint8_t* destination) const {
    const TensorToWrite& tensor = *pieces_[chunk->piece].tensor;
    const uint64_t size = chunk->end - chunk->begin;
    if (HasLengths(tensor.dtype)) {
      uint8_t* next = destination;
      return Encode(tensor, &chunk->crc32c, [&next](ByteView bytes) {
        std::memcpy(next, bytes.data(), bytes.size());
        next += bytes.size();
        return Status();
      });
    }
    if (LiesAsStored(tensor)) {
      chunk->crc32c = crc32c::ExtendCopy(0, ByteView(tensor.data + chunk->begin, size), destination);
    } else {
      GatherBytes(tensor, chunk->begin, chunk->end, destination);
      chunk->crc32c = crc32c::Extend(0, ByteView(destination, size));
    }
    return Status();
  }

  // Memory for what one task gathers, borrowed from those that earlier tasks are done with: to give so much back to the
  // heap each time would cost more than to fill it.
  class Block {
   public:
    explicit Block(WriteJob* job) : job_(job) {
      const std::lock_guard<std::mutex> lock(job_->blocks_mutex_);
      if (job_->blocks_.empty()) {
        bytes_.reset(new uint8_t[kBlockBytes + kCutAlignment]);
      } else {
        bytes_ = std::move(job_->blocks_.back());
        job_->blocks_.pop_back();
      }
    }
    ~Block() {
      const std::lock_guard<std::mutex> lock(job_->blocks_mutex_);
      job_->blocks_.push_back(std::move(bytes_));
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    uint8_t* get() const { return bytes_.get(); }

   private:
    WriteJob* const job_;
    std::unique_ptr<uint8_t[]> bytes_;
  };

  // Strings, straight to the file: there may be any number of bytes of them.
  Status WriteEncoded(WriteChunk* chunk) {
    const WritePiece& piece = pieces_[chunk->piece];
    uint64_t offset = piece.offset;
    return Encode(*piece.tensor, &chunk->crc32c, [&](ByteView bytes) {
      RETURN_IF_ERROR(reporter_.KeepGoing());
      RETURN_IF_ERROR(piece.file->WriteAt(offset, bytes));
      offset += bytes.size();
      reporter_.Done(bytes.size());
      return Status();
    });
  }

  static Status Encode(const TensorToWrite& tensor, uint32_t* crc, const std::function<Status(ByteView)>& emit) {
    const auto encode = tensor.dtype == DType::kVariant ? EncodeVariants : EncodeStrings;
    return encode(tensor.strings.data(), tensor.strings.size(), emit, crc);
  }

  Result<std::vector<uint32_t>> CombineSums() const {
    std::vector<uint32_t> sums(pieces_.size());
    for (const WriteChunk& chunk : chunks_) {
      const bool is_first = chunk.begin == pieces_[chunk.piece].begin;
      uint32_t& sum = sums[chunk.piece];
      sum = is_first ? chunk.crc32c : crc32c::Combine(sum, chunk.crc32c, chunk.end - chunk.begin);
    }
    return sums;
  }

  const std::vector<WritePiece>& pieces_;
  const WriteJobOptions options_;
  const ProgressFunction no_progress_;
  Reporter reporter_;
  std::vector<WriteChunk> chunks_;  // By shard, in file order.
  std::vector<Task> tasks_;
  std::mutex blocks_mutex_;
  std::vector<std::unique_ptr<uint8_t[]>> blocks_;  // Not in use.
};

}  // namespace

Result<std::vector<uint32_t>> WritePieces(const std::vector<WritePiece>& pieces, const WriteJobOptions& options) {
  return WriteJob(pieces, options).Run();
}

}  // namespace tensorbundle
