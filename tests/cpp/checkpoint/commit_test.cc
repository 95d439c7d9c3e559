#include "checkpoint/commit.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "bundle/naming.h"
#include "io/temporary_directory.h"
#include "support/bundle_maker.h"
#include "tensorbundle/checkpoint.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;
using test_support::TemporaryDirectory;
namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

// What temporaries of killed writers end with: nobody holds their locks.
const char* const kDead = ".tmp-0123456789abcdef";

// An index for so many shards, of one tensor "w" with these bytes at the beginning of the first.
std::string IndexOf(int32_t num_shards, const std::string& bytes) {
  BundleMaker bundle(num_shards);
  bundle.Add("w", 6, {static_cast<int64_t>(bytes.size())}, bytes);
  return bundle.Index();
}

class Commit : public ::testing::Test {
 protected:
  std::string File(const std::string& name) const { return directory_.File(name); }
  std::string Write(const std::string& name, const std::string& content) const {
    return directory_.Write(name, content);
  }
  Texts Names() const {
    const auto names = os::ListDirectory(directory_.path());
    EXPECT_TRUE(names.ok());
    return names.ok() ? *names : Texts();
  }
  std::string ReadAll(const std::string& name) const {
    std::ifstream file(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  // The bytes of "w" in the checkpoint at prefix().
  std::string ReadTensor() const {
    const auto checkpoint = Checkpoint::Open(prefix());
    if (!checkpoint.ok()) return checkpoint.status().message();
    const auto tensor = checkpoint->Read("w");
    return tensor.ok() ? std::string(tensor->data.view().AsText()) : tensor.status().message();
  }
  const std::string& prefix() const { return prefix_; }

  // Data files with these bytes, and an index that goes with them.
  NewBundle Bundle(const Texts& contents) {
    NewBundle bundle;
    for (const std::string& content : contents) {
      auto file = CreateDataFile(prefix(), static_cast<int32_t>(bundle.data.size()));
      EXPECT_TRUE(file.ok()) << file.status().message();
      EXPECT_TRUE(file->WriteAt(0, ByteView(content)).ok());
      bundle.data.push_back(std::move(*file));
    }
    bundle.encode_index = [bytes = contents.front()](int32_t num_shards) { return IndexOf(num_shards, bytes); };
    bundle.fill_added_shard = [this](const os::TemporaryFile& file, int32_t shard) {
      filled_.push_back(shard);
      return file.WriteAt(0, ByteView("added"));
    };
    return bundle;
  }
  Status CommitBytes(const Texts& contents, const CommitOptions& options = {false, 2, nullptr}) {
    NewBundle bundle = Bundle(contents);
    return CommitBundle(prefix(), &bundle, options);
  }

  const TemporaryDirectory directory_;
  const std::string prefix_ = directory_.File("model");
  std::vector<int32_t> filled_;  // Shards that were.
};

TEST_F(Commit, NamesAllFilesOfAFreshPrefix) {
  ASSERT_TRUE(CommitBytes({"first", "second"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"}));
  EXPECT_EQ(ReadAll("model.data-00000-of-00002"), "first");
  EXPECT_EQ(ReadAll("model.data-00001-of-00002"), "second");
  EXPECT_EQ(ReadTensor(), "first");
  EXPECT_TRUE(filled_.empty());
}

TEST_F(Commit, MakesTheSameFilesIfTheyAreToSurviveAPowerCut) {
  ASSERT_TRUE(CommitBytes({"first", "second"}, {true, 0, nullptr}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"}));
  ASSERT_TRUE(CommitBytes({"third", "fourth"}, {true, 0, nullptr}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00003", "model.data-00001-of-00003", "model.data-00002-of-00003",
                            "model.index"}));
  EXPECT_EQ(ReadTensor(), "third");
}

TEST_F(Commit, TakesAnotherNumberOfShardsThanTheOldIndexHas) {
  ASSERT_TRUE(CommitBytes({"one"}).ok());
  ASSERT_TRUE(CommitBytes({"two"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"}));
  EXPECT_EQ(ReadTensor(), "two");
  EXPECT_EQ(ReadAll("model.data-00001-of-00002"), "added");
  EXPECT_EQ(filled_, std::vector<int32_t>{1});
  ASSERT_TRUE(CommitBytes({"three"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(ReadTensor(), "three");
  EXPECT_EQ(filled_, std::vector<int32_t>{1});
}

TEST_F(Commit, LeavesTheOldCheckpointToThoseWhoHaveIt) {
  ASSERT_TRUE(CommitBytes({"old"}).ok());
  const auto old = Checkpoint::Open(prefix());
  ASSERT_TRUE(old.ok());
  ASSERT_TRUE(CommitBytes({"new"}).ok());
  EXPECT_EQ(old->Read("w")->data.view().AsText(), "old");
}

TEST_F(Commit, AsksForTheIndexOnlyOnceItsNumberOfShardsIsKnown) {
  ASSERT_TRUE(CommitBytes({"a", "b"}).ok());
  NewBundle bundle = Bundle({"c", "d"});
  std::vector<int32_t> asked;
  bundle.encode_index = [&](int32_t num_shards) {
    asked.push_back(num_shards);
    EXPECT_EQ(filled_, std::vector<int32_t>{2});
    return IndexOf(num_shards, "c");
  };
  ASSERT_TRUE(CommitBundle(prefix(), &bundle, {}).ok());
  EXPECT_EQ(asked, std::vector<int32_t>{3});
}

TEST_F(Commit, AddsAnEmptyShardIfNobodyFillsIt) {
  ASSERT_TRUE(CommitBytes({"a"}).ok());
  NewBundle bundle = Bundle({"b"});
  bundle.fill_added_shard = nullptr;
  ASSERT_TRUE(CommitBundle(prefix(), &bundle, {}).ok());
  EXPECT_EQ(ReadAll("model.data-00001-of-00002"), "");
  EXPECT_EQ(ReadTensor(), "b");
}

TEST_F(Commit, AvoidsEveryNumberThatADamagedIndexMayMean) {
  Write("model.index", "no table");
  Write("model.data-00000-of-00001", "of the damaged");
  Write("model.data-00001-of-00002", "of the damaged, too");
  ASSERT_TRUE(CommitBytes({"whole"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00003", "model.data-00001-of-00003", "model.data-00002-of-00003",
                            "model.index"}));
  EXPECT_EQ(ReadTensor(), "whole");
  EXPECT_EQ(filled_, std::vector<int32_t>{1});
  EXPECT_EQ(ReadAll("model.data-00002-of-00003"), "");
}

TEST_F(Commit, ReplacesADamagedIndexWithoutDataFiles) {
  Write("model.index", "");
  ASSERT_TRUE(CommitBytes({"whole"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(ReadTensor(), "whole");
}

TEST_F(Commit, ReplacesDataFilesThatNoIndexNamesAndLeavesOthers) {
  Write("model.data-00000-of-00001", "whose?");
  Write("model.data-00000-of-00007", "whose?");
  ASSERT_TRUE(CommitBytes({"mine"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.data-00000-of-00007", "model.index"}));
  EXPECT_EQ(ReadAll("model.data-00000-of-00001"), "mine");
}

TEST_F(Commit, RemovesWhatKilledWritersLeft) {
  // One had named its three data files already, and its index not; one had not come that far.
  Write("model.data-00000-of-00003", "named");
  Write("model.data-00002-of-00003", "named");
  Write(std::string("model.index") + kDead, IndexOf(3, "named"));
  Write(std::string("model.data-00004") + kDead, "unnamed");
  Write("model.index.tmp-fedcba9876543210", "half an ind");
  Write("model.data-00000-of-00009", "of nobody who is known");
  ASSERT_TRUE(CommitBytes({"mine"}).ok());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.data-00000-of-00009", "model.index"}));
}

TEST_F(Commit, KeepsTheOldDataThoughAKilledWriterHadAsManyShards) {
  ASSERT_TRUE(CommitBytes({"old"}).ok());
  Write(std::string("model.index") + kDead, IndexOf(1, "dead"));
  NewBundle bundle = Bundle({"new"});
  bundle.encode_index = [](int32_t) { return Status(StatusCode::kExternal, "not now"); };
  EXPECT_EQ(CommitBundle(prefix(), &bundle, {}).message(), "not now");
  bundle = NewBundle();
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(ReadTensor(), "old");
}

TEST_F(Commit, LeavesTheTemporariesOfThoseWhoAreWriting) {
  const auto data = CreateDataFile(prefix(), 0);
  const auto index = os::TemporaryFile::Create(IndexPath(prefix()));
  ASSERT_TRUE(data.ok() && index.ok());
  ASSERT_TRUE(index->WriteAt(0, ByteView(IndexOf(4, "theirs"))).ok());
  Write("model.data-00000-of-00004", "theirs");
  ASSERT_TRUE(CommitBytes({"mine"}).ok());
  EXPECT_TRUE(fs::exists(data->path()));
  EXPECT_TRUE(fs::exists(index->path()));
  EXPECT_TRUE(fs::exists(File("model.data-00000-of-00004")));
  EXPECT_EQ(Names().size(), 5u);
}

TEST_F(Commit, LeavesTheFilesOfOtherPrefixes) {
  const Texts others = {"model-1.index",
                        "model-1.data-00000-of-00001",
                        "model.index.data-00000-of-00001",
                        "model.index.index",
                        "model.data-00000-of-00001.index",
                        "model2.data-00000-of-00001",
                        "model.data-1-of-1",
                        std::string("model-1.index") + kDead,
                        std::string("model-1.data-00000") + kDead,
                        std::string("model.index.index") + kDead,
                        std::string("model.data-00000-of-00001.index") + kDead,
                        std::string("model.data-00000.index") + kDead,
                        std::string("model.index") + kDead + ".index" + kDead,
                        std::string("model") + kDead,
                        std::string("mode.index") + kDead};
  for (const std::string& name : others) Write(name, IndexOf(1, name));
  ASSERT_TRUE(CommitBytes({"one"}).ok());
  ASSERT_TRUE(CommitBytes({"two"}).ok());
  for (const std::string& name : others) EXPECT_EQ(ReadAll(name), IndexOf(1, name)) << name;
  EXPECT_EQ(Names().size(), others.size() + 3);
}

TEST_F(Commit, TakesANameInTheWorkingDirectoryForAPrefix) {
  const fs::path before = fs::current_path();
  fs::current_path(directory_.path());
  for (const int32_t num_shards : {1, 2, 1}) {
    NewBundle bundle;
    auto file = CreateDataFile("model", 0);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->WriteAt(0, ByteView("here")).ok());
    bundle.data.push_back(std::move(*file));
    bundle.encode_index = [](int32_t shards) { return IndexOf(shards, "here"); };
    EXPECT_TRUE(CommitBundle("model", &bundle, {}).ok());
    EXPECT_EQ(FindNumShards("model"), num_shards);
    EXPECT_EQ(Names().size(), static_cast<size_t>(num_shards) + 1);
  }
  fs::current_path(before);
}

TEST_F(Commit, ChangesNothingIfTheIndexCannotHaveItsName) {
  fs::create_directories(File("model.index/in the way"));
  const Status status = CommitBytes({"a", "b"});
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EISDIR);
  EXPECT_EQ(status.path(), File("model.index"));
  EXPECT_EQ(Names(), Texts{"model.index"});
}

TEST_F(Commit, KeepsTheOldCheckpointIfADataFileCannotHaveItsName) {
  ASSERT_TRUE(CommitBytes({"old"}).ok());
  fs::create_directories(File("model.data-00001-of-00002/in the way"));
  const Status status = CommitBytes({"a", "b"}, {true, 0, nullptr});
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EISDIR);
  EXPECT_EQ(status.path(), File("model.data-00001-of-00002"));
  // The first of them had its name.
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.data-00001-of-00002", "model.index"}));
  EXPECT_EQ(ReadTensor(), "old");
}

TEST_F(Commit, KeepsTheOldCheckpointIfTheNewOneCannotBeMade) {
  ASSERT_TRUE(CommitBytes({"old"}).ok());
  NewBundle no_index = Bundle({"new"});
  no_index.encode_index = [](int32_t) { return Status(StatusCode::kResourceExhausted, "no index"); };
  EXPECT_EQ(CommitBundle(prefix(), &no_index, {}).code(), StatusCode::kResourceExhausted);
  no_index = NewBundle();
  NewBundle not_filled = Bundle({"new"});
  not_filled.fill_added_shard = [](const os::TemporaryFile&, int32_t) { return Status(StatusCode::kDataLoss, "lost"); };
  EXPECT_EQ(CommitBundle(prefix(), &not_filled, {}).code(), StatusCode::kDataLoss);
  not_filled = NewBundle();
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(ReadTensor(), "old");
}

TEST_F(Commit, WaitsForOtherWritersWhileTheCallerIsPatient) {
  const auto lock = os::DirectoryLock::Acquire(directory_.path(), nullptr);
  ASSERT_TRUE(lock.ok() && lock->held());
  int polls = 0;
  const auto poll = [&polls] { return ++polls == 3 ? Status(StatusCode::kExternal, "enough") : Status(); };
  const Status status = CommitBytes({"new"}, {false, 0, poll});
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(status.message(), "enough");
  EXPECT_EQ(polls, 3);
  EXPECT_EQ(Names(), Texts());
}

// Expects that others wait for the directory now.
void ExpectLocked(const std::string& directory) {
  const auto poll = [] { return Status(StatusCode::kExternal, "locked"); };
  EXPECT_EQ(os::DirectoryLock::Acquire(directory, poll).status().message(), "locked");
}

TEST_F(Commit, KeepsOtherWritersOut) {
  NewBundle bundle = Bundle({"new"});
  bundle.encode_index = [this](int32_t num_shards) {
    ExpectLocked(directory_.path());
    return IndexOf(num_shards, "new");
  };
  ASSERT_TRUE(CommitBundle(prefix(), &bundle, {}).ok());
  EXPECT_EQ(ReadTensor(), "new");
}

// A bundle without data files of its own, as CommitUpdate takes it.
std::function<Result<NewBundle>()> IndexAlone(std::function<Result<std::string>()> encode) {
  return [encode = std::move(encode)]() -> Result<NewBundle> {
    NewBundle bundle;
    bundle.encode_index = [encode](int32_t) { return encode(); };
    return bundle;
  };
}

TEST_F(Commit, ReplacesAnIndexOverTheSameData) {
  ASSERT_TRUE(CommitBytes({"data"}).ok());
  Write(std::string("model.index") + kDead, "half an ind");
  const auto encode = [this]() -> Result<std::string> {
    ExpectLocked(directory_.path());
    return IndexOf(1, "dat");
  };
  for (const bool durable : {false, true}) {
    ASSERT_TRUE(CommitUpdate(prefix(), IndexAlone(encode), {durable, 0, nullptr}).ok());
    EXPECT_EQ(ReadTensor(), "dat");
  }
  EXPECT_EQ(ReadAll("model.data-00000-of-00001"), "data");
}

TEST_F(Commit, LeavesTheOldIndexIfThereIsNoNewOne) {
  ASSERT_TRUE(CommitBytes({"data"}).ok());
  const auto encode = []() -> Result<std::string> { return Status(StatusCode::kDataLoss, "damaged"); };
  EXPECT_EQ(CommitUpdate(prefix(), IndexAlone(encode), {}).message(), "damaged");
  fs::remove(File("model.index"));
  fs::create_directories(File("model.index/in the way"));
  EXPECT_EQ(CommitUpdate(prefix(), IndexAlone([] { return IndexOf(1, "data"); }), {}).system_error(), EISDIR);
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
}

TEST_F(Commit, SaysThatThereIsNoDirectory) {
  const auto file = CreateDataFile(File("absent/model"), 0);
  EXPECT_EQ(file.status().system_error(), ENOENT);
  EXPECT_EQ(CommitUpdate(File("absent/model"), IndexAlone([] { return IndexOf(1, ""); }), {}).system_error(), ENOENT);
}

TEST_F(Commit, NamesTemporariesAfterTheirShard) {
  const auto file = CreateDataFile(prefix(), 7);
  const auto wide = CreateDataFile(prefix(), 123456);
  ASSERT_TRUE(file.ok() && wide.ok());
  const std::string start = File("model.data-00007.tmp-");
  EXPECT_EQ(file->path().substr(0, start.size()), start);
  const std::string wide_start = File("model.data-123456.tmp-");
  EXPECT_EQ(wide->path().substr(0, wide_start.size()), wide_start);
}

TEST_F(Commit, FindsTheNumberOfShardsInTheIndex) {
  EXPECT_EQ(FindNumShards(prefix()), 0);
  Write("model.index", IndexOf(5, ""));
  EXPECT_EQ(FindNumShards(prefix()), 5);
  Write("model.index", IndexOf(5, "").substr(1));
  EXPECT_EQ(FindNumShards(prefix()), 0);
  Write("model.index", test_support::MakeTable({{"w", "no header"}}).bytes);
  EXPECT_EQ(FindNumShards(prefix()), 0);
  Write("model.index", test_support::MakeTable({}).bytes);
  EXPECT_EQ(FindNumShards(prefix()), 0);
}

}  // namespace
}  // namespace tensorbundle
