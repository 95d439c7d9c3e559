// Files over 2 GiB, also where pointers have 32 bits.
#define _FILE_OFFSET_BITS 64  // NOLINT(bugprone-reserved-identifier): the C library asks for this name.

#include "io/os.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#elif defined(__APPLE__)
#include <sys/mount.h>
#include <sys/param.h>
#else
#error "tensorbundle reads files on Linux and macOS only"
#endif

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "util/status_macros.h"

namespace tensorbundle::os {
namespace {

static_assert(sizeof(off_t) == 8);

// The kernel cuts a request to read ahead down to what the device's settings allow, 128 KiB where nobody changed them,
// and forgets the rest. So it is asked in slices of that.
constexpr uint64_t kReadAheadSlice = uint64_t{128} << 10;
// Ranges of this size on are read by the bulk.
constexpr uint64_t kBulkBytes = uint64_t{256} << 10;
// Advice changes the kernel's list of mappings, which is kept short by advising in blocks of this size.
constexpr uint64_t kFarAheadKiB = 2048;
constexpr uint64_t kAdviceBlock = uint64_t{32} << 20;

size_t PageSize() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// The bytes of `bytes` and what precedes them on their first page: system calls want addresses of pages.
ByteView FromPageStart(ByteView bytes) {
  const size_t surplus = reinterpret_cast<uintptr_t>(bytes.data()) % PageSize();
  return ByteView(bytes.data() - surplus, bytes.size() + surplus);
}

// Calls `take` with the slices that hold `range`, cut to `limit`.
template <typename Take>
void ForEachSlice(ByteRange range, uint64_t limit, const Take& take) {
  const uint64_t end = range.offset + range.length;
  for (uint64_t begin = range.offset - range.offset % kReadAheadSlice; begin < end;) {
    const uint64_t length = std::min(kReadAheadSlice, limit - begin);
    take(ByteRange{begin, length});
    begin += length;
  }
}

int64_t ModificationTime(const struct stat& info) {
#if defined(__APPLE__)
  const struct timespec& time = info.st_mtimespec;
#else
  const struct timespec& time = info.st_mtim;
#endif
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

const char* NameOfKind(mode_t mode) {
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something else";
}

Status CheckIsFile(const struct stat& info, const std::string& path) {
  if (S_ISREG(info.st_mode)) return Status();
  if (S_ISDIR(info.st_mode)) return Status::FromErrno(EISDIR, path, "open");
  return Status::FromErrno(EINVAL, path, std::string("not a file but ") + NameOfKind(info.st_mode) + ":");
}

int OpenDescriptor(const std::string& path, int more_flags) {
  while (true) {
    const int number = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | more_flags);
    if (number >= 0 || errno != EINTR) return number;
  }
}

#if defined(__linux__)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

// From the start of a huge page on: one that is dropped in two parts would stay in the cache.
ByteRange FromHugePageStart(ByteRange range) {
  constexpr uint64_t kHugePage = uint64_t{2} << 20;
  const uint64_t surplus = range.offset % kHugePage;
  return {range.offset - surplus, range.length + surplus};
}

// True if advice to use huge pages makes the kernel read ahead by megabytes, into large pages: since Linux 5.18. Where
// pages are not of 4 KiB, a huge one may be half a gigabyte.
bool ReadsAheadInHugePages() {
  static const bool answer = [] {
    utsname system;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&system) != 0 || std::sscanf(system.release, "%u.%u", &major, &minor) != 2) return false;
    return (major > 5 || (major == 5 && minor >= 18)) && PageSize() == 4096;
  }();
  return answer;
}
#endif

// True if the file's device is set to read at least kFarAhead ahead of a sequential reader; false too if that can't be
// told.
bool ReadsFarAhead(const OpenedFile& file) {
#if defined(__linux__)
  const auto device = static_cast<dev_t>(file.identity.device);
  const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  // A file system's own setting, a disk's, and the disk's of a partition.
  for (const std::string& path :
       {"/sys/class/bdi/" + number + "/read_ahead_kb", "/sys/dev/block/" + number + "/queue/read_ahead_kb",
        "/sys/dev/block/" + number + "/../queue/read_ahead_kb"}) {
    const Descriptor setting(OpenDescriptor(path, 0));
    char text[24] = {};
    if (setting.number() < 0 || read(setting.number(), text, sizeof(text) - 1) <= 0) continue;
    return std::strtoull(text, nullptr, 10) >= kFarAheadKiB;
  }
#else
  static_cast<void>(file);
#endif
  return false;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

std::string FileIdentity::ToText() const {
  return std::to_string(device) + ":" + std::to_string(inode) + ":" + std::to_string(size_bytes) + ":" +
         std::to_string(mtime_ns);
}

Result<OpenedFile> OpenForReading(const std::string& path) {
  if (const size_t nul = path.find('\0'); nul != std::string::npos) {
    return Status(StatusCode::kInvalidArgument, "a path may not contain a NUL byte").WithPath(path.substr(0, nul));
  }
  // Looked at first, because opening a device may set it in motion.
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return Status::FromErrno(errno, path, "open");
  RETURN_IF_ERROR(CheckIsFile(info, path));
  // Without O_NONBLOCK a pipe that has taken the file's place would be waited for.
  Descriptor descriptor(OpenDescriptor(path, O_NONBLOCK));
  // A file server holds a lease on the file and wants a moment to give it back.
  if (descriptor.number() < 0 && errno == EAGAIN) descriptor = Descriptor(OpenDescriptor(path, 0));
  if (descriptor.number() < 0) return Status::FromErrno(errno, path, "open");
  if (fstat(descriptor.number(), &info) != 0) return Status::FromErrno(errno, path, "look at");
  RETURN_IF_ERROR(CheckIsFile(info, path));
  // Some network file systems would say "not now" instead of waiting for their server.
  fcntl(descriptor.number(), F_SETFL, 0);
  const FileIdentity identity{static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino),
                              static_cast<uint64_t>(info.st_size), ModificationTime(info)};
  return OpenedFile{std::move(descriptor), identity};
}

