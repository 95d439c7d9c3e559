#include "io/os_write.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/mount.h>
#endif

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/temporary_directory.h"
#include "support/source_conformance.h"

namespace tensorbundle::os {
namespace {

using test_support::DistinctBytes;
using test_support::TemporaryDirectory;
namespace fs = std::filesystem;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TemporaryFile Create(const std::string& target) {
  auto file = TemporaryFile::Create(target);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? std::move(*file) : TemporaryFile();
}

std::vector<std::string> Leftovers(const std::string& prefix) {
  const auto leftovers = FindLeftovers(prefix);
  EXPECT_TRUE(leftovers.ok()) << leftovers.status().message();
  return leftovers.ok() ? *leftovers : std::vector<std::string>{"failed"};
}

std::vector<std::string> Names(const std::string& directory) {
  const auto names = ListDirectory(directory);
  EXPECT_TRUE(names.ok()) << names.status().message();
  return names.ok() ? *names : std::vector<std::string>{"failed"};
}

void ExpectSystemError(const Status& status, int system_error, const std::string& path, const std::string& action) {
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), system_error);
  EXPECT_EQ(status.path(), path);
  EXPECT_EQ(status.message(), action + " " + path + ": " + std::strerror(system_error));
}

// A process that does `work` and then waits to be killed, which happens at the latest when this goes away.
class Child {
 public:
  // Returns once `work` is done.
  explicit Child(const std::function<void()>& work) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    process_ = fork();
    if (process_ == 0) {
      work();
      [[maybe_unused]] const ssize_t written = write(ends[1], "x", 1);
      while (true) pause();
    }
    close(ends[1]);
    char byte;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    close(ends[0]);
  }
  ~Child() { Kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Kill() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    EXPECT_EQ(waitpid(process_, nullptr, 0), process_);
    process_ = 0;
  }

 private:
  pid_t process_ = 0;
};

// Does `work` in a process of its own, to its end.
void InAnotherProcess(const std::function<void()>& work) {
  const pid_t process = fork();
  if (process == 0) {
    work();
    _exit(0);
  }
  int outcome = -1;
  ASSERT_EQ(waitpid(process, &outcome, 0), process);
  EXPECT_EQ(outcome, 0);
}

