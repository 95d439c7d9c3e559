#include "tensorbundle/chunk_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "checkpoint/chunk_boxes.h"
#include "checkpoint/convert.h"
#include "checkpoint/extents.h"
#include "checkpoint/save.h"
#include "checkpoint/select_strings.h"
#include "checkpoint/stored_run.h"
#include "io/owned_memory.h"
#include "slices/slice.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// One way to the chunks of a tensor. The boxes come in order, each again until it succeeds.
class Way {
 public:
  virtual ~Way() = default;
  virtual Result<Tensor> Read(const ChunkBoxes& at, uint8_t* destination, const ReadOptions& options) = 0;
  // What the last chunk was read from, or more.
  virtual std::vector<StoredExtent> LastExtents() const = 0;
};

// Memory for elements that are nobody's view.
Status EnsureMemory(uint64_t size_bytes, uint8_t** destination, Tensor* tensor) {
  if (*destination != nullptr) return Status();
  ASSIGN_OR_RETURN(const OwnedMemory owned, AllocateMemory(size_bytes));
  *destination = owned.data;
  tensor->data = owned.buffer;
  return Status();
}

// Chunks are runs of bytes in the files.
class RunWay final : public Way {
 public:
  RunWay(const Save& save, const Entry& entry, RowMajorPieces stored)
      : save_(save),
        entry_(entry),
        element_bytes_(FindDTypeInfo(entry.dtype)->size_bytes),
        run_(entry, std::move(stored.pieces), stored.foreign_byte_order) {}

  Result<Tensor> Read(const ChunkBoxes& at, uint8_t* destination, const ReadOptions& options) override {
    const uint64_t begin = at.first_element() * element_bytes_;
    const uint64_t size = at.num_elements() * element_bytes_;
    Tensor tensor{entry_.dtype, at.box().shape, {}, {}};
    if (destination == nullptr && save_.WillView(entry_, CopyMode::kIfNeeded)) {
      ASSIGN_OR_RETURN(const Buffer whole, save_.View(entry_));
      tensor.data = whole.Slice(begin, size);
    } else {
      RETURN_IF_ERROR(EnsureMemory(size, &destination, &tensor));
    }
    bool noisy = false;
    RETURN_IF_ERROR(run_.Read(begin, begin + size, destination, options, &noisy));
    if (noisy) RETURN_IF_ERROR(Clean(&tensor));
    begin_ = begin;
    end_ = begin + size;
    return tensor;
  }

  std::vector<StoredExtent> LastExtents() const override { return run_.ExtentsOf(begin_, end_); }

 private:
  // Puts a converted copy in place of a view.
  Status Clean(Tensor* tensor) const {
    const Buffer view = tensor->data;
    uint8_t* memory = nullptr;
    RETURN_IF_ERROR(EnsureMemory(view.size(), &memory, tensor));
    std::memcpy(memory, view.data(), view.size());
    ConvertInPlace(run_.conversion(), memory, view.size());
    return Status();
  }

  const Save& save_;
  const Entry& entry_;
  const uint64_t element_bytes_;
  StoredRun run_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

// Chunks are regions, gathered from wherever they are; what is to be compared is compared before.
class RegionWay final : public Way {
 public:
  RegionWay(const Save& save, const Entry& entry) : save_(save), entry_(entry) {}

  Result<Tensor> Read(const ChunkBoxes& at, uint8_t* destination, const ReadOptions& options) override {
    if (options.verify && !is_verified_) {
      ASSIGN_OR_RETURN(VerifyReport report, save_.Verify({&entry_}, options));
      if (!report.damaged.empty()) return std::move(report.damaged.front().why);
      is_verified_ = true;
    }
    ReadOptions unchecked = options;
    unchecked.verify = false;
    return save_.ReadRegion(entry_, at.box(), destination, unchecked);
  }

  std::vector<StoredExtent> LastExtents() const override { return save_.Extents(entry_); }

 private:
  const Save& save_;
  const Entry& entry_;
  bool is_verified_ = false;
};

// Chunks are parts of a tensor in memory, which is decoded as a whole.
class DecodedWay final : public Way {
 public:
  DecodedWay(const Save& save, const Entry& entry) : save_(save), entry_(entry) {}

