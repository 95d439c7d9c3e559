#include "table/table_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/golden_files.h"
#include "support/table_maker.h"
#include "table/block.h"
#include "table/format.h"
#include "table/visit_table.h"

namespace tensorbundle {
namespace {

using test_support::Entries;
using test_support::ExpectSound;
using test_support::FromHex;
using test_support::GoldenIndexes;
using test_support::MakeTable;
using test_support::ReadGolden;
using test_support::Visit;

std::string Build(const Entries& entries) {
  TableBuilder table;
  for (const auto& [key, value] : entries) table.Add(key, value);
  return std::move(table).Finish();
}

// One block for each entry, so that every pair of neighbours gets a separator: the keys of the index.
std::vector<std::string> IndexKeys(const std::vector<std::string>& keys) {
  Entries entries;
  for (const std::string& key : keys) entries.emplace_back(key, std::string(2 * kTableBlockSize, 'v'));
  const std::string file = Build(entries);
  const Result<Footer> footer = ParseFooter(ByteView(file));
  EXPECT_TRUE(footer.ok());
  const ByteView index = ByteView(file).Slice(footer->index.offset, footer->index.size);
  std::vector<std::string> index_keys;
  BlockCursor cursor;
  EXPECT_TRUE(cursor.Enter(index).ok());
  while (cursor.Next()) index_keys.emplace_back(cursor.key().AsText());
  EXPECT_TRUE(cursor.status().ok());
  return index_keys;
}

// Where the data blocks are, by the tests' own table maker, after both made the same bytes.
std::vector<BlockHandle> ExpectedBlocks(const Entries& entries) {
  const test_support::MadeTable expected = MakeTable(entries);
  EXPECT_TRUE(Build(entries) == expected.bytes) << "the bytes differ";
  return expected.data;
}

TEST(TableBuilder, WritesWhatTensorFlowWrites) {
  EXPECT_EQ(Build({{"", FromHex("08011a020801")}, {"a", FromHex("0801120028043581a5da2b")}}),
            FromHex("000006 08011a020801"
                    "00010b 61 0801 1200 2804 3581a5da2b"
                    "00000000 01000000 00 74ef79b2"
                    "00000000 01000000 00 c0f2a1b0"
                    "000102 62 0020 00000000 01000000 00 30d3691c"
                    "2508320e 000000000000000000000000000000000000000000000000000000000000000000000000"
                    "57fb808b247547db"));
}

TEST(TableBuilder, RebuildsEveryIndexThatTensorFlowWrote) {
  for (const std::string& name : GoldenIndexes()) {
    const std::string file = ReadGolden(name);
    const test_support::Visited visited = Visit(file);
    ASSERT_TRUE(visited.status.ok()) << name << ": " << visited.status.message();
    EXPECT_TRUE(Build(visited.entries) == file) << name;
  }
}

TEST(TableBuilder, RebuildsAFileOfTheV1Format) {
  const std::string file = ReadGolden("2.21.0/v1");
  const test_support::Visited visited = Visit(file);
  ASSERT_TRUE(visited.status.ok()) << visited.status.message();
  EXPECT_TRUE(Build(visited.entries) == file);
}

TEST(TableBuilder, WritesNoEntriesAsTwoEmptyBlocks) {
  const std::string file = Build({});
  EXPECT_EQ(file, FromHex("00000000 01000000 00 c0f2a1b0"
                          "00000000 01000000 00 c0f2a1b0"
                          "00080d08 000000000000000000000000000000000000000000000000000000000000000000000000"
                          "57fb808b247547db"));
  ExpectSound(file, {});
}

TEST(TableBuilder, SeparatesBlocksByTheByteAboveWhereThereIsOne) {
  EXPECT_EQ(IndexKeys({"apple", "cherry", "date"}), (std::vector<std::string>{"b", "cherry", "e"}));
  EXPECT_EQ(IndexKeys({"layer/1/bias", "layer/3/bias"}), (std::vector<std::string>{"layer/2", "m"}));
  // No byte lies between, or one is the front of the other.
  EXPECT_EQ(IndexKeys({"abc", "abd"}), (std::vector<std::string>{"abc", "b"}));
  EXPECT_EQ(IndexKeys({"", "a", "ab"}), (std::vector<std::string>{"", "a", "b"}));
}

TEST(TableBuilder, SeparatesBlocksOfKeysAtTheEndOfTheByteRange) {
  EXPECT_EQ(IndexKeys({"a\xFE", "a\xFF", "a\xFF\xFF", "\xFF"}),
            (std::vector<std::string>{"a\xFE", "a\xFF", "b", "\xFF"}));
  EXPECT_EQ(IndexKeys({"\x7F\x01", "\x81", "\xFF\xFF\x01"}),
            (std::vector<std::string>{"\x80", "\x82", "\xFF\xFF\x02"}));
  EXPECT_EQ(IndexKeys({"\xFF", "\xFF\xFF"}), (std::vector<std::string>{"\xFF", "\xFF\xFF"}));
}

TEST(TableBuilder, FinishesABlockAsSoonAsItIsFull) {
  // Three varints (1 + 1 + 3 bytes), the key, the value, one restart and the count.
  const size_t full = kTableBlockSize - 5 - 1 - 8;
  EXPECT_EQ(ExpectedBlocks({{"a", std::string(full - 1, 'v')}, {"b", "1"}}).size(), 1u);
  const std::vector<BlockHandle> blocks = ExpectedBlocks({{"a", std::string(full, 'v')}, {"b", "1"}});
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].size, kTableBlockSize);
}