#if defined(__linux__)
// A tmpfs of 64 KiB in a directory of its own, if this process may mount one.
class SmallDisk {
 public:
  SmallDisk() : mounted_(mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=64k") == 0) {}
  ~SmallDisk() {
    if (mounted_) umount2(directory_.path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_mounted() const { return mounted_; }
  const TemporaryDirectory& directory() const { return directory_; }
  bool MakeReadOnly() const {
    return mount("tmpfs", directory_.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  TemporaryDirectory directory_;
  bool mounted_;
};
#endif

TEST(TemporaryFile, IsNamedAfterItsTargetAndGoesAway) {
  const TemporaryDirectory directory;
  {
    const TemporaryFile file = Create(directory.File("model"));
    const std::string start = directory.File("model.tmp-");
    ASSERT_EQ(file.path().substr(0, start.size()), start);
    EXPECT_EQ(file.path().size(), start.size() + 16);
    EXPECT_EQ(file.path().find_first_not_of("0123456789abcdef", start.size()), std::string::npos);
    EXPECT_TRUE(fs::exists(file.path()));
    EXPECT_NE(Create(directory.File("model")).path(), file.path());
  }
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{});
}

TEST(TemporaryFile, HasThePermissionsOfAnyNewFile) {
  const TemporaryDirectory directory;
  const mode_t before = umask(027);
  const TemporaryFile file = Create(directory.File("model"));
  umask(before);
  struct stat info;
  ASSERT_EQ(stat(file.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0640u);
}

TEST(TemporaryFile, IsClosedOnExec) {
  const TemporaryDirectory directory;
  const int next = dup(0);
  close(next);
  const TemporaryFile file = Create(directory.File("model"));
  EXPECT_NE(fcntl(next, F_GETFD) & FD_CLOEXEC, 0);
}

TEST(TemporaryFile, IsWrittenAnywhereAndFilledWithZeros) {
  const TemporaryDirectory directory;
  TemporaryFile file = Create(directory.File("model"));
  ASSERT_TRUE(file.WriteAt(5, ByteView("56789")).ok());
  ASSERT_TRUE(file.WriteAt(1, ByteView("123")).ok());
  ASSERT_TRUE(file.WriteAt(100, ByteView()).ok());
  EXPECT_EQ(ReadAll(file.path()), std::string("\000123\00056789", 10));
  ASSERT_TRUE(file.Resize(12).ok());
  EXPECT_EQ(ReadAll(file.path()), std::string("\000123\00056789\0\0", 12));
  ASSERT_TRUE(file.Resize(3).ok());
  file.StartWriteback({0, 3});
  ASSERT_TRUE(file.Sync().ok());
  ASSERT_TRUE(file.RenameTo(directory.File("model")).ok());
  EXPECT_EQ(file.path(), "");
  EXPECT_EQ(ReadAll(directory.File("model")), std::string("\00012", 3));
}

TEST(TemporaryFile, IsWrittenByManyThreads) {
  const TemporaryDirectory directory;
  const TemporaryFile file = Create(directory.File("model"));
  const std::string bytes = DistinctBytes(64 * 1000);
  std::vector<std::thread> threads;
  for (size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (size_t i = first; i < 64; i += 4) {
        EXPECT_TRUE(file.WriteAt(i * 1000, ByteView(bytes).Slice(i * 1000, 1000)).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ReadAll(file.path()), bytes);
}

TEST(TemporaryFile, IsWrittenBeyondFourGibibytes) {
  constexpr uint64_t kOffset = (uint64_t{1} << 32) + 12345;
  const TemporaryDirectory directory;
  const TemporaryFile file = Create(directory.File("model"));
  ASSERT_TRUE(file.WriteAt(kOffset, ByteView("the end")).ok());
  EXPECT_EQ(fs::file_size(file.path()), kOffset + 7);
  std::ifstream stream(file.path(), std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(kOffset));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), "the end");
}

TEST(TemporaryFile, ReservesRoom) {
  const TemporaryDirectory directory;
  const TemporaryFile file = Create(directory.File("model"));
  ASSERT_TRUE(file.WriteAt(0, ByteView("01234")).ok());
  ASSERT_TRUE(file.Reserve({2, 5}).ok());
  ASSERT_TRUE(file.Reserve({0, 0}).ok());
  // Not every file system can.
  const std::string bytes = ReadAll(file.path());
  EXPECT_TRUE(bytes == "01234" || bytes == std::string("01234\0\0", 7)) << bytes;
}

TEST(TemporaryFile, HoldsNothingAfterItWasMovedFrom) {
  const TemporaryDirectory directory;
  TemporaryFile first = Create(directory.File("first"));
  TemporaryFile second = Create(directory.File("second"));
  const std::string path = second.path();
  first = std::move(second);  // The one of that name before goes at once.
  EXPECT_EQ(first.path(), path);
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{fs::path(path).filename().string()});
  {
    const TemporaryFile third(std::move(first));
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TemporaryFile, TakesTheNameOfAnotherFileWithoutChangingIt) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("model", "the old bytes");
  const auto old = OpenForReading(path);
  ASSERT_TRUE(old.ok());
  const auto mapping = Mapping::Create(*old, path);
  ASSERT_TRUE(mapping.ok());
  TemporaryFile file = Create(path);
  ASSERT_TRUE(file.WriteAt(0, ByteView("new")).ok());
  EXPECT_EQ(ReadAll(path), "the old bytes");
  ASSERT_TRUE(file.RenameTo(path).ok());
  EXPECT_EQ(ReadAll(path), "new");
  EXPECT_EQ((*mapping)->bytes().AsText(), "the old bytes");
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"model"});
}

TEST(TemporaryFile, TakesTheNameOfALinkAndLeavesWhereItLed) {
  const TemporaryDirectory directory;
  fs::create_symlink(directory.Write("target", "kept"), directory.File("model"));
  TemporaryFile file = Create(directory.File("model"));
  ASSERT_TRUE(file.RenameTo(directory.File("model")).ok());
  EXPECT_FALSE(fs::is_symlink(directory.File("model")));
  EXPECT_EQ(ReadAll(directory.File("target")), "kept");
}

TEST(TemporaryFile, StaysATemporaryIfItCannotBeRenamed) {
  const TemporaryDirectory directory;
  fs::create_directory(directory.File("taken"));
  std::string path;
  {
    TemporaryFile file = Create(directory.File("model"));
    path = file.path();
    ExpectSystemError(file.RenameTo(directory.File("taken")), EISDIR, directory.File("taken"),
                      "rename " + path + " to");
    ExpectSystemError(file.RenameTo(directory.File("absent/x")), ENOENT, directory.File("absent/x"),
                      "rename " + path + " to");
    EXPECT_EQ(file.path(), path);
    EXPECT_EQ(Leftovers(directory.File("model")), std::vector<std::string>{});
    ASSERT_TRUE(file.WriteAt(0, ByteView("x")).ok());
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TemporaryFile, CanBeRenamedWhereNoDescriptorIsLeft) {
  const TemporaryDirectory directory;
  TemporaryFile file = Create(directory.File("model"));
  ASSERT_TRUE(file.WriteAt(0, ByteView("x")).ok());
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const Status renamed = file.RenameTo(directory.File("model"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_TRUE(renamed.ok()) << renamed.message();
  EXPECT_EQ(ReadAll(directory.File("model")), "x");
}

TEST(TemporaryFile, SaysWhyItCannotBe) {
  const TemporaryDirectory directory;
  directory.Write("file", "");
  const auto expect = [&](const std::string& target, int system_error) {
    const Status status = TemporaryFile::Create(target).status();
    EXPECT_EQ(status.system_error(), system_error);
    EXPECT_EQ(status.path().substr(0, target.size() + 5), target + ".tmp-");
    EXPECT_EQ(status.message(), "create " + status.path() + ": " + std::strerror(system_error));
  };
  expect(directory.File("absent/model"), ENOENT);
  expect(directory.File("file/model"), ENOTDIR);
  expect(directory.File(std::string(240, 'n')), ENAMETOOLONG);
  expect(directory.File(std::string(300, 'n')), ENAMETOOLONG);
  const Status status = TemporaryFile::Create(directory.File(std::string("a\0b", 3))).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), directory.File("a") + ": a path may not contain a NUL byte");
}

TEST(TemporaryFile, SaysThatPermissionIsMissing) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(TemporaryFile::Create(directory.File("model")).status().system_error(), EACCES);
  fs::permissions(directory.path(), fs::perms::owner_all);
}

TEST(TemporaryFile, IsOfNoUseWithoutAFile) {
  TemporaryFile none;
  EXPECT_EQ(none.WriteAt(0, ByteView("x")).system_error(), EBADF);
  EXPECT_EQ(none.Resize(1).system_error(), EBADF);
  EXPECT_EQ(none.Sync().system_error(), EBADF);
  EXPECT_FALSE(none.RenameTo("nowhere").ok());
}

TEST(TemporaryFile, SurvivesWhatAForkedChildDoesWithItsCopy) {
  const TemporaryDirectory directory;
  TemporaryFile file = Create(directory.File("model"));
  InAnotherProcess([&file] { const TemporaryFile gone(std::move(file)); });
  EXPECT_TRUE(fs::exists(file.path()));
  EXPECT_EQ(Leftovers(directory.File("model")), std::vector<std::string>{});
}

// Runs `work` with a limit on the size of files, and checks that it costs neither the process nor a signal.
void WithFileSizeLimit(uint64_t limit_bytes, const std::function<void()>& work) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low{limit_bytes, limit.rlim_max};
  ASSERT_EQ(signal(SIGXFSZ, SIG_DFL), SIG_DFL);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  work();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  sigset_t set;
  ASSERT_EQ(sigpending(&set), 0);
  EXPECT_EQ(sigismember(&set, SIGXFSZ), 0);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &set), 0);
  EXPECT_EQ(sigismember(&set, SIGXFSZ), 0);
}

