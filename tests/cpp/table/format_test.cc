#include "table/format.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "support/table_maker.h"

namespace tensorbundle {
namespace {

using test_support::EncodeHandle;
using test_support::MadeTable;
using test_support::TableMaker;

// A footer and nothing else.
std::string FooterOnly(const std::string& handles) { return TableMaker().FinishAt(handles).bytes; }

TEST(BlockHandle, IsTwoVarints) {
  const std::string bytes = EncodeHandle({300, 5}) + "rest";
  ByteView input(bytes);
  const std::optional<BlockHandle> handle = TakeBlockHandle(&input);
  ASSERT_TRUE(handle);
  EXPECT_EQ(handle->offset, 300u);
  EXPECT_EQ(handle->size, 5u);
  EXPECT_EQ(input.AsText(), "rest");
}

TEST(BlockHandle, HoldsTheLargestNumbers) {
  const std::string bytes = EncodeHandle({UINT64_MAX, UINT64_MAX - 1});
  EXPECT_EQ(bytes.size(), kMaxBlockHandleSize);
  ByteView input(bytes);
  const std::optional<BlockHandle> handle = TakeBlockHandle(&input);
  ASSERT_TRUE(handle);
  EXPECT_EQ(handle->offset, UINT64_MAX);
  EXPECT_EQ(handle->size, UINT64_MAX - 1);
}

TEST(BlockHandle, RejectsEveryTruncation) {
  const std::string bytes = EncodeHandle({300, 300});
  for (size_t length = 0; length < bytes.size(); ++length) {
    ByteView input = ByteView(bytes).Slice(0, length);
    EXPECT_FALSE(TakeBlockHandle(&input)) << length;
  }
}

TEST(Footer, HoldsTwoHandles) {
  const std::string file = "blocks" + FooterOnly(EncodeHandle({1, 2}) + EncodeHandle({300, 4}));
  const Result<Footer> footer = ParseFooter(ByteView(file));
  ASSERT_TRUE(footer.ok()) << footer.status().message();
  EXPECT_EQ(footer->metaindex.offset, 1u);
  EXPECT_EQ(footer->metaindex.size, 2u);
  EXPECT_EQ(footer->index.offset, 300u);
  EXPECT_EQ(footer->index.size, 4u);
}

TEST(Footer, HasRoomForTheLongestHandles) {
  const std::string file = FooterOnly(EncodeHandle({UINT64_MAX, UINT64_MAX}) + EncodeHandle({UINT64_MAX, UINT64_MAX}));
  const Result<Footer> footer = ParseFooter(ByteView(file));
  ASSERT_TRUE(footer.ok()) << footer.status().message();
  EXPECT_EQ(footer->index.size, UINT64_MAX);
}

TEST(Footer, IgnoresItsPadding) {
  std::string file = FooterOnly(EncodeHandle({1, 2}) + EncodeHandle({3, 4}));
  for (size_t i = 4; i < 40; ++i) file[i] = '\xFF';
  EXPECT_TRUE(ParseFooter(ByteView(file)).ok());
}

TEST(Footer, RejectsEveryFileThatIsTooShort) {
  const std::string file = FooterOnly(EncodeHandle({1, 2}) + EncodeHandle({3, 4}));
  for (size_t size = 0; size < file.size(); ++size) {
    const Status status = ParseFooter(ByteView(file).Slice(file.size() - size, size)).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.offset(), 0u);
    EXPECT_EQ(status.message(), "not a table: file is too short to be an sstable: " + std::to_string(size) +
                                    " bytes, and the footer alone takes 48");
  }
}

TEST(Footer, RejectsEveryWrongMagicNumber) {
  const std::string file = "blocks" + FooterOnly(EncodeHandle({1, 2}) + EncodeHandle({3, 4}));
  for (size_t i = file.size() - 8; i < file.size(); ++i) {
    std::string wrong = file;
    wrong[i] = static_cast<char>(wrong[i] ^ 1);
    const Status status = ParseFooter(ByteView(wrong)).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << i;
    EXPECT_EQ(status.offset(), 46u);
  }
  std::string zeros = file;
  zeros.replace(46, 8, 8, '\0');
  EXPECT_EQ(ParseFooter(ByteView(zeros)).status().message(),
            "not an sstable (bad magic number): the last 8 of 54 bytes hold 0x0000000000000000 instead of "
            "0xdb4775248b80fb57");
}

TEST(Footer, RejectsMalformedHandles) {
  const std::string too_long(11, '\x80');
  const Status first = ParseFooter(ByteView("blocks" + FooterOnly(too_long))).status();
  EXPECT_EQ(first.code(), StatusCode::kDataLoss);
  EXPECT_EQ(first.offset(), 6u);
  EXPECT_EQ(first.message(), "bad block handle: the first of the two in the footer at 6 is not a pair of varints");
  const Status second = ParseFooter(ByteView(FooterOnly(EncodeHandle({1, 2}) + too_long))).status();
  EXPECT_EQ(second.code(), StatusCode::kDataLoss);
  EXPECT_EQ(second.offset(), 0u);
  EXPECT_EQ(second.message(), "bad block handle: the second of the two in the footer at 0 is not a pair of varints");
}

// "before", a block, and a trailer.
class StoredBlockTest : public ::testing::Test {
 protected:
  StoredBlockTest() {
    table_.AppendBlock("before");
    handle_ = table_.AppendBlock("contents");
    file_ = table_.FinishAt("");
    file_.bytes.resize(handle_.offset + handle_.size + kBlockTrailerSize);
  }
  Status Parse(BlockHandle handle) const { return ParseStoredBlock(file_.view(), handle, "data block").status(); }

