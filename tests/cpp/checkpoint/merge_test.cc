#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bundle/entry.h"
#include "bundle/naming.h"
#include "checkpoint/merging.h"
#include "checkpoint/stored_index.h"
#include "io/os_write.h"
#include "slices/key.h"
#include "support/bundle_files.h"
#include "tensorbundle/checkpoint_edits.h"

namespace tensorbundle {
namespace {

using test_support::AsTensorFlowWrites;
using test_support::BundleMaker;
using test_support::Bytes;
using test_support::ExpectMergeIsRefused;
using test_support::FileContent;
using test_support::FilesIn;
using test_support::NamesIn;
using test_support::ReadBytes;
using test_support::RecordAt;
using test_support::Rows;
using test_support::TemporaryDirectory;
using test_support::WriteBundle;
using Tensors = std::map<std::string, std::string>;

namespace fs = std::filesystem;

MergeOptions KeepSources() {
  MergeOptions options;
  options.keep_sources = true;
  return options;
}

TEST(Merge, MakesOneCheckpointOfSeveralAndRemovesThem) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "m_temp/part-0", Bytes({{"a", "AA"}, {"z", "ZZZ"}}));
  const std::string b = WriteBundle(directory, "m_temp/part-1", Bytes({{"b", "B"}}));
  const std::string m = directory.File("m");
  ASSERT_TRUE(MergeCheckpoints({a, b}, m).ok());
  EXPECT_EQ(ReadBytes(m), (Tensors{{"a", "AA"}, {"b", "B"}, {"z", "ZZZ"}}));
  EXPECT_EQ(NamesIn(directory.path()),
            (std::set<std::string>{"m.data-00000-of-00002", "m.data-00001-of-00002", "m.index"}));
  EXPECT_FALSE(fs::exists(directory.File("m_temp")));
}

TEST(Merge, MakesDirectoriesForTheDestination) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  ASSERT_TRUE(MergeCheckpoints({a}, directory.File("new/deep/m")).ok());
  EXPECT_EQ(ReadBytes(directory.File("new/deep/m")), (Tensors{{"a", "A"}}));
}

TEST(Merge, KeepsRecordsButForTheShard) {
  const TemporaryDirectory directory;
  BundleMaker first = Bytes({{"a", "A"}});
  BundleMaker second = Bytes({{"b", "B"}, {"unknown", "U"}});
  test_support::AppendBytesField(99, "unknown field", &second.records["b"]);
  // A dtype that nobody knows.
  second.records["unknown"] = test_support::EncodeRecord({77, {3}, 0, 1, 1, 5, {}});
  const std::string a = WriteBundle(directory, "a", first);
  const std::string b = WriteBundle(directory, "b", second);
  ASSERT_TRUE(MergeCheckpoints({a, b}, directory.File("m")).ok());
  EXPECT_EQ(RecordAt(directory.File("m"), "a"), *WithShard(ByteView(first.records["a"]), 0));
  EXPECT_EQ(RecordAt(directory.File("m"), "b"), *WithShard(ByteView(second.records["b"]), 1));
  EXPECT_EQ(RecordAt(directory.File("m"), "unknown"), *WithShard(ByteView(second.records["unknown"]), 1));
}

TEST(Merge, LinksDataFilesAndCanKeepTheSources) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string b = WriteBundle(directory, "b", Bytes({{"b", "B"}}));
  const std::string m = directory.File("m");
  ASSERT_TRUE(MergeCheckpoints({a, b}, m, KeepSources()).ok());
  EXPECT_TRUE(fs::equivalent(DataPath(a, 0, 1), DataPath(m, 0, 2)));
  EXPECT_TRUE(fs::equivalent(DataPath(b, 0, 1), DataPath(m, 1, 2)));
  EXPECT_EQ(ReadBytes(a), (Tensors{{"a", "A"}}));
  EXPECT_EQ(ReadBytes(m), (Tensors{{"a", "A"}, {"b", "B"}}));
}

TEST(Merge, FollowsLinksAndRemovesThemOnly) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "store/a", Bytes({{"a", "A"}}));
  const std::string link = directory.File("link");
  fs::create_symlink(IndexPath(a), IndexPath(link));
  fs::create_symlink(DataPath(a, 0, 1), DataPath(link, 0, 1));
  ASSERT_TRUE(MergeCheckpoints({link}, directory.File("m")).ok());
  EXPECT_EQ(ReadBytes(directory.File("m")), (Tensors{{"a", "A"}}));
  EXPECT_EQ(ReadBytes(a), (Tensors{{"a", "A"}}));
  EXPECT_FALSE(fs::is_symlink(IndexPath(link)));
}