TEST(FileSizeLimit, IsAnErrorAndNoSignal) {
  const TemporaryDirectory directory;
  const TemporaryFile file = Create(directory.File("model"));
  const std::string bytes(5000, 'x');
  Status written;
  Status again;
  Status resized;
  Status reserved;
  WithFileSizeLimit(4096, [&] {
    written = file.WriteAt(0, ByteView(bytes));
    again = file.WriteAt(4096, ByteView("x"));
    resized = file.Resize(4097);
    reserved = file.Reserve({4096, 1});
  });
  ExpectSystemError(written, EFBIG, file.path(), "write 904 bytes at offset 4096 of");
  EXPECT_EQ(written.offset(), 4096u);
  ExpectSystemError(again, EFBIG, file.path(), "write 1 bytes at offset 4096 of");
  ExpectSystemError(resized, EFBIG, file.path(), "set the length to 4097 bytes of");
#if defined(__linux__)
  ExpectSystemError(reserved, EFBIG, file.path(), "reserve 1 bytes at offset 4096 of");
#else
  EXPECT_TRUE(reserved.ok());
#endif
  EXPECT_EQ(ReadAll(file.path()), bytes.substr(0, 4096));
}

TEST(FileSizeLimit, StopsCopiesOfEveryKind) {
  const TemporaryDirectory directory;
  const std::string source = directory.Write("source", std::string(5000, 'x'));
  for (const CopyWay way : {CopyWay::kReflink, CopyWay::kKernelCopy, CopyWay::kReadWrite}) {
    TemporaryFile file = Create(directory.File("model"));
    Status status;
    WithFileSizeLimit(4096, [&] { status = file.CopyFrom(source, nullptr, way).status(); });
    EXPECT_EQ(status.system_error(), EFBIG);
    EXPECT_EQ(status.path(), file.path());
  }
}

TEST(FileSizeLimit, LeavesASignalThatWaitsForSomebodyElse) {
  const TemporaryDirectory directory;
  const TemporaryFile file = Create(directory.File("model"));
  sigset_t signal_set;
  sigemptyset(&signal_set);
  sigaddset(&signal_set, SIGXFSZ);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &signal_set, nullptr), 0);
  ASSERT_EQ(raise(SIGXFSZ), 0);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low{1, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const Status status = file.Resize(2);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  sigset_t pending;
  ASSERT_EQ(sigpending(&pending), 0);
  int number = 0;
  ASSERT_EQ(sigismember(&pending, SIGXFSZ), 1);
  ASSERT_EQ(sigwait(&signal_set, &number), 0);
  ASSERT_EQ(pthread_sigmask(SIG_UNBLOCK, &signal_set, nullptr), 0);
  EXPECT_EQ(status.system_error(), EFBIG);
}

// What a fake system call was asked, and how it answers: a number of bytes, or minus an errno.
struct FakeWrites {
  std::vector<int> answers;
  std::vector<ByteRange> asked;
  std::string written;

  WriteCall Call() {
    return [this](const uint8_t* bytes, size_t length, uint64_t offset) -> ptrdiff_t {
      const int answer = answers.at(asked.size());
      asked.push_back({offset, length});
      if (answer < 0) {
        errno = -answer;
        return -1;
      }
      written.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(answer));
      return answer;
    };
  }
};