Result<std::string> ResolveLinks(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr), &std::free);
  if (resolved == nullptr) return Status::FromErrno(errno, path, "resolve");
  return std::string(resolved.get());
}

Status ReadAt(const Descriptor& file, const std::string& path, ByteRange range, uint8_t* destination) {
  const auto call = [&file](uint8_t* to, size_t length, uint64_t offset) {
    return static_cast<ptrdiff_t>(pread(file.number(), to, length, static_cast<off_t>(offset)));
  };
  return ReadFully(call, path, range, destination);
}

Status ReadFully(const ReadCall& call, const std::string& path, ByteRange range, uint8_t* destination) {
  for (uint64_t done = 0; done < range.length;) {
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(range.length - done, kMaxBytesPerCall));
    const uint64_t offset = range.offset + done;
    const ptrdiff_t got = call(destination + done, wanted, offset);
    if (got > 0) {
      done += static_cast<uint64_t>(got);
    } else if (got == 0) {
      Status status(StatusCode::kDataLoss, "truncated while open: expected " + std::to_string(range.length) +
                                               " bytes at offset " + std::to_string(range.offset) + ", found " +
                                               std::to_string(done));
      return std::move(status).WithPath(path).WithOffset(offset);
    } else if (errno != EINTR) {
      const int system_error = errno;
      const std::string action =
          "read " + std::to_string(wanted) + " bytes at offset " + std::to_string(offset) + " of";
      return Status::FromErrno(system_error, path, action).WithOffset(offset);
    }
  }
  return Status();
}

bool IsServedByOthers(uint32_t type) {
  static constexpr uint32_t kTypes[] = {
      0x6969,      // NFS
      0x517B,      // SMB
      0xFE534D42,  // SMB 2 and 3
      0xFF534D42,  // CIFS
      0x0BD00BD0,  // Lustre
      0x65735546,  // FUSE: sshfs, s3fs, gcsfuse, GlusterFS, virtiofs
      0x01021997,  // 9p
      0x00C36400,  // Ceph
      0x47504653,  // GPFS
      0x5346414F,  // OpenAFS
      0x6B414653,  // AFS
      0x19830326,  // BeeGFS
      0x73757245,  // Coda
      0x0000564C,  // NCP
      0x20030528,  // OrangeFS
      0xAAD7AAEA,  // PanFS
      0x013111A8,  // IBRIX
      0xBEEFDEAD,  // StorNext
      0x786F4256,  // VirtualBox shared folders
      0xBACBACBC,  // VMware shared folders
      0x7C7C6673,  // Parallels shared folders
  };
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

bool MappingIsWise(const Descriptor& file) {
  struct statfs info;
  if (fstatfs(file.number(), &info) != 0) return false;
#if defined(__linux__)
  return !IsServedByOthers(static_cast<uint32_t>(info.f_type));
#else
  return (info.f_flags & MNT_LOCAL) != 0 && std::strstr(info.f_fstypename, "fuse") == nullptr;
#endif
}

void AskFor(const Descriptor& file, ByteRange range) {
  ForEachSlice(range, range.offset + range.length, [&file](ByteRange slice) {
#if defined(__linux__)
    posix_fadvise(file.number(), static_cast<off_t>(slice.offset), static_cast<off_t>(slice.length),
                  POSIX_FADV_WILLNEED);
#else
    radvisory advice{static_cast<off_t>(slice.offset), static_cast<int>(slice.length)};
    fcntl(file.number(), F_RDADVISE, &advice);
#endif
  });
}

void ExpectSequentialReads(const Descriptor& file) {
#if defined(__linux__)
  posix_fadvise(file.number(), 0, 0, POSIX_FADV_SEQUENTIAL);
#else
  static_cast<void>(file);
#endif
}

void DropCached(const Descriptor& file, ByteRange range) {
  if (range.length == 0) return;  // To the kernel: all that follows.
#if defined(__linux__)
  const ByteRange pages = FromHugePageStart(range);
  posix_fadvise(file.number(), static_cast<off_t>(pages.offset), static_cast<off_t>(pages.length), POSIX_FADV_DONTNEED);
#else
  static_cast<void>(file);
#endif
}

bool AdviseHugePages(void* memory, size_t size_bytes) {
#if defined(__linux__)
  return madvise(memory, size_bytes, MADV_HUGEPAGE) == 0;
#else
  static_cast<void>(memory);
  static_cast<void>(size_bytes);
  return false;
#endif
}

Result<std::shared_ptr<const Mapping>> Mapping::Create(const OpenedFile& file, const std::string& path) {
  const uint64_t size = file.identity.size_bytes;
  if (size == 0) return std::shared_ptr<const Mapping>(new Mapping(ByteView(), false));
  if (size > std::numeric_limits<size_t>::max()) return Status::FromErrno(EFBIG, path, "map");
  void* const address = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED, file.descriptor.number(), 0);
  if (address == MAP_FAILED) return Status::FromErrno(errno, path, "map");
  return std::shared_ptr<const Mapping>(
      new Mapping(ByteView(static_cast<const uint8_t*>(address), static_cast<size_t>(size)), ReadsFarAhead(file)));
}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Status Mapping::Populate(ByteRange range, const std::string& path) const {
  if (range.length == 0) return Status();
#if defined(__linux__)
  const ByteView pages = FromPageStart(bytes_.Slice(range.offset, range.length));
  while (madvise(const_cast<uint8_t*>(pages.data()), pages.size(), MADV_POPULATE_READ) != 0) {
    if (errno != EINTR) return PopulateOutcome(errno, range, path);
  }
#else
  static_cast<void>(path);
#endif
  return Status();
}

