// Files over 2 GiB, also where pointers have 32 bits.
#define _FILE_OFFSET_BITS 64  // NOLINT(bugprone-reserved-identifier): the C library asks for this name.

#include "io/os_write.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/ioctl.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <sys/clonefile.h>
#else
#error "tensorbundle writes files on Linux and macOS only"
#endif

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "io/process.h"
#include "util/status_macros.h"

namespace tensorbundle::os {
namespace {

static_assert(sizeof(off_t) == 8);

constexpr std::string_view kTemporaryMark = ".tmp-";
constexpr size_t kTemporaryDigits = 16;
// Names of temporaries do not meet by chance: more failures than this have another reason.
constexpr int kMaxAttempts = 100;
constexpr uint64_t kCopyBufferBytes = uint64_t{4} << 20;
constexpr int64_t kSecondsToBeLeftAlone = 24 * 60 * 60;
constexpr auto kShortestWait = std::chrono::milliseconds(1);
constexpr auto kLongestWait = std::chrono::milliseconds(20);

#if defined(__linux__)
// The C library and headers of manylinux2014 are older than these two calls; the kernels below it are not.
constexpr unsigned long kCloneFile = _IOW(0x94, 9, int);  // FICLONE
#if defined(SYS_copy_file_range)
constexpr long kCopyFileRange = SYS_copy_file_range;
#elif defined(__x86_64__) && !defined(__ILP32__)
constexpr long kCopyFileRange = 326;
#elif defined(__aarch64__)
constexpr long kCopyFileRange = 285;
#else
constexpr long kCopyFileRange = -1;  // ENOSYS
#endif
#endif

Status CheckPath(const std::string& path) {
  const size_t nul = path.find('\0');
  if (nul == std::string::npos) return Status();
  return Status(StatusCode::kInvalidArgument, "a path may not contain a NUL byte").WithPath(path.substr(0, nul));
}

// Repeats a system call until no signal interrupts it.
template <typename Call>
auto Uninterrupted(const Call& call) {
  while (true) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

Descriptor OpenDescriptor(const std::string& path, int flags) {
  // The mode counts for new files only: what any new file gets, less the umask.
  return Descriptor(Uninterrupted([&] { return open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666); }));
}

Result<Descriptor> OpenDirectory(const std::string& directory) {
  RETURN_IF_ERROR(CheckPath(directory));
  Descriptor descriptor = OpenDescriptor(directory, O_RDONLY | O_DIRECTORY);
  if (descriptor.number() < 0) return Status::FromErrno(errno, directory, "open the directory");
  return descriptor;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

// True if `path` leads to the open file, rather than to another or to none.
bool LeadsTo(const std::string& path, const Descriptor& opened) {
  struct stat a;
  struct stat b;
  if (fstat(opened.number(), &a) != 0 || stat(path.c_str(), &b) != 0) return false;
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// What file systems answer that do not know the call, for directories or at all.
bool MeansNoSuchThing(int system_error) {
  static constexpr int kErrors[] = {EINVAL, ENOTSUP, EOPNOTSUPP, ENOSYS};
  return std::find(std::begin(kErrors), std::end(kErrors), system_error) != std::end(kErrors);
}

#if defined(__linux__)
void TakePendingSignal(const sigset_t& signal) {
  const timespec at_once{};
  Uninterrupted([&] { return sigtimedwait(&signal, nullptr, &at_once); });
}
#else
// Here the signal is the whole process's: another thread that got it too must not take it between the two calls, since
// the second would wait for ever.
void TakePendingSignal(const sigset_t& signal) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  sigset_t pending;
  int number = 0;
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1) sigwait(&signal, &number);
}
#endif

// Calls `call`, which may make a file longer and returns -1 and errno on failure, until no signal interrupts it. Where
// the process has a limit on the size of files, the system adds a signal to EFBIG that ends the process unless somebody
// cares for it: a library cannot count on that, and must not change what the signal does to others.
template <typename Call>
auto WithoutSizeSignal(const Call& call) {
  sigset_t signal;
  sigset_t pending_before;
  sigset_t blocked_before;
  sigemptyset(&signal);
  sigaddset(&signal, SIGXFSZ);
  sigpending(&pending_before);
  pthread_sigmask(SIG_BLOCK, &signal, &blocked_before);
  const auto result = Uninterrupted(call);
  const int system_error = errno;
  const bool was_pending = sigismember(&pending_before, SIGXFSZ) == 1;
  if (result < 0 && system_error == EFBIG && !was_pending) TakePendingSignal(signal);
  pthread_sigmask(SIG_SETMASK, &blocked_before, nullptr);
  errno = system_error;
  return result;
}

// Sixteen digits that no other temporary has. They are no secret, since O_EXCL settles who is first, and need not fail,
// as sources of true randomness can.
std::string UnusedDigits() {
  static std::atomic<uint64_t> counter{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  uint64_t bits = static_cast<uint64_t>(now) ^ (static_cast<uint64_t>(CurrentProcess()) << 40);
  bits ^= reinterpret_cast<uintptr_t>(&counter) << 16;
  bits += ++counter * 0x9E3779B97F4A7C15u;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  char digits[kTemporaryDigits + 1];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(bits ^ (bits >> 31)));
  return digits;
}

// True if `name` is that of a temporary of a file whose name begins with `base`.
bool IsTemporaryName(std::string_view name, std::string_view base) {
  constexpr size_t kTailLength = kTemporaryMark.size() + kTemporaryDigits;
  if (name.size() < base.size() + kTailLength || name.substr(0, base.size()) != base) return false;
  const std::string_view tail = name.substr(name.size() - kTailLength);
  return tail.substr(0, kTemporaryMark.size()) == kTemporaryMark &&
         tail.find_first_not_of("0123456789abcdef", kTemporaryMark.size()) == std::string_view::npos;
}

// The leftover at `path`, locked; no file if it is none.
LockableDescriptor LockLeftover(const std::string& path) {
  // Some network file systems grant an exclusive lock only to those who may write.
  LockableDescriptor file(OpenDescriptor(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open()) file = LockableDescriptor(OpenDescriptor(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open() || file.TryLock() != 0) return LockableDescriptor();
  // Until the lock was free its writer may have renamed the file.
  if (!LeadsTo(path, file.descriptor())) return LockableDescriptor();
  struct stat info;
  if (fstat(file.descriptor().number(), &info) != 0 || !S_ISREG(info.st_mode)) return LockableDescriptor();
  const bool served_by_others = !MappingIsWise(file.descriptor());
  // The time of the last change, which a new name of an old file is too.
  const auto seconds_since_change = static_cast<int64_t>(time(nullptr)) - static_cast<int64_t>(info.st_ctime);
  return IsLeftAlone(served_by_others, seconds_since_change) ? std::move(file) : LockableDescriptor();
}

Status SyncDescriptor(const Descriptor& file, const std::string& path) {
#if defined(__APPLE__)
  // Here fsync leaves the bytes in the disk's own cache. Not all file systems know the call that does not.
  if (Uninterrupted([&] { return fcntl(file.number(), F_FULLFSYNC); }) != -1) return Status();
#endif
  if (Uninterrupted([&] { return fsync(file.number()); }) == 0) return Status();
  return Status::FromErrno(errno, path, "sync");
}

// The same for the bytes of a file and its length. Leaves out its times, which nobody needs after a crash.
Status SyncBytes(const Descriptor& file, const std::string& path) {
#if defined(__linux__)
  if (Uninterrupted([&] { return fdatasync(file.number()); }) == 0) return Status();
  return Status::FromErrno(errno, path, "sync");
#else
  return SyncDescriptor(file, path);
#endif
}

// Copies as much of `range` as the kernel is willing to, and returns how many bytes that was. Why it was not all does
// not matter: what comes next meets the reason too, unless it was only the kernel's.
uint64_t CopyInKernel([[maybe_unused]] const Descriptor& from, [[maybe_unused]] const Descriptor& to,
                      [[maybe_unused]] ByteRange range) {
  uint64_t done = 0;
#if defined(__linux__)
  while (done < range.length) {
    auto read_offset = static_cast<int64_t>(range.offset + done);
    int64_t write_offset = read_offset;
    const auto length = static_cast<size_t>(std::min<uint64_t>(range.length - done, kMaxBytesPerCall));
    const long copied = WithoutSizeSignal(
        [&] { return syscall(kCopyFileRange, from.number(), &read_offset, to.number(), &write_offset, length, 0u); });
    if (copied <= 0) break;
    done += static_cast<uint64_t>(copied);
  }
#endif
  return done;
}

}  // namespace

LockableDescriptor::LockableDescriptor(Descriptor descriptor)
    : descriptor_(std::move(descriptor)), process_(CurrentProcess()) {}

LockableDescriptor& LockableDescriptor::operator=(LockableDescriptor&& other) noexcept {
  // What this one held goes at once, and not whenever `other` does.
  const LockableDescriptor old(std::move(*this));
  descriptor_ = std::move(other.descriptor_);
  process_ = other.process_;
  return *this;
}

LockableDescriptor::~LockableDescriptor() {
  if (is_own()) flock(descriptor_.number(), LOCK_UN);
}

int LockableDescriptor::TryLock() const {
  return Uninterrupted([this] { return flock(descriptor_.number(), LOCK_EX | LOCK_NB); }) == 0 ? 0 : errno;
}

bool LockableDescriptor::is_own() const { return is_open() && process_ == CurrentProcess(); }

Result<TemporaryFile> TemporaryFile::Create(const std::string& target) {
  RETURN_IF_ERROR(CheckPath(target));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const std::string path = target + std::string(kTemporaryMark) + UnusedDigits();
    TemporaryFile file;
    file.path_ = path;
    file.file_ = LockableDescriptor(OpenDescriptor(path, O_RDWR | O_CREAT | O_EXCL));
    if (!file.file_.is_open() && errno == EEXIST) continue;
    if (!file.file_.is_open()) return Status::FromErrno(errno, path, "create");
    // Somebody who looks for leftovers may have come before the lock: then the lock is theirs, or the file is gone.
    // That there is a file will do, since nobody else makes one of this name.
    if (file.file_.TryLock() != EWOULDBLOCK && Exists(path)) return file;
  }
  return Status::FromErrno(EEXIST, target, "create a temporary for");
}

Result<TemporaryFile> TemporaryFile::Link(const std::string& target, const std::string& source) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const std::string path = target + std::string(kTemporaryMark) + UnusedDigits();
    Status linked = LinkFile(source, path);
    if (linked.system_error() == EEXIST && Exists(path)) continue;
    RETURN_IF_ERROR(linked);
    TemporaryFile file;
    file.path_ = path;
    file.file_ = LockableDescriptor(OpenDescriptor(path, O_RDONLY | O_NONBLOCK));
    if (!file.file_.is_open()) return Status::FromErrno(errno, path, "open");
    // Another's lock on the file keeps this name from being taken for a leftover just as well.
    static_cast<void>(file.file_.TryLock());
    if (Exists(path)) return file;
  }
  return Status::FromErrno(EEXIST, target, "create a temporary for");
}

