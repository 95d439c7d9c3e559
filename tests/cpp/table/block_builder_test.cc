#include "table/block_builder.h"

#include <gtest/gtest.h>

#include <string>

#include "support/table_maker.h"

namespace tensorbundle {
namespace {

using test_support::BlockMaker;
using test_support::FromHex;

TEST(BlockBuilder, EncodesNoEntriesAsOneRestart) {
  BlockBuilder block(16);
  EXPECT_TRUE(block.empty());
  EXPECT_EQ(block.FinishedSize(), 8u);
  EXPECT_EQ(block.Finish(), FromHex("00000000 01000000"));
}

TEST(BlockBuilder, StoresWhatAKeyDoesNotShareWithTheOneBefore) {
  BlockBuilder block(16);
  block.Add("", "h");
  block.Add("apple", "");
  block.Add("apply", "1");
  block.Add("applying", "22");
  EXPECT_FALSE(block.empty());
  EXPECT_EQ(block.last_key(), "applying");
  EXPECT_EQ(block.Finish(), FromHex("00 00 01 68"
                                    "00 05 00 6170706c65"
                                    "04 01 01 79 31"
                                    "05 03 02 696e67 3232"
                                    "00000000 01000000"));
}

TEST(BlockBuilder, ComparesKeysAsBytes) {
  BlockBuilder block(16);
  block.Add(FromHex("00 ff 80"), "");
  block.Add(FromHex("00 ff 81"), "");
  EXPECT_EQ(block.Finish(), FromHex("00 03 00 00ff80  02 01 00 81  00000000 01000000"));
}

TEST(BlockBuilder, StoresEveryKeyOfARestartWhole) {
  BlockBuilder block(2);
  for (const char* key : {"aa", "ab", "ac", "ad", "ae"}) block.Add(key, "");
  EXPECT_EQ(block.Finish(), FromHex("00 02 00 6161  01 01 00 62"
                                    "00 02 00 6163  01 01 00 64"
                                    "00 02 00 6165"
                                    "00000000 09000000 12000000 03000000"));
}

TEST(BlockBuilder, MayHaveNothingButRestarts) {
  BlockBuilder block(1);
  block.Add("aa", "1");
  block.Add("ab", "2");
  EXPECT_EQ(block.Finish(), FromHex("00 02 01 6161 31  00 02 01 6162 32  00000000 06000000 02000000"));
}

TEST(BlockBuilder, KnowsItsSizeBeforehand) {
  BlockBuilder block(16);
  BlockMaker expected(16);
  for (int i = 1000; i < 1100; ++i) {
    block.Add("key " + std::to_string(i), std::string(i, 'v'));
    expected.Add("key " + std::to_string(i), std::string(i, 'v'));
    EXPECT_EQ(block.FinishedSize(), expected.SizeEstimate());
  }
  const size_t size = block.FinishedSize();
  EXPECT_EQ(block.Finish().size(), size);
}

TEST(BlockBuilder, StartsAnewWhenCleared) {
  BlockBuilder block(2);
  for (const char* key : {"aa", "ab", "ac"}) block.Add(key, "");
  block.Finish();
  block.Clear();
  EXPECT_TRUE(block.empty());
  EXPECT_EQ(block.FinishedSize(), 8u);
  EXPECT_EQ(block.last_key(), "ac");
  // The first key shares nothing with that of the block before, and restarts are counted from here.
  for (const char* key : {"ad", "ae", "af"}) block.Add(key, "");
  EXPECT_EQ(block.Finish(), FromHex("00 02 00 6164  01 01 00 65  00 02 00 6166  00000000 09000000 02000000"));
}

TEST(BlockBuilder, WritesLengthsOfManyBytes) {
  BlockBuilder block(16);
  const std::string key(300, 'k');
  const std::string value(70000, 'v');
  block.Add(key, value);
  block.Add(key + "l", "");
  EXPECT_EQ(block.Finish(),
            FromHex("00 ac02 f0a204") + key + value + FromHex("ac02 01 00 6c") + FromHex("00000000 01000000"));
}

}  // namespace
}  // namespace tensorbundle
