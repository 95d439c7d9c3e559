#include "table/format.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "util/checked.h"
#include "util/crc32c.h"
#include "util/endian.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

std::string Hex64(uint64_t value) {
  char text[19];
  std::snprintf(text, sizeof(text), "0x%016" PRIx64, value);
  return text;
}

Status DataLoss(std::string message) { return Status(StatusCode::kDataLoss, std::move(message)); }

// Compares in subtraction form, trailer included, before anything is made of the handle.
bool BlockFits(BlockHandle handle, uint64_t file_size) {
  uint64_t stored_size;
  return CheckedAdd<uint64_t>(handle.size, kBlockTrailerSize, &stored_size) &&
         RangeFits(handle.offset, stored_size, file_size);
}

}  // namespace

std::optional<BlockHandle> TakeBlockHandle(ByteView* input) {
  const std::optional<uint64_t> offset = TakeVarint64(input);
  if (!offset) return std::nullopt;
  const std::optional<uint64_t> size = TakeVarint64(input);
  if (!size) return std::nullopt;
  return BlockHandle{*offset, *size};
}

std::string DescribeBlock(const char* role, BlockHandle handle) {
  return std::string(role) + " at " + std::to_string(handle.offset) + " of " + std::to_string(handle.size) + " bytes";
}

Result<Footer> ParseFooter(ByteView file) {
  const size_t size = std::min(file.size(), kFooterSize);
  return ParseFooter(file.Slice(file.size() - size, size), file.size());
}

Result<Footer> ParseFooter(ByteView end, uint64_t file_size) {
  if (end.size() < kFooterSize) {
    return DataLoss("not a table: file is too short to be an sstable: " + std::to_string(file_size) +
                    " bytes, and the footer alone takes " + std::to_string(kFooterSize))
        .WithOffset(0);
  }
  const uint64_t footer_offset = file_size - kFooterSize;
  const auto magic = LoadLittleEndian<uint64_t>(end.data() + kFooterSize - kTableMagicSize);
  if (magic != kTableMagic) {
    return DataLoss("not an sstable (bad magic number): the last 8 of " + std::to_string(file_size) + " bytes hold " +
                    Hex64(magic) + " instead of " + Hex64(kTableMagic))
        .WithOffset(file_size - kTableMagicSize);
  }
  ByteView handles = end.Slice(0, kFooterSize - kTableMagicSize);
  const std::optional<BlockHandle> metaindex = TakeBlockHandle(&handles);
  const std::optional<BlockHandle> index = metaindex ? TakeBlockHandle(&handles) : std::nullopt;
  if (!index) {
    return DataLoss(std::string("bad block handle: ") + (metaindex ? "the second" : "the first") +
                    " of the two in the footer at " + std::to_string(footer_offset) + " is not a pair of varints")
        .WithOffset(footer_offset);
  }
  return Footer{*metaindex, *index};
}

Status CheckHandle(BlockHandle handle, uint64_t file_size, const char* role) {
  if (BlockFits(handle, file_size)) return Status();
  return DataLoss("bad block handle: " + DescribeBlock(role, handle) + " and a trailer of " +
                  std::to_string(kBlockTrailerSize) + " does not fit a file of " + std::to_string(file_size));
}

BlockTrailer LoadBlockTrailer(const uint8_t* bytes) { return {bytes[0], LoadLittleEndian<uint32_t>(bytes + 1)}; }

Status CheckBlockSum(BlockHandle handle, uint32_t stored, uint32_t computed, const char* role) {
  if (stored == computed) return Status();
  return DataLoss(DescribeBlock(role, handle) + ": block checksum mismatch: stored " + Hex32(stored) + ", computed " +
                  Hex32(computed))
      .WithOffset(handle.offset);
}

Result<Compression> ParseCompression(BlockHandle handle, uint8_t kind, const char* role) {
  if (kind <= static_cast<uint8_t>(Compression::kSnappy)) return static_cast<Compression>(kind);
  return DataLoss(DescribeBlock(role, handle) + ": bad block type: compression kind " + std::to_string(kind) +
                  ", where 0 (none) and 1 (Snappy) are known")
      .WithOffset(handle.offset + handle.size);
}

Result<StoredBlock> ParseStoredBlock(ByteView file, BlockHandle handle, const char* role) {
  RETURN_IF_ERROR(CheckHandle(handle, file.size(), role));
  const ByteView bytes = file.Slice(handle.offset, handle.size);
  const BlockTrailer trailer = LoadBlockTrailer(bytes.end());
  const ByteView checked = file.Slice(handle.offset, handle.size + 1);  // The checksum covers the compression kind too.
  const uint32_t computed = crc32c::Mask(crc32c::Extend(0, checked));
  RETURN_IF_ERROR(CheckBlockSum(handle, trailer.masked_crc32c, computed, role));
  ASSIGN_OR_RETURN(const Compression compression, ParseCompression(handle, trailer.kind, role));
  return StoredBlock{bytes, compression};
}

}  // namespace tensorbundle