TEST(Merge, CopiesWhatCantBeLinked) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string m = "/dev/shm/tensorbundle-merge-" + fs::path(directory.path()).filename().string();
  if (!fs::is_directory("/dev/shm") || fs::space("/dev/shm").available < 1 << 20) GTEST_SKIP() << "no /dev/shm";
  ASSERT_TRUE(MergeCheckpoints({a}, m, KeepSources()).ok());
  EXPECT_EQ(fs::hard_link_count(DataPath(m, 0, 1)), 1u);
  EXPECT_EQ(ReadBytes(m), (Tensors{{"a", "A"}}));
  fs::remove(DataPath(m, 0, 1));
  fs::remove(IndexPath(m));
}

TEST(Merge, CountsOnlyDataFilesThatATensorIsIn) {
  const TemporaryDirectory directory;
  BundleMaker sparse(3);
  sparse.Add("x", 4, {1}, "X", 2);
  sparse.Add("y", 4, {0}, "", 0);  // TensorFlow opens the file of a tensor without bytes, too.
  const std::string a = WriteBundle(directory, "a", sparse);
  const std::string empty = WriteBundle(directory, "empty", BundleMaker());
  const std::string b = WriteBundle(directory, "b", Bytes({{"b", "B"}}));
  const std::string m = directory.File("m");
  ASSERT_TRUE(MergeCheckpoints({a, empty, b}, m).ok());
  EXPECT_EQ(NamesIn(directory.path()), (std::set<std::string>{"m.data-00000-of-00003", "m.data-00001-of-00003",
                                                              "m.data-00002-of-00003", "m.index"}));
  EXPECT_EQ(ReadBytes(m), (Tensors{{"b", "B"}, {"x", "X"}, {"y", ""}}));
  EXPECT_EQ(ReadStoredIndex(m)->header.num_shards, 3);
}

TEST(Merge, TakesWhatItHasMergedBefore) {
  const TemporaryDirectory directory;
  const auto part = [&](const std::string& name) { return WriteBundle(directory, name, Bytes({{name, name}})); };
  ASSERT_TRUE(MergeCheckpoints({part("a"), part("b")}, directory.File("ab")).ok());
  ASSERT_TRUE(MergeCheckpoints({part("c"), part("d")}, directory.File("cd")).ok());
  ASSERT_TRUE(MergeCheckpoints({directory.File("cd"), directory.File("ab")}, directory.File("m")).ok());
  EXPECT_EQ(ReadBytes(directory.File("m")), (Tensors{{"a", "a"}, {"b", "b"}, {"c", "c"}, {"d", "d"}}));
  EXPECT_EQ(NamesIn(directory.path()).size(), 5u);
}

TEST(Merge, RefusesATensorThatTwoHave) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "1"}, {"y", "2"}}));
  const std::string b = WriteBundle(directory, "b", Bytes({{"y", "2"}, {"z", "3"}}));
  ExpectMergeIsRefused(directory, {b, a}, directory.File("m"), StatusCode::kInvalidArgument,
                       "tensor \"y\": it is both in " + b + " and in " + a);
  // Pieces that no tensor lists.
  BundleMaker orphan;
  orphan.AddPiece("w", Rows(0, 1), 4, {1}, "a");
  const std::string c = WriteBundle(directory, "c", orphan);
  const std::string d = WriteBundle(directory, "d", orphan);
  ExpectMergeIsRefused(directory, {c, d}, directory.File("m"), StatusCode::kInvalidArgument,
                       "tensor \"\\x00w\\x00\\x01\\x01\\x01\\x80\\x81\": it is both in " + c + " and in " + d);
}

