#include "bindings/progress.h"

#include "bindings/gil.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

ProgressFunction PythonProgress::function() {
  return [this](const Progress& progress) { return Call(progress); };
}

Status PythonProgress::Call(const Progress& progress) {
  const HoldGil gil;
  try {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!callback_.is_none()) callback_(progress.done_bytes, progress.total_bytes, NameToPython(progress.tensor));
    return Status();
  } catch (...) {
    raised_ = std::current_exception();
    return Status(StatusCode::kExternal, "the progress callback raised an exception");
  }
}

void PythonProgress::Unwrap(const Status& status) const {
  if (status.ok()) return;
  if (status.code() == StatusCode::kExternal && raised_) std::rethrow_exception(raised_);
  Throw(status);
}

}  // namespace tensorbundle::bindings
