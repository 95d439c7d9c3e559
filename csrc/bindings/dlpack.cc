#include "bindings/dlpack.h"

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/numpy_view.h"
#include "tensorbundle/dtype.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// The structures of DLPack before version 1.0, which every library gives when it is asked for no other version.
struct DLTensor {
  void* data;
  int32_t device_type;
  int32_t device_id;
  int32_t ndim;
  uint8_t type_code;
  uint8_t type_bits;
  uint16_t type_lanes;
  int64_t* shape;
  int64_t* strides;  // In elements; null: row-major without gaps.
  uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor* self);
};

constexpr char kFresh[] = "dltensor";
constexpr char kTaken[] = "used_dltensor";

constexpr int32_t kCpu = 1;

struct ElementType {
  uint8_t code;
  uint8_t bits;
  DType dtype;
};

constexpr ElementType kElementTypes[] = {
    {0, 8, DType::kInt8},          {0, 16, DType::kInt16},
    {0, 32, DType::kInt32},        {0, 64, DType::kInt64},
    {1, 8, DType::kUint8},         {1, 16, DType::kUint16},
    {1, 32, DType::kUint32},       {1, 64, DType::kUint64},
    {2, 16, DType::kFloat16},      {2, 32, DType::kFloat32},
    {2, 64, DType::kFloat64},      {4, 16, DType::kBfloat16},
    {5, 64, DType::kComplex64},    {5, 128, DType::kComplex128},
    {6, 8, DType::kBool},          {9, 8, DType::kFloat8E4m3b11fnuz},
    {10, 8, DType::kFloat8E4m3fn}, {11, 8, DType::kFloat8E4m3fnuz},
    {12, 8, DType::kFloat8E5m2},   {13, 8, DType::kFloat8E5m2fnuz},
};

DType DTypeOf(const DLTensor& tensor) {
  for (const ElementType& type : kElementTypes) {
    if (type.code == tensor.type_code && type.bits == tensor.type_bits && tensor.type_lanes == 1) return type.dtype;
  }
  throw py::buffer_error("a checkpoint can't hold DLPack elements of type code " + std::to_string(tensor.type_code) +
                         ", " + std::to_string(tensor.type_bits) + " bits");
}

// Takes the tensor out of its capsule; the capsule returned gives it back when it goes.
py::object Take(const py::object& capsule, DLManagedTensor** managed) {
  *managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), kFresh));
  if (*managed == nullptr || PyCapsule_SetName(capsule.ptr(), kTaken) != 0) throw py::error_already_set();
  PyObject* const owner = PyCapsule_New(*managed, nullptr, [](PyObject* self) {
    auto* const held = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(self, nullptr));
    if (held->deleter != nullptr) held->deleter(held);
  });
  if (owner == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(owner);
}

}  // namespace

py::object FromDLPack(const py::object& value) {
  DLManagedTensor* managed = nullptr;
  py::object owner = Take(value.attr("__dlpack__")(), &managed);
  const DLTensor& tensor = managed->tensor;
  if (tensor.device_type != kCpu) throw py::buffer_error("the tensor is not in the memory of the CPU");
  const DType dtype = DTypeOf(tensor);
  const std::vector<int64_t> shape(tensor.shape, tensor.shape + tensor.ndim);
  std::vector<int64_t> strides;
  if (tensor.strides != nullptr) {
    for (int32_t d = 0; d < tensor.ndim; ++d) {
      strides.push_back(tensor.strides[d] * static_cast<int64_t>(FindDTypeInfo(dtype)->size_bytes));
    }
  }
  const auto* const data = static_cast<const uint8_t*>(tensor.data) + tensor.byte_offset;
  return StridedView(dtype, shape, strides, data, std::move(owner));
}

}  // namespace tensorbundle::bindings