TEST(WriteFully, GoesOnAfterShortWritesAndInterruptions) {
  FakeWrites fake{{1, -EINTR, 3, -EINTR, -EINTR, 4}, {}, {}};
  ASSERT_TRUE(WriteFully(fake.Call(), "file", 100, ByteView("01234567")).ok());
  EXPECT_EQ(fake.written, "01234567");
  EXPECT_EQ(fake.asked, (std::vector<ByteRange>{{100, 8}, {101, 7}, {101, 7}, {104, 4}, {104, 4}, {104, 4}}));
}

TEST(WriteFully, ReportsFailuresWithTheirPlace) {
  FakeWrites fake{{3, -EDQUOT}, {}, {}};
  const Status status = WriteFully(fake.Call(), "dir/file", 100, ByteView("01234567"));
  ExpectSystemError(status, EDQUOT, "dir/file", "write 5 bytes at offset 103 of");
  EXPECT_EQ(status.offset(), 103u);
}

TEST(WriteFully, DoesNotAskForEverAFileThatTakesNothing) {
  FakeWrites fake{{3, 0}, {}, {}};
  ExpectSystemError(WriteFully(fake.Call(), "dir/file", 0, ByteView("01234567")), EIO, "dir/file",
                    "write 5 bytes at offset 3 of");
}

TEST(WriteFully, NeverAsksForMoreThanAGibibyteAtOnce) {
  constexpr uint64_t kGibibyte = uint64_t{1} << 30;
  std::vector<ByteRange> asked;
  const WriteCall pretend = [&asked](const uint8_t*, size_t length, uint64_t offset) {
    asked.push_back({offset, length});
    return static_cast<ptrdiff_t>(length);
  };
  const uint8_t never_read = 0;
  ASSERT_TRUE(WriteFully(pretend, "file", 7, ByteView(&never_read, 2 * kGibibyte + 5)).ok());
  EXPECT_EQ(asked, (std::vector<ByteRange>{{7, kGibibyte}, {7 + kGibibyte, kGibibyte}, {7 + 2 * kGibibyte, 5}}));
}

class CopyFrom : public ::testing::TestWithParam<CopyWay> {};
INSTANTIATE_TEST_SUITE_P(Ways, CopyFrom,
                         ::testing::Values(CopyWay::kReflink, CopyWay::kKernelCopy, CopyWay::kReadWrite));

// A file of 1 MiB and a bit, mostly a hole.
std::string WriteWithHoles(const TemporaryDirectory& directory) {
  const std::string path = directory.WriteSparse("source", (1 << 20) + 4711, DistinctBytes(5000));
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(300000);
  file << DistinctBytes(70000);
  return path;
}

TEST_P(CopyFrom, MakesTheSameBytes) {
  const TemporaryDirectory directory;
  const std::string source = WriteWithHoles(directory);
  for (const uint64_t step : {kCopyStepBytes, uint64_t{65536}, uint64_t{99991}}) {
    TemporaryFile file = Create(directory.File("model"));
    const auto way = file.CopyFrom(source, nullptr, GetParam(), step);
    ASSERT_TRUE(way.ok()) << way.status().message();
    EXPECT_GE(*way, GetParam());
    EXPECT_EQ(ReadAll(file.path()), ReadAll(source));
    // It can still be written to, and its source does not see that.
    ASSERT_TRUE(file.WriteAt(0, ByteView("changed")).ok());
    EXPECT_EQ(ReadAll(source).substr(0, 7), std::string(7, '\0'));
    EXPECT_EQ(Leftovers(directory.File("model")), std::vector<std::string>{});
    const std::string path = file.path();
    ASSERT_TRUE(file.RenameTo(directory.File("model")).ok());
    EXPECT_EQ(Names(directory.path()), (std::vector<std::string>{"model", "source"}));
  }
}

TEST_P(CopyFrom, MakesAnEmptyFileOfAnEmptyOne) {
  const TemporaryDirectory directory;
  TemporaryFile file = Create(directory.File("model"));
  ASSERT_TRUE(file.CopyFrom(directory.Write("source", ""), nullptr, GetParam()).ok());
  EXPECT_EQ(ReadAll(file.path()), "");
}

TEST_P(CopyFrom, PollsBeforeEachStepAndStopsWhenToldTo) {
  if (GetParam() == CopyWay::kReflink) GTEST_SKIP() << "is done in one step";
  const TemporaryDirectory directory;
  const std::string bytes = DistinctBytes(10000);
  const std::string source = directory.Write("source", bytes);
  TemporaryFile file = Create(directory.File("model"));
  int polls = 0;
  const auto poll = [&] {
    EXPECT_EQ(ReadAll(file.path()), bytes.substr(0, static_cast<size_t>(polls) * 1000));
    return ++polls == 4 ? Status(StatusCode::kExternal, "enough") : Status();
  };
  const Status status = file.CopyFrom(source, poll, GetParam(), 1000).status();
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(polls, 4);
  TemporaryFile whole = Create(directory.File("model"));
  polls = -10;
  const auto count = [&polls] {
    ++polls;
    return Status();
  };
  ASSERT_TRUE(whole.CopyFrom(source, count, GetParam(), 1000).ok());
  EXPECT_EQ(polls, 0);
}

