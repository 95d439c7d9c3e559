#include <algorithm>
#include <optional>

#include "bundle/naming.h"
#include "bundle/string_encoder.h"
#include "checkpoint/commit.h"
#include "checkpoint/layout.h"
#include "checkpoint/new_entries.h"
#include "checkpoint/write_job.h"
#include "io/os_write.h"
#include "io/owned_memory.h"
#include "io/process.h"
#include "slices/slice.h"
#include "tensorbundle/byte_source.h"
#include "tensorbundle/checkpoint_writer.h"
#include "util/checked.h"
#include "util/crc32c.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr int32_t kMaxShards = 100000;
// TensorFlow's limit.
constexpr size_t kMaxRank = 254;

Status Invalid(const std::string& message) { return Status(StatusCode::kInvalidArgument, message); }

Status CheckOptions(const std::string& prefix, const WriteOptions& options) {
  if (options.num_shards < 1 || options.num_shards > kMaxShards) {
    return Invalid("a checkpoint has 1 to " + std::to_string(kMaxShards) + " shards, not " +
                   std::to_string(options.num_shards));
  }
  const uint64_t alignment = options.alignment;
  if (alignment == 0 || alignment > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
    return Invalid("alignment is a power of two from 1 to " + std::to_string(kMaxAlignment) + ", not " +
                   std::to_string(alignment));
  }
  return CheckPrefix(prefix);
}

// The bytes of a tensor as they are stored, strings apart; an error for what no checkpoint can hold.
Result<uint64_t> CheckTensor(const std::string& name, DType dtype, const std::vector<int64_t>& shape) {
  if (name.empty()) return Invalid("a tensor needs a name: the empty one is the format's own");
  if (name[0] == '\0') return Invalid("a name may not begin with a zero byte: these are the format's own");
  const DTypeInfo* const info = FindDTypeInfo(dtype);
  if (info == nullptr) {
    return Invalid("a checkpoint can't hold tensors of dtype number " + std::to_string(static_cast<int32_t>(dtype)));
  }
  if (shape.size() > kMaxRank) {
    return Invalid("a tensor has at most " + std::to_string(kMaxRank) + " dimensions, not " +
                   std::to_string(shape.size()));
  }
  const std::optional<uint64_t> count = CountElements(shape);
  uint64_t size_bytes = 0;
  if (!count || !CheckedMultiply<uint64_t>(*count, info->size_bytes, &size_bytes) || size_bytes > INT64_MAX) {
    return Invalid("no tensor can have shape " + ShapeText(shape));
  }
  return size_bytes;
}

// The same with what stands behind it.
Result<uint64_t> CheckContent(const TensorToWrite& tensor) {
  ASSIGN_OR_RETURN(const uint64_t size_bytes, CheckTensor(tensor.name, tensor.dtype, tensor.shape));
  if (HasLengths(tensor.dtype)) {
    const uint64_t count = *CountElements(tensor.shape);
    if (tensor.strings.size() != count) {
      return Invalid("shape " + ShapeText(tensor.shape) + " has " + std::to_string(count) + " elements, " +
                     std::to_string(tensor.strings.size()) + " are given");
    }
    return tensor.dtype == DType::kString ? EncodedStringsSize(tensor.strings.data(), count)
                                          : EncodedVariantsSize(tensor.strings.data(), count);
  }
  if (size_bytes != 0 && tensor.data == nullptr) return Invalid("a tensor with elements has no data");
  if (!tensor.strides.empty() && tensor.strides.size() != tensor.shape.size()) {
    return Invalid("shape and strides differ in length: " + std::to_string(tensor.shape.size()) + " and " +
                   std::to_string(tensor.strides.size()));
  }
  return size_bytes;
}

}  // namespace

class CheckpointWriter::Rep {
 public:
  Rep(std::string prefix, const WriteOptions& options)
      : prefix_(std::move(prefix)),
        options_(options),
        layout_({options.num_shards, options.max_shard_bytes, options.alignment}) {}

  Status Start() {
    RETURN_IF_ERROR(directories_.Make(os::DirectoryOf(prefix_), options_.durable));
    RETURN_IF_ERROR(CheckIndexCanBeReplaced());
    old_num_shards_ = FindNumShards(prefix_);
    return AddDataFiles(1);
  }

  // Runs one public call. What is wrong with its arguments changes nothing; anything else ends the writer.
  template <typename Call>
  Status Guard(const Call& call) {
    RETURN_IF_ERROR(CheckUsable());
    Status status = call();
    if (!status.ok() && status.code() != StatusCode::kInvalidArgument) {
      Abandon();
      failure_ = Status(status).AsData();
    }
    return status;
  }