TEST(Merge, RefusesWhatCantBeMerged) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string m = directory.File("m");
  const auto invalid = StatusCode::kInvalidArgument;
  ExpectMergeIsRefused(directory, {}, m, invalid, "there is nothing to merge: no checkpoint is given");
  ExpectMergeIsRefused(directory, {a, a}, m, invalid, a + ": this checkpoint is given twice");
  ExpectMergeIsRefused(directory, {a, directory.File("./a")}, m, invalid,
                       directory.File("./a") + ": this checkpoint is given twice");
  ExpectMergeIsRefused(directory, {a}, directory.File("./a"), invalid,
                       a + ": the destination is one of the checkpoints that are merged");
  const std::string as_directory =
      ": a checkpoint's path ends with its name, as in run/model.ckpt-100; this names a directory";
  ExpectMergeIsRefused(directory, {a}, directory.path() + "/", invalid, directory.path() + "/" + as_directory);
  ExpectMergeIsRefused(directory, {a}, std::string("m\0", 2), invalid, "a path may not contain a NUL byte");
  const std::string empty = WriteBundle(directory, "empty", BundleMaker());
  ExpectMergeIsRefused(directory, {empty}, m, invalid, "there is nothing to merge: the checkpoints hold no tensor");
}

TEST(Merge, RefusesCheckpointsOfTwoKinds) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  BundleMaker big(1, 1);
  big.Add("b", 4, {1}, "B");
  const std::string b = WriteBundle(directory, "b", big);
  const std::string c = WriteBundle(directory, "c", BundleMaker());
  std::string header;
  test_support::AppendVarintField(1, 1, &header);
  test_support::AppendBytesField(3, std::string("\x08\x02", 2), &header);
  directory.Write("c.index", test_support::MakeTable({{"", header}}).bytes);
  ExpectMergeIsRefused(directory, {a, b}, directory.File("m"), StatusCode::kInvalidArgument,
                       a + " and " + b + " can't be merged: they differ in byte order");
  ExpectMergeIsRefused(directory, {a, c}, directory.File("m"), StatusCode::kInvalidArgument,
                       a + " and " + c + " can't be merged: they differ in the version of the format");
}

TEST(Merge, KeepsByteOrderAndVersion) {
  const TemporaryDirectory directory;
  BundleMaker big(1, 1);
  big.Add("b", 5, {1}, std::string("\x01\x02", 2));
  const std::string b = WriteBundle(directory, "b", big);
  ASSERT_TRUE(MergeCheckpoints({b}, directory.File("m")).ok());
  const auto index = ReadStoredIndex(directory.File("m"));
  EXPECT_TRUE(index->header.foreign_byte_order);
  EXPECT_EQ(index->header.version, "\x08\x01");
}

TEST(Merge, NamesEverySourceThatIsMissing) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string x = directory.File("x");
  const std::string y = directory.File("y");
  ExpectMergeIsRefused(directory, {x, a, y}, directory.File("m"), StatusCode::kIo,
                       "open " + x + ".index, " + y + ".index: No such file or directory");
  EXPECT_EQ(MergeCheckpoints({x}, directory.File("m")).system_error(), ENOENT);
}

TEST(Merge, LooksAtDataFilesFirst) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string b = WriteBundle(directory, "b", Bytes({{"b", "BBBB"}, {"c", "C"}}));
  const std::string data = directory.Write("b.data-00000-of-00001", "BBB");
  ExpectMergeIsRefused(directory, {a, b}, directory.File("m"), StatusCode::kDataLoss,
                       "tensor \"b\": " + data + ": truncated: 4 bytes at 0 are expected, the file has 3");
  fs::remove(data);
  ExpectMergeIsRefused(directory, {a, b}, directory.File("m"), StatusCode::kIo,
                       "open " + data + ": No such file or directory");
}

TEST(Merge, RefusesADamagedIndex) {
  const TemporaryDirectory directory;
  BundleMaker bundle = Bytes({{"a", "A"}, {"b", "B"}});
  bundle.records["b"] = test_support::EncodeRecord({4, {1}, 5, 0, 1, 0, {}});
  const std::string a = WriteBundle(directory, "a", bundle);
  ExpectMergeIsRefused(directory, {a}, directory.File("m"), StatusCode::kDataLoss,
                       a + ".index: tensor \"b\": shard 5 does not exist: there are 1");
  directory.Write("a.index", "no table");
  EXPECT_EQ(MergeCheckpoints({a}, directory.File("m")).code(), StatusCode::kDataLoss);
  EXPECT_EQ(MergeCheckpoints({a}, directory.File("m")).path(), a + ".index");
}