TemporaryFile& TemporaryFile::operator=(TemporaryFile&& other) noexcept {
  const TemporaryFile old(std::move(*this));
  path_ = std::move(other.path_);
  file_ = std::move(other.file_);
  return *this;
}

TemporaryFile::~TemporaryFile() {
  // A forked child has a copy of this object, and no business with the file.
  if (file_.is_own()) unlink(path_.c_str());
}

Status TemporaryFile::WriteAt(uint64_t offset, ByteView bytes) const {
  const auto call = [this](const uint8_t* from, size_t length, uint64_t at) -> ptrdiff_t {
    const int file = file_.descriptor().number();
    return WithoutSizeSignal([&] { return pwrite(file, from, length, static_cast<off_t>(at)); });
  };
  return WriteFully(call, path_, offset, bytes);
}

Status WriteFully(const WriteCall& call, const std::string& path, uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const size_t wanted = std::min(bytes.size(), kMaxBytesPerCall);
    const ptrdiff_t written = call(bytes.data(), wanted, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      // A file system that takes nothing and names no reason would be asked for ever.
      const int system_error = written < 0 ? errno : EIO;
      const std::string action =
          "write " + std::to_string(wanted) + " bytes at offset " + std::to_string(offset) + " of";
      return Status::FromErrno(system_error, path, action).WithOffset(offset);
    }
    bytes.RemovePrefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return Status();
}

