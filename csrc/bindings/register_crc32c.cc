// The checksum, for Python code that writes or checks bytes of its own.

#include <pybind11/pybind11.h>

#include <vector>

#include "bindings/gil.h"
#include "bindings/register.h"
#include "tensorbundle/crc32c.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

uint32_t Crc32c(const py::object& data, uint32_t value) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(data.ptr(), &buffer, PyBUF_C_CONTIGUOUS) != 0) throw py::error_already_set();
  const ByteView bytes(static_cast<const uint8_t*>(buffer.buf), static_cast<size_t>(buffer.len));
  // The export holds the memory in place until it is released below.
  const uint32_t crc = WithoutGil([&] { return crc32c::Extend(value, bytes); });
  PyBuffer_Release(&buffer);
  return crc;
}

py::list BackendNames() {
  py::list names;
  for (const char* name : crc32c::SupportedBackendNames()) names.append(name);
  return names;
}

}  // namespace

void RegisterCrc32c(py::module_& module) {
  module.def("crc32c", &Crc32c, py::arg("data"), py::arg("value") = 0, "CRC-32C of a contiguous buffer.");
  module.def("crc32c_combine", &crc32c::Combine, py::arg("crc_a"), py::arg("crc_b"), py::arg("size_b"),
             "CRC-32C of A followed by B.");
  module.def("crc32c_mask", &crc32c::Mask, py::arg("crc"), "A checksum as table blocks and index entries store it.");
  module.def("crc32c_backend", &crc32c::ActiveBackendName, "Name of the checksum backend in use.");
  module.def("crc32c_backends", &BackendNames, "Names of the backends that this processor supports, slowest first.");
}

}  // namespace tensorbundle::bindings