Status PopulateOutcome(int system_error, ByteRange range, const std::string& path) {
  const std::string what = std::to_string(range.length) + " bytes at offset " + std::to_string(range.offset);
  if (system_error == 0 || system_error == EINVAL) return Status();
  if (system_error == EFAULT) {
    Status status(StatusCode::kDataLoss,
                  what + " cannot be read: the file was truncated while mapped, or the disk fails");
    return std::move(status).WithPath(path).WithOffset(range.offset);
  }
  return Status::FromErrno(system_error, path, "bring into memory " + what + " of").WithOffset(range.offset);
}

void Mapping::ReadAhead(ByteRange range) const {
  if (range.length == 0) return;
#if defined(__linux__)
  // A device that is set to read far ahead does so as soon as the pass begins, and twice as fast as under advice.
  if (range.length >= kBulkBytes && reads_far_ahead_) return;
  if (range.length >= kBulkBytes && ReadsAheadInHugePages() && ReadAheadInBulk(range)) return;
#endif
  ReadAheadInSlices(range);
}

// Only advice, no request: asked for explicitly, a large range is read into small pages, which costs half of a fast
// disk's speed and makes every later pass over the range several times slower. With this advice the kernel reads 4 MiB
// ahead of the reader, into pages of 2 MiB, whatever the device's settings.
bool Mapping::ReadAheadInBulk(ByteRange range) const {
  const uint64_t first = range.offset / kAdviceBlock;
  const uint64_t last = (range.offset + range.length - 1) / kAdviceBlock;
  if (first == last && last_block_.load(std::memory_order_relaxed) == last) return true;
  const uint64_t begin = first * kAdviceBlock;
  const uint64_t length = std::min<uint64_t>((last - first + 1) * kAdviceBlock, bytes_.size() - begin);
  if (!AdviseHugePages(const_cast<uint8_t*>(bytes_.data()) + begin, static_cast<size_t>(length))) return false;
  last_block_.store(last, std::memory_order_relaxed);
  return true;
}

void Mapping::ReadAheadInSlices(ByteRange range) const {
  ForEachSlice(range, bytes_.size(), [this](ByteRange slice) {
    if (last_slice_.exchange(slice.offset, std::memory_order_relaxed) == slice.offset) return;
    const ByteView pages = FromPageStart(bytes_.Slice(slice.offset, slice.length));
    madvise(const_cast<uint8_t*>(pages.data()), pages.size(), MADV_WILLNEED);
  });
}

void Mapping::Release(ByteRange range) const {
  if (range.length == 0) return;
#if defined(__linux__)
  const ByteRange pages = FromHugePageStart(range);
  madvise(const_cast<uint8_t*>(bytes_.data()) + pages.offset, static_cast<size_t>(pages.length), MADV_DONTNEED);
#endif
}

}  // namespace tensorbundle::os