Status TemporaryFile::Reserve([[maybe_unused]] ByteRange range) const {
#if defined(__linux__)
  // Not posix_fallocate, which writes zeros where the file system can do no better.
  const int file = file_.descriptor().number();
  const auto offset = static_cast<off_t>(range.offset);
  const auto length = static_cast<off_t>(range.length);
  if (WithoutSizeSignal([&] { return fallocate(file, 0, offset, length); }) == 0) return Status();
  const int system_error = errno;
  if (system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG || system_error == EIO) {
    const std::string what = std::to_string(range.length) + " bytes at offset " + std::to_string(range.offset);
    return Status::FromErrno(system_error, path_, "reserve " + what + " of").WithOffset(range.offset);
  }
#endif
  return Status();
}

Status TemporaryFile::Resize(uint64_t size_bytes) const {
  const int file = file_.descriptor().number();
  if (WithoutSizeSignal([&] { return ftruncate(file, static_cast<off_t>(size_bytes)); }) == 0) return Status();
  const int system_error = errno;
  return Status::FromErrno(system_error, path_, "set the length to " + std::to_string(size_bytes) + " bytes of");
}

void TemporaryFile::StartWriteback([[maybe_unused]] ByteRange range) const {
#if defined(__linux__)
  sync_file_range(file_.descriptor().number(), static_cast<off_t>(range.offset), static_cast<off_t>(range.length),
                  SYNC_FILE_RANGE_WRITE);
#endif
}

