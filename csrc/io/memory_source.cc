#include "io/memory_source.h"

#include "io/range_check.h"
#include "util/status_macros.h"

namespace tensorbundle {

Result<Buffer> MemorySource::Read(ByteRange range) const {
  RETURN_IF_ERROR(CheckRange(*this, range));
  return bytes_.Slice(static_cast<size_t>(range.offset), static_cast<size_t>(range.length));
}

}  // namespace tensorbundle
