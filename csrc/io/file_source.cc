#include "io/file_source.h"

#include "io/coalesce.h"
#include "io/owned_memory.h"
#include "io/range_check.h"
#include "util/checked.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Reading 8 KiB more of a cached file takes about as long as one more system call. A megabyte already costs fifty
// calls, so joining beyond it gains nothing, and a small buffer that is kept would hold more than that alive.
constexpr CoalesceLimits kLimits = {/*max_gap_bytes=*/uint64_t{8} << 10, /*max_request_bytes=*/uint64_t{1} << 20};

// Local ranges from here on are not asked for ahead: on a local disk the kernel's own reading ahead of large sequential
// reads is up to twice as fast as obeying requests.
constexpr uint64_t kLargeLocalRange = uint64_t{256} << 10;

}  // namespace

std::shared_ptr<const ByteSource> FileSource::Make(const std::string& path, os::OpenedFile file) {
  os::ExpectSequentialReads(file.descriptor);
  return std::make_shared<FileSource>(path, std::move(file));
}

Result<Buffer> FileSource::Read(ByteRange range) const {
  RETURN_IF_ERROR(CheckRange(*this, range));
  ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(range.length));
  RETURN_IF_ERROR(os::ReadAt(file_.descriptor, path_, range, memory.data));
  return memory.buffer;
}

Status FileSource::ReadInto(ByteRange range, uint8_t* destination) const {
  RETURN_IF_ERROR(CheckRange(*this, range));
  return os::ReadAt(file_.descriptor, path_, range, destination);
}

Result<std::vector<Buffer>> FileSource::ReadMany(const std::vector<ByteRange>& ranges) const {
  for (const ByteRange& range : ranges) RETURN_IF_ERROR(CheckRange(*this, range));
  const Coalesced merged = Coalesce(ranges, kLimits);
  std::vector<Buffer> requests;
  requests.reserve(merged.requests.size());
  for (const ByteRange& request : merged.requests) {
    ASSIGN_OR_RETURN(Buffer bytes, Read(request));
    requests.push_back(std::move(bytes));
  }
  std::vector<Buffer> buffers;
  buffers.reserve(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    const CoalescedPart& part = merged.parts[i];
    buffers.push_back(
        requests[part.request].Slice(static_cast<size_t>(part.offset), static_cast<size_t>(ranges[i].length)));
  }
  return buffers;
}

void FileSource::Prefetch(ByteRange range) const {
  if (!RangeFits(range.offset, range.length, size_bytes())) return;
  if (is_local_ && range.length >= kLargeLocalRange) return;
  os::AskFor(file_.descriptor, range);
}

void FileSource::DropCache(ByteRange range) const {
  if (RangeFits(range.offset, range.length, size_bytes())) os::DropCached(file_.descriptor, range);
}

}  // namespace tensorbundle
