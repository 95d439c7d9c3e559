#include "checkpoint/v1_packed.h"

#include <vector>

#include "table/block.h"
#include "table/format.h"
#include "util/crc32c.h"
#include "v1/records.h"

namespace tensorbundle {
namespace {

// What is before the elements: lengths, the key, and the name and the slice once more. The key of a tensor of rank 254
// adds some kilobytes.
constexpr uint64_t kHeadBytes = 16 << 10;

}  // namespace

std::optional<PackedPiece> FindPacked(const v1::TableFile& file, int32_t shard, size_t block, const std::string& key,
                                      DType dtype, uint64_t count) {
  const BlockHandle handle = file.blocks()[block].handle;
  const uint64_t head_size = kHeadBytes + 2 * key.size();
  if (handle.size < kMinPackedBlockBytes || handle.size < head_size) return std::nullopt;
  std::vector<uint8_t> head(head_size);
  if (!file.source().ReadInto({handle.offset, head_size}, head.data()).ok()) return std::nullopt;
  // The end of the contents, the compression kind and the checksum.
  uint8_t tail[kOnlyRestartSize + kBlockTrailerSize];
  const ByteRange end{handle.offset + handle.size - kOnlyRestartSize, sizeof(tail)};
  if (!file.source().ReadInto(end, tail).ok()) return std::nullopt;
  const BlockTrailer trailer = LoadBlockTrailer(tail + kOnlyRestartSize);
  if (trailer.kind != static_cast<uint8_t>(Compression::kNone)) return std::nullopt;

  const ByteView start(head.data(), head.size());
  const auto entry = FindOnlyEntry(start, ByteView(tail, kOnlyRestartSize), handle.size);
  if (!entry || entry->value_offset > head_size) return std::nullopt;
  if (start.Slice(entry->key_offset, entry->key_size).AsText() != key) return std::nullopt;
  const ByteView record = start.Slice(entry->value_offset, head_size - entry->value_offset);
  const auto offset = v1::FindPackedValues(record, entry->value_size, dtype, count);
  if (!offset || entry->value_offset + *offset > head_size) return std::nullopt;

  const uint64_t in_block = entry->value_offset + *offset;
  const uint64_t size_bytes = entry->value_size - *offset;
  PackedPiece packed;
  packed.bytes = {shard, handle.offset + in_block, size_bytes, trailer.masked_crc32c};
  packed.frame = {handle, crc32c::Extend(0, start.Slice(0, in_block)),
                  crc32c::Extend(0, ByteView(tail, kOnlyRestartSize + 1)), kOnlyRestartSize + 1};
  return packed;
}

}  // namespace tensorbundle
