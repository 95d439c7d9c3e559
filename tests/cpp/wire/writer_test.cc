#include "wire/writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "support/table_maker.h"
#include "wire/reader.h"

namespace tensorbundle::wire {
namespace {

using test_support::FromHex;

ByteView Bytes(const std::string& text) { return ByteView(text); }

// A message with one nested message, field 1, whose contents are `contents`.
std::string Nested(const std::string& contents) {
  std::string message;
  AppendMessage(1, &message, [&] { message += contents; });
  return message;
}

TEST(WireWriter, AppendsEveryKindOfField) {
  std::string message;
  AppendVarint(1, 300, &message);
  AppendInt(2, -2, &message);
  AppendFixed32(3, 0x04030201, &message);
  AppendBytes(4, Bytes("text"), &message);
  EXPECT_EQ(message, FromHex("08 ac02  10 feffffffffffffffff01  1d 01020304  22 04 74657874"));
}

TEST(WireWriter, LeavesNothingOut) {
  std::string message;
  AppendVarint(1, 0, &message);
  AppendInt(2, 0, &message);
  AppendFixed32(3, 0, &message);
  AppendBytes(4, ByteView(), &message);
  AppendMessage(5, &message, [] {});
  EXPECT_EQ(message, FromHex("0800 1000 1d00000000 2200 2a00"));
}

TEST(WireWriter, AppendsExtremes) {
  std::string message;
  AppendVarint(15, UINT64_MAX, &message);
  AppendInt(16, INT64_MIN, &message);
  AppendInt((1u << 29) - 1, INT32_MIN, &message);
  EXPECT_EQ(message, FromHex("78 ffffffffffffffffff01  8001 80808080808080808001  f8ffffff0f 80808080f8ffffffff01"));
}

TEST(WireWriter, GivesANestedMessageALengthOfAsManyBytesAsItNeeds) {
  EXPECT_EQ(Nested(std::string(127, 'x')), FromHex("0a 7f") + std::string(127, 'x'));
  EXPECT_EQ(Nested(std::string(128, 'x')), FromHex("0a 8001") + std::string(128, 'x'));
  EXPECT_EQ(Nested(std::string(16384, 'x')), FromHex("0a 808001") + std::string(16384, 'x'));
}

TEST(WireWriter, NestsMessagesInMessages) {
  const std::string text(126, 'x');
  std::string message = "before";
  AppendMessage(1, &message, [&] {
    AppendMessage(2, &message, [&] { AppendBytes(3, Bytes(text), &message); });
    AppendMessage(4, &message, [&] { AppendVarint(5, 6, &message); });
  });
  AppendVarint(7, 8, &message);
  EXPECT_EQ(message, "before" + FromHex("0a 8701  12 8001 1a 7e") + text + FromHex("22 02 28 06  38 08"));
}

TEST(WireWriter, WritesWhatTheReaderReads) {
  std::string message;
  AppendInt(1, -5, &message);
  AppendFixed32(2, 0xA282EAD8, &message);
  AppendMessage(3, &message, [&] { AppendVarint(4, UINT64_MAX, &message); });

  Reader reader{ByteView(message)};
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.field().tag, VarintTag(1));
  EXPECT_EQ(reader.field().AsInt32(), -5);
  EXPECT_EQ(reader.field().AsInt64(), -5);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.field().tag, Fixed32Tag(2));
  EXPECT_EQ(reader.field().AsFixed32(), 0xA282EAD8);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.field().tag, BytesTag(3));
  Reader nested(reader.field().bytes, reader.field().offset);
  ASSERT_TRUE(nested.Next());
  EXPECT_EQ(nested.field().tag, VarintTag(4));
  EXPECT_EQ(nested.field().scalar, UINT64_MAX);
  EXPECT_FALSE(nested.Next());
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.status().ok() && nested.status().ok());
}

TEST(WireWriter, AppendsFieldsAsTheyWereRead) {
  std::string message;
  AppendInt(1, -1, &message);
  AppendFixed32(2, 0x80000001, &message);
  AppendFixed64(3, 0x8000000000000001, &message);
  AppendBytes(4, ByteView("bytes"), &message);
  std::string copy;
  Reader reader{ByteView(message)};
  while (reader.Next()) AppendField(reader.field(), &copy);
  EXPECT_TRUE(reader.status().ok());
  EXPECT_EQ(copy, message);
}

}  // namespace
}  // namespace tensorbundle::wire