  Result<Tensor> Read(const ChunkBoxes& at, uint8_t* destination, const ReadOptions& options) override {
    if (!whole_) {
      ASSIGN_OR_RETURN(std::vector<Tensor> tensors,
                       save_.ReadMany({{&entry_, CopyMode::kIfNeeded, nullptr, false}}, options));
      whole_ = std::move(tensors.front());
    }
    Tensor tensor{entry_.dtype, at.box().shape, {}, {}};
    if (HasLengths(entry_.dtype)) {
      auto strings = SelectStrings({{WholeBox(entry_.shape), whole_->strings}}, at.box());
      if (!strings.ok()) return std::move(strings).status().WithTensor(entry_.name);
      tensor.strings = *std::move(strings);
      return tensor;
    }
    const uint64_t element_bytes = FindDTypeInfo(entry_.dtype)->size_bytes;
    const Buffer part = whole_->data.Slice(at.first_element() * element_bytes, at.num_elements() * element_bytes);
    if (destination == nullptr) {
      tensor.data = part;
    } else if (part.size() != 0) {
      std::memcpy(destination, part.data(), part.size());
    }
    return tensor;
  }

  std::vector<StoredExtent> LastExtents() const override { return save_.Extents(entry_); }

 private:
  const Save& save_;
  const Entry& entry_;
  std::optional<Tensor> whole_;
};

std::unique_ptr<Way> ChooseWay(const Save& save, const Entry& entry) {
  std::optional<RowMajorPieces> stored = save.InRowMajorOrder(entry);
  if (stored) return std::make_unique<RunWay>(save, entry, *std::move(stored));
  if (save.RegionsAreDirect(entry)) return std::make_unique<RegionWay>(save, entry);
  return std::make_unique<DecodedWay>(save, entry);
}

uint64_t ElementsIn(uint64_t max_bytes, const Checkpoint& checkpoint, const Entry& entry) {
  const uint64_t count = std::max<uint64_t>(1, checkpoint.NumElements(entry));
  const uint64_t size = checkpoint.EstimateMemory(entry);
  const uint64_t element_bytes = std::max<uint64_t>(1, size / count + (size % count != 0 ? 1 : 0));
  return max_bytes / element_bytes;
}

}  // namespace

class ChunkReader::Rep {
 public:
  Rep(Checkpoint opened, const Entry& wanted, const ChunkOptions& chosen)
      : checkpoint(std::move(opened)),
        entry(wanted),
        options(chosen),
        boxes(entry.shape, ElementsIn(options.max_bytes, checkpoint, entry)) {}

  const Checkpoint checkpoint;  // Keeps what is referred to.
  const Entry& entry;
  const ChunkOptions options;
  ChunkBoxes boxes;
  std::unique_ptr<Way> way;  // Null before the first chunk.
};

ChunkReader::ChunkReader(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
ChunkReader::ChunkReader(ChunkReader&&) noexcept = default;
ChunkReader& ChunkReader::operator=(ChunkReader&&) noexcept = default;
ChunkReader::~ChunkReader() = default;

Result<ChunkReader> ChunkReader::Create(const Checkpoint& checkpoint, const Entry& entry, const ChunkOptions& options) {
  RETURN_IF_ERROR(checkpoint.Problem(entry));
  if (options.max_bytes == 0) {
    return Status(StatusCode::kInvalidArgument, "chunks must be allowed at least 1 byte").WithTensor(entry.name);
  }
  return ChunkReader(std::make_unique<Rep>(checkpoint, entry, options));
}

const Entry& ChunkReader::entry() const { return rep_->entry; }

const Region* ChunkReader::next() const { return rep_->boxes.has_box() ? &rep_->boxes.box() : nullptr; }

bool ChunkReader::gives_views() const { return rep_->checkpoint.WillView(rep_->entry, CopyMode::kIfNeeded); }

Result<Tensor> ChunkReader::Read(uint8_t* destination, const ProgressFunction& progress) {
  if (rep_->way == nullptr) rep_->way = ChooseWay(rep_->checkpoint.save(), rep_->entry);
  const ReadOptions options{rep_->options.verify, rep_->options.threads, progress};
  ASSIGN_OR_RETURN(Tensor tensor, rep_->way->Read(rep_->boxes, destination, options));
  rep_->boxes.Advance();
  return tensor;
}

void ChunkReader::DropCache() const {
  if (rep_->way != nullptr) tensorbundle::DropCache(rep_->way->LastExtents());
}

}  // namespace tensorbundle
