// Reading one tensor of any size in bounded memory, chunk by chunk.
//
//   auto chunks = tensorbundle::ChunkReader::Create(*checkpoint, *checkpoint->Find("embeddings"));
//   if (!chunks.ok()) return chunks.status();
//   while (const tensorbundle::Region* region = chunks->next()) {
//     auto chunk = chunks->Read();  // The elements of *region, as a view of the mapped file where that can be had.
//     if (!chunk.ok()) return chunk.status();
//     ...
//   }

#ifndef TENSORBUNDLE_CHUNK_READER_H_
#define TENSORBUNDLE_CHUNK_READER_H_

#include <cstdint>
#include <memory>

#include "tensorbundle/checkpoint.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/export.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

struct ChunkOptions {
  // Size of the elements of a chunk, in memory; a single element may be larger. Strings are counted with
  // Checkpoint::EstimateMemory, divided by their number.
  uint64_t max_bytes = uint64_t{64} << 20;
  bool verify = true;  // Compare checksums.
  int threads = 0;     // 0: as many as this process may run on.
};

// The chunks of one tensor: boxes of its elements in row-major order, each of which is one run there, and that are
// together the tensor. One at least: a tensor without elements is one chunk without any.
//
// Checksums are compared on the way, so that nothing is read twice: an error comes in place of the chunk with which the
// last byte of a checksum's was read, for a tensor that is stored whole the last chunk. In place of the first comes
// that of a tensor whose pieces don't follow one another in row-major order, and of V1's: such a one is read once more
// before. What has no elements of fixed width in the file, strings and most of V1, is decoded as a whole at the first
// chunk, and in memory until the last.
//
// Movable. One thread at a time. Keeps the checkpoint's files.
class TENSORBUNDLE_EXPORT ChunkReader {
 public:
  // The Problem of the entry if it has one; kInvalidArgument if max_bytes is 0. Reads nothing. REQUIRES: `entry` points
  // into checkpoint.entries().
  static Result<ChunkReader> Create(const Checkpoint& checkpoint, const Entry& entry, const ChunkOptions& options = {});
  ChunkReader(ChunkReader&&) noexcept;
  ChunkReader& operator=(ChunkReader&&) noexcept;
  ~ChunkReader();

  const Entry& entry() const;
  // The elements that Read is about to read; null after the last chunk.
  const Region* next() const;
  // True if Read gives a view of the source where it is given no destination. Only if narrow elements turn out to have
  // stray bits does it give a cleaned copy instead.
  bool gives_views() const;
  // Reads the next chunk; `destination` as in ReadRequest, or null for a view or memory that the tensor's buffer owns.
  // After an error next() is the same as before. `progress` hears of this chunk alone. REQUIRES: next() is not null.
  Result<Tensor> Read(uint8_t* destination = nullptr, const ProgressFunction& progress = nullptr);
  // ByteSource::DropCache of what the last chunk was read from; where chunks are not runs of bytes in a file, of all
  // that is stored of the tensor.
  void DropCache() const;

 private:
  class Rep;
  explicit ChunkReader(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHUNK_READER_H_
