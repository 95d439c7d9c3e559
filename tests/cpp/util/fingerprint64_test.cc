#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensorbundle/fingerprint.h"

namespace tensorbundle {
namespace {

// Bytes 1, 8, 15 ... in memory that ends where they end, for the sanitizers.
std::vector<uint8_t> Bytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
  return bytes;
}

// What TensorFlow's `tf.fingerprint` gives, on both sides of each size at which the algorithm changes.
TEST(Fingerprint64, IsFarmHashs) {
  const std::vector<std::pair<size_t, uint64_t>> expected = {
      {0, 0x9AE16A3B2F90404F},   {1, 0x47A24C13B17E583E},   {3, 0x26B4DA356B8B9558},   {4, 0xEFC83E8C71DF5AF5},
      {7, 0x1FAFA9EDD289AE25},   {8, 0xD442A22FEEC8439A},   {16, 0x0DB0C6C6CFC9CC97},  {17, 0x33FCE0BEF0C317A9},
      {32, 0x3FF780B33FA8801A},  {33, 0x9A5B1C0FF4A38467},  {64, 0x111FA8723E25ADCA},  {65, 0x0366AB6067B570B1},
      {127, 0x3F0ED94DC9C5D70C}, {128, 0xCE22F72C75B92BBF}, {129, 0x3DAC9153FD008293}, {1000, 0x83AA74B1AB336A7F},
  };
  for (const auto& [size, fingerprint] : expected) {
    const std::vector<uint8_t> bytes = Bytes(size);
    EXPECT_EQ(Fingerprint64(ByteView(bytes.data(), bytes.size())), fingerprint) << size;
  }
  EXPECT_EQ(Fingerprint64(ByteView("tensorflow")), 0xE684B93BE70BB6E2u);
}

TEST(Fingerprint64, ReadsFromAnyAddress) {
  const std::vector<uint8_t> bytes = Bytes(200);
  for (size_t start = 0; start < 8; ++start) {
    for (const size_t size : {5, 12, 20, 50, 150}) {
      std::string copy(bytes.begin() + start, bytes.begin() + start + size);
      EXPECT_EQ(Fingerprint64(ByteView(bytes.data() + start, size)), Fingerprint64(ByteView(copy)));
    }
  }
}

}  // namespace
}  // namespace tensorbundle
