// The operating system, as far as reading files needs it: Linux and macOS. Nothing else in the library calls it.
//
// System calls may be interrupted, do less than asked, or be limited to 2 GiB; the loops for that are here.

#ifndef TENSORBUNDLE_IO_OS_H_
#define TENSORBUNDLE_IO_OS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle::os {

// A file descriptor, closed when this goes away. Movable.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int number() const { return number_; }

 private:
  int number_ = -1;
};

// Which file it is, and which state of it. Two that are equal while both files are open mean the same bytes, unless
// somebody wrote in place within one tick of the file system's clock.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t mtime_ns = 0;

  std::string ToText() const;
  friend bool operator==(const FileIdentity& a, const FileIdentity& b) {
    return a.device == b.device && a.inode == b.inode && a.size_bytes == b.size_bytes && a.mtime_ns == b.mtime_ns;
  }
  friend bool operator!=(const FileIdentity& a, const FileIdentity& b) { return !(a == b); }
};

struct OpenedFile {
  Descriptor descriptor;
  FileIdentity identity;
};

// Opens a regular file, or what a link to one leads to.
//
// kIo if the system refuses, with EISDIR for a directory and EINVAL for a pipe, socket or device. Never waits for the
// other end of a pipe. kInvalidArgument for a path that no file can have.
Result<OpenedFile> OpenForReading(const std::string& path);

// The absolute path of what `path` leads to, with no link, "." or ".." in it. kIo if there is no such thing.
Result<std::string> ResolveLinks(const std::string& path);

// Fills `destination` with the bytes of `range`. kDataLoss if the file ends inside it: the range was inside when the
// file was opened, so somebody truncated it.
Status ReadAt(const Descriptor& file, const std::string& path, ByteRange range, uint8_t* destination);

// The loop of ReadAt, over any call that reads up to `length` bytes at `offset` and returns their number, 0 at the end
// of the file, or -1 and sets errno.
using ReadCall = std::function<ptrdiff_t(uint8_t* destination, size_t length, uint64_t offset)>;
inline constexpr size_t kMaxBytesPerCall = size_t{1} << 30;
Status ReadFully(const ReadCall& call, const std::string& path, ByteRange range, uint8_t* destination);

// False on file systems that other machines or programs serve. A mapping of such a file turns their failures, and what
// others write, into waits and signals at any touch.
bool MappingIsWise(const Descriptor& file);
// The part of MappingIsWise that Linux has: `type` is statfs's.
bool IsServedByOthers(uint32_t type);

// Starts to read `range` of the file into the page cache. REQUIRES: it lies inside the file.
void AskFor(const Descriptor& file, ByteRange range);
// Says that the file will be read mostly from front to back.
void ExpectSequentialReads(const Descriptor& file);
// Puts pages of the file out of the page cache, those of `range` and of at most 2 MiB before it. Pages that are mapped,
// not yet on the disk or only partly in the range stay. macOS has no call for this: there it does nothing.
void DropCached(const Descriptor& file, ByteRange range);

// Asks for huge pages behind memory; false if there is no such thing. REQUIRES: `memory` is at the start of a page.
bool AdviseHugePages(void* memory, size_t size_bytes);

// A whole file, mapped read-only and shared; unmapped when this goes away. Needs no descriptor once made. Thread-safe.
class Mapping {
 public:
  // An empty file gives an empty mapping.
  static Result<std::shared_ptr<const Mapping>> Create(const OpenedFile& file, const std::string& path);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  ByteView bytes() const { return bytes_; }

  // All REQUIRE that `range` lies inside bytes().

  // Makes `range` safe to touch until somebody truncates the file, or says why it isn't. Kernels before Linux 5.14, and
  // macOS, have no call for this: there it does nothing and succeeds.
  Status Populate(ByteRange range, const std::string& path) const;
  // Says that `range` will be wanted soon. Never waits for the disk; costs next to nothing if repeated.
  void ReadAhead(ByteRange range) const;
  // Takes the pages that DropCached is about to drop out of this process; a touch brings them back.
  void Release(ByteRange range) const;

 private:
  Mapping(ByteView bytes, bool reads_far_ahead) : bytes_(bytes), reads_far_ahead_(reads_far_ahead) {}
  // False if the kernel does not take advice.
  bool ReadAheadInBulk(ByteRange range) const;
  void ReadAheadInSlices(ByteRange range) const;

  ByteView bytes_;
  bool reads_far_ahead_;  // The device is set to read megabytes ahead by itself.
  // The block and the slice that were asked for last, so that neighbours do not ask again.
  mutable std::atomic<uint64_t> last_block_{~uint64_t{0}};
  mutable std::atomic<uint64_t> last_slice_{~uint64_t{0}};
};

// What the errno of populating `range` means: success where the kernel has no such call.
Status PopulateOutcome(int system_error, ByteRange range, const std::string& path);

}  // namespace tensorbundle::os

#endif  // TENSORBUNDLE_IO_OS_H_
