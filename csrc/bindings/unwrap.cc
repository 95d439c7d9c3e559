#include "bindings/unwrap.h"

#include <string>

#include "bindings/text.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// Names of classes in tensorbundle.errors.
const char* ClassOf(StatusCode code) {
  switch (code) {
    case StatusCode::kNotFound:
      return "NotFoundError";
    case StatusCode::kDataLoss:
      return "DataLossError";
    case StatusCode::kUnimplemented:
      return "UnimplementedError";
    case StatusCode::kResourceExhausted:
      return "LimitError";
    default:
      return "InternalError";
  }
}

py::object TextOrNone(const std::string& text) { return text.empty() ? py::object(py::none()) : NameToPython(text); }

}  // namespace

py::object MakeException(const Status& status) {
  const py::object message = NameToPython(status.message());
  if (status.code() == StatusCode::kIo) {
    // Python picks the subclass, such as FileNotFoundError, from errno.
    return py::reinterpret_borrow<py::object>(PyExc_OSError)(status.system_error(), message,
                                                             PathToPython(status.path()));
  }
  if (status.code() == StatusCode::kInvalidArgument) {
    return py::reinterpret_borrow<py::object>(PyExc_ValueError)(message);
  }
  py::object offset = py::none();
  if (status.offset()) offset = py::int_(*status.offset());
  const py::object path = status.path().empty() ? py::object(py::none()) : PathToPython(status.path());
  return py::module_::import("tensorbundle.errors")
      .attr(ClassOf(status.code()))(message, py::arg("path") = path, py::arg("tensor") = TextOrNone(status.tensor()),
                                    py::arg("offset") = offset);
}

void Throw(const Status& status) {
  const py::object exception = MakeException(status);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw py::error_already_set();
}

}  // namespace tensorbundle::bindings