TEST_P(CopyFrom, SaysWhyTheSourceCannotBeRead) {
  const TemporaryDirectory directory;
  TemporaryFile file = Create(directory.File("model"));
  const std::string absent = directory.File("absent");
  ExpectSystemError(file.CopyFrom(absent, nullptr, GetParam()).status(), ENOENT, absent, "open");
  ExpectSystemError(file.CopyFrom(directory.path(), nullptr, GetParam()).status(), EISDIR, directory.path(), "open");
}

#if defined(__linux__)
TEST_P(CopyFrom, ReportsASourceThatEndsEarly) {
  // Says it has a page, and has a line.
  const std::string source = "/sys/kernel/mm/transparent_hugepage/enabled";
  if (!fs::exists(source) || fs::file_size(source) != 4096) GTEST_SKIP() << source << " is not there";
  const TemporaryDirectory directory;
  TemporaryFile file = Create(directory.File("model"));
  const Status status = file.CopyFrom(source, nullptr, GetParam()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.path(), source);
}

TEST(FullDisk, IsReportedAndFreedAgain) {
  const SmallDisk disk;
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  const std::string bytes = DistinctBytes(100000);
  const std::string target = disk.directory().File("model");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const TemporaryFile file = Create(target);
    ExpectSystemError(file.WriteAt(0, ByteView(bytes)), ENOSPC, file.path(), "write 34464 bytes at offset 65536 of");
  }
  EXPECT_EQ(Names(disk.directory().path()), std::vector<std::string>{});
  {
    const TemporaryFile file = Create(target);
    ExpectSystemError(file.Reserve({0, 100000}), ENOSPC, file.path(), "reserve 100000 bytes at offset 0 of");
  }
  const TemporaryDirectory elsewhere;
  const std::string source = elsewhere.Write("source", bytes);
  for (const CopyWay way : {CopyWay::kReflink, CopyWay::kKernelCopy, CopyWay::kReadWrite}) {
    TemporaryFile file = Create(target);
    EXPECT_EQ(file.CopyFrom(source, nullptr, way).status().system_error(), ENOSPC);
  }
  TemporaryFile file = Create(target);
  ASSERT_TRUE(file.CopyFrom(elsewhere.Write("small", bytes.substr(0, 50000)), nullptr).ok());
  EXPECT_EQ(ReadAll(file.path()), bytes.substr(0, 50000));
}

TEST(ReadOnlyDisk, IsReported) {
  const SmallDisk disk;
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  const std::string old = disk.directory().Write("old", "x");
  ASSERT_TRUE(disk.MakeReadOnly());
  EXPECT_EQ(TemporaryFile::Create(old).status().system_error(), EROFS);
  ExpectSystemError(RemoveFile(old), EROFS, old, "remove");
  ExpectSystemError(MakeDirectory(old + "-directory"), EROFS, old + "-directory", "make the directory");
  EXPECT_TRUE(MakeDirectory(disk.directory().path()).ok());
}

TEST(LinkFile, IsRefusedAcrossFileSystems) {
  const SmallDisk disk;
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  const TemporaryDirectory elsewhere;
  const std::string from = elsewhere.Write("file", "x");
  ExpectSystemError(LinkFile(from, disk.directory().File("name")), EXDEV, disk.directory().File("name"),
                    "link " + from + " to");
}
#endif

TEST(TemporaryFileLink, IsAFurtherNameOfItsSource) {
  const TemporaryDirectory directory;
  const std::string source = directory.Write("source", "bytes");
  {
    const auto unused = TemporaryFile::Link(directory.File("model"), source);
    ASSERT_TRUE(unused.ok());
    EXPECT_EQ(ReadAll(unused->path()), "bytes");
    EXPECT_EQ(Leftovers(directory.File("model")), std::vector<std::string>{});
  }
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"source"});
  auto file = TemporaryFile::Link(directory.File("model"), source);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->RenameTo(directory.File("model")).ok());
  EXPECT_TRUE(fs::equivalent(source, directory.File("model")));
  EXPECT_EQ(Names(directory.path()), (std::vector<std::string>{"model", "source"}));
  const Status absent = TemporaryFile::Link(directory.File("model"), directory.File("absent")).status();
  EXPECT_EQ(absent.system_error(), ENOENT);
}

TEST(TemporaryFileLink, LeavesOneNameIfRenamedToItsSource) {
  const TemporaryDirectory directory;
  const std::string source = directory.Write("source", "bytes");
  auto file = TemporaryFile::Link(source, source);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->RenameTo(source).ok());
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"source"});
}

