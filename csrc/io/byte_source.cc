#include "tensorbundle/byte_source.h"

#include <cstring>
#include <utility>

#include "io/file_source.h"
#include "io/memory_source.h"
#include "io/mmap_source.h"
#include "io/os.h"
#include "io/range_check.h"
#include "util/checked.h"
#include "util/status_macros.h"

namespace tensorbundle {

ByteSource::~ByteSource() = default;

Status ByteSource::ReadInto(ByteRange range, uint8_t* destination) const {
  ASSIGN_OR_RETURN(const Buffer bytes, Read(range));
  RETURN_IF_ERROR(CheckAnswer(*this, range, bytes.size()));
  if (bytes.size() != 0) std::memcpy(destination, bytes.data(), bytes.size());
  return Status();
}

Result<std::vector<Buffer>> ByteSource::ReadMany(const std::vector<ByteRange>& ranges) const {
  std::vector<Buffer> buffers;
  buffers.reserve(ranges.size());
  for (const ByteRange& range : ranges) {
    ASSIGN_OR_RETURN(Buffer bytes, Read(range));
    RETURN_IF_ERROR(CheckAnswer(*this, range, bytes.size()));
    buffers.push_back(std::move(bytes));
  }
  return buffers;
}

std::string ByteSource::identity() const { return {}; }

bool ByteSource::reads_are_views() const { return false; }

void ByteSource::Prefetch(ByteRange /*range*/) const {}

Status ByteSource::Populate(ByteRange /*range*/) const { return Status(); }

void ByteSource::DropCache(ByteRange /*range*/) const {}

Status CheckRange(const ByteSource& source, ByteRange range) {
  if (RangeFits(range.offset, range.length, source.size_bytes())) return Status();
  Status status(StatusCode::kDataLoss, std::to_string(range.length) + " bytes at offset " +
                                           std::to_string(range.offset) + " are not inside its " +
                                           std::to_string(source.size_bytes()) + " bytes");
  return std::move(status).WithPath(source.name()).WithOffset(range.offset);
}

Status CheckAnswer(const ByteSource& source, ByteRange range, size_t returned_bytes) {
  if (returned_bytes == range.length) return Status();
  Status status(StatusCode::kDataLoss, "expected " + std::to_string(range.length) + " bytes at offset " +
                                           std::to_string(range.offset) + ", the source returned " +
                                           std::to_string(returned_bytes));
  return std::move(status).WithPath(source.name()).WithOffset(range.offset);
}

Result<std::shared_ptr<const ByteSource>> OpenFile(const std::string& path, FileAccess access) {
  ASSIGN_OR_RETURN(os::OpenedFile file, os::OpenForReading(path));
  const bool may_map =
      access == FileAccess::kMap || (access == FileAccess::kAuto && os::MappingIsWise(file.descriptor));
  if (may_map) {
    auto mapped = MmapSource::Map(path, file);
    // Some file systems can't map, and a process may have only so many mappings.
    if (mapped.ok() || access == FileAccess::kMap) return mapped;
  }
  return FileSource::Make(path, std::move(file));
}

std::shared_ptr<const ByteSource> FromMemory(Buffer bytes, std::string name) {
  return std::make_shared<MemorySource>(std::move(bytes), std::move(name));
}

}  // namespace tensorbundle
