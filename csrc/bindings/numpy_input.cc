#include "bindings/numpy_input.h"

#include <pybind11/numpy.h>

#include <cstddef>
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

bool IsRowMajor(const py::detail::PyArray_Proxy& array) {
  return (array.flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
}

// Gives up the references to `bytes` objects of which only the bytes are known.
void ReleaseStrings(const std::vector<ByteView>& strings) {
  for (const ByteView bytes : strings) {
    uint8_t* const begin = const_cast<uint8_t*>(bytes.data()) - offsetof(PyBytesObject, ob_sval);
    Py_DECREF(reinterpret_cast<PyObject*>(begin));
  }
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

TensorInputs::~TensorInputs() {
  for (const TensorToWrite& tensor : tensors_) ReleaseStrings(tensor.strings);
}

// True for arrays of numbers of a type that a checkpoint holds.
bool TensorInputs::IsTakenAsItIs(py::handle value) {
  return IsArray(value) && TypeOf(value).dtype != DType::kInvalid && TypeOf(value).dtype != DType::kString;
}

void TensorInputs::Add(py::handle name, py::handle value, py::handle tf_dtype) {
  TensorToWrite& tensor = tensors_.emplace_back();
  tensor.name = NameFromPython(name);
  py::object array = py::reinterpret_borrow<py::object>(value);
  const bool holds_bytes = IsArray(value) && TypeOf(value).dtype == DType::kString && TakeStrings(value, &tensor);
  if (!holds_bytes && !IsTakenAsItIs(value)) array = normalize_(name, value);
  const ElementType& type = TypeOf(array);
  tensor.dtype = tf_dtype.is_none() ? type.dtype : DTypeFromName(py::cast<std::string>(tf_dtype));
  tensor.foreign_byte_order = type.foreign_byte_order;
  const py::detail::PyArray_Proxy* const proxy = py::detail::array_proxy(array.ptr());
  tensor.shape.assign(proxy->dimensions, proxy->dimensions + proxy->nd);
  if (type.dtype != DType::kString) {
    TakeNumbers(array, &tensor);
  } else if (!holds_bytes) {
    TakeStrings(array, &tensor);  // `normalize` saw to it that there are such.
  }
  kept_.push_back(std::move(array));
}

void TensorInputs::TakeNumbers(py::handle array, TensorToWrite* tensor) {
  const py::detail::PyArray_Proxy* const proxy = py::detail::array_proxy(array.ptr());
  tensor->data = reinterpret_cast<const uint8_t*>(proxy->data);
  if (!IsRowMajor(*proxy)) tensor->strides.assign(proxy->strides, proxy->strides + proxy->nd);
}

bool TensorInputs::TakeStrings(py::handle array, TensorToWrite* tensor) {
  const py::detail::PyArray_Proxy* const proxy = py::detail::array_proxy(array.ptr());
  if (!IsRowMajor(*proxy)) return false;
  const size_t count = NumElements(*proxy);
  PyObject* const* const elements = reinterpret_cast<PyObject* const*>(proxy->data);
  std::vector<ByteView> strings;
  strings.reserve(count);
  // One look at each object: a million of them are in no cache, and every further look would cost the same again.
  for (size_t i = 0; i < count; ++i) {
    PyObject* const element = elements[i];
    if (element == nullptr || !PyBytes_CheckExact(element)) {
      ReleaseStrings(strings);
      return false;
    }
    Py_INCREF(element);
    strings.emplace_back(reinterpret_cast<const uint8_t*>(PyBytes_AS_STRING(element)),
                         static_cast<size_t>(PyBytes_GET_SIZE(element)));
  }
  tensor->strings = std::move(strings);
  return true;
}

}  // namespace tensorbundle::bindings
