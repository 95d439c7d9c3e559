#include "checkpoint/gather.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/convert.h"

namespace tensorbundle {
namespace {

// True if the strides are those of row-major elements without gaps. The stride of a dimension of one element means
// nothing.
bool IsRowMajor(const TensorToWrite& tensor, uint64_t element_bytes) {
  if (tensor.strides.empty()) return true;
  auto expected = static_cast<int64_t>(element_bytes);
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] == 0) return true;
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

template <size_t kElementBytes>
void CopyRow(const uint8_t* source, int64_t stride, uint64_t count, uint8_t* destination) {
  for (uint64_t i = 0; i < count; ++i) {
    std::memcpy(destination, source, kElementBytes);
    source += stride;
    destination += kElementBytes;
  }
}

void CopyRow(const uint8_t* source, int64_t stride, uint64_t count, uint64_t element_bytes, uint8_t* destination) {
  if (stride == static_cast<int64_t>(element_bytes)) {
    std::memcpy(destination, source, count * element_bytes);
    return;
  }
  switch (element_bytes) {
    case 1:
      return CopyRow<1>(source, stride, count, destination);
    case 2:
      return CopyRow<2>(source, stride, count, destination);
    case 4:
      return CopyRow<4>(source, stride, count, destination);
    case 8:
      return CopyRow<8>(source, stride, count, destination);
    default:
      return CopyRow<16>(source, stride, count, destination);
  }
}

// Elements [begin, end) in row-major order, wherever the strides say that they are.
void GatherStrided(const TensorToWrite& tensor, uint64_t element_bytes, uint64_t begin, uint64_t end,
                   uint8_t* destination) {
  const size_t rank = tensor.shape.size();
  std::vector<int64_t> index(rank);
  const uint8_t* source = tensor.data;
  uint64_t rest = begin;
  for (size_t d = rank; d-- > 0;) {
    const auto length = static_cast<uint64_t>(tensor.shape[d]);
    index[d] = static_cast<int64_t>(rest % length);
    source += index[d] * tensor.strides[d];
    rest /= length;
  }
  const size_t last = rank - 1;
  while (begin < end) {
    const uint64_t count = std::min(end - begin, static_cast<uint64_t>(tensor.shape[last] - index[last]));
    CopyRow(source, tensor.strides[last], count, element_bytes, destination);
    destination += count * element_bytes;
    begin += count;
    // On to the first element of the next row.
    source -= index[last] * tensor.strides[last];
    index[last] = 0;
    for (size_t d = last; d-- > 0;) {
      source += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      source -= tensor.shape[d] * tensor.strides[d];
      index[d] = 0;
    }
  }
}

}  // namespace

bool LiesAsStored(const TensorToWrite& tensor) {
  const DTypeInfo& info = *FindDTypeInfo(tensor.dtype);
  return IsRowMajor(tensor, info.size_bytes) && !ConversionFor(info, tensor.foreign_byte_order).needs_anything();
}

void GatherBytes(const TensorToWrite& tensor, uint64_t begin, uint64_t end, uint8_t* destination) {
  if (begin == end) return;  // There may be no elements, and no index of one to begin with.
  const DTypeInfo& info = *FindDTypeInfo(tensor.dtype);
  if (IsRowMajor(tensor, info.size_bytes)) {
    std::memcpy(destination, tensor.data + begin, end - begin);
  } else {
    GatherStrided(tensor, info.size_bytes, begin / info.size_bytes, end / info.size_bytes, destination);
  }
  ConvertInPlace(ConversionFor(info, tensor.foreign_byte_order), destination, end - begin);
}

}  // namespace tensorbundle
