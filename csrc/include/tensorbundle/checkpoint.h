// An opened checkpoint, and reading tensors from it.
//
//   auto checkpoint = tensorbundle::Checkpoint::Open("run/model.ckpt");
//   if (!checkpoint.ok()) return checkpoint.status();
//   auto kernel = checkpoint->Read("dense/kernel");  // A view of the mapped file, its checksum verified.

#ifndef TENSORBUNDLE_CHECKPOINT_H_
#define TENSORBUNDLE_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/byte_source.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/export.h"
#include "tensorbundle/object_graph.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"

namespace tensorbundle {

class Save;

// One tensor in memory: the elements in row-major order and in the host's byte order.
struct Tensor {
  DType dtype = DType::kInvalid;
  std::vector<int64_t> shape;
  // The elements; empty for strings and variants, and when they were read into the caller's memory.
  Buffer data;
  // Elements of a string tensor, and the serialized elements of a variant one; empty for any other. They live as long
  // as a copy of this does, in memory that holds them and no other tensor.
  StringArray strings;
};

// How far a call has come. `tensor` is one of those being read now.
struct Progress {
  uint64_t done_bytes;
  uint64_t total_bytes;
  std::string_view tensor;
};

// Called from the thread that made the call, at most every 50 ms and once at the end. An error, which should be
// kExternal, stops the work soon and is returned.
using ProgressFunction = std::function<Status(const Progress&)>;

struct OpenOptions {
  FileAccess access = FileAccess::kAuto;
  // Opens the index and the data files; empty: OpenFile with `access`. That there is no such file it says with kIo and
  // ENOENT, or with kNotFound.
  SourceOpener opener;
};

struct ReadOptions {
  bool verify = true;  // Compare checksums: of a copy each time, of a view the first time that it is handed out.
  int threads = 0;     // 0: as many as this process may run on.
  ProgressFunction progress;
};

enum class CopyMode {
  kIfNeeded,  // A view of the source where that can be had, aligned; else, and of V1 always, a copy.
  kNever,     // A view, aligned or not, or kInvalidArgument.
  kAlways,    // A copy.
};

struct ReadRequest {
  const Entry* entry = nullptr;  // Of the same checkpoint.
  CopyMode copy = CopyMode::kIfNeeded;
  // Where the elements go: aligned for the dtype, with room for MemorySize(entry) bytes. Null: a view, or memory that
  // the tensor's buffer owns. Not for strings and variants.
  uint8_t* destination = nullptr;
  // The destination was written to before, so that the system has given it pages. It is then filled past the caches if
  // the call as a whole is larger than they are. Only a matter of speed.
  bool destination_is_used = false;
};

// One tensor that is not as it was saved.
struct Damage {
  std::string name;
  int32_t shard = -1;            // -1 where it has no one place.
  uint64_t offset_in_shard = 0;  // Of V1: of the table block.
  // Both set if a checksum is what failed. Of V1 the block's, as its trailer has it: masked.
  std::optional<uint32_t> expected_crc32c;
  std::optional<uint32_t> found_crc32c;
  Status why;
};

struct VerifyReport {
  uint64_t num_tensors = 0;     // Checked, the damaged ones included.
  uint64_t num_bytes = 0;       // Read.
  std::vector<Damage> damaged;  // In key order.
  // Of VerifyAll: Checkpoint::missing_shards. What they held can't be checked.
  std::vector<std::string> missing_shards;

  bool sound() const { return damaged.empty() && missing_shards.empty(); }
};

// A checkpoint: one save, whole, whatever happens to its files after it was opened.
//
// A value that shares its state; copying it opens nothing again. Immutable and safe to use from many threads. Buffers
// and arrays made from it outlive it.
class TENSORBUNDLE_EXPORT Checkpoint {
 public:
  // Opens the checkpoint at `path`. Of the V2 format: a prefix, its ".index" or one of its data files. Of V1, where
  // there is no such index: a file, or the pattern of shards, "variables-?????-of-00002".
  //
  // V2: reads and validates the whole index, opens every data file it refers to, and looks at the index again: if
  // another save has taken its place meanwhile, starts over. An index that is damaged as a table is an error; an entry
  // that makes no sense, or whose data file is missing or too short, is a Problem of that tensor alone.
  //
  // V1: opens every file, and reads the list of tensors and the index block of each. A file that is damaged there is an
  // error. Shards that are missing, but not all, are missing_shards(): what the others hold is listed and reads. What
  // is wrong with one tensor is its Problem, as far as the list tells; whether its record is there and sound is seen
  // when it is read.
  static Result<Checkpoint> Open(const std::string& path, const OpenOptions& options = {});

