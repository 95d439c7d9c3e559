#include "checkpoint/convert.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorbundle {
namespace {

std::string Converted(DType dtype, bool foreign_byte_order, std::string bytes) {
  const Conversion conversion = ConversionFor(*FindDTypeInfo(dtype), foreign_byte_order);
  ConvertInPlace(conversion, reinterpret_cast<uint8_t*>(bytes.data()), bytes.size());
  return bytes;
}

TEST(Convert, SwapsByTheUnitOfTheDType) {
  EXPECT_EQ(Converted(DType::kFloat16, true, "abcd"), "badc");
  EXPECT_EQ(Converted(DType::kInt32, true, "abcdefgh"), "dcbahgfe");
  EXPECT_EQ(Converted(DType::kInt64, true, "abcdefgh"), "hgfedcba");
  EXPECT_EQ(Converted(DType::kComplex64, true, "abcdefgh"), "dcbahgfe");
  EXPECT_EQ(Converted(DType::kComplex128, true, "abcdefghABCDEFGH"), "hgfedcbaHGFEDCBA");
  EXPECT_EQ(Converted(DType::kFloat8E5m2, true, "abcd"), "abcd");
}

TEST(Convert, LeavesTheHostsByteOrderAlone) { EXPECT_EQ(Converted(DType::kInt32, false, "abcd"), "abcd"); }

TEST(Convert, ReadsAnyByteButZeroAsTrue) {
  EXPECT_EQ(Converted(DType::kBool, false, std::string("\0\1\2\xff", 4)), std::string("\0\1\1\1", 4));
}

TEST(Convert, ClearsTheBitsThatNarrowTypesLack) {
  EXPECT_EQ(Converted(DType::kInt4, false, "\xff\xf8\x17"), "\x0f\x08\x07");
  EXPECT_EQ(Converted(DType::kUint2, true, "\xff\x04\x01"), std::string("\x03\x00\x01", 3));
}

TEST(Convert, SeesNoiseInAnyByte) {
  const auto free_of_noise = [](DType dtype, std::string_view bytes) {
    return FreeOfNoise(ConversionFor(*FindDTypeInfo(dtype), false), ByteView(bytes));
  };
  EXPECT_TRUE(free_of_noise(DType::kBool, std::string_view("\0\1\1", 3)));
  EXPECT_FALSE(free_of_noise(DType::kBool, std::string_view("\0\1\2", 3)));
  EXPECT_TRUE(free_of_noise(DType::kInt4, "\x0f\x08"));
  EXPECT_FALSE(free_of_noise(DType::kInt4, "\x0f\x18"));
  EXPECT_FALSE(free_of_noise(DType::kFloat4E2m1fn, "\x80"));
  EXPECT_TRUE(free_of_noise(DType::kInt8, "\x80"));
}

}  // namespace
}  // namespace tensorbundle
