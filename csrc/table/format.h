// The frame of a table file: where its blocks lie and how each is protected.
//
//   block | trailer | block | trailer | ... | footer
//
// The footer, always the last kFooterSize bytes, says where the metaindex block and the index block are; the entries of
// the index block say where the data blocks are.

#ifndef TENSORBUNDLE_TABLE_FORMAT_H_
#define TENSORBUNDLE_TABLE_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"
#include "util/varint.h"

namespace tensorbundle {

// The compression kind, one byte, and the masked checksum of the block as stored and that byte.
inline constexpr size_t kBlockTrailerSize = 1 + 4;
inline constexpr size_t kMaxBlockHandleSize = 2 * kMaxVarint64Length;
inline constexpr size_t kTableMagicSize = 8;
inline constexpr size_t kFooterSize = 2 * kMaxBlockHandleSize + kTableMagicSize;
inline constexpr uint64_t kTableMagic = 0xDB4775248B80FB57u;

enum class Compression : uint8_t { kNone = 0, kSnappy = 1 };

// Where a block is. As stored: two varints, and nothing says that they are true.
struct BlockHandle {
  uint64_t offset = 0;
  uint64_t size = 0;  // Without the trailer.
};

// Takes a handle off the front of *input, or returns nullopt and leaves *input in an unspecified place.
std::optional<BlockHandle> TakeBlockHandle(ByteView* input);

struct Footer {
  BlockHandle metaindex;
  BlockHandle index;
};

// Reads the footer of a whole table file. What pads the handles may be anything: TensorFlow's reader ignores it.
Result<Footer> ParseFooter(ByteView file);
// The same where only the end of a file of `file_size` bytes is at hand: its last kFooterSize bytes, or all of them.
Result<Footer> ParseFooter(ByteView end, uint64_t file_size);

// A block as it lies in the file, its checksum verified.
struct StoredBlock {
  ByteView bytes;
  Compression compression = Compression::kNone;
};

// Finds the block of `handle` in a whole table file and verifies its checksum. `role` names it in messages: "index
// block".
//
// An error carries the offset of the damage, except where the handle itself is at fault: only the caller knows where
// that is stored.
Result<StoredBlock> ParseStoredBlock(ByteView file, BlockHandle handle, const char* role);

// The steps of that, for those who read a block by itself: whether it lies inside a file of this size, with its
// trailer; what the trailer says; and whether the checksum of the stored block and its kind, masked, is the one that is
// stored.
Status CheckHandle(BlockHandle handle, uint64_t file_size, const char* role);
struct BlockTrailer {
  uint8_t kind = 0;
  uint32_t masked_crc32c = 0;
};
BlockTrailer LoadBlockTrailer(const uint8_t* bytes);
Status CheckBlockSum(BlockHandle handle, uint32_t stored, uint32_t computed, const char* role);
Result<Compression> ParseCompression(BlockHandle handle, uint8_t kind, const char* role);

// A block's name for messages: "index block at 50 of 14 bytes".
std::string DescribeBlock(const char* role, BlockHandle handle);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_FORMAT_H_
