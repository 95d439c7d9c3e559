// Checks that every source owes its callers.

#ifndef TENSORBUNDLE_IO_RANGE_CHECK_H_
#define TENSORBUNDLE_IO_RANGE_CHECK_H_

#include <cstddef>

#include "tensorbundle/byte_source.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// kDataLoss, naming the source, the range and the size, unless `range` lies inside the source.
Status CheckRange(const ByteSource& source, ByteRange range);

// kDataLoss unless a source that was asked for `range` returned all of it. For sources of other people.
Status CheckAnswer(const ByteSource& source, ByteRange range, size_t returned_bytes);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_IO_RANGE_CHECK_H_
