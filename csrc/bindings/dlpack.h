// Tensors of other libraries, through DLPack's exchange structures.

#ifndef TENSORBUNDLE_BINDINGS_DLPACK_H_
#define TENSORBUNDLE_BINDINGS_DLPACK_H_

#include <pybind11/pybind11.h>

namespace tensorbundle::bindings {

// A read-only array over the elements of a tensor in the memory of the CPU. NumPy's own from_dlpack knows neither
// bfloat16 nor float8.
//
// `value` has `__dlpack__`, whose exceptions come through. Raises BufferError for elements that no array has.
pybind11::object FromDLPack(const pybind11::object& value);

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_DLPACK_H_
