// Arrays: the only place where they are made.

#ifndef TENSORBUNDLE_BINDINGS_NUMPY_VIEW_H_
#define TENSORBUNDLE_BINDINGS_NUMPY_VIEW_H_

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "tensorbundle/checkpoint.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"

namespace tensorbundle::bindings {

// The numpy.dtype of a TensorFlow dtype. Raises UnimplementedError if there is none.
pybind11::handle NumpyDType(DType dtype);

// kResourceExhausted if NumPy has no array of this shape: too many dimensions, or, without an element, too large ones.
Status CheckNumpyLimits(DType dtype, const std::vector<int64_t>& shape);

// A new array of undefined elements that owns its memory; of strings: of nulls, which NumPy shows as None.
pybind11::object NewArray(DType dtype, const std::vector<int64_t>& shape);

// A read-only array over memory that `owner` keeps, with so many bytes from one element to the next in each dimension;
// no strides: row-major without gaps.
pybind11::object StridedView(DType dtype, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
                             const uint8_t* data, pybind11::object owner);

// Where the elements of an array are.
void* ArrayData(pybind11::handle array);

// Makes read-only arrays over buffers. Arrays over one owner share the capsule that keeps it: an array's base is the
// capsule itself, so nobody can make it writable again, and the mapping goes when the last array does.
class ViewMaker {
 public:
  // REQUIRES: the buffer holds the elements of the shape in row-major order.
  pybind11::object Make(DType dtype, const std::vector<int64_t>& shape, const Buffer& buffer);

 private:
  const void* last_owner_ = nullptr;
  pybind11::object last_capsule_;
};

// Puts bytes objects into an object array of as many elements. `is_new` says that NewArray made it and it still holds
// nulls; otherwise what was there is dropped.
void FillStrings(const StringArray& strings, bool is_new, pybind11::handle array);

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_NUMPY_VIEW_H_
