// The element types of TensorFlow's checkpoints, and how each lies on disk.

#ifndef TENSORBUNDLE_DTYPE_H_
#define TENSORBUNDLE_DTYPE_H_

#include <cstddef>
#include <cstdint>

namespace tensorbundle {

// Numbered as TensorFlow's DataType. A file may hold other numbers; FindDTypeInfo tells.
enum class DType : int32_t {
  kInvalid = 0,
  kFloat32 = 1,
  kFloat64 = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kQint8 = 11,
  kQuint8 = 12,
  kQint32 = 13,
  kBfloat16 = 14,
  kQint16 = 15,
  kQuint16 = 16,
  kUint16 = 17,
  kComplex128 = 18,
  kFloat16 = 19,
  kVariant = 21,
  kUint32 = 22,
  kUint64 = 23,
  kFloat8E5m2 = 24,
  kFloat8E4m3fn = 25,
  kFloat8E4m3fnuz = 26,
  kFloat8E4m3b11fnuz = 27,
  kFloat8E5m2fnuz = 28,
  kInt4 = 29,
  kUint4 = 30,
  kInt2 = 31,
  kUint2 = 32,
  kFloat4E2m1fn = 33,
};

struct DTypeInfo {
  DType dtype;
  const char* name;    // As TensorFlow spells it: "float32", "qint8", "string".
  uint8_t size_bytes;  // One element, on disk and in memory alike; 0 for string and variant, which have lengths.
  uint8_t alignment;   // In memory; also the unit in which bytes are swapped (complex numbers swap by halves).
  uint8_t value_bits;  // Bits of a byte that count: types narrower than a byte take one each, bool takes 1 bit of it.
};

inline constexpr DTypeInfo kDTypes[] = {
    {DType::kFloat32, "float32", 4, 4, 8},
    {DType::kFloat64, "float64", 8, 8, 8},
    {DType::kInt32, "int32", 4, 4, 8},
    {DType::kUint8, "uint8", 1, 1, 8},
    {DType::kInt16, "int16", 2, 2, 8},
    {DType::kInt8, "int8", 1, 1, 8},
    {DType::kString, "string", 0, 1, 8},
    {DType::kComplex64, "complex64", 8, 4, 8},
    {DType::kInt64, "int64", 8, 8, 8},
    {DType::kBool, "bool", 1, 1, 1},
    {DType::kQint8, "qint8", 1, 1, 8},
    {DType::kQuint8, "quint8", 1, 1, 8},
    {DType::kQint32, "qint32", 4, 4, 8},
    {DType::kBfloat16, "bfloat16", 2, 2, 8},
    {DType::kQint16, "qint16", 2, 2, 8},
    {DType::kQuint16, "quint16", 2, 2, 8},
    {DType::kUint16, "uint16", 2, 2, 8},
    {DType::kComplex128, "complex128", 16, 8, 8},
    {DType::kFloat16, "float16", 2, 2, 8},
    {DType::kVariant, "variant", 0, 1, 8},
    {DType::kUint32, "uint32", 4, 4, 8},
    {DType::kUint64, "uint64", 8, 8, 8},
    {DType::kFloat8E5m2, "float8_e5m2", 1, 1, 8},
    {DType::kFloat8E4m3fn, "float8_e4m3fn", 1, 1, 8},
    {DType::kFloat8E4m3fnuz, "float8_e4m3fnuz", 1, 1, 8},
    {DType::kFloat8E4m3b11fnuz, "float8_e4m3b11fnuz", 1, 1, 8},
    {DType::kFloat8E5m2fnuz, "float8_e5m2fnuz", 1, 1, 8},
    {DType::kInt4, "int4", 1, 1, 4},
    {DType::kUint4, "uint4", 1, 1, 4},
    {DType::kInt2, "int2", 1, 1, 2},
    {DType::kUint2, "uint2", 1, 1, 2},
    {DType::kFloat4E2m1fn, "float4_e2m1fn", 1, 1, 4},
};

// True for the dtypes whose elements differ in length.
constexpr bool HasLengths(DType dtype) { return dtype == DType::kString || dtype == DType::kVariant; }

// What is known of a dtype, or null if it is none that a checkpoint can hold.
constexpr const DTypeInfo* FindDTypeInfo(DType dtype) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.dtype == dtype) return &info;
  }
  return nullptr;
}

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_DTYPE_H_
