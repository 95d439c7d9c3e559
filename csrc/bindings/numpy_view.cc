#include "bindings/numpy_view.h"

#include <pybind11/numpy.h>

#include <cstring>
#include <string>

#include "bindings/unwrap.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using py::detail::npy_api;

constexpr char kCapsuleName[] = "tensorbundle.Buffer";

py::object MakeCapsule(const std::shared_ptr<const void>& owner) {
  auto* const kept = new std::shared_ptr<const void>(owner);
  PyObject* const capsule = PyCapsule_New(kept, kCapsuleName, [](PyObject* self) {
    delete static_cast<std::shared_ptr<const void>*>(PyCapsule_GetPointer(self, kCapsuleName));
  });
  if (capsule != nullptr) return py::reinterpret_steal<py::object>(capsule);
  delete kept;
  throw py::error_already_set();
}

// `data` null: the array allocates its own. `strides` null: row-major, without gaps.
py::object MakeArray(DType dtype, const std::vector<int64_t>& shape, const uint8_t* data, int flags,
                     const int64_t* strides = nullptr) {
  const npy_api& api = npy_api::get();
  py::handle descr = NumpyDType(dtype);
  descr.inc_ref();  // Taken by the call.
  static_assert(sizeof(Py_intptr_t) == sizeof(int64_t));
  PyObject* const array = api.PyArray_NewFromDescr_(api.PyArray_Type_, descr.ptr(), static_cast<int>(shape.size()),
                                                    reinterpret_cast<const Py_intptr_t*>(shape.data()),
                                                    reinterpret_cast<const Py_intptr_t*>(strides),
                                                    const_cast<uint8_t*>(data), flags, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
}

// Copies what is at least one Word and at most two, which may overlap.
template <typename Word>
void CopyWords(ByteView from, char* to) {
  Word first;
  Word last;
  const size_t last_at = from.size() - sizeof(Word);
  std::memcpy(&first, from.data(), sizeof(Word));
  std::memcpy(&last, from.data() + last_at, sizeof(Word));
  std::memcpy(to, &first, sizeof(Word));
  std::memcpy(to + last_at, &last, sizeof(Word));
}

// A bytes object, or null and an exception. What is as short as a word is copied here: the call that copies any number
// of bytes would take one part in thirty of all the time that a million of them take.
PyObject* NewBytes(ByteView string) {
  const auto size = static_cast<Py_ssize_t>(string.size());
  // Python keeps one object for no bytes and for each single one.
  if (size < 2 || size > 16) return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(string.data()), size);
  PyObject* const bytes = PyBytes_FromStringAndSize(nullptr, size);
  if (bytes == nullptr) return nullptr;
  char* const to = PyBytes_AS_STRING(bytes);
  if (size >= 8) {
    CopyWords<uint64_t>(string, to);
  } else if (size >= 4) {
    CopyWords<uint32_t>(string, to);
  } else {
    CopyWords<uint16_t>(string, to);
  }
  return bytes;
}

}  // namespace

py::handle NumpyDType(DType dtype) {
  constexpr size_t kCached = 64;         // Above every number that is defined.
  static PyObject* cache[kCached] = {};  // Kept for good; the GIL guards it.
  const auto number = static_cast<size_t>(dtype);
  const DTypeInfo* const info = FindDTypeInfo(dtype);
  if (info == nullptr) {
    Throw(Status(StatusCode::kUnimplemented, "unknown dtype number " + std::to_string(static_cast<int32_t>(dtype)) +
                                                 "; a newer version may know it"));
  }
  if (cache[number] == nullptr) {
    cache[number] = py::module_::import("tensorbundle.dtypes").attr("numpy_dtype")(info->name).release().ptr();
  }
  return cache[number];
}

Status CheckNumpyLimits(DType dtype, const std::vector<int64_t>& shape) {
  constexpr unsigned kNumpy2 = 0x12;  // The C API's version.
  const size_t max_rank = npy_api::get().PyArray_RUNTIME_VERSION_ >= kNumpy2 ? 64 : 32;
  if (shape.size() > max_rank) {
    return Status(StatusCode::kResourceExhausted, "NumPy arrays have at most " + std::to_string(max_rank) +
                                                      " dimensions, this tensor has " + std::to_string(shape.size()));
  }
  // NumPy multiplies the dimensions of an array without elements all the same, leaving out the zeros.
  const uint8_t size_bytes = FindDTypeInfo(dtype)->size_bytes;
  int64_t size = size_bytes != 0 ? size_bytes : sizeof(PyObject*);
  for (const int64_t dimension : shape) {
    if (dimension == 0 || !__builtin_mul_overflow(size, dimension, &size)) continue;
    return Status(StatusCode::kResourceExhausted, "its dimensions are larger than those of any NumPy array");
  }
  return Status();
}

py::object NewArray(DType dtype, const std::vector<int64_t>& shape) { return MakeArray(dtype, shape, nullptr, 0); }

py::object StridedView(DType dtype, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
                       const uint8_t* data, py::object owner) {
  py::object array = MakeArray(dtype, shape, data, 0, strides.empty() ? nullptr : strides.data());
  if (npy_api::get().PyArray_SetBaseObject_(array.ptr(), owner.release().ptr()) != 0) throw py::error_already_set();
  return array;
}

void* ArrayData(py::handle array) { return py::detail::array_proxy(array.ptr())->data; }

py::object ViewMaker::Make(DType dtype, const std::vector<int64_t>& shape, const Buffer& buffer) {
  if (buffer.size() == 0) {
    const py::object empty = NewArray(dtype, shape);
    py::detail::array_proxy(empty.ptr())->flags &= ~npy_api::NPY_ARRAY_WRITEABLE_;
    return empty;
  }
  const bool aligned = reinterpret_cast<uintptr_t>(buffer.data()) % FindDTypeInfo(dtype)->alignment == 0;
  py::object array = MakeArray(dtype, shape, buffer.data(), aligned ? npy_api::NPY_ARRAY_ALIGNED_ : 0);
  if (last_owner_ != buffer.owner().get() || !last_capsule_) {
    last_capsule_ = MakeCapsule(buffer.owner());
    last_owner_ = buffer.owner().get();
  }
  if (npy_api::get().PyArray_SetBaseObject_(array.ptr(), last_capsule_.inc_ref().ptr()) != 0) {
    throw py::error_already_set();
  }
  return array;
}

void FillStrings(const StringArray& strings, bool is_new, py::handle array) {
  auto** const elements = static_cast<PyObject**>(ArrayData(array));
  constexpr size_t kLookForSignals = 1 << 16;  // A few milliseconds' worth.
  for (size_t i = 0; i < strings.size(); ++i) {
    if (i % kLookForSignals == 0 && PyErr_CheckSignals() != 0) throw py::error_already_set();
    PyObject* const bytes = NewBytes(strings[i]);
    if (bytes == nullptr) throw py::error_already_set();
    // Of memory that nobody has touched, looking alone would cost as much as storing.
    PyObject* const old = is_new ? nullptr : elements[i];
    elements[i] = bytes;
    Py_XDECREF(old);
  }
}

}  // namespace tensorbundle::bindings
