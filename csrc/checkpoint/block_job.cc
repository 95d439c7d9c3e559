#include "checkpoint/block_job.h"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <utility>

#include "checkpoint/save.h"
#include "checkpoint/select_strings.h"
#include "io/owned_memory.h"
#include "slices/assemble.h"
#include "slices/slice.h"
#include "table/block.h"
#include "util/parallel.h"
#include "util/status_macros.h"
#include "v1/records.h"

namespace tensorbundle {
namespace {

bool InFileOrder(const WantedRecord& a, const WantedRecord& b) {
  return std::tie(a.piece->file, a.piece->block, a.key) < std::tie(b.piece->file, b.piece->block, b.key);
}

bool SameBlock(const WantedRecord& a, const WantedRecord& b) {
  return a.piece->file == b.piece->file && a.piece->block == b.piece->block;
}

// True if the piece is the tensor, and the tensor is wanted.
bool IsAllOfIt(const BlockRequest& request, const v1::StoredPiece& piece) {
  return piece.box == WholeBox(request.entry->shape) && request.region.shape == request.entry->shape;
}

}  // namespace

BlockJob::BlockJob(const v1::Index& index, std::vector<BlockRequest> requests, std::vector<WantedRecord> records)
    : index_(index), requests_(std::move(requests)), records_(std::move(records)), strings_(records_.size()) {
  std::stable_sort(records_.begin(), records_.end(), InFileOrder);
  for (size_t i = 0; i < records_.size(); ++i) {
    if (i > 0 && SameBlock(records_[i - 1], records_[i])) {
      tasks_.back().end = i + 1;
      continue;
    }
    tasks_.push_back({i, i + 1});
    total_bytes_ += FileOf(*records_[i].piece).blocks()[records_[i].piece->block].handle.size;
  }
}

Status BlockJob::Run(const ReadOptions& options) {
  return RunTasks(options, options.verify, [](RecordFailure failure) { return std::move(failure.why); });
}

Result<std::vector<RecordFailure>> BlockJob::RunThrough(const ReadOptions& options) {
  std::mutex mutex;
  std::vector<RecordFailure> failures;
  RETURN_IF_ERROR(RunTasks(options, true, [&](RecordFailure failure) {
    if (reporter_->cancelled()) return std::move(failure.why);
    const std::lock_guard<std::mutex> lock(mutex);
    failure.why = std::move(failure.why).AsData();
    failures.push_back(std::move(failure));
    return Status();
  }));
  return failures;
}

Status BlockJob::RunTasks(const ReadOptions& options, bool verify, const OnFailure& on_failure) {
  reporter_.emplace(options.progress, total_bytes_);
  const auto run_task = [&](size_t i) {
    const v1::StoredPiece& piece = *records_[tasks_[i].begin].piece;
    reporter_->Begin(requests_[records_[tasks_[i].begin].request].entry->name);
    RETURN_IF_ERROR(RunBlock(tasks_[i], verify, on_failure));
    reporter_->Done(FileOf(piece).blocks()[piece.block].handle.size);
    return Status();
  };
  RETURN_IF_ERROR(ParallelFor(tasks_.size(), options.threads, run_task, reporter_->poll()));
  return reporter_->Report();
}

Status BlockJob::RunBlock(const Task& task, bool verify, const OnFailure& on_failure) {
  const v1::StoredPiece& piece = *records_[task.begin].piece;
  std::optional<v1::SumMismatch> sum;
  const v1::ReadBlockOptions options{verify, [this] { return reporter_->KeepGoing(); }, &sum};
  const auto contents = FileOf(piece).ReadBlock(piece.block, options);
  if (contents.ok()) return WalkBlock(task, contents->view(), on_failure);
  for (size_t i = task.begin; i < task.end; ++i) RETURN_IF_ERROR(Fail(i, contents.status(), sum, on_failure));
  return Status();
}

// Entries and wanted records both ascend, so one walk meets them all.
Status BlockJob::WalkBlock(const Task& task, ByteView contents, const OnFailure& on_failure) {
  size_t next = task.begin;
  BlockCursor cursor;
  Status damage = cursor.Enter(contents);
  while (damage.ok() && next < task.end && cursor.Next()) {
    const std::string_view key = cursor.key().AsText();
    for (; next < task.end && records_[next].key <= key; ++next) {
      Status status = records_[next].key == key ? Decode(next, cursor.value()) : Missing(next);
      if (!status.ok()) RETURN_IF_ERROR(Fail(next, std::move(status), {}, on_failure));
    }
  }
  if (damage.ok()) damage = cursor.status();
  const v1::StoredPiece& piece = *records_[task.begin].piece;
  if (!damage.ok()) damage = FileOf(piece).Damaged(piece.block, damage);
  for (; next < task.end; ++next) {
    RETURN_IF_ERROR(Fail(next, damage.ok() ? Missing(next) : damage, {}, on_failure));
  }
  return Status();
}

Status BlockJob::Fail(size_t record, Status why, std::optional<v1::SumMismatch> sum,
                      const OnFailure& on_failure) const {
  const WantedRecord& wanted = records_[record];
  const v1::TableFile& file = FileOf(*wanted.piece);
  why = std::move(why)
            .WithOffset(file.blocks()[wanted.piece->block].handle.offset)
            .WithPath(file.source().name())
            .WithTensor(requests_[wanted.request].entry->name);
  return on_failure({wanted.request, wanted.piece, std::move(why), sum});
}

Status BlockJob::Missing(size_t record) const {
  const v1::StoredPiece& piece = *records_[record].piece;
  return FileOf(piece).Damaged(
      piece.block, Status(StatusCode::kDataLoss, "Error copying slice data: the metadata lists " + BoxText(piece.box) +
                                                     ", and there is no record of it"));
}

Status BlockJob::Decode(size_t record, ByteView value) {
  const WantedRecord& wanted = records_[record];
  const BlockRequest& request = requests_[wanted.request];
  if (!HasLengths(request.entry->dtype)) return DecodeNumbers(request, *wanted.piece, value);
  const uint64_t count = wanted.piece->box.NumElements();
  const v1::KeepGoing keep_going = [this] { return reporter_->KeepGoing(); };
  if (request.check_only) return v1::CheckStrings(value, count, keep_going);
  ASSIGN_OR_RETURN(strings_[record], v1::DecodeStrings(value, count, keep_going));
  return Status();
}

Status BlockJob::DecodeNumbers(const BlockRequest& request, const v1::StoredPiece& piece, ByteView value) {
  const uint64_t count = piece.box.NumElements();
  const DType dtype = request.entry->dtype;
  const v1::KeepGoing keep_going = [this] { return reporter_->KeepGoing(); };
  if (request.check_only || IsAllOfIt(request, piece)) {
    return v1::DecodeValues(value, dtype, count, request.destination, keep_going);
  }
  // The sizes were seen to fit the block when the checkpoint was opened.
  const uint64_t element_bytes = FindDTypeInfo(dtype)->size_bytes;
  ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(count * element_bytes));
  RETURN_IF_ERROR(v1::DecodeValues(value, dtype, count, memory.data, keep_going));
  CopyRuns(RunPlan(piece.box, request.region, element_bytes), 0, memory.buffer.view(), request.destination);
  return Status();
}

Result<std::map<size_t, StringArray>> BlockJob::TakeStrings() {
  std::map<size_t, std::vector<StringPiece>> pieces;
  for (size_t i = 0; i < records_.size(); ++i) {
    const WantedRecord& wanted = records_[i];
    if (HasLengths(requests_[wanted.request].entry->dtype)) {
      pieces[wanted.request].push_back({wanted.piece->box, std::move(strings_[i])});
    }
  }
  std::map<size_t, StringArray> taken;
  for (auto& [i, parts] : pieces) {
    const BlockRequest& request = requests_[i];
    const bool is_all = parts.size() == 1 && request.region.shape == parts.front().box.shape;
    auto strings =
        is_all ? Result<StringArray>(std::move(parts.front().strings)) : SelectStrings(parts, request.region);
    if (!strings.ok()) return std::move(strings).status().WithTensor(request.entry->name);
    taken.emplace(i, *std::move(strings));
  }
  return taken;
}

}  // namespace tensorbundle
