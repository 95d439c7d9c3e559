// The bytes of a tensor as they are stored, out of elements as a program has them.

#ifndef TENSORBUNDLE_CHECKPOINT_GATHER_H_
#define TENSORBUNDLE_CHECKPOINT_GATHER_H_

#include <cstdint>
#include <vector>

#include "tensorbundle/checkpoint_writer.h"

namespace tensorbundle {

// True if the elements lie in memory just as they are stored: row-major, in the host's byte order, without bits that do
// not count.
bool LiesAsStored(const TensorToWrite& tensor);

// Stores the bytes [begin, end) of a tensor's row-major form to `destination`.
//
// REQUIRES: the dtype has a fixed width, and begin and end are multiples of it and inside the tensor.
void GatherBytes(const TensorToWrite& tensor, uint64_t begin, uint64_t end, uint8_t* destination);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_GATHER_H_
