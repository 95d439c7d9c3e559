#include "v1/records.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/v1_maker.h"

namespace tensorbundle::v1 {
namespace {

using test_support::AppendBytesField;
using test_support::AppendVarintField;
using test_support::EncodeV1Meta;
using test_support::EncodeV1Record;
using test_support::FromHex;
using test_support::PackedTensor;
using test_support::V1Maker;
using test_support::Varints;
using test_support::WholeSlice;

const KeepGoing kNoHurry = [] { return Status(); };

std::string Record(std::string_view tensor) { return EncodeV1Record("w", WholeSlice(1), tensor); }

template <typename T>
Result<std::vector<T>> Decode(const std::string& record, DType dtype, uint64_t count) {
  std::vector<T> values(count);
  Status status = DecodeValues(ByteView(record), dtype, count, reinterpret_cast<uint8_t*>(values.data()), kNoHurry);
  if (!status.ok()) return status;
  return values;
}

std::string Message(const Status& status) { return status.message(); }

TEST(Records, ReadsTheMetadata) {
  V1Maker maker;
  maker.Add("w", 1, {2, 3}, "");
  const Slice rows{{{1, 2}, {0, kWholeDimension}}};
  maker.metas["x"] = EncodeV1Meta("x", 9, {}, {rows, WholeSlice(2)});
  const auto tensors = ParseMetadata(ByteView(maker.Metadata()));
  ASSERT_TRUE(tensors.ok()) << tensors.status().message();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "w");
  EXPECT_EQ((*tensors)[0].dtype, 1);
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*tensors)[0].slices, std::vector<Slice>{WholeSlice(2)});
  EXPECT_EQ((*tensors)[1].slices, (std::vector<Slice>{rows, WholeSlice(2)}));
}

