#include "io/process.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "io/temporary_directory.h"

namespace tensorbundle::os {
namespace {

TEST(CurrentProcess, IsAnotherInAForkedChild) {
  const int parent = CurrentProcess();
  EXPECT_EQ(parent, getpid());
  const pid_t child = fork();
  if (child == 0) _exit(CurrentProcess() == getpid() && CurrentProcess() != parent ? 0 : 1);
  int outcome = -1;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  EXPECT_EQ(outcome, 0);
}

TEST(AbsolutePath, BeginsWithTheWorkingDirectory) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(AbsolutePath("/a/b"), "/a/b");
  EXPECT_EQ(AbsolutePath("a/b"), here + "/a/b");
  EXPECT_EQ(AbsolutePath("../b"), here + "/../b");
  EXPECT_EQ(AbsolutePath(""), here + "/");
}

TEST(AbsolutePath, StaysRelativeWhereTheWorkingDirectoryCannotBeReached) {
  const test_support::TemporaryDirectory directory;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::create_directory(directory.File("gone"));
  std::filesystem::current_path(directory.File("gone"));
  std::filesystem::remove(directory.File("gone"));
  const std::string path = AbsolutePath("a/b");
  std::filesystem::current_path(before);
  EXPECT_EQ(path, "a/b");
}

TEST(CheckCanOpen, SaysWhatTheLimitIsAndHowManyAreOpen) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit lowered = before;
  lowered.rlim_cur = 200;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  EXPECT_TRUE(CheckCanOpen(100, "run/model").ok());
  const Status status = CheckCanOpen(200, "run/model");
  EXPECT_TRUE(CheckCanOpen(15, "run/model").ok());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(status.system_error(), EMFILE);
  EXPECT_EQ(status.path(), "run/model");
  const std::string start =
      "200 data files are to be open at once, and of the 200 files that this process may have open ";
  EXPECT_EQ(status.message().substr(0, start.size()), start);
  const std::string end =
      " are already; raise the limit (ulimit -n) or make fewer data files: write run/model: Too many open files";
  EXPECT_EQ(status.message().substr(status.message().find(" are already")), end);
}

}  // namespace
}  // namespace tensorbundle::os