Status TemporaryFile::Sync() const { return SyncBytes(file_.descriptor(), path_); }

Result<CopyWay> TemporaryFile::CopyFrom(const std::string& source, const std::function<Status()>& poll,
                                        CopyWay first_way, uint64_t step_bytes) {
  ASSIGN_OR_RETURN(const OpenedFile from, OpenForReading(source));
  if (first_way == CopyWay::kReflink && CloneFrom(from.descriptor)) return CopyWay::kReflink;
  CopyWay way = first_way == CopyWay::kReadWrite ? CopyWay::kReadWrite : CopyWay::kKernelCopy;
  const uint64_t size = from.identity.size_bytes;
  for (uint64_t done = 0; done < size;) {
    if (poll != nullptr) RETURN_IF_ERROR(poll());
    const uint64_t end = done + std::min(step_bytes, size - done);
    if (way == CopyWay::kKernelCopy) {
      done += CopyInKernel(from.descriptor, file_.descriptor(), {done, end - done});
    }
    if (done < end) {
      way = CopyWay::kReadWrite;
      RETURN_IF_ERROR(CopyThroughMemory(from.descriptor, source, {done, end - done}));
      done = end;
    }
  }
  return way;
}

#if defined(__linux__)
bool TemporaryFile::CloneFrom(const Descriptor& source) {
  return WithoutSizeSignal([&] { return ioctl(file_.descriptor().number(), kCloneFile, source.number()); }) == 0;
}
#else
// The system clones into new files only: such a one takes this file's place, its name included. Until it is locked it
// may be taken for a leftover; then it is not there to be renamed, and the bytes are copied.
bool TemporaryFile::CloneFrom(const Descriptor& source) {
  struct stat info;
  if (fstat(file_.descriptor().number(), &info) != 0) return false;
  const std::string path = path_.substr(0, path_.size() - kTemporaryDigits) + UnusedDigits();
  if (fclonefileat(source.number(), AT_FDCWD, path.c_str(), CLONE_NOOWNERCOPY) != 0) return false;
  // A clone has its source's permissions, with which it might not even be opened.
  chmod(path.c_str(), info.st_mode & 0777);
  LockableDescriptor clone(OpenDescriptor(path, O_RDWR | O_NOFOLLOW));
  const bool locked = clone.is_open() && clone.TryLock() != EWOULDBLOCK;
  if (!locked || rename(path.c_str(), path_.c_str()) != 0) {
    unlink(path.c_str());
    return false;
  }
  file_ = std::move(clone);
  return true;
}
#endif