  TableMaker table_;
  BlockHandle handle_;
  MadeTable file_;
};

TEST_F(StoredBlockTest, IsAViewOfTheFile) {
  const Result<StoredBlock> block = ParseStoredBlock(file_.view(), handle_, "data block");
  ASSERT_TRUE(block.ok()) << block.status().message();
  EXPECT_EQ(block->bytes.AsText(), "contents");
  EXPECT_EQ(block->bytes.data(), file_.view().data() + 11);
  EXPECT_EQ(block->compression, Compression::kNone);
}

TEST_F(StoredBlockTest, SaysWhichCompression) {
  file_.SetByte(MadeTable::KindOffset(handle_), 1);
  file_.Repair(handle_);
  const Result<StoredBlock> block = ParseStoredBlock(file_.view(), handle_, "data block");
  ASSERT_TRUE(block.ok()) << block.status().message();
  EXPECT_EQ(block->compression, Compression::kSnappy);
}

TEST_F(StoredBlockTest, RejectsOtherCompressions) {
  for (const int kind : {2, 3, 4, 0x80, 0xFF}) {
    file_.SetByte(MadeTable::KindOffset(handle_), static_cast<uint8_t>(kind));
    file_.Repair(handle_);
    const Status status = Parse(handle_);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.offset(), 19u);
    EXPECT_EQ(status.message(), "data block at 11 of 8 bytes: bad block type: compression kind " +
                                    std::to_string(kind) + ", where 0 (none) and 1 (Snappy) are known");
  }
}

TEST_F(StoredBlockTest, RejectsEveryChangedBit) {
  for (size_t offset = handle_.offset; offset < file_.bytes.size(); ++offset) {
    for (int bit = 0; bit < 8; ++bit) {
      MadeTable damaged = file_;
      damaged.bytes[offset] = static_cast<char>(damaged.bytes[offset] ^ (1 << bit));
      const Status status = ParseStoredBlock(damaged.view(), handle_, "index block").status();
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << offset;
      EXPECT_EQ(status.offset(), 11u);
      EXPECT_EQ(status.message().rfind("index block at 11 of 8 bytes: block checksum mismatch: stored 0x", 0), 0u)
          << status.message();
    }
  }
}

TEST_F(StoredBlockTest, NamesBothChecksums) {
  file_.SetFixed32(MadeTable::ChecksumOffset(handle_), 0x01020304);
  char expected[64];
  std::snprintf(expected, sizeof(expected), "stored 0x01020304, computed 0x%08x", file_.Checksum(handle_));
  EXPECT_EQ(Parse(handle_).message(), std::string("data block at 11 of 8 bytes: block checksum mismatch: ") + expected);
}

TEST_F(StoredBlockTest, RejectsWhatDoesNotFitTheFileAndLeavesThePlaceToTheCaller) {
  const uint64_t size = file_.bytes.size();
  for (const BlockHandle handle :
       {BlockHandle{11, 9}, BlockHandle{12, 8}, BlockHandle{size, 0}, BlockHandle{size - 4, 0}, BlockHandle{0, size},
        BlockHandle{0, size - 4}, BlockHandle{0, uint64_t{1} << 40}, BlockHandle{uint64_t{1} << 63, 0},
        BlockHandle{UINT64_MAX, 1}, BlockHandle{0, UINT64_MAX}, BlockHandle{0, UINT64_MAX - 4},
        BlockHandle{UINT64_MAX, UINT64_MAX}, BlockHandle{16, UINT64_MAX - 12}}) {
    const Status status = Parse(handle);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.offset(), std::nullopt);
    EXPECT_EQ(status.message(), "bad block handle: data block at " + std::to_string(handle.offset) + " of " +
                                    std::to_string(handle.size) +
                                    " bytes and a trailer of 5 does not fit a file of 24");
  }
}

}  // namespace
}  // namespace tensorbundle
