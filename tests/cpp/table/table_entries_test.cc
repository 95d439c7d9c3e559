// Tables whose blocks are whole, and whose entries are malformed or out of order.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/table_maker.h"
#include "table/visit_table.h"

namespace tensorbundle {
namespace {

using test_support::AppendVarint;
using test_support::EncodeBlock;
using test_support::EncodeEntry;
using test_support::EncodeHandle;
using test_support::ExpectDamaged;
using test_support::FinishBlock;
using test_support::FromHex;
using test_support::MadeTable;
using test_support::TableMaker;
using test_support::Visit;
using test_support::Visited;

// One data block of these entries, after a block of the key "a" at 0.
MadeTable WithEntries(const std::string& entries, Compression compression = Compression::kNone) {
  TableMaker maker;
  maker.AppendData("aa", EncodeBlock({{"a", "1"}}));
  maker.AppendData("z", FinishBlock(EncodeEntry(0, "b", "2") + entries, {0}), compression);
  return maker.Finish();
}

TEST(Table, RejectsMalformedEntriesAndSaysWhere) {
  const auto expect = [](const std::string& entries, const std::string& message) {
    const MadeTable plain = WithEntries(entries);
    ExpectDamaged(plain.bytes, 2, plain.data[1].offset + 5,
                  DescribeBlock("data block", plain.data[1]) + ": bad block contents: entry at byte 5: " + message);
    const MadeTable compressed = WithEntries(entries, Compression::kSnappy);
    ExpectDamaged(compressed.bytes, 2, compressed.data[1].offset,
                  DescribeBlock("data block", compressed.data[1]) + ": decoded to " +
                      std::to_string(5 + entries.size() + 8) +
                      " bytes: bad block contents: entry at byte 5: " + message);
  };
  const std::string lengths = "its three lengths are cut short or have more than 32 bits";
  expect(FromHex("808080808000 01 00 63"), lengths);  // A varint32 of 6 bytes.
  expect(FromHex("ffffffff7f 01 00 63"), lengths);    // Of 35 bits.
  expect("x", lengths);                               // Stray bytes in front of the restarts.
  expect("xx", lengths);
  expect(EncodeEntry(2, "c", ""), "its key shares 2 bytes with the one before, which has 1");
  expect(FromHex("00 01 09 63"), "a key suffix of 1 bytes and a value of 9 bytes, where 1 bytes are left");
  expect(EncodeEntry(0, "aaa", ""), R"(keys are not in order: "aaa" after "b")");
  expect(EncodeEntry(0, "b", ""), R"(duplicate key "b")");
}

TEST(Table, RejectsBlocksOutOfOrder) {
  TableMaker maker;
  maker.AppendData("c", EncodeBlock({{"c", "1"}}));
  maker.AppendData("d", EncodeBlock({{"b", "2"}}));
  ExpectDamaged(maker.Finish().bytes, 1, 18,
                R"(data block at 18 of 13 bytes: bad block contents: entry at byte 0: keys are not in order: "b" )"
                R"(after "c")");
}

TEST(Table, RejectsADuplicateKeyAcrossBlocks) {
  TableMaker maker;
  maker.AppendData("c", EncodeBlock({{"c", "1"}}));
  maker.AppendData("d", EncodeBlock({{"c", "2"}}));
  ExpectDamaged(maker.Finish().bytes, 1, 18,
                R"(data block at 18 of 13 bytes: bad block contents: entry at byte 0: duplicate key "c")");
}

TEST(Table, RejectsTheSameBlockTwice) {
  TableMaker maker;
  maker.AppendData("c", EncodeBlock({{"a", "1"}, {"c", "2"}}));
  maker.AppendIndex("d", EncodeHandle({0, 18}));
  ExpectDamaged(maker.Finish().bytes, 2, 0,
                R"(data block at 0 of 18 bytes: bad block contents: entry at byte 0: keys are not in order: "a" after )"
                R"("c")");
}

TEST(Table, RejectsAnIndexKeyBelowItsBlock) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock({{"a", "1"}, {"bb", "2"}}));
  const MadeTable table = maker.Finish();
  ExpectDamaged(
      table.bytes, 2, table.index.offset + 4,
      DescribeBlock("index block", table.index) +
          R"(: keys are not in order: key "b" is before "bb", the last key of its data block at 0 of 19 bytes)");
}

TEST(Table, RejectsAnIndexKeyThatIsNotBelowTheNextBlock) {
  for (const char* index_key : {"c", "d"}) {
    TableMaker maker;
    maker.AppendData(index_key, EncodeBlock({{"a", "1"}}));
    maker.AppendData("e", EncodeBlock({{"c", "2"}}));
    ExpectDamaged(
        maker.Finish().bytes, 1, 18,
        R"(data block at 18 of 13 bytes: keys are not in order: the first key "c" is not after the index key )"
        R"(of the block before, ")" +
            std::string(index_key) + '"');
  }
}

TEST(Table, RejectsIndexKeysThatDoNotAscend) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock({}));
  maker.AppendData("b", EncodeBlock({}));
  ExpectDamaged(maker.Finish().bytes, 0, 45,
                R"(index block at 39 of 24 bytes: bad block contents: entry at byte 6: duplicate key "b")");
}

// Otherwise a file of n bytes could make n / 40 blocks of n / 2 bytes each: each block's value holds the starts of the
// blocks after it and the ends of the blocks before it.
TEST(Table, RejectsDataBlocksThatOverlap) {
  constexpr size_t kBlocks = 5;
  constexpr size_t kHeader = 6;  // 0, 1, a value size of 3 bytes, and a key of one byte.
  constexpr size_t kFiller = 20000;
  constexpr size_t kEnd = 8 + 5;  // Restarts and trailer.
  MadeTable raw;
  for (size_t i = 0; i < kBlocks; ++i) {
    const size_t end = kBlocks * kHeader + kFiller + i * kEnd;
    raw.bytes += std::string("\x00\x01", 2);
    AppendVarint(end - (i + 1) * kHeader, &raw.bytes);
    raw.bytes += static_cast<char>('a' + i);
  }
  raw.bytes.append(kFiller, 'x');
  TableMaker maker;
  for (size_t i = 0; i < kBlocks; ++i) {
    raw.bytes = FinishBlock(raw.bytes, {0});
    raw.data.push_back({i * kHeader, raw.bytes.size() - i * kHeader});
    raw.bytes += std::string(5, '\0');
    raw.Repair(raw.data[i]);
    maker.AppendIndex(std::string(1, static_cast<char>('a' + i)), EncodeHandle(raw.data[i]));
  }
  maker.AppendRaw(raw.bytes);
  const MadeTable table = maker.Finish();
  const Visited visited = Visit(table.bytes);
  EXPECT_EQ(visited.entries.size(), 1u);  // Each of them is sound.
  EXPECT_EQ(visited.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(visited.status.offset(), table.index.offset + 8 + 4);
  EXPECT_EQ(visited.status.message(),
            "bad block handle: blocks overlap: with the " + DescribeBlock("data block", raw.data[1]) +
                " there are more data blocks than fit a file of " + std::to_string(table.bytes.size()));
}

}  // namespace
}  // namespace tensorbundle
