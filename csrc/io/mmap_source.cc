#include "io/mmap_source.h"

#include <algorithm>
#include <cstring>

#include "io/range_check.h"
#include "util/checked.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Copied in steps, so that little time passes between finding bytes safe to touch and touching them.
constexpr uint64_t kCopyStep = uint64_t{2} << 20;

}  // namespace

Result<std::shared_ptr<const ByteSource>> MmapSource::Map(const std::string& path, const os::OpenedFile& file) {
  ASSIGN_OR_RETURN(std::shared_ptr<const os::Mapping> mapping, os::Mapping::Create(file, path));
  return std::shared_ptr<const ByteSource>(std::make_shared<MmapSource>(path, std::move(mapping), file.identity));
}

Result<Buffer> MmapSource::Read(ByteRange range) const {
  RETURN_IF_ERROR(CheckRange(*this, range));
  const ByteView view = mapping_->bytes().Slice(static_cast<size_t>(range.offset), static_cast<size_t>(range.length));
  return Buffer(view, mapping_);
}

Status MmapSource::ReadInto(ByteRange range, uint8_t* destination) const {
  RETURN_IF_ERROR(CheckRange(*this, range));
  for (uint64_t done = 0; done < range.length;) {
    const ByteRange step{range.offset + done, std::min(kCopyStep, range.length - done)};
    RETURN_IF_ERROR(mapping_->Populate(step, path_));
    std::memcpy(destination + done, mapping_->bytes().data() + step.offset, static_cast<size_t>(step.length));
    done += step.length;
  }
  return Status();
}

void MmapSource::Prefetch(ByteRange range) const {
  if (RangeFits(range.offset, range.length, size_bytes())) mapping_->ReadAhead(range);
}

Status MmapSource::Populate(ByteRange range) const {
  RETURN_IF_ERROR(CheckRange(*this, range));
  return mapping_->Populate(range, path_);
}

void MmapSource::DropCache(ByteRange range) const {
  if (!RangeFits(range.offset, range.length, size_bytes())) return;
  const auto file = os::OpenForReading(path_);
  if (!file.ok() || file->identity != identity_) return;
  mapping_->Release(range);
  os::DropCached(file->descriptor, range);
}

}  // namespace tensorbundle