TEST(FindLeftovers, FindsWhatADeadWriterLeftAndNotWhatALivingOneWrites) {
  const TemporaryDirectory directory;
  const std::string prefix = directory.File("model");
  Child writer([&] {
    static TemporaryFile file;
    file = Create(prefix + ".index");
    EXPECT_TRUE(file.WriteAt(0, ByteView("half")).ok());
  });
  const TemporaryFile own = Create(prefix + ".index");
  const std::vector<std::string> names = Names(directory.path());
  ASSERT_EQ(names.size(), 2u);
  const std::string theirs = directory.File(directory.File(names[0]) == own.path() ? names[1] : names[0]);
  EXPECT_EQ(Leftovers(prefix), std::vector<std::string>{});
  ASSERT_TRUE(RemoveLeftover(theirs).ok());
  EXPECT_TRUE(fs::exists(theirs));

  writer.Kill();
  EXPECT_EQ(Leftovers(prefix), std::vector<std::string>{theirs});
  EXPECT_EQ(ReadAll(theirs), "half");
  ASSERT_TRUE(RemoveLeftover(theirs).ok());
  EXPECT_FALSE(fs::exists(theirs));
  ASSERT_TRUE(RemoveLeftover(theirs).ok());
  EXPECT_TRUE(fs::exists(own.path()));
}

TEST(FindLeftovers, TellsTemporariesByTheirNames) {
  const TemporaryDirectory directory;
  const std::string digits = ".tmp-0123456789abcdef";
  const std::vector<std::string> files = {
      "model" + digits, "model.data-00000" + digits, "model-10.index" + digits,   "mode" + digits,
      digits,           "model" + digits + "0",      "model.tmp-0123456789abcde", "model.tmp-0123456789ABCDEF",
      "model.index",    "model.tmp_0123456789abcdef"};
  for (const std::string& name : files) directory.Write(name, "");
  fs::create_directory(directory.File("model.a" + digits));
  fs::create_symlink(directory.File("model.index"), directory.File("model.b" + digits));
  ASSERT_EQ(mkfifo(directory.File("model.c" + digits).c_str(), 0600), 0);
  EXPECT_EQ(Leftovers(directory.File("model")),
            (std::vector<std::string>{directory.File("model-10.index" + digits),
                                      directory.File("model.data-00000" + digits), directory.File("model" + digits)}));
  EXPECT_EQ(Leftovers(directory.File("")).size(), 5u);
  ASSERT_TRUE(RemoveLeftover(directory.File("model.index")).ok());
  ASSERT_TRUE(RemoveLeftover(directory.File("model.b" + digits)).ok());
  EXPECT_TRUE(fs::exists(directory.File("model.b" + digits)));
}

TEST(FindLeftovers, TakesAnyBytesForNamesAndPathsFromHere) {
  const TemporaryDirectory directory;
  const fs::path before = fs::current_path();
  fs::current_path(directory.path());
  std::vector<std::string> prefixes = {"mo\ndel", "./model", "model", " "};
#if defined(__linux__)
  prefixes.emplace_back("\xFF\xFEmodel");
#endif
  for (const std::string& prefix : prefixes) {
    const std::string leftover = prefix + ".index.tmp-0123456789abcdef";
    std::ofstream(leftover).close();
    EXPECT_EQ(Leftovers(prefix), std::vector<std::string>{leftover});
    EXPECT_TRUE(RemoveLeftover(leftover).ok());
    TemporaryFile file = Create(prefix);
    EXPECT_TRUE(file.RenameTo(prefix).ok());
    EXPECT_TRUE(RemoveFile(prefix).ok());
  }
  EXPECT_EQ(Names("."), std::vector<std::string>{});
  fs::current_path(before);
}

TEST(FindLeftovers, SaysThatThereIsNoDirectory) {
  const TemporaryDirectory directory;
  const Status status = FindLeftovers(directory.File("absent/model")).status();
  ExpectSystemError(status, ENOENT, directory.File("absent"), "list the directory");
}

TEST(FindLeftovers, DoesNotTakeAFileFromItsCreator) {
  const TemporaryDirectory directory;
  const std::string prefix = directory.File("model");
  std::atomic<bool> done{false};
  std::thread cleaner([&] {
    while (!done) {
      for (const std::string& path : Leftovers(prefix)) EXPECT_TRUE(RemoveLeftover(path).ok());
    }
  });
  for (int i = 0; i < 300; ++i) {
    TemporaryFile file = Create(prefix);
    EXPECT_TRUE(file.RenameTo(prefix).ok()) << i;
  }
  done = true;
  cleaner.join();
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"model"});
}

TEST(IsLeftAlone, AsksForADayWhereLocksMayNotReach) {
  EXPECT_TRUE(IsLeftAlone(false, 0));
  EXPECT_TRUE(IsLeftAlone(false, -5));
  EXPECT_FALSE(IsLeftAlone(true, -5));
  EXPECT_FALSE(IsLeftAlone(true, 86399));
  EXPECT_TRUE(IsLeftAlone(true, 86400));
}

TEST(RemoveFile, RemovesFilesAndLinksAndIsContentWithNone) {
  const TemporaryDirectory directory;
  fs::create_symlink(directory.Write("target", "kept"), directory.File("link"));
  ASSERT_TRUE(RemoveFile(directory.File("link")).ok());
  ASSERT_TRUE(RemoveFile(directory.File("link")).ok());
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"target"});
  ASSERT_TRUE(RemoveFile(directory.File("target")).ok());
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{});
  fs::create_directory(directory.File("directory"));
  EXPECT_FALSE(RemoveFile(directory.File("directory")).ok());
  EXPECT_EQ(RemoveFile(directory.File(std::string(300, 'n'))).system_error(), ENAMETOOLONG);
}

