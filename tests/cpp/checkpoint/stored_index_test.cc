#include "checkpoint/stored_index.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/bundle_files.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;
using test_support::Bytes;
using test_support::TemporaryDirectory;
using test_support::WriteBundle;

TEST(StoredIndex, HoldsRecordsAsTheyAre) {
  const TemporaryDirectory directory;
  BundleMaker bundle = Bytes({{"b", "B"}, {"a", "A"}});
  bundle.records["c"] = "anything";
  const std::string prefix = WriteBundle(directory, "m", bundle);
  const auto index = ReadStoredIndex(prefix);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->prefix, prefix);
  EXPECT_EQ(index->header.num_shards, 1);
  EXPECT_EQ(index->header_record, test_support::EncodeHeader(1));
  ASSERT_EQ(index->records.size(), 3u);
  EXPECT_EQ(index->records[0].key, "a");
  EXPECT_EQ(index->records[0].value, bundle.records["a"]);
  EXPECT_EQ(index->records[2].value, "anything");
}

TEST(StoredIndex, KnowsAnotherFile) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string b = WriteBundle(directory, "b", Bytes({{"a", "A"}}));
  EXPECT_EQ(ReadStoredIndex(a)->identity, IndexIdentity(a));
  EXPECT_NE(IndexIdentity(a), IndexIdentity(b));
  EXPECT_EQ(IndexIdentity(directory.File("c")), "");
}

TEST(StoredIndex, RefusesWhatIsNoIndex) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("m.index", test_support::MakeTable({}).bytes);
  const auto empty = ReadStoredIndex(directory.File("m"));
  EXPECT_EQ(empty.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(empty.status().message(), path + ": not a checkpoint index: the table has no entries");
  directory.Write("m.index", test_support::MakeTable({{"a", "b"}}).bytes);
  const auto headless = ReadStoredIndex(directory.File("m"));
  EXPECT_EQ(headless.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(headless.status().message(),
            path + ": not a checkpoint index: its first key is \"a\" and not the header's, which is empty");
  EXPECT_EQ(ReadStoredIndex(directory.File("none")).status().system_error(), ENOENT);
}

TEST(StoredIndex, RefusesKeysOutOfProportion) {
  const TemporaryDirectory directory;
  // Each key has the one before it and a byte of its own.
  test_support::Entries entries = {{"", test_support::EncodeHeader(1)}};
  for (size_t length = 1; length < 8000; ++length) entries.emplace_back(std::string(length, 'k'), "");
  test_support::TableOptions options;
  options.restart_interval = 0;
  directory.Write("m.index", test_support::MakeTable(entries, options).bytes);
  const auto index = ReadStoredIndex(directory.File("m"));
  EXPECT_EQ(index.status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tensorbundle
