// From a Status to a Python exception, in one place.

#ifndef TENSORBUNDLE_BINDINGS_UNWRAP_H_
#define TENSORBUNDLE_BINDINGS_UNWRAP_H_

#include <pybind11/pybind11.h>

#include <utility>

#include "tensorbundle/status.h"

namespace tensorbundle::bindings {

// The Python exception that stands for a failed status: a class of tensorbundle.errors, OSError or ValueError.
// The GIL must be held.
pybind11::object MakeException(const Status& status);

// Raises it.
[[noreturn]] void Throw(const Status& status);

inline void Unwrap(const Status& status) {
  if (!status.ok()) Throw(status);
}

template <typename T>
T Unwrap(Result<T> result) {
  if (!result.ok()) Throw(result.status());
  return *std::move(result);
}

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_UNWRAP_H_
