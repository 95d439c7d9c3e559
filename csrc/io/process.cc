#include "io/process.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "io/os_write.h"

namespace tensorbundle::os {
namespace {

// Below this a listing of descriptors is not worth its time.
constexpr uint64_t kFewFiles = 16;
// What a commit opens beside data files: an index, old and new, a directory, an added data file, a file to copy from.
constexpr uint64_t kSpareFiles = 8;
// Longer working directories can't be named by one path.
constexpr size_t kMaxPathBytes = size_t{1} << 16;

// How many descriptors are open; 0 where that can't be told.
uint64_t CountOpenFiles() {
  const auto names = ListDirectory("/dev/fd");
  return names.ok() ? names->size() : 0;
}

// Empty where its path can't be told, or leads nowhere or elsewhere.
std::string WorkingDirectory() {
  std::vector<char> buffer(kMaxPathBytes);
  if (getcwd(buffer.data(), buffer.size()) == nullptr) return std::string();
  struct stat here;
  struct stat there;
  if (stat(".", &here) != 0 || stat(buffer.data(), &there) != 0) return std::string();
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino ? std::string(buffer.data()) : std::string();
}

}  // namespace

int CurrentProcess() { return static_cast<int>(getpid()); }

std::string AbsolutePath(const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  const std::string directory = WorkingDirectory();
  if (directory.empty()) return path;
  return directory + (directory.back() == '/' ? "" : "/") + path;
}

Status CheckCanOpen(uint64_t count, const std::string& path) {
  rlimit limit;
  if (count < kFewFiles || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return Status();
  const uint64_t open_now = CountOpenFiles();
  if (open_now + count + kSpareFiles <= limit.rlim_cur) return Status();
  return Status::FromErrno(EMFILE, path,
                           std::to_string(count) + " data files are to be open at once, and of the " +
                               std::to_string(limit.rlim_cur) + " files that this process may have open " +
                               std::to_string(open_now) +
                               " are already; raise the limit (ulimit -n) or make fewer data files: write");
}

}  // namespace tensorbundle::os
