#include "table/table_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/table_maker.h"
#include "table/visit_table.h"

namespace tensorbundle {
namespace {

using test_support::EncodeBlock;
using test_support::EncodeHandle;
using test_support::Entries;
using test_support::ExpectSound;
using test_support::FinishBlock;
using test_support::FromHex;
using test_support::MadeTable;
using test_support::MakeTable;
using test_support::MakeTwo;
using test_support::Numbered;
using test_support::TableMaker;
using test_support::TwoEntries;
using test_support::Visit;
using test_support::Visited;

TEST(Table, VisitsEntriesOfAnyLayout) {
  for (const size_t count : {0, 1, 15, 16, 17, 1000}) {
    const Entries entries = Numbered(count);
    for (const size_t block_size : {1, 100, 4096, 262144}) {
      for (const size_t restart_interval : {0, 1, 16}) {
        for (const Compression compression : {Compression::kNone, Compression::kSnappy}) {
          for (const bool shorten : {false, true}) {
            ExpectSound(MakeTable(entries, {block_size, restart_interval, compression, shorten}).bytes, entries);
          }
        }
      }
    }
  }
}

TEST(Table, MayHaveOneEntryABlock) {
  const MadeTable table = MakeTable(Numbered(100), {1, 16, Compression::kNone, true});
  EXPECT_EQ(table.data.size(), 101u);
  ExpectSound(table.bytes, Numbered(100));
}

TEST(Table, MayMixCompressedAndPlainBlocks) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock({{"a", "1"}}), Compression::kSnappy);
  maker.AppendData("d", EncodeBlock({{"c", "2"}}), Compression::kNone);
  maker.AppendData("f", EncodeBlock({{"e", std::string(5000, 'v')}}), Compression::kSnappy);
  maker.AppendData("h", EncodeBlock({{"g", "4"}}), Compression::kSnappy);
  ExpectSound(maker.Finish().bytes, {{"a", "1"}, {"c", "2"}, {"e", std::string(5000, 'v')}, {"g", "4"}});
}

TEST(Table, MayHaveNoEntries) {
  ExpectSound(MakeTable({}).bytes, {});
  ExpectSound(TableMaker().FinishWith(EncodeBlock({}), FinishBlock("", {})).bytes, {});
}

TEST(Table, MayHaveEmptyDataBlocks) {
  TableMaker maker;
  maker.AppendData("a", FinishBlock("", {}));
  maker.AppendData("c", EncodeBlock({{"b", "1"}}));
  maker.AppendData("d", EncodeBlock({}));
  ExpectSound(maker.Finish().bytes, {{"b", "1"}});
}

TEST(Table, ValuesOfPlainBlocksAreViewsOfTheFile) {
  const MadeTable table = MakeTwo();
  std::vector<size_t> offsets;
  const Status status = VisitTable(table.view(), [&](ByteView, ByteView value) {
    offsets.push_back(static_cast<size_t>(value.data() - table.view().data()));
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(offsets, (std::vector<size_t>{3, 8}));
}

TEST(Table, StopsWhereTheVisitorSaysSo) {
  size_t calls = 0;
  const Status status = VisitTable(MakeTable(Numbered(100)).view(), [&calls](ByteView, ByteView) {
    return ++calls == 7 ? Status(StatusCode::kUnimplemented, "enough") : Status();
  });
  EXPECT_EQ(calls, 7u);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(status.message(), "enough");
  EXPECT_EQ(status.offset(), std::nullopt);
}

TEST(Table, IgnoresFooterPadding) {
  MadeTable table = MakeTwo();
  for (size_t i = table.FooterOffset() + 4; i < table.MagicOffset(); ++i) table.SetByte(i, 0xAA);
  ExpectSound(table.bytes, TwoEntries());
}

TEST(Table, AcceptsEntriesInTheMetaindex) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock(TwoEntries()));
  const std::string index = EncodeBlock({{"b", EncodeHandle({0, 17})}}, 1);
  ExpectSound(maker.FinishWith(EncodeBlock({{"filter", "anything"}}), index).bytes, TwoEntries());
}

TEST(Table, VisitsTheBlocksBeforeADamagedOne) {
  MadeTable table = MakeTable(Numbered(5), {1, 16, Compression::kNone, true});
  table.SetByte(table.data[4].offset, 1);
  const Visited visited = Visit(table.bytes);
  EXPECT_EQ(visited.status.offset(), table.data[4].offset);
  EXPECT_EQ(visited.entries.size(), 4u);
}

TEST(Table, AcceptsBytesAfterAHandleInTheIndex) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock(TwoEntries()));
  ExpectSound(maker.FinishWith(EncodeBlock({}), EncodeBlock({{"b", EncodeHandle({0, 17}) + "more"}}, 1)).bytes,
              TwoEntries());
}

TEST(Table, AcceptsLongerThanNeededVarints) {
  TableMaker maker;
  maker.AppendData("l", FinishBlock(FromHex("80808080 00 8180 00 81 00") + "kv", {0}));
  ExpectSound(maker.Finish().bytes, {{"k", "v"}});
}

TEST(Table, AcceptsAnIndexKeyEqualToTheLastKey) {
  TableMaker maker;
  maker.AppendData("b", EncodeBlock({{"a", "1"}, {"b", "2"}}));
  ExpectSound(maker.Finish().bytes, {{"a", "1"}, {"b", "2"}});
}

TEST(Table, RejectsEveryTruncation) {
  const std::string bytes = MakeTable(Numbered(40), {100, 16, Compression::kNone, true}).bytes;
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Visit(bytes.substr(0, size)).status.code(), StatusCode::kDataLoss) << size;
    EXPECT_EQ(Visit(bytes.substr(size + 1)).status.code(), StatusCode::kDataLoss) << size;
  }
}

TEST(Table, RejectsEveryChangedBitThatMatters) {
  const MadeTable table = MakeTable(Numbered(10), {100, 16, Compression::kNone, true});
  const size_t padding = table.FooterOffset() + EncodeHandle(table.metaindex).size() + EncodeHandle(table.index).size();
  for (size_t i = 0; i < table.bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = table.bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const Visited visited = Visit(changed);
      // The last handle may run on into the padding, whose zero adds nothing to it.
      const bool ignored = (i >= padding && i < table.MagicOffset()) || (i == padding - 1 && bit == 7);
      EXPECT_EQ(visited.status.code(), ignored ? StatusCode::kOk : StatusCode::kDataLoss) << i << " " << bit;
    }
  }
}

// Behind a checksum that is right, any byte can be anything.
TEST(Table, SurvivesEveryChangedByteBehindARightChecksum) {
  const MadeTable table = MakeTable(Numbered(10), {100, 4, Compression::kSnappy, true});
  std::vector<BlockHandle> blocks = table.data;
  blocks.push_back(table.metaindex);
  blocks.push_back(table.index);
  for (const BlockHandle block : blocks) {
    for (size_t i = block.offset; i < block.offset + block.size; ++i) {
      for (int value = 0; value < 256; ++value) {
        MadeTable changed = table;
        changed.SetByte(i, static_cast<uint8_t>(value));
        changed.Repair(block);
        const Visited visited = Visit(changed.bytes);
        EXPECT_EQ(visited.status.ok(), !visited.status.offset());
        for (size_t k = 1; k < visited.entries.size(); ++k) {
          EXPECT_LT(visited.entries[k - 1].first, visited.entries[k].first);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tensorbundle
