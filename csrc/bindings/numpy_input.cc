#include "bindings/numpy_input.h"

#include <pybind11/numpy.h>

#include <string>
#include <utility>

#include "bindings/text.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

bool IsArray(py::handle value) {
  return Py_TYPE(value.ptr()) == reinterpret_cast<PyTypeObject*>(py::detail::npy_api::get().PyArray_Type_);
}

size_t NumElements(const py::detail::PyArray_Proxy& array) {
  size_t count = 1;
  for (int d = 0; d < array.nd; ++d) count *= static_cast<size_t>(array.dimensions[d]);
  return count;
}

}  // namespace

int64_t FirstNotBytes(py::handle array) {
  const py::detail::PyArray_Proxy* const proxy = py::detail::array_proxy(array.ptr());
  PyObject* const* const elements = reinterpret_cast<PyObject* const*>(proxy->data);
  const size_t count = NumElements(*proxy);
  for (size_t i = 0; i < count; ++i) {
    if (elements[i] == nullptr || !PyBytes_CheckExact(elements[i])) return static_cast<int64_t>(i);
  }
  return -1;
}

DType DTypeFromName(const std::string& name) {
  for (const DTypeInfo& info : kDTypes) {
    if (name == info.name) return info.dtype;
  }
  throw py::type_error("a checkpoint can't hold tensors of type " + name);
}

const TensorInputs::ElementType& TensorInputs::TypeOf(py::handle array) {
  const py::handle descr = py::detail::array_proxy(array.ptr())->descr;
  const auto [found, is_new] = types_.try_emplace(descr.ptr());
  if (is_new) {
    kept_.push_back(py::reinterpret_borrow<py::object>(descr));
    const py::object name = py::module_::import("tensorbundle.dtypes").attr("tf_name")(descr);
    if (!name.is_none()) {
      found->second.dtype = DTypeFromName(py::cast<std::string>(name));
      found->second.foreign_byte_order = !py::cast<bool>(descr.attr("isnative"));
    }
  }
  return found->second;
}

void TensorInputs::Add(py::handle name, py::handle value, py::handle tf_dtype) {
  TensorToWrite tensor;
  tensor.name = NameFromPython(name);
  py::object array = py::reinterpret_borrow<py::object>(value);
  const bool as_it_is =
      IsArray(value) && TypeOf(value).dtype != DType::kInvalid && TypeOf(value).dtype != DType::kString;
  if (!as_it_is) array = normalize_(name, value);
  const ElementType& type = TypeOf(array);
  tensor.dtype = tf_dtype.is_none() ? type.dtype : DTypeFromName(py::cast<std::string>(tf_dtype));
  tensor.foreign_byte_order = type.foreign_byte_order;
  const py::detail::PyArray_Proxy* const proxy = py::detail::array_proxy(array.ptr());
  tensor.shape.assign(proxy->dimensions, proxy->dimensions + proxy->nd);
  TakeElements(array, &tensor);
  kept_.push_back(std::move(array));
  tensors_.push_back(std::move(tensor));
}

void TensorInputs::TakeElements(py::handle array, TensorToWrite* tensor) {
  const py::detail::PyArray_Proxy* const proxy = py::detail::array_proxy(array.ptr());
  const bool row_major = (proxy->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
  if (TypeOf(array).dtype != DType::kString) {
    tensor->data = reinterpret_cast<const uint8_t*>(proxy->data);
    if (!row_major) tensor->strides.assign(proxy->strides, proxy->strides + proxy->nd);
    return;
  }
  // Row-major, and of bytes objects only: `normalize` saw to both.
  const size_t count = NumElements(*proxy);
  PyObject* const* const elements = reinterpret_cast<PyObject* const*>(proxy->data);
  tensor->strings.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    tensor->strings.emplace_back(reinterpret_cast<const uint8_t*>(PyBytes_AS_STRING(elements[i])),
                                 static_cast<size_t>(PyBytes_GET_SIZE(elements[i])));
  }
}

}  // namespace tensorbundle::bindings