TEST(LinkFile, GivesAFurtherName) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("file", "bytes");
  fs::create_symlink("file", directory.File("link"));
  ASSERT_TRUE(LinkFile(file, directory.File("name")).ok());
  ASSERT_TRUE(LinkFile(directory.File("link"), directory.File("name-of-link")).ok());
  EXPECT_TRUE(fs::equivalent(file, directory.File("name")));
  EXPECT_FALSE(fs::is_symlink(directory.File("name-of-link")));
  EXPECT_EQ(fs::hard_link_count(file), 3u);
  const std::string action = "link " + file + " to";
  ExpectSystemError(LinkFile(file, directory.File("name")), EEXIST, directory.File("name"), action);
  ExpectSystemError(LinkFile(file, directory.File("absent/name")), ENOENT, directory.File("absent/name"), action);
}

TEST(SyncDirectory, SyncsOrSaysThatThereIsNone) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(SyncDirectory(directory.path()).ok());
  EXPECT_TRUE(SyncDirectory(".").ok());
  ExpectSystemError(SyncDirectory(directory.File("absent")), ENOENT, directory.File("absent"), "open the directory");
  const std::string file = directory.Write("file", "");
  ExpectSystemError(SyncDirectory(file), ENOTDIR, file, "open the directory");
}

TEST(MakeDirectory, MakesThoseAboveToo) {
  const TemporaryDirectory directory;
  for (const char* const name : {"a", "a/b/c", "d/e/", "f//g", "h/.", "a/b/c"}) {
    EXPECT_TRUE(MakeDirectory(directory.File(name)).ok()) << name;
    EXPECT_TRUE(fs::is_directory(directory.File(name))) << name;
  }
  fs::create_directory_symlink("a", directory.File("link"));
  EXPECT_TRUE(MakeDirectory(directory.File("link")).ok());
  EXPECT_TRUE(MakeDirectory(".").ok());
  EXPECT_TRUE(MakeDirectory("/").ok());
}

TEST(MakeDirectory, SaysWhatIsInTheWay) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("file", "");
  const std::string action = "make the directory";
  fs::create_symlink("nowhere", directory.File("link"));
  ExpectSystemError(MakeDirectory(file), EEXIST, file, action);
  ExpectSystemError(MakeDirectory(file + "/below"), ENOTDIR, file + "/below", action);
  ExpectSystemError(MakeDirectory(directory.File("link")), EEXIST, directory.File("link"), action);
  ExpectSystemError(MakeDirectory(""), ENOENT, "", action);
  const std::string long_name = directory.File("new/" + std::string(300, 'n'));
  EXPECT_EQ(MakeDirectory(long_name).system_error(), ENAMETOOLONG);
}

TEST(NewDirectories, GoUnlessTheyAreKeptOrHoldSomething) {
  const TemporaryDirectory directory;
  fs::create_directory(directory.File("there"));
  {
    NewDirectories made;
    ASSERT_TRUE(made.Make(directory.File("there/a/b"), false).ok());
    EXPECT_EQ(made.Make(directory.File("there/c/" + std::string(300, 'n')), false).system_error(), ENAMETOOLONG);
    EXPECT_TRUE(fs::is_directory(directory.File("there/a/b")));
    const NewDirectories moved(std::move(made));
    made = NewDirectories();
    EXPECT_TRUE(fs::is_directory(directory.File("there/a/b")));
    InAnotherProcess([&moved] { const NewDirectories gone(std::move(const_cast<NewDirectories&>(moved))); });
    EXPECT_TRUE(fs::is_directory(directory.File("there/a/b")));
  }
  EXPECT_EQ(Names(directory.File("there")), std::vector<std::string>{});
  {
    NewDirectories made;
    ASSERT_TRUE(made.Make(directory.File("there/a/b/c"), true).ok());
    directory.Write("there/a/theirs", "");
  }
  EXPECT_EQ(Names(directory.File("there/a")), std::vector<std::string>{"theirs"});
  {
    NewDirectories made;
    ASSERT_TRUE(made.Make(directory.File("kept"), false).ok());
    made.Keep();
  }
  EXPECT_TRUE(fs::is_directory(directory.File("kept")));
}

TEST(SyncFile, SyncsOrSaysThatThereIsNone) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(SyncFile(directory.Write("file", "bytes")).ok());
  const std::string absent = directory.File("absent");
  ExpectSystemError(SyncFile(absent), ENOENT, absent, "open");
}

TEST(ListDirectory, GivesNamesInOrder) {
  const TemporaryDirectory directory;
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{});
  for (const char* const name : {"b", "a", ".hidden", "a b", "B", "\xC3\xA9"}) directory.Write(name, "");
  EXPECT_EQ(Names(directory.path()), (std::vector<std::string>{".hidden", "B", "a", "a b", "b", "\xC3\xA9"}));
  const std::string file = directory.File("b");
  ExpectSystemError(ListDirectory(file).status(), ENOTDIR, file, "list the directory");
}

