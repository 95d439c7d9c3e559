#include "wire/reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "support/table_maker.h"

namespace tensorbundle::wire {
namespace {

using test_support::AppendVarint;
using test_support::FromHex;

// Every field of `message` as "number:type=value", then the damage, if there is any.
std::string Read(const std::string& message, size_t origin = 0) {
  // A copy that ends where the allocation ends, for the sanitizers.
  const std::vector<uint8_t> exact(message.begin(), message.end());
  Reader reader(ByteView(exact.data(), exact.size()), origin);
  std::string text;
  while (reader.Next()) {
    const Field& field = reader.field();
    text += std::to_string(field.number()) + ":";
    switch (field.type()) {
      case WireType::kVarint:
        text += "varint=" + std::to_string(field.scalar);
        break;
      case WireType::kFixed64:
        text += "fixed64=" + std::to_string(field.scalar);
        break;
      case WireType::kFixed32:
        text += "fixed32=" + std::to_string(field.scalar);
        break;
      case WireType::kBytes:
        text += "bytes=" + std::string(field.bytes.AsText());
        break;
      default:
        text += "?";
        break;
    }
    text += "@" + std::to_string(field.offset) + " ";
  }
  EXPECT_FALSE(reader.Next());  // The end stays the end.
  if (reader.status().ok()) return text;
  EXPECT_EQ(reader.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(reader.status().offset(), std::nullopt);
  const std::string start = "malformed protobuf message: ";
  EXPECT_EQ(reader.status().message().substr(0, start.size()), start);
  return text + "! " + reader.status().message().substr(start.size());
}
std::string ReadHex(std::string_view hex) { return Read(FromHex(hex)); }

TEST(WireReader, ReadsNothing) { EXPECT_EQ(Read(""), ""); }

TEST(WireReader, ReadsEveryWireType) {
  EXPECT_EQ(ReadHex("08 ac02"), "1:varint=300@1 ");
  EXPECT_EQ(ReadHex("11 0807060504030201"), "2:fixed64=72623859790382856@1 ");
  EXPECT_EQ(ReadHex("1a 03 616263"), "3:bytes=abc@2 ");
  EXPECT_EQ(ReadHex("1a 00"), "3:bytes=@2 ");
  EXPECT_EQ(ReadHex("25 04030201"), "4:fixed32=16909060@1 ");
}

TEST(WireReader, ReadsFieldsInTheirOrder) {
  EXPECT_EQ(ReadHex("0801 1200 2804 3581a5da2b 0802"),
            "1:varint=1@1 2:bytes=@4 5:varint=4@5 6:fixed32=735749505@7 1:varint=2@12 ");
}

TEST(WireReader, BytesAreAPartOfTheMessage) {
  const std::string message = FromHex("0801 1a03616263");
  Reader reader{ByteView(message)};
  ASSERT_TRUE(reader.Next());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reinterpret_cast<const char*>(reader.field().bytes.data()), message.data() + 4);
  EXPECT_EQ(reader.field().offset, 4u);
}

TEST(WireReader, ReadsTheLargestFieldNumber) { EXPECT_EQ(ReadHex("f8ffffff0f 07"), "536870911:varint=7@5 "); }

TEST(WireReader, ReadsVarintsOfEveryLength) {
  for (int bits = 0; bits < 64; ++bits) {
    for (const uint64_t value : {(uint64_t{1} << bits) - 1, uint64_t{1} << bits}) {
      std::string message = "\x08";
      AppendVarint(value, &message);
      EXPECT_EQ(Read(message), "1:varint=" + std::to_string(value) + "@1 ");
    }
  }
}

// As protobuf's parsers do, TensorFlow's among them.
TEST(WireReader, AcceptsLongerThanNeededVarints) {
  EXPECT_EQ(ReadHex("08 81808080808080808000"), "1:varint=1@1 ");
  EXPECT_EQ(ReadHex("8880808000 05"), "1:varint=5@5 ");
  EXPECT_EQ(ReadHex("1a 8180808000 61"), "3:bytes=a@6 ");
}

TEST(WireReader, DropsBitsBeyondThe64th) {
  EXPECT_EQ(ReadHex("08 ffffffffffffffffff7f"), "1:varint=18446744073709551615@1 ");
  EXPECT_EQ(ReadHex("08 ffffffffffffffffff02"), "1:varint=9223372036854775807@1 ");
}

TEST(WireReader, RejectsTooLongVarints) {
  EXPECT_EQ(ReadHex("08 8080808080808080808000"), "! byte 1: field 1: a varint is cut short or has more than 10 bytes");
  EXPECT_EQ(ReadHex("0801 888080808000 05"), "1:varint=1@1 ! byte 2: a tag is cut short or has more than 32 bits");
  EXPECT_EQ(ReadHex("0801 8880808010 05"), "1:varint=1@1 ! byte 2: a tag is cut short or has more than 32 bits");
  EXPECT_EQ(ReadHex("1a 818080808000 61"), "! byte 1: field 3: a length is cut short or has more than 32 bits");
  EXPECT_EQ(ReadHex("1a ffffffff10 61"), "! byte 1: field 3: a length is cut short or has more than 32 bits");
}

TEST(WireReader, RejectsFieldNumberZero) {
  for (const char* hex : {"0001", "0200", "8000 01"}) EXPECT_EQ(ReadHex(hex), "! byte 0: there is no field number 0");
}

TEST(WireReader, RejectsWireTypesThatDoNotExist) {
  EXPECT_EQ(ReadHex("0801 0e 05"), "1:varint=1@1 ! byte 3: field 1: there is no wire type 6");
  EXPECT_EQ(ReadHex("0801 17 05"), "1:varint=1@1 ! byte 3: field 2: there is no wire type 7");
}

TEST(WireReader, RejectsLengthsBeyondTheEnd) {
  EXPECT_EQ(ReadHex("1a 04 616263"), "! byte 1: field 3: 4 bytes wanted, where 3 are left");
  EXPECT_EQ(ReadHex("1a ffffffff0f 616263"), "! byte 1: field 3: 4294967295 bytes wanted, where 3 are left");
  EXPECT_EQ(ReadHex("25 040302"), "! byte 1: field 4: 4 bytes wanted, where 3 are left");
  EXPECT_EQ(ReadHex("11 08070605040302"), "! byte 1: field 2: 8 bytes wanted, where 7 are left");
}

TEST(WireReader, RejectsEveryTruncationInsideAField) {
  const std::string message = FromHex("08ac02 110807060504030201 1a03616263 2504030201 330801 2a0161 34 f8ffffff0f07");
  const std::vector<size_t> ends = {0, 3, 12, 17, 22, 29};
  ASSERT_EQ(message.size(), 35u);
  for (size_t length = 0; length < message.size(); ++length) {
    const bool sound = std::find(ends.begin(), ends.end(), length) != ends.end();
    EXPECT_EQ(Read(message.substr(0, length)).find('!') == std::string::npos, sound) << length;
  }
}

TEST(WireReader, PassesOverGroups) {
  EXPECT_EQ(ReadHex("0801 13 0805 14 1002"), "1:varint=1@1 2:varint=2@7 ");
  EXPECT_EQ(ReadHex("13 14"), "");
  EXPECT_EQ(ReadHex("13 1a03616263 110807060504030201 2504030201 14 1002"), "2:varint=2@22 ");
  EXPECT_EQ(ReadHex("13 1b 13 14 1c 14 1002"), "2:varint=2@7 ");
  EXPECT_EQ(ReadHex("13 14 1b 1c 1002"), "2:varint=2@5 ");
}

TEST(WireReader, RejectsGroupsThatDoNotMatch) {
  EXPECT_EQ(ReadHex("14"), "! byte 1: field 2: the end of a group that did not start");
  EXPECT_EQ(ReadHex("13 1c"), "! byte 2: field 3: the end of a group that did not start");
  EXPECT_EQ(ReadHex("13 1b 14 1c"), "! byte 3: field 2: the end of a group that did not start");
  EXPECT_EQ(ReadHex("13"), "! byte 1: field 2: the message ends inside this group");
  EXPECT_EQ(ReadHex("13 1b 0805 1c"), "! byte 5: field 2: the message ends inside this group");
  EXPECT_EQ(ReadHex("13 1b 0805"), "! byte 4: field 3: the message ends inside this group");
}

TEST(WireReader, ChecksTheFieldsOfAGroup) {
  EXPECT_EQ(ReadHex("13 0001 14"), "! byte 1: there is no field number 0");
  EXPECT_EQ(ReadHex("13 0f 14"), "! byte 2: field 1: there is no wire type 7");
  EXPECT_EQ(ReadHex("13 1a09 14"), "! byte 2: field 3: 9 bytes wanted, where 1 are left");
}

TEST(WireReader, LimitsTheDepthOfGroups) {
  EXPECT_EQ(Read(std::string(100, '\x13') + std::string(100, '\x14') + FromHex("1002")), "2:varint=2@201 ");
  EXPECT_EQ(Read(std::string(101, '\x13') + std::string(101, '\x14')),
            "! byte 101: field 2: more than 100 groups inside each other");
  EXPECT_EQ(Read(std::string(1 << 20, '\x13')), "! byte 101: field 2: more than 100 groups inside each other");
}

TEST(WireReader, CountsFromTheOutermostMessage) {
  EXPECT_EQ(Read(FromHex("0801 1a09"), 40), "1:varint=1@41 ! byte 43: field 3: 9 bytes wanted, where 0 are left");
  const std::string message = FromHex("0801 1a04 0802 0f00");
  Reader outer{ByteView(message)};
  ASSERT_TRUE(outer.Next());
  ASSERT_TRUE(outer.Next());
  Reader inner(outer.field().bytes, outer.field().offset);
  EXPECT_TRUE(inner.Next());
  EXPECT_EQ(inner.field().offset, 5u);
  EXPECT_FALSE(inner.Next());
  EXPECT_EQ(inner.status().message(), "malformed protobuf message: byte 7: field 1: there is no wire type 7");
}

TEST(WireReader, TagsTellNumberAndType) {
  EXPECT_EQ(VarintTag(1), 0x08u);
  EXPECT_EQ(Fixed64Tag(2), 0x11u);
  EXPECT_EQ(BytesTag(3), 0x1Au);
  EXPECT_EQ(Fixed32Tag(6), 0x35u);
  // A known number of the wrong type is no known field.
  const std::string message = FromHex("0a0141 0805");
  Reader reader{ByteView(message)};
  ASSERT_TRUE(reader.Next());
  EXPECT_NE(reader.field().tag, VarintTag(1));
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.field().tag, VarintTag(1));
}

TEST(WireReader, ConvertsAsProtobufDoes) {
  Field field;
  field.scalar = UINT64_MAX;
  EXPECT_EQ(field.AsInt32(), -1);
  EXPECT_EQ(field.AsInt64(), -1);
  EXPECT_TRUE(field.AsBool());
  EXPECT_EQ(field.AsFixed32(), UINT32_MAX);
  field.scalar = 0x100000000u;
  EXPECT_EQ(field.AsInt32(), 0);
  EXPECT_EQ(field.AsInt64(), 0x100000000);
  EXPECT_TRUE(field.AsBool());
  field.scalar = 0x80000000u;
  EXPECT_EQ(field.AsInt32(), INT32_MIN);
  field.scalar = 0;
  EXPECT_FALSE(field.AsBool());
}

struct Numbers {
  std::vector<uint64_t> values;
  Status status;
};

// The numbers of field 3, from however many fields.
Numbers VisitHex(std::string_view hex) {
  const std::string message = FromHex(hex);
  Numbers numbers;
  Reader reader{ByteView(message)};
  while (reader.Next()) {
    if (reader.field().tag != VarintTag(3) && reader.field().tag != BytesTag(3)) continue;
    numbers.status = VisitVarints(reader.field(), [&numbers](uint64_t value) { numbers.values.push_back(value); });
    if (!numbers.status.ok()) return numbers;
  }
  numbers.status = reader.status();
  return numbers;
}

TEST(VisitVarints, TakesNumbersOneByOneAndPacked) {
  EXPECT_EQ(VisitHex("1801 18ac02").values, (std::vector<uint64_t>{1, 300}));
  EXPECT_EQ(VisitHex("1a03 01ac02").values, (std::vector<uint64_t>{1, 300}));
  EXPECT_EQ(VisitHex("1801 1a0402ac0203 1804 1a00").values, (std::vector<uint64_t>{1, 2, 300, 3, 4}));
}

TEST(VisitVarints, RejectsMalformedPackedNumbers) {
  const Numbers cut = VisitHex("0801 1a03 01ac82 1804");
  EXPECT_EQ(cut.values, (std::vector<uint64_t>{1}));
  EXPECT_EQ(cut.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(cut.status.message(),
            "malformed protobuf message: byte 5: field 3: a packed varint is cut short or has more than 10 bytes");
  EXPECT_EQ(VisitHex("1a0b 8080808080808080808000").status.message(),
            "malformed protobuf message: byte 2: field 3: a packed varint is cut short or has more than 10 bytes");
}

}  // namespace
}  // namespace tensorbundle::wire
