// Sums over elements, for Python code that goes through tensors piece by piece.

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "bindings/gil.h"
#include "bindings/register.h"
#include "tensorbundle/moments.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// Memory that an object has exported, for as long as this lives.
class ExportedMemory {
 public:
  explicit ExportedMemory(const py::object& object) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) {
      throw py::error_already_set();
    }
  }
  ExportedMemory(const ExportedMemory&) = delete;
  ExportedMemory& operator=(const ExportedMemory&) = delete;
  ~ExportedMemory() { PyBuffer_Release(&buffer_); }

  // One character of the struct module's for an element in the host's order, else more.
  std::string format() const { return buffer_.format; }
  const void* data() const { return buffer_.buf; }
  size_t item_size() const { return static_cast<size_t>(buffer_.itemsize); }
  size_t count() const { return item_size() == 0 ? 0 : static_cast<size_t>(buffer_.len) / item_size(); }

 private:
  Py_buffer buffer_;
};

template <typename T>
py::tuple MomentsOf(const ExportedMemory& memory) {
  // The export keeps the memory in place.
  const Moments<T> moments =
      WithoutGil([&] { return ComputeMoments(static_cast<const T*>(memory.data()), memory.count()); });
  return py::make_tuple(moments.num_nan, moments.num_positive_infinity, moments.num_negative_infinity, moments.num_zero,
                        moments.num_finite, moments.least, moments.most, moments.mean, moments.spread);
}

template <typename T1, typename T2, typename T4, typename T8>
py::tuple MomentsOfIntegers(const ExportedMemory& memory) {
  switch (memory.item_size()) {
    case 1:
      return MomentsOf<T1>(memory);
    case 2:
      return MomentsOf<T2>(memory);
    case 4:
      return MomentsOf<T4>(memory);
    default:
      return MomentsOf<T8>(memory);
  }
}

py::tuple MomentsOfElements(const py::object& elements) {
  const ExportedMemory memory(elements);
  const std::string format = memory.format();
  if (format == "f") return MomentsOf<float>(memory);
  if (format == "d") return MomentsOf<double>(memory);
  if (format.size() == 1 && std::string("bhilq").find(format) != std::string::npos) {
    return MomentsOfIntegers<int8_t, int16_t, int32_t, int64_t>(memory);
  }
  if (format.size() == 1 && std::string("?BHILQ").find(format) != std::string::npos) {
    return MomentsOfIntegers<uint8_t, uint16_t, uint32_t, uint64_t>(memory);
  }
  throw py::type_error("there are no moments of elements of format " + format);
}

}  // namespace

void RegisterMoments(py::module_& module) {
  module.def("moments", &MomentsOfElements, py::arg("elements"),
             "Numbers of NaN, inf, -inf, zeros and finite elements; least, most, mean and spread of the finite ones.");
}

}  // namespace tensorbundle::bindings
