#include "io/os.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/temporary_directory.h"

namespace tensorbundle::os {
namespace {

using test_support::TemporaryDirectory;

void ExpectNotAFile(const std::string& path, const std::string& kind) {
  const Status status = OpenForReading(path).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EINVAL);
  EXPECT_EQ(status.path(), path);
  EXPECT_EQ(status.message(), "not a file but " + kind + ": " + path + ": Invalid argument");
}

void ExpectSystemError(const std::string& path, int system_error) {
  const Status status = OpenForReading(path).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), system_error);
  EXPECT_EQ(status.path(), path);
  EXPECT_EQ(status.message(), "open " + path + ": " + std::strerror(system_error));
}

TEST(OpenForReading, OpensAFileAndSaysWhichItIs) {
  const TemporaryDirectory directory;
  const auto file = OpenForReading(directory.Write("file", "0123456789"));
  ASSERT_TRUE(file.ok());
  struct stat info;
  ASSERT_EQ(stat(directory.File("file").c_str(), &info), 0);
  EXPECT_EQ(file->identity.device, static_cast<uint64_t>(info.st_dev));
  EXPECT_EQ(file->identity.inode, static_cast<uint64_t>(info.st_ino));
  EXPECT_EQ(file->identity.size_bytes, 10u);
  EXPECT_EQ(file->identity.mtime_ns / 1000000000, static_cast<int64_t>(info.st_mtime));
}

