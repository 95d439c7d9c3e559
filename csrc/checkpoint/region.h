// Reading a part of a tensor: only the bytes that it needs.

#ifndef TENSORBUNDLE_CHECKPOINT_REGION_H_
#define TENSORBUNDLE_CHECKPOINT_REGION_H_

#include <cstdint>
#include <vector>

#include "checkpoint/read_plan.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// The elements of `region` of a tensor of fixed width, gathered from `pieces`, all that is stored of it, and converted.
// They go to `destination`, or, if that is null, to memory that the tensor owns. No checksum is looked at.
//
// REQUIRES: the region is valid in the tensor, which has no Problem.
Result<Tensor> ReadFixedRegion(const Entry& entry, const Region& region, bool foreign_byte_order,
                               const std::vector<PlannedPiece>& pieces, uint8_t* destination,
                               const ReadOptions& options);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_REGION_H_
