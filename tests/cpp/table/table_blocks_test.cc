// Tables whose footer, handles or blocks are damaged.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/table_maker.h"
#include "table/snappy.h"
#include "table/visit_table.h"

namespace tensorbundle {
namespace {

using test_support::AppendVarint;
using test_support::EncodeBlock;
using test_support::EncodeHandle;
using test_support::ExpectDamaged;
using test_support::FinishBlock;
using test_support::MadeTable;
using test_support::MakeTable;
using test_support::MakeTwo;
using test_support::Numbered;
using test_support::SnappyLiterals;
using test_support::TableMaker;
using test_support::TwoEntries;
using test_support::Visit;
using test_support::Visited;

TEST(Table, RejectsAFileThatIsTooShort) {
  ExpectDamaged("", 0, 0, "not a table: file is too short to be an sstable: 0 bytes, and the footer alone takes 48");
  ExpectDamaged(std::string(47, 'x'), 0, 0,
                "not a table: file is too short to be an sstable: 47 bytes, and the footer alone takes 48");
}

TEST(Table, RejectsAWrongMagicNumber) {
  MadeTable table = MakeTwo();
  table.bytes.replace(table.MagicOffset(), 8, "notmagic");
  ExpectDamaged(table.bytes, 0, 94,
                "not an sstable (bad magic number): the last 8 of 102 bytes hold 0x636967616d746f6e instead of "
                "0xdb4775248b80fb57");
}

TEST(Table, RejectsBytesAfterTheFooter) {
  ExpectDamaged(MakeTwo().bytes + '\0', 0, 95,
                "not an sstable (bad magic number): the last 8 of 103 bytes hold 0x00db4775248b80fb instead of "
                "0xdb4775248b80fb57");
}

TEST(Table, RejectsMalformedHandlesInTheFooter) {
  MadeTable table = MakeTwo();
  table.bytes.replace(table.FooterOffset(), 11, 11, '\x80');
  ExpectDamaged(table.bytes, 0, 54,
                "bad block handle: the first of the two in the footer at 54 is not a pair of varints");
}

TEST(Table, RejectsBytesBeforeTheFirstBlock) {
  const Visited visited = Visit("x" + MakeTwo().bytes);
  EXPECT_EQ(visited.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(visited.status.offset(), 35u);
  EXPECT_EQ(visited.status.message().rfind("index block at 35 of 14 bytes: block checksum mismatch: stored 0x", 0), 0u);
}

TEST(Table, RejectsAMetaindexWithAWrongChecksum) {
  MadeTable table = MakeTwo();
  table.SetFixed32(MadeTable::ChecksumOffset(table.metaindex), 0);
  ExpectDamaged(table.bytes, 0, 22,
                "metaindex block at 22 of 8 bytes: block checksum mismatch: stored 0x00000000, computed 0xb0a1f2c0");
}

TEST(Table, RejectsAMetaindexWithMalformedEntries) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock(TwoEntries()));
  const std::string index = EncodeBlock({{"b", EncodeHandle({0, 17})}}, 1);
  ExpectDamaged(
      maker.FinishWith(FinishBlock("\x05", {0}), index).bytes, 0, 22,
      "metaindex block at 22 of 9 bytes: bad block contents: entry at byte 0: its three lengths are cut short "
      "or have more than 32 bits");
}

TEST(Table, RejectsAMetaindexThatDoesNotFit) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock(TwoEntries()));
  const BlockHandle index = maker.AppendBlock(EncodeBlock({{"b", EncodeHandle({0, 17})}}, 1));
  ExpectDamaged(maker.FinishAt(EncodeHandle({90, 50}) + EncodeHandle(index)).bytes, 0, 41,
                "bad block handle: metaindex block at 90 of 50 bytes and a trailer of 5 does not fit a file of 89");
}

TEST(Table, RejectsAWrongChecksumInEachBlock) {
  const MadeTable sound = MakeTable(Numbered(20), {100, 16, Compression::kNone, true});
  ASSERT_GE(sound.data.size(), 3u);
  std::vector<std::pair<const char*, BlockHandle>> blocks = {{"index block", sound.index},
                                                             {"metaindex block", sound.metaindex}};
  for (const BlockHandle handle : sound.data) blocks.emplace_back("data block", handle);
  for (const auto& [role, handle] : blocks) {
    for (const size_t where : {handle.offset, MadeTable::KindOffset(handle), MadeTable::ChecksumOffset(handle)}) {
      MadeTable table = sound;
      table.SetByte(where, static_cast<uint8_t>(table.bytes[where] ^ 1));
      const Visited visited = Visit(table.bytes);
      EXPECT_EQ(visited.status.code(), StatusCode::kDataLoss);
      EXPECT_EQ(visited.status.offset(), handle.offset);
      const std::string expected = DescribeBlock(role, handle) + ": block checksum mismatch: stored ";
      EXPECT_EQ(visited.status.message().substr(0, expected.size()), expected);
    }
  }
}

TEST(Table, RejectsABlockTooShortForARestartCount) {
  TableMaker maker;
  maker.AppendData("b", "abc");
  ExpectDamaged(maker.Finish().bytes, 0, 0,
                "data block at 0 of 3 bytes: bad block contents: 3 bytes, where the restart count alone takes 4");
}

TEST(Table, RejectsARestartCountThatIsTooLarge) {
  MadeTable table = MakeTwo();
  for (const auto& [role, handle] :
       std::vector<std::pair<const char*, BlockHandle>>{{"data block", table.data[0]}, {"index block", table.index}}) {
    MadeTable damaged = table;
    const size_t offset = MadeTable::RestartCountOffset(handle);
    damaged.SetFixed32(offset, 0x40000001);
    damaged.Repair(handle);
    ExpectDamaged(damaged.bytes, 0, offset,
                  DescribeBlock(role, handle) + ": bad block contents: restart count 1073741825 after " +
                      std::to_string(handle.size - 4) + " bytes");
  }
}

