// The records of a V1 file: what it holds, and the values of one tensor or piece, from wire bytes.
//
//   SavedTensorSlices     1 SavedTensorSliceMeta meta (key "")   2 SavedSlice data (any other key)
//   SavedTensorSliceMeta  1 repeated SavedSliceMeta tensor       2 VersionDef versions
//   SavedSliceMeta        1 name  2 TensorShapeProto shape  3 DataType type  4 repeated TensorSliceProto slice
//   SavedSlice            1 name  2 TensorSliceProto slice  3 TensorProto data
//
// These functions know what one record says. Whether it makes sense beside the others is for v1/index.h.

#ifndef TENSORBUNDLE_V1_RECORDS_H_
#define TENSORBUNDLE_V1_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"

namespace tensorbundle::v1 {

// What the metadata says of one tensor; as it is written, nothing of it checked.
struct TensorMeta {
  std::string name;
  int32_t dtype = 0;
  std::vector<int64_t> shape;
  std::vector<Slice> slices;  // Those that are stored in this file.
};

// kDataLoss in TensorFlow's words for a file that does not begin with metadata.
Status NoMetadata(const std::string& why);

// Reads the record of the key "". kDataLoss if it is malformed or has no metadata, kUnimplemented if it asks for a
// reader of another version.
Result<std::vector<TensorMeta>> ParseMetadata(ByteView record);

// The fewest bytes that a record can store an element of this dtype in; nullopt if the format can't store the dtype.
std::optional<uint64_t> MinStoredBytes(DType dtype);

// Called every few milliseconds of long work; an error from it is returned.
using KeepGoing = std::function<Status()>;

// Stores the `count` elements of a record at `destination`, or only counts them if that is null. kDataLoss if the
// record is malformed or holds another number of them; `destination` has undefined contents then, and nothing is
// stored beyond it. Bits that a value has beyond its dtype are dropped, as TensorFlow drops them.
//
// REQUIRES: MinStoredBytes has a value for the dtype, which is not kString; `destination` is aligned for it.
Status DecodeValues(ByteView record, DType dtype, uint64_t count, uint8_t* destination, const KeepGoing& keep_going);

// The `count` strings of a record, packed into memory of their own. Nothing is allocated before they were counted.
Result<StringArray> DecodeStrings(ByteView record, uint64_t count, const KeepGoing& keep_going);
// kDataLoss where that would be, and nothing is allocated.
Status CheckStrings(ByteView record, uint64_t count, const KeepGoing& keep_going);

// Where in a record of `record_size` bytes its elements lie as they are in memory, little-endian, if TensorFlow wrote
// it and the dtype has such a form: one run that ends with the record. `head` is the beginning of the record; nullopt
// also where it ends too early to tell.
std::optional<uint64_t> FindPackedValues(ByteView head, uint64_t record_size, DType dtype, uint64_t count);

}  // namespace tensorbundle::v1

#endif  // TENSORBUNDLE_V1_RECORDS_H_