  Status AddMany(const TensorToWrite* tensors, size_t count) {
    RETURN_IF_ERROR(CheckNoChunksAreMissing());
    std::vector<TensorExtent> extents;
    extents.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const Result<uint64_t> size_bytes = CheckContent(tensors[i]);
      if (!size_bytes.ok()) return size_bytes.status().WithTensor(tensors[i].name);
      extents.push_back({tensors[i].dtype, &tensors[i].shape, *size_bytes, true});
    }
    RETURN_IF_ERROR(entries_.CheckNames(tensors, count));
    ASSIGN_OR_RETURN(const std::vector<Placement> placements, Place(extents, tensors));
    ASSIGN_OR_RETURN(const std::vector<uint32_t> sums, Write(tensors, placements));
    for (size_t i = 0; i < placements.size(); ++i) {
      const TensorToWrite& tensor = tensors[placements[i].tensor];
      entries_.Add(tensor.name, tensor.dtype, tensor.shape, placements[i], sums[i]);
    }
    return Status();
  }

  Status AddSlice(const TensorToWrite& piece, const std::vector<int64_t>& full_shape,
                  const std::vector<int64_t>& start) {
    RETURN_IF_ERROR(CheckNoChunksAreMissing());
    ASSIGN_OR_RETURN(const uint64_t size_bytes, CheckContent(piece));
    RETURN_IF_ERROR(CheckTensor(piece.name, piece.dtype, full_shape).status());
    const Box box{start, piece.shape};
    RETURN_IF_ERROR(CheckRegion({start, piece.shape, {}}, full_shape));
    if (box == WholeBox(full_shape)) return AddMany(&piece, 1);
    RETURN_IF_ERROR(entries_.CheckPiece(piece, full_shape, box));
    const std::vector<TensorExtent> extents = {{piece.dtype, &piece.shape, size_bytes, false}};
    ASSIGN_OR_RETURN(std::vector<Placement> placements, Place(extents, &piece));
    ASSIGN_OR_RETURN(const std::vector<uint32_t> sums, Write(&piece, placements));
    placements.front().box = box;
    entries_.Add(piece.name, piece.dtype, full_shape, placements.front(), sums.front());
    return Status();
  }

  Status BeginChunks(const std::string& name, DType dtype, const std::vector<int64_t>& shape) {
    RETURN_IF_ERROR(CheckNoChunksAreMissing());
    ASSIGN_OR_RETURN(const uint64_t size_bytes, CheckTensor(name, dtype, shape));
    if (HasLengths(dtype)) return Invalid("strings can't be added in parts: their lengths come first");
    const TensorToWrite tensor{name, dtype, shape, nullptr, {}, false, {}};
    RETURN_IF_ERROR(entries_.CheckNames(&tensor, 1));
    ASSIGN_OR_RETURN(std::vector<Placement> placements, Place({{dtype, &shape, size_bytes, true}}, &tensor));
    chunked_ = ChunkedTensor{name, dtype, shape, std::move(placements), 0, 0, 0};
    RecordIfComplete();
    return Status();
  }

  Status AppendChunk(ByteView bytes) {
    if (!chunked_) return Invalid("no tensor is being added in parts");
    const uint64_t missing = chunked_->placements.back().end - chunked_->done;
    if (bytes.size() > missing) {
      return Invalid(std::to_string(bytes.size()) + " bytes are given, " + std::to_string(missing) + " are missing")
          .WithTensor(chunked_->name);
    }
    if (bytes.empty()) return Status();
    // As numbers of one byte; of the tensor's own type where not every bit counts.
    const DTypeInfo& info = *FindDTypeInfo(chunked_->dtype);
    const DType dtype = info.value_bits < 8 ? info.dtype : DType::kUint8;
    const TensorToWrite chunk{chunked_->name, dtype, {static_cast<int64_t>(bytes.size())}, bytes.data(), {}, false, {}};
    const std::vector<WritePiece> parts = PlaceChunk(chunk, bytes.size());
    done_bytes_ = bytes.size();
    ASSIGN_OR_RETURN(const std::vector<uint32_t> sums, WritePieces(parts, JobOptions()));
    for (size_t i = 0; i < parts.size(); ++i) {
      const uint64_t size_bytes = parts[i].end - parts[i].begin;
      chunked_->crc32c = crc32c::Combine(chunked_->crc32c, sums[i], size_bytes);
      chunked_->done += size_bytes;
      RecordIfComplete();
    }
    return Status();
  }

  Status Finish() {
    RETURN_IF_ERROR(CheckNoChunksAreMissing());
    if (entries_.empty()) return Invalid("a checkpoint holds at least one tensor").WithPath(prefix_);
    if (!options_.partial) RETURN_IF_ERROR(entries_.CheckAllThere());
    RETURN_IF_ERROR(AddDataFiles(layout_.shard_bytes().size()));
    // What pads the last tensor of each.
    for (size_t i = 0; i < data_.size(); ++i) RETURN_IF_ERROR(data_[i].Resize(layout_.shard_bytes()[i]));
    NewBundle bundle;
    bundle.data = std::move(data_);
    bundle.encode_index = [this](int32_t num_shards) { return entries_.EncodeIndex(num_shards); };
    bundle.fill_added_shard = [&](const os::TemporaryFile& file, int32_t shard) {
      return MoveSmallest(bundle.data, file, shard);
    };
    CommitOptions commit{options_.durable, options_.threads, nullptr};
    // While somebody else commits: nothing has moved since the last word.
    if (options_.progress) commit.poll = [this] { return options_.progress({done_bytes_, done_bytes_, {}}); };
    finished_ = true;  // Or failed: there is nothing left to go on with.
    RETURN_IF_ERROR(CommitBundle(prefix_, &bundle, commit));
    directories_.Keep();
    return Status();
  }

  void Abandon() {
    data_.clear();
    directories_ = os::NewDirectories();
    abandoned_ = true;
  }

  const std::vector<std::string>& oversized() const { return oversized_; }

 private:
  struct ChunkedTensor {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    std::vector<Placement> placements;
    size_t piece;     // The one that is being filled.
    uint64_t done;    // Bytes of the tensor.
    uint32_t crc32c;  // Of the piece so far.
  };

  Status CheckUsable() const {
    if (const int here = os::CurrentProcess(); here != process_) {
      return Invalid("it was opened by process " + std::to_string(process_) + ", and this is process " +
                     std::to_string(here) + ": a forked child can only abandon its copy of the writer")
          .WithPath(prefix_);
    }
    if (!failure_.ok()) return failure_;
    if (finished_) return Invalid("the checkpoint was finished already").WithPath(prefix_);
    if (abandoned_) return Invalid("the checkpoint was abandoned").WithPath(prefix_);
    return Status();
  }

  Status CheckIndexCanBeReplaced() const {
    const Result<os::OpenedFile> index = os::OpenForReading(IndexPath(prefix_));
    // What is no file can't be replaced by one; that it can't be read does not matter.
    if (index.ok() || (index.status().system_error() != EISDIR && index.status().system_error() != EINVAL)) {
      return Status();
    }
    return index.status();
  }

  Status CheckNoChunksAreMissing() const {
    if (!chunked_) return Status();
    const uint64_t missing = chunked_->placements.back().end - chunked_->done;
    return Invalid(std::to_string(missing) + " bytes of it are still missing").WithTensor(chunked_->name);
  }

  Result<std::vector<Placement>> Place(const std::vector<TensorExtent>& extents, const TensorToWrite* tensors) {
    ASSIGN_OR_RETURN(std::vector<Placement> placements, layout_.Place(extents, old_num_shards_));
    for (const Placement& placement : placements) {
      const uint64_t limit = options_.max_shard_bytes;
      const bool too_large = limit != 0 && placement.end - placement.begin > limit;
      // Pieces that the caller made are left as they are, as the caller knows.
      if (too_large && extents[placement.tensor].may_be_sliced) {
        oversized_.push_back(tensors[placement.tensor].name);
      }
    }
    RETURN_IF_ERROR(AddDataFiles(layout_.shard_bytes().size()));
    return placements;
  }

  Status AddDataFiles(size_t count) {
    if (data_.size() < count) RETURN_IF_ERROR(os::CheckCanOpen(count - data_.size(), prefix_));
    while (data_.size() < count) {
      ASSIGN_OR_RETURN(os::TemporaryFile file, CreateDataFile(prefix_, static_cast<int32_t>(data_.size())));
      data_.push_back(std::move(file));
    }
    return Status();
  }

  WriteJobOptions JobOptions() const { return {options_.threads, options_.durable, &options_.progress}; }

  const os::TemporaryFile* FileOf(const Placement& placement) const {
    return &data_[static_cast<size_t>(placement.shard)];
  }

  Result<std::vector<uint32_t>> Write(const TensorToWrite* tensors, const std::vector<Placement>& placements) {
    std::vector<WritePiece> pieces;
    pieces.reserve(placements.size());
    for (const Placement& place : placements) {
      pieces.push_back({&tensors[place.tensor], place.begin, place.end, place.shard, FileOf(place), place.offset});
    }
    done_bytes_ = 0;
    for (const Placement& place : placements) done_bytes_ += place.end - place.begin;
    return WritePieces(pieces, JobOptions());
  }

  // Where the next bytes of the tensor that is added in parts go: each part to one of its pieces.
  std::vector<WritePiece> PlaceChunk(const TensorToWrite& chunk, uint64_t size_bytes) const {
    std::vector<WritePiece> parts;
    for (uint64_t begin = 0; begin < size_bytes; begin = parts.back().end) {
      const Placement& piece = chunked_->placements[chunked_->piece + parts.size()];
      const uint64_t done = chunked_->done + begin;
      const uint64_t end = std::min(begin + (piece.end - done), size_bytes);
      parts.push_back({&chunk, begin, end, piece.shard, FileOf(piece), piece.offset + (done - piece.begin)});
    }
    return parts;
  }

  // Records the piece of the tensor that is added in parts if it has all its bytes. The last completes the tensor.
  void RecordIfComplete() {
    const Placement& piece = chunked_->placements[chunked_->piece];
    if (chunked_->done != piece.end) return;
    entries_.Add(chunked_->name, chunked_->dtype, chunked_->shape, piece, chunked_->crc32c);
    chunked_->crc32c = 0;
    if (++chunked_->piece == chunked_->placements.size()) chunked_.reset();
  }

  // Gives the smallest tensor or piece that is not alone in its shard a copy in another, where it is read from now on.
  Status MoveSmallest(const std::vector<os::TemporaryFile>& data, const os::TemporaryFile& file, int32_t shard) {
    const NewEntries::Place smallest = entries_.FindSmallest(data.size());
    if (smallest.shard < 0 || smallest.size_bytes > kMaxMovedBytes) return Status();
    const std::string& path = data[static_cast<size_t>(smallest.shard)].path();
    ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> source, OpenFile(path, FileAccess::kRead));
    ASSIGN_OR_RETURN(const Buffer bytes, source->Read({smallest.offset, smallest.size_bytes}));
    RETURN_IF_ERROR(file.WriteAt(0, bytes.view()));
    RETURN_IF_ERROR(entries_.Move(smallest, shard));
    const uint64_t padding = (options_.alignment - bytes.size() % options_.alignment) % options_.alignment;
    return file.Resize(bytes.size() + padding);
  }

  const std::string prefix_;
  const WriteOptions options_;
  const int process_ = os::CurrentProcess();
  Layout layout_;
  int32_t old_num_shards_ = 0;
  os::NewDirectories directories_;  // Those that hold no file any more go after data_.
  std::vector<os::TemporaryFile> data_;
  NewEntries entries_;
  std::optional<ChunkedTensor> chunked_;
  std::vector<std::string> oversized_;
  uint64_t done_bytes_ = 0;  // Of the last call.
  Status failure_;
  bool finished_ = false;
  bool abandoned_ = false;
};

