#include "wire/messages.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorbundle::wire {
namespace {

// A field that holds a message of these bytes.
Field Message(const std::string& bytes) {
  Field field;
  field.tag = BytesTag(1);
  field.bytes = ByteView(bytes);
  return field;
}

TEST(Messages, ReadsAShape) {
  std::vector<int64_t> shape;
  const std::string bytes("\x12\x02\x08\x03\x12\x00\x18\x01\x12\x0B\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 21);
  ASSERT_TRUE(ParseShape(Message(bytes), &shape).ok());
  EXPECT_EQ(shape, (std::vector<int64_t>{3, 0, -1}));
  const std::string cut("\x12\x05\x08", 3);
  EXPECT_EQ(ParseShape(Message(cut), &shape).code(), StatusCode::kDataLoss);
}

TEST(Messages, ReadsASliceAsItIsSpelled) {
  std::vector<Slice> slices;
  const std::string bytes("\x0A\x04\x08\x02\x10\x05\x0A\x00", 8);
  ASSERT_TRUE(ParseSlice(Message(bytes), &slices).ok());
  const Slice expected{{{2, 5}, {0, kWholeDimension}}};
  EXPECT_EQ(slices, std::vector<Slice>{expected});
}

TEST(Messages, SaysForWhomARecordIs) {
  const auto check = [](const std::string& bytes) { return CheckVersion(Message(bytes), "header"); };
  EXPECT_TRUE(check("").ok());
  EXPECT_TRUE(check("\x08\x07\x10\x01").ok());
  EXPECT_EQ(check("\x10\x02").message(),
            "header: the checkpoint asks for a reader of another version (min_consumer 2; this is version 1)");
  EXPECT_EQ(check("\x18\x01").code(), StatusCode::kUnimplemented);
  EXPECT_EQ(check("\x1A\x02\x05\x01").code(), StatusCode::kUnimplemented);
  EXPECT_TRUE(check("\x1A\x02\x05\x06").ok());
  EXPECT_EQ(check("\x08").code(), StatusCode::kDataLoss);
  EXPECT_EQ(check("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01").message(), "header: producer version -1 is negative");
}

TEST(Messages, KnowsWhatIsNoDType) {
  EXPECT_TRUE(CheckDType(1).ok());
  EXPECT_TRUE(CheckDType(99).ok());  // Of a time to come.
  for (const int32_t number : {-1, 0, 20, 100, 101}) EXPECT_EQ(CheckDType(number).code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tensorbundle::wire