TEST(Merge, TakesThePlaceOfAnOldCheckpoint) {
  const TemporaryDirectory directory;
  BundleMaker old(2);
  old.Add("old", 4, {3}, "old", 0);
  old.Add("older", 4, {5}, "older", 1);
  const std::string m = WriteBundle(directory, "m", old);
  const auto reader = Checkpoint::Open(m);
  const std::string a = WriteBundle(directory, "a", AsTensorFlowWrites(Bytes({{"a", "AAA"}, {"c", "C"}})));
  const std::string b = WriteBundle(directory, "b", Bytes({{"b", "B"}}));
  ASSERT_TRUE(MergeCheckpoints({a, b}, m).ok());
  EXPECT_EQ(ReadBytes(m), (Tensors{{"a", "AAA"}, {"b", "B"}, {"c", "C"}}));
  EXPECT_EQ(reader->Read("older")->data.view().AsText(), "older");
  // One data file more, so that the names differ from the old ones; and a tensor in it.
  EXPECT_EQ(NamesIn(directory.path()), (std::set<std::string>{"m.data-00000-of-00003", "m.data-00001-of-00003",
                                                              "m.data-00002-of-00003", "m.index"}));
  const auto merged = Checkpoint::Open(m);
  EXPECT_EQ(merged->Find("a")->shard, 0);
  EXPECT_EQ(merged->Find("b")->shard, 1);
  EXPECT_EQ(merged->Find("c")->shard, 2);
  EXPECT_EQ(FileContent(DataPath(m, 2, 3)), "C");
}

TEST(Merge, MovesNothingThatItDoesNotUnderstandOrThatWouldLeaveADataFileEmpty) {
  const TemporaryDirectory directory;
  BundleMaker old(2);
  old.Add("old", 4, {3}, "old", 1);
  const std::string m = WriteBundle(directory, "m", old);
  BundleMaker strange = Bytes({{"a", "AAA"}, {"c", "C"}});
  test_support::AppendBytesField(99, "unknown field", &strange.records["a"]);
  test_support::AppendBytesField(99, "unknown field", &strange.records["c"]);
  const std::string a = WriteBundle(directory, "a", strange);
  const std::string b = WriteBundle(directory, "b", Bytes({{"b", "B"}}));
  ASSERT_TRUE(MergeCheckpoints({a, b}, m).ok());
  EXPECT_EQ(ReadBytes(m), (Tensors{{"a", "AAA"}, {"b", "B"}, {"c", "C"}}));
  EXPECT_EQ(FileContent(DataPath(m, 2, 3)), "");
}

TEST(Merge, AnyFailureLeavesSourcesWhole) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "parts_temp/a", Bytes({{"a", "A"}}));
  const std::string b = WriteBundle(directory, "parts_temp/b", Bytes({{"b", "B"}}));
  // Something that can't be replaced has the name of the index, or of a data file.
  for (const char* taken : {"m.index", "m.data-00001-of-00002"}) {
    fs::create_directories(directory.File(taken) + "/in");
    const auto before = FilesIn(directory.path());
    const Status status = MergeCheckpoints({a, b}, directory.File("m"));
    EXPECT_EQ(status.code(), StatusCode::kIo);
    EXPECT_EQ(status.system_error(), EISDIR) << taken;
    EXPECT_EQ(FilesIn(directory.path()), before);
    EXPECT_EQ(fs::hard_link_count(DataPath(a, 0, 1)), 1u);
    fs::remove_all(directory.File(taken));
  }
  directory.Write("file", "");
  EXPECT_EQ(MergeCheckpoints({a, b}, directory.File("file/m")).code(), StatusCode::kIo);
  EXPECT_EQ(ReadBytes(a), (Tensors{{"a", "A"}}));
  EXPECT_EQ(ReadBytes(b), (Tensors{{"b", "B"}}));
}

TEST(Merge, RemovesWhatAKilledMergeLeft) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  const std::string others = directory.Write("m.data-x.data-00000.tmp-0123456789abcdef", "");
  // A further name of the file that is linked again.
  fs::create_hard_link(DataPath(a, 0, 1), directory.File("m.data-00000.tmp-0123456789abcdef"));
  ASSERT_TRUE(MergeCheckpoints({a}, directory.File("m")).ok());
  EXPECT_EQ(NamesIn(directory.path()),
            (std::set<std::string>{"m.data-00000-of-00001", "m.data-x.data-00000.tmp-0123456789abcdef", "m.index"}));
}

