#include "v1/table_file.h"

#include <gtest/gtest.h>

#include "support/table_maker.h"

namespace tensorbundle::v1 {
namespace {

using test_support::Entries;
using test_support::MadeTable;
using test_support::MakeTable;
using test_support::TableMaker;
using test_support::TableOptions;

const Entries kEntries = {{"", "meta"}, {"a", std::string(500, 'a')}, {"b", std::string(500, 'b')}};

MadeTable Small(Compression compression = Compression::kNone) {
  TableOptions options;
  options.block_size = 400;
  options.compression = compression;
  return MakeTable(kEntries, options);
}

// Counts what is read of it.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::string& name() const override { return name_; }
  uint64_t size_bytes() const override { return bytes_.size(); }
  Result<Buffer> Read(ByteRange range) const override {
    read_bytes += range.length;
    if (range.offset + range.length > bytes_.size()) return Status(StatusCode::kDataLoss, "beyond the end");
    return Buffer(ByteView(bytes_).Slice(range.offset, range.length), nullptr);
  }
  mutable uint64_t read_bytes = 0;

 private:
  std::string bytes_;
  std::string name_ = "counting";
};

Result<TableFile> Open(const std::string& bytes) { return TableFile::Open(std::make_shared<CountingSource>(bytes)); }

TEST(TableFile, FindsTheBlockOfAKey) {
  const auto table = Open(Small().bytes);
  ASSERT_TRUE(table.ok()) << table.status().message();
  ASSERT_EQ(table->blocks().size(), 2u);
  EXPECT_EQ(table->Find(""), 0u);
  EXPECT_EQ(table->Find("a"), 0u);
  EXPECT_EQ(table->Find("b"), 1u);
  EXPECT_EQ(table->Find("z"), 2u);
}

TEST(TableFile, OpensByItsEnd) {
  const MadeTable made = MakeTable({{"", std::string(1 << 20, 'x')}});
  const auto source = std::make_shared<CountingSource>(made.bytes);
  ASSERT_TRUE(TableFile::Open(source).ok());
  EXPECT_EQ(source->read_bytes, 48 + made.index.size + 5);
}

TEST(TableFile, ReadsBlocksOfBothKinds) {
  for (const Compression compression : {Compression::kNone, Compression::kSnappy}) {
    const MadeTable made = Small(compression);
    const auto table = Open(made.bytes);
    ASSERT_TRUE(table.ok());
    const auto contents = table->ReadBlock(1);
    ASSERT_TRUE(contents.ok()) << contents.status().message();
    EXPECT_EQ(contents->view().AsText().substr(4, 500), std::string(500, 'b'));
  }
}

TEST(TableFile, ComparesTheChecksumUnlessToldNotTo) {
  MadeTable made = Small();
  made.Flip(made.data[1].offset + 10);
  const auto table = Open(made.bytes);
  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(table->ReadBlock(0).ok());
  std::optional<SumMismatch> sum;
  ReadBlockOptions options;
  options.sum = &sum;
  const Status status = table->ReadBlock(1, options).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.offset(), std::optional<uint64_t>(made.data[1].offset));
  ASSERT_TRUE(sum.has_value());
  EXPECT_EQ(sum->stored, made.Fixed32(MadeTable::ChecksumOffset(made.data[1])));
  EXPECT_EQ(sum->computed, made.Checksum(made.data[1]));
  options.verify = false;
  EXPECT_TRUE(table->ReadBlock(1, options).ok());
}

TEST(TableFile, SaysThatACompressedBlockDoesNotDecode) {
  TableMaker maker;
  maker.AppendData("z", "");
  const BlockHandle block = maker.AppendStored("\xFF\xFF\xFF\xFF\x0F", 1);
  maker.AppendIndex("zz", test_support::EncodeHandle(block));
  const auto table = Open(maker.Finish().bytes);
  ASSERT_TRUE(table.ok());
  const Status status = table->ReadBlock(1).status();
  EXPECT_EQ(status.message().find("data block at 5 of 5 bytes: "), 0u) << status.message();
  EXPECT_EQ(status.offset(), std::optional<uint64_t>(5));
}

TEST(TableFile, KnowsHowMuchABlockCanHold) {
  const MadeTable plain = Small();
  EXPECT_EQ(*Open(plain.bytes)->MaxContentsSize(1), plain.data[1].size);
  const MadeTable compressed = Small(Compression::kSnappy);
  EXPECT_GT(*Open(compressed.bytes)->MaxContentsSize(1), compressed.data[1].size);
}

TEST(TableFile, StopsWhenToldTo) {
  const auto table = Open(Small().bytes);
  ReadBlockOptions options;
  options.keep_going = [] { return Status(StatusCode::kExternal, "enough"); };
  EXPECT_EQ(table->ReadBlock(0, options).status().code(), StatusCode::kExternal);
}

TEST(TableFile, SaysWhatIsNoTable) {
  EXPECT_NE(Open("short").status().message().find("file is too short to be an sstable: 5 bytes"), std::string::npos);
  EXPECT_NE(Open(std::string(100, 'x')).status().message().find("not an sstable (bad magic number)"),
            std::string::npos);
}

TEST(TableFile, SaysWhereTheIndexBlockIsDamaged) {
  MadeTable made = Small();
  made.Flip(made.index.offset);
  const Status status = Open(made.bytes).status();
  EXPECT_EQ(status.offset(), std::optional<uint64_t>(made.index.offset));
  EXPECT_EQ(status.message().find("index block at "), 0u) << status.message();
  made.Repair(made.index);
  EXPECT_EQ(Open(made.bytes).status().message().find("index block at "), 0u);
}

TEST(TableFile, LooksAtTheHandleOfTheIndexBlockFirst) {
  TableMaker maker;
  const std::string handle = test_support::EncodeHandle({0, uint64_t{1} << 40});
  EXPECT_EQ(Open(maker.FinishAt(handle + handle).bytes).status().message(),
            "bad block handle: index block at 0 of 1099511627776 bytes and a trailer of 5 does not fit a file of 48");
}

}  // namespace
}  // namespace tensorbundle::v1
