// Writing a checkpoint: data files and the index that makes them one.
//
//   auto writer = tensorbundle::CheckpointWriter::Create("run/model.ckpt-100");
//   if (!writer.ok()) return writer.status();
//   TensorToWrite kernel{"dense/kernel", DType::kFloat32, {512, 64}, data};
//   Status status = writer->Add(kernel);
//   if (status.ok()) status = writer->Finish();  // Until here, nothing that a reader sees has changed.

#ifndef TENSORBUNDLE_CHECKPOINT_WRITER_H_
#define TENSORBUNDLE_CHECKPOINT_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/export.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

struct WriteOptions {
  // Data files that tensors are spread over, at least 1; no more are made than there are tensors, or pieces of them.
  // All are open at once: more than the process may have open (RLIMIT_NOFILE) are EMFILE. Where a checkpoint is
  // replaced, there may be one more: its files must not have names of the old one's.
  int32_t num_shards = 1;
  // Bytes after which a new data file is begun; 0: no limit. A larger tensor is stored in slices, where TensorFlow can
  // put these together again; otherwise it stays whole in a file of its own, and is among oversized().
  uint64_t max_shard_bytes = 0;
  // Tensors begin at multiples of this in their files: a power of two of at most 1 MiB. From 16 on every tensor can be
  // viewed; 1 packs as TensorFlow does.
  uint64_t alignment = 64;
  // True: once Finish has returned, the checkpoint survives a power cut. False: it survives the end of the process.
  bool durable = true;
  // Slices that other writers have may be missing; MergeCheckpoints brings them together.
  bool partial = false;
  int threads = 0;  // 0: as many as this process may run on.
  // Called as ReadOptions' is, with the bytes of the current call.
  ProgressFunction progress;
};

// One tensor, or one piece of a partitioned one, in the caller's memory, which nobody may change until the call that
// takes it returns.
struct TensorToWrite {
  std::string name;  // Any bytes, but not none, nor a zero first: those keys are the format's own.
  DType dtype = DType::kInvalid;
  std::vector<int64_t> shape;
  // The first element. Not for strings and variants.
  const uint8_t* data = nullptr;
  // Bytes from one element to the next in each dimension, negative ones too; empty: row-major, without gaps.
  std::vector<int64_t> strides;
  // The elements are not in the host's byte order.
  bool foreign_byte_order = false;
  // The elements of a string tensor, or the serialized elements of a variant one, in row-major order.
  std::vector<ByteView> strings;
};

// Writes one checkpoint. One thread at a time.
//
// Data goes to temporary files beside the checkpoint's own; Finish gives them their names, the index last. Until then
// an old checkpoint of that prefix stays whole and readable, and its arrays stay valid for good: no file of it is ever
// written to. A writer that goes away unfinished, whatever the reason, removes what it wrote and
// the directories that it made.
//
// What is wrong with an argument is kInvalidArgument, said before anything of that call is written; the writer can be
// used further. After any other error it can't, and every call returns that error.
//
// It belongs to the process that created it. In a forked child every call is kInvalidArgument; Abandon and going away
// let go of the child's copy and leave the files to the parent.
class TENSORBUNDLE_EXPORT CheckpointWriter {
 public:
  // Makes the directory if there is none, and a first temporary file in it: what is wrong with the place is said here.
  // A relative prefix means the working directory of now, if that can be reached from the root.
  static Result<CheckpointWriter> Create(const std::string& prefix, const WriteOptions& options = {});
  CheckpointWriter(CheckpointWriter&&) noexcept;
  CheckpointWriter& operator=(CheckpointWriter&&) noexcept;
  ~CheckpointWriter();

  // kInvalidArgument for a name that is there already, an impossible shape, or a dtype that a checkpoint can't hold.
  Status Add(const TensorToWrite& tensor);
  // Many at once: in parallel, each data file in the order given, the first batch spread over the data files evenly.
  // Single tensors, and later batches, go to the data file that has the fewest bytes.
  Status AddMany(const std::vector<TensorToWrite>& tensors);
  // One piece, from `start` on, of a tensor of `full_shape`. kInvalidArgument if it leaves the tensor, overlaps another
  // piece of it, or disagrees with one on dtype or shape.
  Status AddSlice(const TensorToWrite& piece, const std::vector<int64_t>& full_shape,
                  const std::vector<int64_t>& start);
  // One tensor in parts: its bytes in row-major order and the host's byte order, as many at a time as the caller likes.
  // Whole elements need not be kept together. Not for strings and variants. Other tensors wait until all bytes are
  // there.
  Status BeginChunks(const std::string& name, DType dtype, const std::vector<int64_t>& shape);
  Status AppendChunk(ByteView bytes);

  // Makes it the checkpoint of that prefix. kInvalidArgument if a tensor is not complete or there is none at all.
  //
  // Any error leaves the old checkpoint as it was, with one exception, which the message states: the directory could
  // not be synced after the new index got its name. Then both are there, and the new one is the checkpoint.
  Status Finish();
  // Removes what was written. Nothing more can be done with the writer.
  void Abandon();

  // Names of tensors that are larger than max_shard_bytes and were left whole.
  const std::vector<std::string>& oversized() const;

 private:
  class Rep;
  explicit CheckpointWriter(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_WRITER_H_
