#include "v1/table_file.h"

#include <algorithm>
#include <string>
#include <utility>

#include "io/owned_memory.h"
#include "table/snappy.h"
#include "util/crc32c.h"
#include "util/endian.h"
#include "util/status_macros.h"

namespace tensorbundle::v1 {
namespace {

constexpr char kDataBlock[] = "data block";
constexpr char kIndexBlock[] = "index block";

// A block may be gigabytes: read and summed in steps, it can be given up in the middle.
constexpr uint64_t kStepBytes = uint64_t{4} << 20;

Status KeepGoing(const ReadBlockOptions& options) { return options.keep_going ? options.keep_going() : Status(); }

// Reads a stored block and its compression kind, which its checksum covers too, and sets *crc to it if it is wanted.
Result<Buffer> ReadStored(const ByteSource& source, BlockHandle handle, const ReadBlockOptions& options,
                          uint32_t* crc) {
  const uint64_t size = handle.size + 1;
  ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(size));
  for (uint64_t done = 0; done < size;) {
    RETURN_IF_ERROR(KeepGoing(options));
    const uint64_t step = std::min(kStepBytes, size - done);
    RETURN_IF_ERROR(source.ReadInto({handle.offset + done, step}, memory.data + done));
    if (options.verify) *crc = crc32c::Extend(*crc, ByteView(memory.data + done, step));
    done += step;
  }
  return memory.buffer;
}

// REQUIRES: CheckHandle is ok.
Result<Buffer> ReadContents(const ByteSource& source, BlockHandle handle, const char* role,
                            const ReadBlockOptions& options) {
  uint32_t crc = 0;
  ASSIGN_OR_RETURN(const Buffer stored, ReadStored(source, handle, options, &crc));
  uint8_t sum[sizeof(uint32_t)];
  RETURN_IF_ERROR(source.ReadInto({handle.offset + handle.size + 1, sizeof(sum)}, sum));
  if (options.verify) {
    const SumMismatch sums{LoadLittleEndian<uint32_t>(sum), crc32c::Mask(crc)};
    if (sums.stored != sums.computed && options.sum != nullptr) *options.sum = sums;
    RETURN_IF_ERROR(CheckBlockSum(handle, sums.stored, sums.computed, role));
  }
  ASSIGN_OR_RETURN(const Compression compression, ParseCompression(handle, stored.data()[handle.size], role));
  const Buffer bytes = stored.Slice(0, handle.size);
  if (compression == Compression::kNone) return bytes;
  const auto decoded = std::make_shared<std::vector<uint8_t>>();
  const auto contents = DecodeSnappy(bytes.view(), decoded.get());
  if (contents.ok()) return Buffer(*contents, decoded);
  const Status status = contents.status();
  return Status(status.code(), DescribeBlock(role, handle) + ": " + status.message()).WithOffset(handle.offset);
}

// An error of the index block's contents, as one of the file.
Status IndexDamaged(BlockHandle handle, const Status& in_contents) {
  return Status(in_contents.code(), DescribeBlock(kIndexBlock, handle) + ": " + in_contents.message())
      .WithOffset(handle.offset);
}

}  // namespace

Result<TableFile> TableFile::Open(std::shared_ptr<const ByteSource> source) {
  const uint64_t file_size = source->size_bytes();
  uint8_t end[kFooterSize];
  const uint64_t end_size = std::min<uint64_t>(file_size, kFooterSize);
  RETURN_IF_ERROR(source->ReadInto({file_size - end_size, end_size}, end));
  ASSIGN_OR_RETURN(const Footer footer, ParseFooter(ByteView(end, end_size), file_size));
  RETURN_IF_ERROR(CheckHandle(footer.index, file_size, kIndexBlock).WithOffset(file_size - kFooterSize));
  ASSIGN_OR_RETURN(const Buffer contents, ReadContents(*source, footer.index, kIndexBlock, {}));
  auto blocks = ParseIndexBlock(contents.view(), file_size);
  if (!blocks.ok()) return IndexDamaged(footer.index, blocks.status());
  return TableFile(std::move(source), *std::move(blocks));
}

Result<Buffer> TableFile::ReadBlock(size_t block, const ReadBlockOptions& options) const {
  return ReadContents(*source_, blocks_[block].handle, kDataBlock, options);
}

Result<uint64_t> TableFile::MaxContentsSize(size_t block) const {
  const BlockHandle handle = blocks_[block].handle;
  uint8_t kind = 0;
  RETURN_IF_ERROR(source_->ReadInto({handle.offset + handle.size, 1}, &kind));
  const bool compressed = kind == static_cast<uint8_t>(Compression::kSnappy);
  return compressed ? std::min(MaxSnappyDecodedSize(handle.size), kMaxSnappyBlockSize) : handle.size;
}

Status TableFile::Damaged(size_t block, const Status& in_contents) const {
  const BlockHandle handle = blocks_[block].handle;
  return Status(in_contents.code(), DescribeBlock(kDataBlock, handle) + ": " + in_contents.message())
      .WithOffset(handle.offset);
}

}  // namespace tensorbundle::v1