TEST(Records, RefusesMetadataThatIsNone) {
  const std::string phrase = "Failed to find the saved tensor slices at the beginning of the checkpoint file: ";
  EXPECT_EQ(Message(ParseMetadata(ByteView()).status()), phrase + "its first record holds none");
  const auto malformed = ParseMetadata(ByteView(std::string("\x0a\x05", 2)));
  EXPECT_EQ(malformed.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(Message(malformed.status()).find(phrase + "malformed protobuf message: byte "), 0u);
}

TEST(Records, ObeysTheVersion) {
  V1Maker maker;
  maker.version = std::string("\x08\x05\x10\x02", 4);  // min_consumer 2
  EXPECT_EQ(ParseMetadata(ByteView(maker.Metadata())).status().code(), StatusCode::kUnimplemented);
  maker.version = std::string("\x18\x01", 2);  // bad_consumers 1
  EXPECT_EQ(ParseMetadata(ByteView(maker.Metadata())).status().code(), StatusCode::kUnimplemented);
  maker.version.clear();  // As in 2015.
  EXPECT_TRUE(ParseMetadata(ByteView(maker.Metadata())).ok());
}

TEST(Records, DecodesFixedWidthValues) {
  const float values[] = {1.5F, -0.0F, 3e38F};
  const std::string bytes(reinterpret_cast<const char*>(values), sizeof(values));
  const auto floats = Decode<uint32_t>(Record(PackedTensor(5, bytes)), DType::kFloat32, 3);
  ASSERT_TRUE(floats.ok()) << floats.status().message();
  EXPECT_EQ(*floats, (std::vector<uint32_t>{0x3FC00000, 0x80000000, 0x7F61B1E6}));
  const auto doubles = Decode<uint64_t>(Record(PackedTensor(6, FromHex("0102030405060708"))), DType::kFloat64, 1);
  ASSERT_TRUE(doubles.ok());
  EXPECT_EQ(*doubles, std::vector<uint64_t>{0x0807060504030201});
  const auto complex = Decode<uint64_t>(Record(PackedTensor(9, FromHex("0000803f 00000040"))), DType::kComplex64, 1);
  ASSERT_TRUE(complex.ok());
  EXPECT_EQ(*complex, std::vector<uint64_t>{0x400000003F800000});
}

TEST(Records, DecodesIntegers) {
  const auto narrow = Decode<int8_t>(Record(PackedTensor(7, Varints({-128, -1, 0, 127}))), DType::kInt8, 4);
  ASSERT_TRUE(narrow.ok()) << narrow.status().message();
  EXPECT_EQ(*narrow, (std::vector<int8_t>{-128, -1, 0, 127}));
  const auto wide = Decode<int64_t>(Record(PackedTensor(10, Varints({INT64_MIN, INT64_MAX}))), DType::kInt64, 2);
  ASSERT_TRUE(wide.ok());
  EXPECT_EQ(*wide, (std::vector<int64_t>{INT64_MIN, INT64_MAX}));
  const auto half = Decode<uint16_t>(Record(PackedTensor(13, Varints({0x3C00, 0xFFFF}))), DType::kFloat16, 2);
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(*half, (std::vector<uint16_t>{0x3C00, 0xFFFF}));
  const auto truth = Decode<uint8_t>(Record(PackedTensor(11, Varints({0, 1, 256}))), DType::kBool, 3);
  ASSERT_TRUE(truth.ok());
  EXPECT_EQ(*truth, (std::vector<uint8_t>{0, 1, 1}));
}

TEST(Records, TakesValuesOneAFieldAndMessagesInParts) {
  std::string tensor;
  AppendVarintField(7, 5, &tensor);
  AppendVarintField(7, 6, &tensor);
  tensor += PackedTensor(7, Varints({7}));
  std::string data;
  AppendBytesField(3, tensor, &data);
  AppendBytesField(3, PackedTensor(7, Varints({8})), &data);
  std::string record;
  AppendBytesField(2, data, &record);
  const auto values = Decode<int32_t>(record, DType::kInt32, 4);
  ASSERT_TRUE(values.ok()) << values.status().message();
  EXPECT_EQ(*values, (std::vector<int32_t>{5, 6, 7, 8}));
}

TEST(Records, RefusesAnyOtherNumberOfValues) {
  const std::string phrase = "Error copying slice data: the record holds ";
  const std::string two = Record(PackedTensor(7, Varints({1, 2})));
  EXPECT_EQ(Message(Decode<int32_t>(two, DType::kInt32, 3).status()), phrase + "2 elements, the slice has 3");
  EXPECT_EQ(Message(Decode<int32_t>(two, DType::kInt32, 1).status()), phrase + "more than 1 elements, the slice has 1");
  const std::string floats = Record(PackedTensor(5, std::string(12, 'x')));
  EXPECT_EQ(Message(Decode<float>(floats, DType::kFloat32, 2).status()),
            phrase + "at least 3 elements, the slice has 2");
  EXPECT_EQ(Message(Decode<uint64_t>(floats, DType::kComplex64, 2).status()), phrase + "0 elements, the slice has 2");
  const std::string nothing = Record("");
  EXPECT_EQ(Message(Decode<float>(nothing, DType::kFloat32, 1).status()), phrase + "0 elements, the slice has 1");
  EXPECT_EQ(Message(CheckStrings(ByteView(nothing), 1, kNoHurry)), phrase + "0 elements, the slice has 1");
}

TEST(Records, RefusesValuesThatAreNone) {
  const std::string odd = Record(PackedTensor(5, "abc"));
  EXPECT_EQ(Message(Decode<float>(odd, DType::kFloat32, 1).status()),
            "Error copying slice data: 3 bytes of packed values of 4 bytes each");
  const std::string cut = Record(PackedTensor(7, "\x80"));
  EXPECT_EQ(Message(Decode<int32_t>(cut, DType::kInt32, 1).status()),
            "malformed protobuf message: byte 13: field 7: a packed varint is cut short or has more than 10 bytes");
  const std::string content = Record(PackedTensor(4, "abcd"));
  for (const DType dtype : {DType::kFloat32, DType::kInt32}) {
    EXPECT_EQ(Message(Decode<float>(content, dtype, 1).status()),
              "Error copying slice data: it is stored as tensor_content, which this format does not have");
  }
  EXPECT_EQ(CheckStrings(ByteView(content), 0, kNoHurry).code(), StatusCode::kDataLoss);
}

TEST(Records, CountsWithoutStoring) {
  const std::string record = Record(PackedTensor(7, Varints({1, 2})));
  EXPECT_TRUE(DecodeValues(ByteView(record), DType::kInt32, 2, nullptr, kNoHurry).ok());
  EXPECT_FALSE(DecodeValues(ByteView(record), DType::kInt32, 3, nullptr, kNoHurry).ok());
}

TEST(Records, DecodesStrings) {
  const std::string tensor = PackedTensor(8, "ab") + PackedTensor(8, "") + PackedTensor(8, std::string(200, 'z'));
  const std::string record = Record(tensor);
  const auto strings = DecodeStrings(ByteView(record), 3, kNoHurry);
  ASSERT_TRUE(strings.ok()) << strings.status().message();
  EXPECT_EQ((*strings)[0].AsText(), "ab");
  EXPECT_EQ((*strings)[1].AsText(), "");
  EXPECT_EQ((*strings)[2].AsText(), std::string(200, 'z'));
  EXPECT_EQ(DecodeStrings(ByteView(record), 2, kNoHurry).status().message(),
            "Error copying slice data: the record holds 3 elements, the slice has 2");
}

TEST(Records, StopsWhenToldTo) {
  const KeepGoing stop = [] { return Status(StatusCode::kExternal, "enough"); };
  const std::string floats = Record(PackedTensor(5, "abcd"));
  uint8_t value[4];
  EXPECT_EQ(DecodeValues(ByteView(floats), DType::kFloat32, 1, value, stop).code(), StatusCode::kExternal);
  const std::string integers = Record(PackedTensor(7, Varints({1})));
  EXPECT_EQ(DecodeValues(ByteView(integers), DType::kInt32, 1, value, stop).code(), StatusCode::kExternal);
}

TEST(Records, KnowsWhatTheFormatStores) {
  EXPECT_EQ(MinStoredBytes(DType::kFloat32), std::optional<uint64_t>(4));
  EXPECT_EQ(MinStoredBytes(DType::kComplex128), std::optional<uint64_t>(16));
  EXPECT_EQ(MinStoredBytes(DType::kInt64), std::optional<uint64_t>(1));
  EXPECT_EQ(MinStoredBytes(DType::kString), std::optional<uint64_t>(2));
  EXPECT_EQ(MinStoredBytes(DType::kBfloat16), std::nullopt);
  EXPECT_EQ(MinStoredBytes(DType::kVariant), std::nullopt);
}

TEST(Records, FindsPackedValues) {
  const std::string record = Record(PackedTensor(5, std::string(400, 'x')));
  const std::string head = record.substr(0, record.size() - 400);
  EXPECT_EQ(FindPackedValues(ByteView(record), record.size(), DType::kFloat32, 100),
            std::optional<uint64_t>(head.size()));
  EXPECT_EQ(FindPackedValues(ByteView(head), record.size(), DType::kFloat32, 100),
            std::optional<uint64_t>(head.size()));
  EXPECT_EQ(FindPackedValues(ByteView(record), record.size(), DType::kFloat32, 99), std::nullopt);
  EXPECT_EQ(FindPackedValues(ByteView(record), record.size(), DType::kFloat64, 50), std::nullopt);
  EXPECT_EQ(FindPackedValues(ByteView(record), record.size(), DType::kInt32, 100), std::nullopt);
  EXPECT_EQ(FindPackedValues(ByteView(record), record.size() + 1, DType::kFloat32, 100), std::nullopt);
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(FindPackedValues(ByteView(head).Slice(0, size), record.size(), DType::kFloat32, 100), std::nullopt);
  }
}

}  // namespace
}  // namespace tensorbundle::v1
