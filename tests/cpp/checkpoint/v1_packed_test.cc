#include "checkpoint/v1_packed.h"

#include <gtest/gtest.h>

#include "slices/key.h"
#include "support/v1_maker.h"

namespace tensorbundle {
namespace {

using test_support::MadeTable;
using test_support::PackedTensor;
using test_support::TableOptions;
using test_support::V1Maker;
using test_support::WholeSlice;

constexpr int kFloat = 1;
constexpr uint64_t kCount = 150'000;

std::string Floats() {
  std::string bytes(kCount * 4, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  return bytes;
}

MadeTable Table(const TableOptions& options = {}, const std::string& after = "") {
  V1Maker maker;
  maker.Add("small", kFloat, {1}, PackedTensor(5, "abcd"));
  maker.Add("w", kFloat, {int64_t{kCount}}, PackedTensor(5, Floats()) + after);
  return maker.Table(options);
}

std::optional<PackedPiece> Find(const std::string& file, const std::string& name = "w", uint64_t count = kCount) {
  const auto kept = std::make_shared<const std::string>(file);
  const auto table = v1::TableFile::Open(FromMemory(Buffer(ByteView(*kept), kept)));
  EXPECT_TRUE(table.ok()) << table.status().message();
  const std::string key = EncodeSliceKey(name, WholeSlice(1));
  return FindPacked(*table, 3, table->Find(key), key, DType::kFloat32, count);
}

TEST(V1Packed, FindsElementsThatLieAsTheyAreInMemory) {
  const MadeTable table = Table();
  ASSERT_EQ(table.data.size(), 2u);
  const auto packed = Find(table.bytes);
  ASSERT_TRUE(packed.has_value());
  EXPECT_EQ(packed->bytes.shard, 3);
  EXPECT_EQ(table.bytes.substr(packed->bytes.offset, packed->bytes.size_bytes), Floats());
  EXPECT_EQ(packed->bytes.crc32c, table.Fixed32(MadeTable::ChecksumOffset(table.data[1])));
  EXPECT_EQ(packed->frame.handle.offset, table.data[1].offset);
}

TEST(V1Packed, KnowsTheChecksumOfTheBlockFromThatOfTheElements) {
  MadeTable table = Table();
  for (const bool damaged : {false, true}) {
    if (damaged) table.Flip(table.data[1].offset + 1000);
    const auto packed = Find(table.bytes);
    ASSERT_TRUE(packed.has_value());
    const ByteView elements = table.view().Slice(packed->bytes.offset, packed->bytes.size_bytes);
    const uint32_t block = packed->frame.Enclose(crc32c::Extend(0, elements), elements.size());
    EXPECT_EQ(block, table.Checksum(table.data[1]));
    EXPECT_EQ(block == packed->bytes.crc32c, !damaged);
  }
}

TEST(V1Packed, LeavesEverythingElseAlone) {
  EXPECT_FALSE(Find(Table().bytes, "small", 1));
  EXPECT_FALSE(Find(Table().bytes, "w", kCount - 1));
  EXPECT_FALSE(Find(Table().bytes, "v", kCount));  // Its record is not what is in the block.
  TableOptions compressed;
  compressed.compression = Compression::kSnappy;
  EXPECT_FALSE(Find(Table(compressed).bytes));
  TableOptions one_block;
  one_block.block_size = 1 << 20;
  EXPECT_FALSE(Find(Table(one_block).bytes));
  EXPECT_FALSE(Find(Table({}, PackedTensor(5, "more")).bytes));
}

// Whatever is in the head and the tail, the answer is none or a range inside the block.
TEST(V1Packed, StaysInsideTheBlockWhateverItsHeadSays) {
  const MadeTable sound = Table();
  const BlockHandle block = sound.data[1];
  for (size_t i = 0; i < 64; ++i) {
    for (const uint8_t value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
      MadeTable table = sound;
      table.SetByte(block.offset + i, value);
      const auto packed = Find(table.bytes);
      if (!packed) continue;
      EXPECT_EQ(packed->bytes.size_bytes, kCount * 4);
      EXPECT_GE(packed->bytes.offset, block.offset);
      EXPECT_LE(packed->bytes.offset + packed->bytes.size_bytes, block.offset + block.size);
    }
  }
  for (size_t i = block.size - 8; i < block.size + 1; ++i) {
    MadeTable table = sound;
    table.Flip(block.offset + i);
    EXPECT_FALSE(Find(table.bytes)) << i;
  }
}

}  // namespace
}  // namespace tensorbundle
