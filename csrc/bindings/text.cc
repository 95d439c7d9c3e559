#include "bindings/text.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

py::object Checked(PyObject* object) {
  if (object == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(object);
}

std::string BytesOf(const py::object& bytes) {
  return std::string(PyBytes_AS_STRING(bytes.ptr()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr())));
}

}  // namespace

py::object NameToPython(std::string_view name) {
  return Checked(PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "surrogateescape"));
}

std::string NameFromPython(py::handle name) {
  if (!PyUnicode_Check(name.ptr())) {
    throw py::type_error("a tensor's name is a str, not " + std::string(Py_TYPE(name.ptr())->tp_name));
  }
  Py_ssize_t size = 0;
  if (const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &size))
    return std::string(text, static_cast<size_t>(size));
  PyErr_Clear();  // It has surrogates.
  return BytesOf(Checked(PyUnicode_AsEncodedString(name.ptr(), "utf-8", "surrogateescape")));
}

py::object PathToPython(std::string_view path) {
  return Checked(PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
}

std::string PathFromPython(py::handle path) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &bytes) == 0) throw py::error_already_set();
  return BytesOf(py::reinterpret_steal<py::object>(bytes));
}

}  // namespace tensorbundle::bindings