TEST(Table, RejectsARestartCountOfZeroAfterEntries) {
  MadeTable table = MakeTwo();
  table.SetFixed32(MadeTable::RestartCountOffset(table.data[0]), 0);
  table.Repair(table.data[0]);
  ExpectDamaged(table.bytes, 0, 13,
                "data block at 0 of 17 bytes: bad block contents: restart count 0 after 13 bytes of entries");
}

// A table whose only index entry has this value.
MadeTable WithHandle(const std::string& value, Compression compression = Compression::kNone) {
  TableMaker maker;
  maker.AppendBlock(EncodeBlock(TwoEntries()));
  return maker.FinishWith(EncodeBlock({}), EncodeBlock({{"b", value}}, 1), compression);
}

TEST(Table, RejectsAHandleInTheIndexThatIsMalformed) {
  ExpectDamaged(WithHandle(std::string(11, '\x80')).bytes, 0, 39,
                R"(index block at 35 of 23 bytes: bad block handle: the value of key "b" is not a pair of varints)");
  ExpectDamaged(WithHandle("").bytes, 0, 39,
                R"(index block at 35 of 12 bytes: bad block handle: the value of key "b" is not a pair of varints)");
}

TEST(Table, RejectsAHandleInTheIndexThatDoesNotFit) {
  for (const BlockHandle handle :
       {BlockHandle{0, 98}, BlockHandle{17, 200}, BlockHandle{500, 1}, BlockHandle{0, uint64_t{1} << 40},
        BlockHandle{0, UINT64_MAX}, BlockHandle{0, UINT64_MAX - 5}, BlockHandle{uint64_t{1} << 63, 17},
        BlockHandle{UINT64_MAX, 17}, BlockHandle{UINT64_MAX - 16, 17}}) {
    const MadeTable table = WithHandle(EncodeHandle(handle));
    ExpectDamaged(table.bytes, 0, 39,
                  "bad block handle: data block at " + std::to_string(handle.offset) + " of " +
                      std::to_string(handle.size) + " bytes and a trailer of 5 does not fit a file of " +
                      std::to_string(table.bytes.size()));
  }
}

TEST(Table, RejectsAHandleInTheFooterThatDoesNotFit) {
  TableMaker maker;
  const BlockHandle metaindex = maker.AppendBlock(EncodeBlock({}));
  ExpectDamaged(
      maker.FinishAt(EncodeHandle(metaindex) + EncodeHandle({0, uint64_t{1} << 40})).bytes, 0, 13,
      "bad block handle: index block at 0 of 1099511627776 bytes and a trailer of 5 does not fit a file of 61");
}

TEST(Table, CompressedIndexesHaveOneOffset) {
  const MadeTable table = WithHandle("", Compression::kSnappy);
  ExpectDamaged(table.bytes, 0, table.index.offset,
                DescribeBlock("index block", table.index) +
                    R"(: bad block handle: the value of key "b" is not a pair of varints)");
}

TEST(Table, RejectsABlockThatDoesNotDecode) {
  const std::string snappy = SnappyLiterals(EncodeBlock(TwoEntries()));
  const std::string message = " bytes: corrupted compressed block contents: ";
  {
    TableMaker cut;
    cut.AppendIndex("b", EncodeHandle(cut.AppendStored(snappy.substr(0, 12), 1)));
    ExpectDamaged(cut.Finish().bytes, 0, 1,
                  "data block at 0 of 12" + message + "byte 1: literal of 17 bytes, where 10 are left");
  }
  {
    TableMaker huge;
    std::string stored;
    AppendVarint(UINT32_MAX, &stored);
    huge.AppendIndex("b", EncodeHandle(huge.AppendStored(stored + "abc", 1)));
    ExpectDamaged(
        huge.Finish().bytes, 0, 0,
        "data block at 0 of 8" + message + "byte 0: 4294967295 bytes announced, which 3 bytes cannot decode to");
  }
  {
    TableMaker wrong_index;
    wrong_index.AppendStored("before", 0);
    const BlockHandle metaindex = wrong_index.AppendBlock(EncodeBlock({}));
    const BlockHandle index = wrong_index.AppendStored(
        "\x04\x0C"
        "abc",
        1);
    ExpectDamaged(wrong_index.FinishAt(EncodeHandle(metaindex) + EncodeHandle(index)).bytes, 0, 25,
                  "index block at 24 of 5" + message + "byte 1: literal of 4 bytes, where 3 are left");
  }
}

TEST(Table, RejectsACompressedBlockAboveTheLimit) {
  std::string stored;
  AppendVarint(kMaxSnappyBlockSize + 1, &stored);
  stored.resize((kMaxSnappyBlockSize / 64 + 2) * 3);
  TableMaker maker;
  maker.AppendIndex("b", EncodeHandle(maker.AppendStored(stored, 1)));
  const Visited visited = Visit(maker.Finish().bytes);
  EXPECT_EQ(visited.status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(visited.status.offset(), 0u);
  EXPECT_EQ(visited.status.message(),
            "data block at 0 of 50331654 bytes: compressed block of 1073741825 bytes when decoded, where at most "
            "1073741824 are allowed");
}

TEST(Table, RejectsAnUnknownCompression) {
  MadeTable table = MakeTwo();
  table.SetByte(MadeTable::KindOffset(table.data[0]), 2);
  table.Repair(table.data[0]);
  ExpectDamaged(table.bytes, 0, 17,
                "data block at 0 of 17 bytes: bad block type: compression kind 2, where 0 (none) and 1 (Snappy) are "
                "known");
}

}  // namespace
}  // namespace tensorbundle