CheckpointWriter::CheckpointWriter(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter& CheckpointWriter::operator=(CheckpointWriter&&) noexcept = default;
CheckpointWriter::~CheckpointWriter() = default;

Result<CheckpointWriter> CheckpointWriter::Create(const std::string& prefix, const WriteOptions& options) {
  RETURN_IF_ERROR(CheckOptions(prefix, options));
  // Whatever becomes of the working directory until it has finished.
  auto rep = std::make_unique<Rep>(os::AbsolutePath(prefix), options);
  RETURN_IF_ERROR(rep->Start());
  return CheckpointWriter(std::move(rep));
}

Status CheckpointWriter::Add(const TensorToWrite& tensor) {
  return rep_->Guard([&] { return rep_->AddMany(&tensor, 1); });
}

Status CheckpointWriter::AddMany(const std::vector<TensorToWrite>& tensors) {
  return rep_->Guard([&] { return rep_->AddMany(tensors.data(), tensors.size()); });
}

Status CheckpointWriter::AddSlice(const TensorToWrite& piece, const std::vector<int64_t>& full_shape,
                                  const std::vector<int64_t>& start) {
  return rep_->Guard([&] { return rep_->AddSlice(piece, full_shape, start).WithTensor(piece.name); });
}

Status CheckpointWriter::BeginChunks(const std::string& name, DType dtype, const std::vector<int64_t>& shape) {
  return rep_->Guard([&] { return rep_->BeginChunks(name, dtype, shape).WithTensor(name); });
}

Status CheckpointWriter::AppendChunk(ByteView bytes) {
  return rep_->Guard([&] { return rep_->AppendChunk(bytes); });
}

Status CheckpointWriter::Finish() {
  return rep_->Guard([&] { return rep_->Finish(); });
}

void CheckpointWriter::Abandon() { rep_->Abandon(); }

const std::vector<std::string>& CheckpointWriter::oversized() const { return rep_->oversized(); }

}  // namespace tensorbundle