TEST(DirectoryOf, IsWhatPrecedesTheLastSlash) {
  EXPECT_EQ(DirectoryOf("model"), ".");
  EXPECT_EQ(DirectoryOf(""), ".");
  EXPECT_EQ(DirectoryOf("./model"), ".");
  EXPECT_EQ(DirectoryOf("a/model"), "a");
  EXPECT_EQ(DirectoryOf("a//model"), "a");
  EXPECT_EQ(DirectoryOf("a/b/"), "a/b");
  EXPECT_EQ(DirectoryOf("/model"), "/");
  EXPECT_EQ(DirectoryOf("//model"), "/");
  EXPECT_EQ(DirectoryOf("/a/model"), "/a");
}

// A poll that ends the wait when it is called for the third time.
class ThirdPoll {
 public:
  std::function<Status()> function() {
    return [this] { return ++calls_ == 3 ? Status(StatusCode::kExternal, "enough") : Status(); };
  }
  int calls() const { return calls_; }

 private:
  int calls_ = 0;
};

void ExpectLocked(const std::string& directory) {
  ThirdPoll poll;
  EXPECT_EQ(DirectoryLock::Acquire(directory, poll.function()).status().code(), StatusCode::kExternal);
  EXPECT_EQ(poll.calls(), 3);
}

void ExpectFree(const std::string& directory) {
  ThirdPoll poll;
  const auto lock = DirectoryLock::Acquire(directory, poll.function());
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(lock->held());
  EXPECT_EQ(poll.calls(), 0);
}

TEST(DirectoryLock, KeepsOthersOutUntilItGoes) {
  const TemporaryDirectory directory;
  {
    auto lock = DirectoryLock::Acquire(directory.path(), nullptr);
    ASSERT_TRUE(lock.ok());
    EXPECT_TRUE(lock->held());
    ExpectLocked(directory.path());
    const DirectoryLock moved(std::move(*lock));
    EXPECT_FALSE(lock->held());
    ExpectLocked(directory.path());
  }
  ExpectFree(directory.path());
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{});
}

TEST(DirectoryLock, KeepsOtherProcessesOutUntilItsOwnEnds) {
  const TemporaryDirectory directory;
  Child holder([&] {
    static DirectoryLock lock;
    auto acquired = DirectoryLock::Acquire(directory.path(), nullptr);
    if (acquired.ok()) lock = std::move(*acquired);
  });
  ExpectLocked(directory.path());
  int polls = 0;
  const auto kill_at_last = [&] {
    if (++polls == 5) holder.Kill();
    return Status();
  };
  const auto lock = DirectoryLock::Acquire(directory.path(), kill_at_last);
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(lock->held());
  EXPECT_EQ(polls, 5);
}

TEST(DirectoryLock, IsNeitherKeptNorGivenUpByAForkedChild) {
  const TemporaryDirectory directory;
  auto lock = DirectoryLock::Acquire(directory.path(), nullptr);
  ASSERT_TRUE(lock.ok());
  InAnotherProcess([&lock] { const DirectoryLock gone(std::move(*lock)); });
  ExpectLocked(directory.path());
  const Child heir([] {});
  {
    const DirectoryLock gone(std::move(*lock));
  }
  ExpectFree(directory.path());
}

TEST(DirectoryLock, IsNotWaitedForForEver) {
  const TemporaryDirectory directory;
  const auto lock = DirectoryLock::Acquire(directory.path(), nullptr);
  ASSERT_TRUE(lock.ok());
  int polls = 0;
  const auto poll = [&polls] { return ++polls, Status(); };
  const Status status = DirectoryLock::Acquire(directory.path(), poll, std::chrono::seconds(0)).status();
  ExpectSystemError(status, EWOULDBLOCK, directory.path(),
                    "somebody has kept the directory locked for 0 s, which no save does; end whoever it is (a command "
                    "under flock, for instance) or save to another directory: lock");
  EXPECT_EQ(polls, 1);
}

TEST(DirectoryLock, FollowsTheNameToAnotherDirectory) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("checkpoints");
  fs::create_directory(path);
  const auto old = DirectoryLock::Acquire(path, nullptr);
  ASSERT_TRUE(old.ok());
  const auto replace = [&] {
    fs::rename(path, directory.File("old"));
    fs::create_directory(path);
    return Status();
  };
  const auto lock = DirectoryLock::Acquire(path, replace);
  ASSERT_TRUE(lock.ok() && lock->held());
  ExpectLocked(path);
}

TEST(DirectoryLock, SaysThatThereIsNoDirectory) {
  const TemporaryDirectory directory;
  const std::string absent = directory.File("absent");
  ExpectSystemError(DirectoryLock::Acquire(absent, nullptr).status(), ENOENT, absent, "open the directory");
  const std::string file = directory.Write("file", "");
  ExpectSystemError(DirectoryLock::Acquire(file, nullptr).status(), ENOTDIR, file, "open the directory");
  EXPECT_FALSE(DirectoryLock().held());
}

}  // namespace
}  // namespace tensorbundle::os
