#include "checkpoint/gather.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "slices/random_boxes.h"
#include "support/source_conformance.h"

namespace tensorbundle {
namespace {

using test_support::DistinctBytes;

// A tensor whose strides lead to places all over some memory.
struct Strided {
  TensorToWrite tensor;
  std::string memory;
};

// Sets the tensor's data so that its elements lie in memory of distinct bytes and nowhere else.
void GiveMemory(Strided* strided) {
  TensorToWrite& tensor = strided->tensor;
  int64_t lowest = 0;
  int64_t highest = 0;
  for (size_t d = 0; d < tensor.strides.size(); ++d) {
    const int64_t reach = (tensor.shape[d] - 1) * tensor.strides[d];
    (reach < 0 ? lowest : highest) += reach;
  }
  const uint64_t width = FindDTypeInfo(tensor.dtype)->size_bytes;
  strided->memory = DistinctBytes(static_cast<size_t>(highest - lowest) + width);
  tensor.data = reinterpret_cast<const uint8_t*>(strided->memory.data()) - lowest;
}

// One byte of an element, as it is stored.
uint8_t StoredByte(const DTypeInfo& info, uint8_t byte) {
  if (info.dtype == DType::kBool) return byte != 0 ? 1 : 0;
  return static_cast<uint8_t>(byte & (info.value_bits == 8 ? 0xFF : (1 << info.value_bits) - 1));
}

// The stored form, element by element and byte by byte.
std::string StoredBytes(const TensorToWrite& tensor) {
  const DTypeInfo& info = *FindDTypeInfo(tensor.dtype);
  std::string bytes;
  ForEachIndex(tensor.shape, [&](const Shape& index) {
    const uint8_t* element = tensor.data;
    for (size_t d = 0; d < index.size(); ++d) element += index[d] * tensor.strides[d];
    for (size_t i = 0; i < info.size_bytes; ++i) {
      // Halves of complex numbers are swapped each by itself.
      const size_t unit = i / info.alignment * info.alignment;
      const size_t from = tensor.foreign_byte_order ? unit + (info.alignment - 1 - (i - unit)) : i;
      bytes.push_back(static_cast<char>(StoredByte(info, element[from])));
    }
  });
  return bytes;
}

// The bytes [begin, end), and a check that nothing around them was touched.
std::string Gathered(const TensorToWrite& tensor, uint64_t begin, uint64_t end) {
  std::string memory(end - begin + 16, '?');
  GatherBytes(tensor, begin, end, reinterpret_cast<uint8_t*>(memory.data()) + 8);
  EXPECT_EQ(memory.substr(0, 8), "????????");
  EXPECT_EQ(memory.substr(memory.size() - 8), "????????");
  return memory.substr(8, end - begin);
}

Shape RowMajorStrides(const Shape& shape, int64_t width) {
  Shape strides(shape.size());
  for (size_t d = shape.size(); d-- > 0; width *= shape[d]) strides[d] = width;
  return strides;
}

std::vector<DTypeInfo> FixedWidthDTypes() {
  std::vector<DTypeInfo> infos;
  std::copy_if(std::begin(kDTypes), std::end(kDTypes), std::back_inserter(infos),
               [](const DTypeInfo& info) { return info.size_bytes > 0; });
  return infos;
}

// A transposed part of something larger, turned around in some dimensions and repeated in others.
Strided RandomStrided(Random* random, const DTypeInfo& info) {
  Strided strided;
  TensorToWrite& tensor = strided.tensor;
  tensor.dtype = info.dtype;
  tensor.shape = RandomShape(random, 4, 5);
  tensor.foreign_byte_order = random->Below(2) == 0;
  const size_t rank = tensor.shape.size();
  Shape larger(rank);
  std::vector<size_t> order(rank);
  for (size_t d = 0; d < rank; ++d) {
    larger[d] = tensor.shape[d] + random->Below(3);
    order[d] = d;
  }
  Shuffle(random, &order);
  tensor.strides.resize(rank);
  int64_t stride = info.size_bytes;
  for (const size_t d : order) {
    tensor.strides[d] = stride;
    stride *= larger[d];
    if (random->Below(4) == 0) tensor.strides[d] *= -1;
    if (random->Below(6) == 0) tensor.strides[d] = 0;
    if (random->Below(8) == 0) tensor.strides[d] += random->Below(5) - 2;  // Not even whole elements apart.
  }
  GiveMemory(&strided);
  return strided;
}

TEST(GatherBytes, FindsEveryElementOfEveryDTypeWhereverItIs) {
  Random random(1);
  for (const DTypeInfo& info : FixedWidthDTypes()) {
    for (int round = 0; round < 100; ++round) {
      const Strided strided = RandomStrided(&random, info);
      const std::string expected = StoredBytes(strided.tensor);
      EXPECT_TRUE(Gathered(strided.tensor, 0, expected.size()) == expected) << info.name << " " << round;
    }
  }
}

TEST(GatherBytes, TakesAnyPartOfWholeElements) {
  Random random(2);
  for (const DTypeInfo& info : FixedWidthDTypes()) {
    const uint64_t width = info.size_bytes;
    for (int round = 0; round < 10; ++round) {
      const Strided strided = RandomStrided(&random, info);
      const std::string expected = StoredBytes(strided.tensor);
      for (uint64_t begin = 0; begin < expected.size(); begin += width) {
        const uint64_t most = (expected.size() - begin) / width;
        const uint64_t end = begin + width * static_cast<uint64_t>(1 + random.Below(static_cast<int64_t>(most)));
        EXPECT_EQ(Gathered(strided.tensor, begin, end), expected.substr(begin, end - begin)) << info.name;
      }
    }
  }
}

TEST(GatherBytes, TakesPartsOfWhatLiesTogether) {
  const std::string memory = DistinctBytes(96);
  TensorToWrite tensor{"", DType::kFloat32, {4, 6}, reinterpret_cast<const uint8_t*>(memory.data()), {}, false, {}};
  EXPECT_EQ(Gathered(tensor, 20, 64), memory.substr(20, 44));
  tensor.strides = {24, 4};
  EXPECT_EQ(Gathered(tensor, 20, 64), memory.substr(20, 44));
  tensor.foreign_byte_order = true;
  EXPECT_EQ(Gathered(tensor, 20, 64), StoredBytes(tensor).substr(20, 44));
}

TEST(GatherBytes, TakesNothingOfATensorWithoutElements) {
  EXPECT_EQ(Gathered({"", DType::kFloat32, {3, 0, 2}, nullptr, {1, 2, 3}, false, {}}, 0, 0), "");
  EXPECT_EQ(Gathered({"", DType::kFloat32, {0}, nullptr, {}, true, {}}, 0, 0), "");
}

TEST(GatherBytes, RepeatsWhatHasNoStride) {
  const std::string memory = "abcd";
  const auto* const data = reinterpret_cast<const uint8_t*>(memory.data());
  EXPECT_EQ(Gathered({"", DType::kInt16, {3, 2}, data, {0, 2}, false, {}}, 0, 12), "abcdabcdabcd");
  EXPECT_EQ(Gathered({"", DType::kInt16, {2, 3}, data, {2, 0}, false, {}}, 0, 12), "abababcdcdcd");
  EXPECT_EQ(Gathered({"", DType::kInt16, {3}, data, {0}, true, {}}, 0, 6), "bababa");
}

TEST(GatherBytes, GoesBackwards) {
  const std::string memory = "abcdef";
  const auto* const last = reinterpret_cast<const uint8_t*>(memory.data()) + 5;
  EXPECT_EQ(Gathered({"", DType::kInt8, {6}, last, {-1}, false, {}}, 0, 6), "fedcba");
  EXPECT_EQ(Gathered({"", DType::kInt8, {3, 2}, last, {-2, -1}, false, {}}, 1, 5), "edcb");
  EXPECT_EQ(Gathered({"", DType::kInt8, {3, 2}, last - 1, {-2, 1}, false, {}}, 0, 6), "efcdab");
}

TEST(GatherBytes, ClearsBitsThatDoNotCount) {
  const std::string memory("\xFF\xF8\x17\x00\x80\x01\x02\x04", 8);
  TensorToWrite tensor{"", DType::kBool, {8}, reinterpret_cast<const uint8_t*>(memory.data()), {}, false, {}};
  EXPECT_EQ(Gathered(tensor, 0, 8), std::string("\1\1\1\0\1\1\1\1", 8));
  tensor.dtype = DType::kUint4;
  EXPECT_EQ(Gathered(tensor, 0, 8), std::string("\x0F\x08\x07\x00\x00\x01\x02\x04", 8));
  tensor.dtype = DType::kInt2;
  EXPECT_EQ(Gathered(tensor, 2, 7), std::string("\x03\x00\x00\x01\x02", 5));
}

TEST(LiesAsStored, IsTrueWhereTheBytesAreThoseOfTheFile) {
  const auto lies = [](DType dtype, const Shape& shape, const Shape& strides, bool foreign_byte_order = false) {
    return LiesAsStored({"", dtype, shape, nullptr, strides, foreign_byte_order, {}});
  };
  EXPECT_TRUE(lies(DType::kFloat32, {2, 3}, {}));
  EXPECT_TRUE(lies(DType::kFloat32, {}, {}));
  EXPECT_TRUE(lies(DType::kFloat32, {2, 3}, {12, 4}));
  EXPECT_FALSE(lies(DType::kFloat32, {2, 3}, {4, 8}));
  EXPECT_FALSE(lies(DType::kFloat32, {2, 3}, {16, 4}));
  EXPECT_FALSE(lies(DType::kFloat32, {2}, {-4}));
  EXPECT_FALSE(lies(DType::kFloat32, {2}, {0}));
  // What no step is ever made along may have any stride.
  EXPECT_TRUE(lies(DType::kFloat32, {1, 3, 1}, {-7, 4, 100}));

  EXPECT_FALSE(lies(DType::kFloat32, {2}, {}, true));
  EXPECT_FALSE(lies(DType::kComplex128, {2}, {}, true));
  EXPECT_TRUE(lies(DType::kInt8, {2}, {}, true));  // A byte has no order.
  for (const DTypeInfo& info : FixedWidthDTypes()) {
    EXPECT_EQ(lies(info.dtype, {2}, RowMajorStrides({2}, info.size_bytes)), info.value_bits == 8) << info.name;
  }
}

}  // namespace
}  // namespace tensorbundle
