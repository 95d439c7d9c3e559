// Doing work without the interpreter's lock.

#ifndef TENSORBUNDLE_BINDINGS_GIL_H_
#define TENSORBUNDLE_BINDINGS_GIL_H_

#include <pybind11/pybind11.h>

namespace tensorbundle::bindings {

// Calls `work` with the GIL released. It may touch no Python object, and everything that it refers to must stay alive
// without the GIL: convert arguments before, results after. Each use says why that holds.
template <typename Work>
auto WithoutGil(const Work& work) {
  const pybind11::gil_scoped_release release;
  return work();
}

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_GIL_H_