Status TemporaryFile::CopyThroughMemory(const Descriptor& source, const std::string& source_path,
                                        ByteRange range) const {
  std::vector<uint8_t> buffer(static_cast<size_t>(std::min(range.length, kCopyBufferBytes)));
  for (uint64_t done = 0; done < range.length;) {
    const uint64_t length = std::min<uint64_t>(buffer.size(), range.length - done);
    RETURN_IF_ERROR(ReadAt(source, source_path, {range.offset + done, length}, buffer.data()));
    RETURN_IF_ERROR(WriteAt(range.offset + done, ByteView(buffer.data(), static_cast<size_t>(length))));
    done += length;
  }
  return Status();
}

// Network file systems send what is left, and report a full disk or a quota, whenever a descriptor is closed. A
// duplicate does that and keeps the file locked.
Status TemporaryFile::FlushAsCloseDoes() const {
  const int result = Uninterrupted([this] {
    const int duplicate = fcntl(file_.descriptor().number(), F_DUPFD_CLOEXEC, 0);
    return duplicate < 0 ? -2 : close(duplicate);
  });
  if (result == 0) return Status();
  // Out of descriptors: the slow way finds the same errors.
  return result == -2 ? Sync() : Status::FromErrno(errno, path_, "close");
}

Status TemporaryFile::RenameTo(const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  RETURN_IF_ERROR(FlushAsCloseDoes());
  if (rename(path_.c_str(), path.c_str()) != 0) {
    const int system_error = errno;
    return Status::FromErrno(system_error, path, "rename " + path_ + " to");
  }
  // Where both are names of one file already, the call does nothing and leaves the two.
  unlink(path_.c_str());
  path_.clear();
  // Locked until now, so that nobody took it for a leftover.
  file_ = LockableDescriptor();
  return Status();
}

Result<std::vector<std::string>> FindLeftovers(const std::string& prefix) {
  RETURN_IF_ERROR(CheckPath(prefix));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(DirectoryOf(prefix)));
  const size_t base = prefix.rfind('/') + 1;  // 0 if there is no slash.
  std::vector<std::string> leftovers;
  for (const std::string& name : names) {
    if (!IsTemporaryName(name, std::string_view(prefix).substr(base))) continue;
    std::string path = prefix.substr(0, base) + name;
    if (LockLeftover(path).is_open()) leftovers.push_back(std::move(path));
  }
  return leftovers;
}

Status RemoveLeftover(const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  if (!IsTemporaryName(path, "")) return Status();
  // Locked until it is gone, so that a writer that is just creating it notices.
  const LockableDescriptor file = LockLeftover(path);
  return file.is_open() ? RemoveFile(path) : Status();
}

bool IsLeftAlone(bool served_by_others, int64_t seconds_since_change) {
  return !served_by_others || seconds_since_change >= kSecondsToBeLeftAlone;
}

Status RemoveFile(const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return Status();
  return Status::FromErrno(errno, path, "remove");
}

Status LinkFile(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(CheckPath(from));
  RETURN_IF_ERROR(CheckPath(to));
  // Another name of a link, which may be relative, could lead elsewhere.
  if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) return Status();
  const int system_error = errno;
  return Status::FromErrno(system_error, to, "link " + from + " to");
}