TEST(OpenForReading, DescriptorIsClosedOnExecAndWaitsForItsBytes) {
  const TemporaryDirectory directory;
  const auto file = OpenForReading(directory.Write("file", "x"));
  ASSERT_TRUE(file.ok());
  EXPECT_NE(fcntl(file->descriptor.number(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(fcntl(file->descriptor.number(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(OpenForReading, FollowsLinks) {
  const TemporaryDirectory directory;
  std::filesystem::create_symlink(directory.Write("file", "0123456789"), directory.File("link"));
  const auto direct = OpenForReading(directory.File("file"));
  const auto linked = OpenForReading(directory.File("link"));
  ASSERT_TRUE(direct.ok() && linked.ok());
  EXPECT_TRUE(direct->identity == linked->identity);
}

TEST(OpenForReading, SaysWhyTheSystemRefuses) {
  const TemporaryDirectory directory;
  directory.Write("file", "");
  std::filesystem::create_symlink("loop", directory.File("loop"));
  ExpectSystemError("", ENOENT);
  ExpectSystemError(directory.File("absent"), ENOENT);
  ExpectSystemError(directory.path(), EISDIR);
  ExpectSystemError(directory.File("file/below"), ENOTDIR);
  ExpectSystemError(directory.File("loop"), ELOOP);
  ExpectSystemError(directory.File(std::string(300, 'n')), ENAMETOOLONG);
}

TEST(OpenForReading, SaysThatPermissionIsMissing) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TemporaryDirectory directory;
  const std::string path = directory.Write("file", "secret");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  ExpectSystemError(path, EACCES);
}

TEST(OpenForReading, RefusesWhatIsNotAFileWithoutWaiting) {
  const TemporaryDirectory directory;
  const std::string pipe = directory.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  ExpectNotAFile(pipe, "a pipe");
  ExpectNotAFile("/dev/null", "a device");

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory.File("socket");
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const Descriptor bound(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(bind(bound.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ExpectNotAFile(path, "a socket");
}

TEST(OpenForReading, RefusesAPathThatTheSystemWouldCutShort) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("file", "x");
  const Status status = OpenForReading(path + '\0' + "tail").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), path + ": a path may not contain a NUL byte");
}

TEST(ResolveLinks, LeadsToWhatIsBehindThem) {
  const TemporaryDirectory directory;
  const std::string real = std::filesystem::canonical(directory.Write("real", "")).string();
  std::filesystem::create_symlink("real", directory.File("link"));
  std::filesystem::create_symlink("./link", directory.File("longer"));
  EXPECT_EQ(*ResolveLinks(directory.File("longer")), real);
  EXPECT_EQ(*ResolveLinks(directory.path() + "/./real"), real);
  const Status status = ResolveLinks(directory.File("none")).status();
  EXPECT_EQ(status.system_error(), ENOENT);
  EXPECT_EQ(status.message(), "resolve " + directory.File("none") + ": No such file or directory");
}

TEST(Descriptor, IsClosedOnceByItsLastHolder) {
  const int number = open("/dev/null", O_RDONLY);
  ASSERT_GE(number, 0);
  {
    Descriptor first(number);
    Descriptor second(std::move(first));
    Descriptor third;
    third = std::move(second);
    EXPECT_EQ(third.number(), number);
    EXPECT_NE(fcntl(number, F_GETFD), -1);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(FileIdentity, DiffersInEveryField) {
  const FileIdentity identity{1, 2, 3, 4};
  const std::vector<FileIdentity> others = {{9, 2, 3, 4}, {1, 9, 3, 4}, {1, 2, 9, 4}, {1, 2, 3, 9}};
  EXPECT_TRUE(identity == (FileIdentity{1, 2, 3, 4}));
  for (const FileIdentity& other : others) {
    EXPECT_TRUE(identity != other);
    EXPECT_NE(identity.ToText(), other.ToText());
  }
  EXPECT_EQ(identity.ToText(), "1:2:3:4");
}

// What a fake system call was asked, and how it answers: a number of bytes, or minus an errno.
struct FakeReads {
  std::string content;
  std::vector<int> answers;
  std::vector<ByteRange> asked;

  ReadCall Call() {
    return [this](uint8_t* destination, size_t length, uint64_t offset) -> ptrdiff_t {
      const int answer = answers.at(asked.size());
      asked.push_back({offset, length});
      if (answer < 0) {
        errno = -answer;
        return -1;
      }
      std::memcpy(destination, content.data() + offset, static_cast<size_t>(answer));
      return answer;
    };
  }
};

TEST(ReadFully, GoesOnAfterShortReadsAndInterruptions) {
  FakeReads fake{"0123456789", {1, -EINTR, 3, -EINTR, -EINTR, 4}, {}};
  std::string text(10, '?');
  ASSERT_TRUE(ReadFully(fake.Call(), "file", {2, 8}, reinterpret_cast<uint8_t*>(text.data())).ok());
  EXPECT_EQ(text, "23456789??");
  EXPECT_EQ(fake.asked, (std::vector<ByteRange>{{2, 8}, {3, 7}, {3, 7}, {6, 4}, {6, 4}, {6, 4}}));
}

TEST(ReadFully, ReportsTheEndOfTheFileAsTruncation) {
  FakeReads fake{"0123456789", {3, 0}, {}};
  std::string text(8, '?');
  const Status status = ReadFully(fake.Call(), "dir/file", {2, 8}, reinterpret_cast<uint8_t*>(text.data()));
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "dir/file: truncated while open: expected 8 bytes at offset 2, found 3");
  EXPECT_EQ(status.path(), "dir/file");
  EXPECT_EQ(status.offset(), 5u);
}

TEST(ReadFully, ReportsFailuresWithTheirPlace) {
  FakeReads fake{"0123456789", {3, -EIO}, {}};
  std::string text(8, '?');
  const Status status = ReadFully(fake.Call(), "dir/file", {2, 8}, reinterpret_cast<uint8_t*>(text.data()));
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EIO);
  EXPECT_EQ(status.message(), "read 5 bytes at offset 5 of dir/file: Input/output error");
  EXPECT_EQ(status.offset(), 5u);
}

TEST(ReadFully, NeverAsksForMoreThanAGibibyteAtOnce) {
  constexpr uint64_t kGibibyte = uint64_t{1} << 30;
  std::vector<ByteRange> asked;
  const ReadCall pretend = [&asked](uint8_t*, size_t length, uint64_t offset) {
    asked.push_back({offset, length});
    return static_cast<ptrdiff_t>(length);
  };
  uint8_t never_written = 0;
  ASSERT_TRUE(ReadFully(pretend, "file", {7, 2 * kGibibyte + 5}, &never_written).ok());
  EXPECT_EQ(asked, (std::vector<ByteRange>{{7, kGibibyte}, {7 + kGibibyte, kGibibyte}, {7 + 2 * kGibibyte, 5}}));
}

TEST(MappingIsWise, DependsOnWhoServesTheFileSystem) {
  for (const uint32_t served : {0x6969u, 0xFF534D42u, 0xFE534D42u, 0x0BD00BD0u, 0x65735546u, 0x01021997u}) {
    EXPECT_TRUE(IsServedByOthers(served)) << std::hex << served;
  }
  // ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS.
  for (const uint32_t local : {0xEF53u, 0x58465342u, 0x9123683Eu, 0x01021994u, 0x794C7630u, 0x2FC12FC1u}) {
    EXPECT_FALSE(IsServedByOthers(local)) << std::hex << local;
  }
}

TEST(PopulateOutcome, TellsWhatTheSystemMeant) {
  EXPECT_TRUE(PopulateOutcome(0, {1, 2}, "file").ok());
  // A kernel without the call.
  EXPECT_TRUE(PopulateOutcome(EINVAL, {1, 2}, "file").ok());

  const Status gone = PopulateOutcome(EFAULT, {4096, 100}, "file");
  EXPECT_EQ(gone.code(), StatusCode::kDataLoss);
  EXPECT_EQ(gone.message(),
            "file: 100 bytes at offset 4096 cannot be read: the file was truncated while mapped, or the disk fails");
  EXPECT_EQ(gone.offset(), 4096u);

  const Status memory = PopulateOutcome(ENOMEM, {4096, 100}, "file");
  EXPECT_EQ(memory.code(), StatusCode::kIo);
  EXPECT_EQ(memory.system_error(), ENOMEM);
  EXPECT_EQ(memory.message(), "bring into memory 100 bytes at offset 4096 of file: Cannot allocate memory");
}

TEST(Mapping, SaysWhyAFileCannotBeMapped) {
  const OpenedFile file{Descriptor(open("/dev/null", O_WRONLY)), {1, 2, 4096, 0}};
  const Status status = Mapping::Create(file, "the path").status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_NE(status.system_error(), 0);
  EXPECT_EQ(status.path(), "the path");
}

}  // namespace
}  // namespace tensorbundle::os
