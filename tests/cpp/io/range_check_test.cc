#include "io/range_check.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "tensorbundle/buffer.h"

namespace tensorbundle {
namespace {

std::shared_ptr<const ByteSource> TenBytes() {
  const auto kept = std::make_shared<const std::string>("0123456789");
  return FromMemory(Buffer(ByteView(*kept), kept), "some/file");
}

TEST(CheckRange, TakesWhatLiesInside) {
  const auto source = TenBytes();
  for (const ByteRange range :
       {ByteRange{0, 10}, ByteRange{0, 0}, ByteRange{10, 0}, ByteRange{9, 1}, ByteRange{3, 4}}) {
    EXPECT_TRUE(CheckRange(*source, range).ok()) << range.offset << " " << range.length;
  }
}

TEST(CheckRange, NamesTheSourceTheRangeAndTheSize) {
  const auto source = TenBytes();
  const Status status = CheckRange(*source, {7, 4});
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "some/file: 4 bytes at offset 7 are not inside its 10 bytes");
  EXPECT_EQ(status.path(), "some/file");
  EXPECT_EQ(status.offset(), std::optional<uint64_t>(7));
}

TEST(CheckRange, IsNotFooledByNumbersThatWrap) {
  const auto source = TenBytes();
  for (const ByteRange range : {ByteRange{8, UINT64_MAX - 7}, ByteRange{UINT64_MAX, 1}, ByteRange{11, 0},
                                ByteRange{UINT64_MAX, UINT64_MAX}, ByteRange{0, 11}}) {
    EXPECT_EQ(CheckRange(*source, range).code(), StatusCode::kDataLoss) << range.offset << " " << range.length;
  }
}

TEST(CheckAnswer, TakesAllOfARangeAndNothingElse) {
  const auto source = TenBytes();
  EXPECT_TRUE(CheckAnswer(*source, {3, 4}, 4).ok());
  EXPECT_TRUE(CheckAnswer(*source, {3, 0}, 0).ok());
  for (const size_t returned : {size_t{0}, size_t{3}, size_t{5}}) {
    const Status status = CheckAnswer(*source, {3, 4}, returned);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.message(),
              "some/file: expected 4 bytes at offset 3, the source returned " + std::to_string(returned));
    EXPECT_EQ(status.path(), "some/file");
    EXPECT_EQ(status.offset(), std::optional<uint64_t>(3));
  }
}

}  // namespace
}  // namespace tensorbundle