TEST(Merge, RemovesOnlyDirectoriesThatTensorFlowMadeForParts) {
  const TemporaryDirectory directory;
  const std::string hex = "0123456789abcdef0123456789abcdef";
  const auto merge_from = [&](const std::string& name) {
    const std::string part = WriteBundle(directory, name + "/part", Bytes({{"a", "A"}}));
    EXPECT_TRUE(MergeCheckpoints({part}, directory.File("m")).ok());
    return fs::exists(directory.File(name));
  };
  EXPECT_FALSE(merge_from("m_temp"));
  EXPECT_FALSE(merge_from("m_temp_" + hex));
  EXPECT_TRUE(merge_from("parts"));
  EXPECT_TRUE(merge_from("_temp"));
  EXPECT_TRUE(merge_from("m_temporary"));
  EXPECT_TRUE(merge_from("m_temp_" + hex + "0"));
  EXPECT_TRUE(merge_from("m_temp_" + hex.substr(1) + "x"));
  EXPECT_TRUE(merge_from("m_temp_x" + hex.substr(1)));
  fs::create_directory(directory.File("other_temp"));
  directory.Write("other_temp/note", "");
  EXPECT_TRUE(merge_from("other_temp"));
}

TEST(Merge, RemovesDataFilesOfTheSourceAlone) {
  const TemporaryDirectory directory;
  BundleMaker bundle(2);
  bundle.Add("a", 4, {1}, "A", 0);
  const std::string a = WriteBundle(directory, "a", bundle);
  for (const char* other : {"a.data-00000-of-00003", "a.data-00000-of-00002x", "aa.data-00000-of-00002", "a.meta"}) {
    directory.Write(other, "");
  }
  ASSERT_TRUE(MergeCheckpoints({a}, directory.File("m")).ok());
  EXPECT_EQ(NamesIn(directory.path()),
            (std::set<std::string>{"a.data-00000-of-00002x", "a.data-00000-of-00003", "a.meta",
                                   "aa.data-00000-of-00002", "m.data-00000-of-00001", "m.index"}));
}

TEST(Merge, NoticesASaveThatComesBetween) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  MergeOptions options;
  options.progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.total_bytes, 1u);
    EXPECT_EQ(progress.done_bytes, 1u);
    WriteBundle(directory, "a", Bytes({{"a", "B"}, {"b", "B"}}));
    return Status();
  };
  const Status status = MergeCheckpoints({a}, directory.File("m"), options);
  EXPECT_EQ(status.system_error(), EBUSY);
  EXPECT_EQ(status.message(), "another save takes the place of " + a + ".index: Device or resource busy");
  EXPECT_EQ(NamesIn(directory.path()), (std::set<std::string>{"a.data-00000-of-00001", "a.index"}));
}

TEST(Merge, LeavesASourceThatSomebodyHasSavedAnew) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "run/a", Bytes({{"a", "A"}}));
  // While the merge waits for this lock to remove the source, another save takes its place.
  auto lock = os::DirectoryLock::Acquire(directory.File("run"), nullptr);
  ASSERT_TRUE(lock.ok());
  std::optional<os::DirectoryLock> held = *std::move(lock);
  MergeOptions options;
  options.progress = [&](const Progress& progress) {
    if (progress.total_bytes != 0 || !held) return Status();
    fs::remove(DataPath(a, 0, 1));
    fs::remove(IndexPath(a));
    WriteBundle(directory, "run/a", Bytes({{"new", "NEW"}}));
    held.reset();
    return Status();
  };
  ASSERT_TRUE(MergeCheckpoints({a}, directory.File("m"), options).ok());
  EXPECT_FALSE(held.has_value());
  EXPECT_EQ(ReadBytes(directory.File("m")), (Tensors{{"a", "A"}}));
  EXPECT_EQ(ReadBytes(a), (Tensors{{"new", "NEW"}}));
}

TEST(Merge, StopsWhenTheCallerHasEnough) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"a", "A"}}));
  MergeOptions options;
  options.progress = [](const Progress&) { return Status(StatusCode::kExternal, "enough"); };
  ExpectMergeIsRefused(directory, {a}, directory.File("m"), StatusCode::kExternal, "enough", options);
}

}  // namespace
}  // namespace tensorbundle
