#include "io/file_source.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "io/file_conformance.h"
#include "support/source_conformance.h"

namespace tensorbundle::test_support {
namespace {

using ReadFileMaker = FileMaker<FileAccess::kRead>;
INSTANTIATE_TYPED_TEST_SUITE_P(File, SourceConformance, ReadFileMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(File, FileConformance, ReadFileMaker);

TEST(FileSource, ReadsIntoAlignedMemoryOfItsOwn) {
  ReadFileMaker maker;
  const auto source = maker.Open(DistinctBytes(5 << 20));
  EXPECT_FALSE(source->reads_are_views());
  const auto one = source->Read({3, 100});
  const auto same = source->Read({3, 100});
  ASSERT_TRUE(one.ok() && same.ok());
  EXPECT_NE(one->data(), same->data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(one->data()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(source->Read({1, (4 << 20) + 1})->data()) % (2 << 20), 0u);
}

TEST(FileSource, BuffersKeepTheirBytesWhenTheFileIsOverwritten) {
  ReadFileMaker maker;
  const auto source = maker.Open("0123456789");
  const auto before = source->Read({0, 10});
  maker.directory().Write("file", "abcdefghij");
  EXPECT_EQ(TextOf(before), "0123456789");
}

TEST(FileSource, TruncationIsDataLossThatSaysHowMuchIsLeft) {
  ReadFileMaker maker;
  const auto source = maker.Open("0123456789");
  std::filesystem::resize_file(source->name(), 6);
  EXPECT_EQ(TextOf(source->Read({0, 6})), "012345");
  const auto expect_truncated = [&](const Status& status, uint64_t found_end, const std::string& numbers) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.path(), source->name());
    EXPECT_EQ(status.offset(), found_end);
    EXPECT_EQ(status.message(), source->name() + ": truncated while open: expected " + numbers);
  };
  expect_truncated(source->Read({0, 10}).status(), 6, "10 bytes at offset 0, found 6");
  expect_truncated(source->Read({8, 2}).status(), 8, "2 bytes at offset 8, found 0");
  expect_truncated(source->ReadMany({{0, 2}, {5, 2}}).status(), 6, "7 bytes at offset 0, found 6");
  std::string text(10, '?');
  expect_truncated(source->ReadInto({4, 5}, reinterpret_cast<uint8_t*>(text.data())), 6,
                   "5 bytes at offset 4, found 2");
}

TEST(FileSource, ReadManyReadsNeighboursTogetherAndOthersApart) {
  ReadFileMaker maker;
  const auto source = maker.Open(DistinctBytes(1 << 20));
  const auto buffers = source->ReadMany({{0, 10}, {500000, 10}, {8000, 10}, {16203, 10}});
  ASSERT_TRUE(buffers.ok());
  EXPECT_EQ((*buffers)[0].owner(), (*buffers)[2].owner());  // 7,990 bytes between.
  EXPECT_NE((*buffers)[2].owner(), (*buffers)[3].owner());  // 8,193 bytes between.
  EXPECT_NE((*buffers)[3].owner(), (*buffers)[1].owner());
}

TEST(FileSource, ReadManyNeverKeepsMoreThanAMegabyteForASmallRange) {
  ReadFileMaker maker;
  const auto source = maker.Open(DistinctBytes(3 << 20));
  const uint64_t megabyte = 1 << 20;
  const auto buffers = source->ReadMany({{0, megabyte - 5}, {megabyte - 5, 5}, {megabyte, 5}});
  ASSERT_TRUE(buffers.ok());
  EXPECT_EQ((*buffers)[0].owner(), (*buffers)[1].owner());
  EXPECT_NE((*buffers)[1].owner(), (*buffers)[2].owner());
}

}  // namespace
}  // namespace tensorbundle::test_support