  // What was opened: the prefix, or of V1 the file or pattern.
  const std::string& prefix() const;
  // Data files; of V1 all files. Those that are missing count.
  int32_t num_shards() const;
  // Of V1: the shards that were not there when it was opened. What they alone hold is in no list; of what they hold in
  // part, that is the Problem. Empty for V2, whose index lists every tensor: there, it is a Problem of each.
  std::vector<std::string> missing_shards() const;
  // Size and CRC-32C of the index file: together they identify the save. Of V1, which has no such file, the size of all
  // files and a checksum over those of their blocks, which are read for it each time (0 if they can't be).
  uint64_t index_size_bytes() const;
  uint32_t index_crc32c() const;

  // Every tensor, in the order of their names' bytes.
  const std::vector<Entry>& entries() const;
  // Null if there is no tensor of that name.
  const Entry* Find(std::string_view name) const;
  // Why a tensor cannot be read, as far as opening could tell; ok for most. REQUIRES, here and below: `entry` points
  // into entries().
  Status Problem(const Entry& entry) const;

  // The graph of the objects that were saved; nullopt if none is stored, as for tensors that were saved by name.
  // kDataLoss if it is damaged: then the tensors can still be read.
  Result<std::optional<ObjectGraph>> ReadObjectGraph() const;
  // The same checkpoint, its tensors named as NameTensors does by its object graph; without one, by their keys. Shares
  // the open files. What opening found is told under the names that it was found under.
  Result<Checkpoint> Named(NamesBy by) const;
  // The key that a tensor is stored under: its name, but in what Named returned.
  const std::string& Key(const Entry& entry) const;

  // Elements, and bytes in memory, of a tensor; 0 bytes for strings and variants.
  uint64_t NumElements(const Entry& entry) const;
  uint64_t MemorySize(const Entry& entry) const;
  // MemorySize; of strings and variants a guess by what is stored of them, with the 48 bytes more that each takes as an
  // object of an interpreter's. REQUIRES: Problem is ok.
  uint64_t EstimateMemory(const Entry& entry) const;
  // True if the tensor's bytes, as they are stored, can be its elements: it is stored whole, with a fixed width, in the
  // host's byte order, in a source that gives views. Aligned says whether also the address fits the dtype.
  bool CanView(const Entry& entry) const;
  bool Aligned(const Entry& entry) const;
  // True if ReadMany gives a view for this entry, without a destination. Only if narrow elements turn out to have stray
  // bits does it give a cleaned copy instead.
  bool WillView(const Entry& entry, CopyMode copy) const;
  // The bytes of such a tensor, nothing of them checked or touched. REQUIRES: CanView, and Problem is ok.
  Result<Buffer> View(const Entry& entry) const;

  // One tensor. kNotFound if there is none of that name; kDataLoss if a checksum disagrees.
  Result<Tensor> Read(std::string_view name, const ReadOptions& options = {}) const;
  // The box of `shape` elements from `start`, as a copy; only the bytes of it are read, and no checksum is looked at.
  // (Of V1: the blocks it needs, unless it is of a large tensor of floats. Their checksums are compared if the options
  // say so.)
  Result<Tensor> Read(std::string_view name, const std::vector<int64_t>& start,
                      const std::vector<int64_t>& shape) const;
  // kInvalidArgument unless the region is one of this tensor.
  Status CheckRegion(const Entry& entry, const Region& region) const;
  // The same for every step[d]-th element; `destination` as in ReadRequest, or null.
  Result<Tensor> ReadRegion(const Entry& entry, const Region& region, uint8_t* destination = nullptr,
                            const ReadOptions& options = {}) const;
  // The elements of one tensor into memory of the caller's, `size_bytes` of it: exactly MemorySize.
  Status ReadInto(std::string_view name, uint8_t* destination, size_t size_bytes,
                  const ReadOptions& options = {}) const;
  // Many at once: in file order, in parallel, large tensors by parts. All of them, or the error of the first in file
  // order that failed.
  Result<std::vector<Tensor>> ReadMany(const std::vector<ReadRequest>& requests, const ReadOptions& options = {}) const;

  // Reads every byte of the given tensors, or of all, and compares checksums, those of earlier views too. Damage is not
  // an error of the call; options.verify is not looked at.
  Result<VerifyReport> Verify(const std::vector<const Entry*>& entries, const ReadOptions& options = {}) const;
  Result<VerifyReport> VerifyAll(const ReadOptions& options = {}) const;

  // The entries by where they begin in the files, which is the order to read them in if not all have room in memory at
  // once. REQUIRES: the Problem of each is ok.
  std::vector<const Entry*> InFileOrder(const std::vector<const Entry*>& entries) const;
  // ByteSource::DropCache of all that is stored of the entries, and of what lies between neighbours. REQUIRES: the
  // Problem of each is ok.
  void DropCache(const std::vector<const Entry*>& entries) const;

 private:
  friend class ChunkReader;
  class Rep;
  const Save& save() const;
  explicit Checkpoint(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}
  std::shared_ptr<const Rep> rep_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_H_