TEST(TableBuilder, GivesALargeEntryABlockOfItsOwn) {
  // Smaller by a byte, it joins the block at hand.
  EXPECT_EQ(ExpectedBlocks({{"", "h"}, {"a", std::string(2 * kTableBlockSize - 2, 'v')}, {"b", "1"}}).size(), 2u);
  EXPECT_EQ(ExpectedBlocks({{"", "h"}, {"a", std::string(2 * kTableBlockSize - 1, 'v')}, {"b", "1"}}).size(), 3u);
  // As the first one it finds no block to finish; nor does one after it.
  EXPECT_EQ(ExpectedBlocks({{"", std::string(2 * kTableBlockSize, 'v')}, {"a", "1"}}).size(), 2u);
  EXPECT_EQ(ExpectedBlocks({{"", std::string(2 * kTableBlockSize, 'v')}, {"a", std::string(3 * kTableBlockSize, 'v')}})
                .size(),
            2u);
}

TEST(TableBuilder, TakesKeysThatAreLongerThanABlock) {
  const std::string stem(700000, 'k');
  const Entries entries = {{"", "h"}, {stem + "a", "1"}, {stem + "b", "2"}, {stem + "c", "3"}, {"z", "4"}};
  EXPECT_EQ(ExpectedBlocks(entries).size(), 5u);
  ExpectSound(Build(entries), entries);
}

TEST(TableBuilder, WritesManyBlocks) {
  const Entries entries = test_support::Numbered(200000);
  EXPECT_EQ(ExpectedBlocks(entries).size(), 13u);
  ExpectSound(Build(entries), entries);
}

TEST(TableBuilder, WritesAnyBytesAsTheTableMakerDoes) {
  std::mt19937 random(20240611);  // The same entries in every run.
  const std::string alphabet = FromHex("00 01 61 62 fe ff");
  for (int round = 0; round < 20; ++round) {
    Entries entries;
    for (int i = 0; i < 2000; ++i) {
      std::string key(random() % 12, '\0');
      for (char& byte : key) byte = alphabet[random() % alphabet.size()];
      entries.emplace_back(std::move(key), std::string(random() % 2000, static_cast<char>(random())));
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto same_key = [](const auto& a, const auto& b) { return a.first == b.first; };
    entries.erase(std::unique(entries.begin(), entries.end(), same_key), entries.end());
    EXPECT_GE(ExpectedBlocks(entries).size(), 2u);
    ExpectSound(Build(entries), entries);
  }
}

}  // namespace
}  // namespace tensorbundle