Status SyncFile(const std::string& path) {
  ASSIGN_OR_RETURN(const OpenedFile file, OpenForReading(path));
  return SyncBytes(file.descriptor, path);
}

Status SyncDirectory(const std::string& directory) {
  ASSIGN_OR_RETURN(const Descriptor opened, OpenDirectory(directory));
  Status status = SyncDescriptor(opened, directory);
  return MeansNoSuchThing(status.system_error()) ? Status() : status;
}

NewDirectories& NewDirectories::operator=(NewDirectories&& other) noexcept {
  const NewDirectories old(std::move(*this));
  made_ = std::move(other.made_);
  process_ = other.process_;
  return *this;
}

NewDirectories::~NewDirectories() {
  if (process_ != CurrentProcess()) return;
  // The system refuses to remove what is not empty.
  while (!made_.empty() && rmdir(made_.back().c_str()) == 0) made_.pop_back();
}

Status NewDirectories::Make(const std::string& path, bool durable) {
  process_ = CurrentProcess();
  return MakeDirectory(path, durable, &made_);
}

// Calls itself at most as often as the path has parts, and the system limits its length.
Status MakeDirectory(const std::string& path, bool durable,
                     std::vector<std::string>* made) {  // NOLINT(misc-no-recursion)
  RETURN_IF_ERROR(CheckPath(path));
  if (IsDirectory(path)) return Status();
  const std::string above = DirectoryOf(path);
  const auto make = [&path] { return mkdir(path.c_str(), 0777) == 0 ? 0 : errno; };
  int refusal = make();
  if (refusal == ENOENT && above != path) {
    RETURN_IF_ERROR(MakeDirectory(above, durable, made));
    refusal = make();
  }
  if (refusal == 0 && made != nullptr) made->push_back(path);
  if (refusal == 0) return durable ? SyncDirectory(above) : Status();
  // Somebody else may have made it meanwhile. What the system says of a directory that is there is not always EEXIST.
  if (IsDirectory(path)) return Status();
  return Status::FromErrno(refusal, path, "make the directory");
}

Result<std::vector<std::string>> ListDirectory(const std::string& directory) {
  RETURN_IF_ERROR(CheckPath(directory));
  DIR* opened = opendir(directory.c_str());
  while (opened == nullptr && errno == EINTR) opened = opendir(directory.c_str());
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opened, &closedir);
  if (stream == nullptr) return Status::FromErrno(errno, directory, "list the directory");
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return Status::FromErrno(errno, directory, "list the directory");
  std::sort(names.begin(), names.end());
  return names;
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  const size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

namespace {

Status StillLocked(const std::string& directory, std::chrono::seconds patience) {
  return Status::FromErrno(
      EWOULDBLOCK, directory,
      "somebody has kept the directory locked for " + std::to_string(patience.count()) +
          " s, which no save does; end whoever it is (a command under flock, for instance) or save "
          "to another directory: lock");
}

}  // namespace

Result<DirectoryLock> DirectoryLock::Acquire(const std::string& directory, const std::function<Status()>& poll,
                                             std::chrono::seconds patience) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  auto wait = kShortestWait;
  while (true) {
    // Opened each time: another directory may have taken the name, and the lock of the old one keeps nobody out.
    ASSIGN_OR_RETURN(Descriptor descriptor, OpenDirectory(directory));
    LockableDescriptor opened(std::move(descriptor));
    const int refusal = opened.TryLock();
    if (refusal == 0) return DirectoryLock(std::move(opened));
    // Network file systems that lock only what is open for writing say EBADF.
    if (MeansNoSuchThing(refusal) || refusal == EBADF || refusal == ENOLCK) return DirectoryLock();
    if (refusal != EWOULDBLOCK) return Status::FromErrno(refusal, directory, "lock the directory");
    if (poll != nullptr) RETURN_IF_ERROR(poll());
    if (std::chrono::steady_clock::now() >= give_up) return StillLocked(directory, patience);
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, kLongestWait);
  }
}

}  // namespace tensorbundle::os
