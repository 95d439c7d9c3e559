// Messages that both formats of checkpoints are made of.

#ifndef TENSORBUNDLE_WIRE_MESSAGES_H_
#define TENSORBUNDLE_WIRE_MESSAGES_H_

#include <cstdint>
#include <vector>

#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"
#include "wire/reader.h"

namespace tensorbundle::wire {

// Reads a VersionDef and says whether this reader is welcome. kDataLoss if it is malformed, kUnimplemented if it asks
// for a reader of another version. `role` names the record that it stands in: "header".
Status CheckVersion(const Field& version, const char* role);

// Appends the dimensions of a TensorShapeProto to *shape, as they are stored: they may be negative. An unknown rank is
// read as a scalar, which is how TensorFlow reads it. kDataLoss if it is malformed.
Status ParseShape(const Field& message, std::vector<int64_t>* shape);

// Appends the slice of a TensorSliceProto, as it is spelled, to *slices. kDataLoss if it is malformed.
Status ParseSlice(const Field& message, std::vector<Slice>* slices);

// kDataLoss for the number of a dtype that nothing can store. Whether it is one that is known here, FindDTypeInfo
// tells.
Status CheckDType(int32_t number);

}  // namespace tensorbundle::wire

#endif  // TENSORBUNDLE_WIRE_MESSAGES_H_
