#include "table/index_block.h"

#include <gtest/gtest.h>

#include "support/table_maker.h"

namespace tensorbundle {
namespace {

using test_support::EncodeBlock;
using test_support::EncodeEntry;
using test_support::EncodeHandle;
using test_support::Entries;
using test_support::FinishBlock;

Result<std::vector<TableBlock>> Parse(const Entries& entries, uint64_t file_size = 1000) {
  return ParseIndexBlock(ByteView(EncodeBlock(entries, 1)), file_size);
}

TEST(IndexBlock, ListsTheBlocks) {
  const auto blocks = Parse({{"b", EncodeHandle({0, 100}) + "and more"}, {"d", EncodeHandle({105, 200})}});
  ASSERT_TRUE(blocks.ok()) << blocks.status().message();
  ASSERT_EQ(blocks->size(), 2u);
  EXPECT_EQ((*blocks)[1].index_key, "d");
  EXPECT_EQ((*blocks)[1].handle.offset, 105u);
  EXPECT_EQ((*blocks)[1].handle.size, 200u);
}

TEST(IndexBlock, FindsTheBlockThatMayHoldAKey) {
  const auto blocks = Parse({{"b", EncodeHandle({0, 100})}, {"d", EncodeHandle({105, 200})}});
  EXPECT_EQ(FindBlock(*blocks, ""), 0u);
  EXPECT_EQ(FindBlock(*blocks, "b"), 0u);
  EXPECT_EQ(FindBlock(*blocks, "b0"), 1u);
  EXPECT_EQ(FindBlock(*blocks, "d"), 1u);
  EXPECT_EQ(FindBlock(*blocks, "d\xFF"), 2u);
}

TEST(IndexBlock, RefusesHandlesThatAreNoneOrLeaveTheFile) {
  const Status cut = Parse({{"b", "\x80"}}).status();
  EXPECT_EQ(cut.message(), "bad block handle: the value of key \"b\" is not a pair of varints");
  EXPECT_EQ(cut.offset(), std::optional<uint64_t>(4));
  EXPECT_EQ(Parse({{"b", EncodeHandle({900, 96})}}).status().message(),
            "bad block handle: data block at 900 of 96 bytes and a trailer of 5 does not fit a file of 1000");
  EXPECT_EQ(Parse({{"b", EncodeHandle({~uint64_t{0}, ~uint64_t{0}})}}).status().code(), StatusCode::kDataLoss);
}

TEST(IndexBlock, RefusesMoreBlocksThanFitTheFile) {
  const std::string handle = EncodeHandle({0, 495});
  EXPECT_TRUE(Parse({{"a", handle}, {"b", handle}}).ok());
  EXPECT_EQ(Parse({{"a", handle}, {"b", handle}, {"c", EncodeHandle({0, 0})}}).status().message(),
            "bad block handle: blocks overlap: with the data block at 0 of 0 bytes there are more data blocks than fit "
            "a file of 1000");
}

TEST(IndexBlock, RefusesKeysOutOfOrder) {
  EXPECT_NE(Parse({{"b", EncodeHandle({0, 1})}, {"a", EncodeHandle({6, 1})}}).status().message().find("not in order"),
            std::string::npos);
}

TEST(IndexBlock, LimitsKeysThatShareTheirBytes) {
  std::string entries = EncodeEntry(0, std::string(100000, 'k'), EncodeHandle({0, 0}));
  for (int i = 0; i < 1000; ++i) entries += EncodeEntry(100000 + i, "k", EncodeHandle({0, 0}));
  const auto blocks = ParseIndexBlock(ByteView(FinishBlock(entries, {0})), 1 << 20);
  EXPECT_EQ(blocks.status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tensorbundle
