// The operating system, as far as writing files needs it: Linux and macOS. io/os.h is the half that reading needs.
//
// What the system refuses is kIo with its errno and the path the call was about. A path that no file can have is
// kInvalidArgument. Paths are bytes: no encoding is assumed. A relative path means the working directory at each call.
//
// `poll`, here, is called on the calling thread and may be null; its failure ends the call and is what it returns.

#ifndef TENSORBUNDLE_IO_OS_WRITE_H_
#define TENSORBUNDLE_IO_OS_WRITE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/os.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle::os {

// An open file or directory and the exclusive lock on it, if that could be had. Movable.
//
// A forked child has the descriptor too, and with it the lock. So the lock is given up explicitly, at once for both,
// and only by the process that opened the file: what the child does with its copy changes nothing for the parent.
class LockableDescriptor {
 public:
  LockableDescriptor() = default;
  explicit LockableDescriptor(Descriptor descriptor);
  LockableDescriptor(LockableDescriptor&& other) noexcept = default;
  LockableDescriptor& operator=(LockableDescriptor&& other) noexcept;
  ~LockableDescriptor();

  // Locks without waiting. 0, or why not: EWOULDBLOCK if somebody else has the lock.
  int TryLock() const;
  const Descriptor& descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_.number() >= 0; }
  // Open, and opened by this process rather than by the one that forked it.
  bool is_own() const;

 private:
  Descriptor descriptor_;
  int process_ = 0;
};

// How the bytes of one file came into another.
enum class CopyWay {
  kReflink,     // The files share their blocks on the disk until one of them is written to.
  kKernelCopy,  // The kernel copied, or the server of the file system.
  kReadWrite,   // Through memory of this process.
};

// The longest time between two calls of a copy's `poll` is that for this many bytes.
inline constexpr uint64_t kCopyStepBytes = uint64_t{64} << 20;

// A new file beside the one that it is to become, removed when this goes away unless it was renamed. Movable.
//
// It is named "<target>.tmp-<16 hexadecimal digits>", has the permissions of any new file, and is locked for as long as
// this object or its process lives: so what a killed writer left can be told from what somebody is writing. (On a file
// system without locks it is not locked, and what is left there is never taken for a leftover.)
//
// Where the process has a limit on the size of files, reaching it is EFBIG and raises no SIGXFSZ.
class TemporaryFile {
 public:
  TemporaryFile() = default;  // No file.
  static Result<TemporaryFile> Create(const std::string& target);
  // A temporary that is a further name of the file at `source`; nothing may be written to it. Fails as LinkFile does.
  static Result<TemporaryFile> Link(const std::string& target, const std::string& source);
  TemporaryFile(TemporaryFile&& other) noexcept = default;
  TemporaryFile& operator=(TemporaryFile&& other) noexcept;
  ~TemporaryFile();

  // The path of the temporary. Empty after RenameTo.
  const std::string& path() const { return path_; }

  // Writes all of `bytes` at `offset`. May be called from many threads at once.
  Status WriteAt(uint64_t offset, ByteView bytes) const;
  // Makes room for `range` on the disk, and the file at least that long, where the file system can: writing to it is
  // then twice as fast, and fails for want of space now or not at all.
  Status Reserve(ByteRange range) const;
  // Makes the file exactly this long. What was not written reads as zeros.
  Status Resize(uint64_t size_bytes) const;
  // Asks for `range` to be written to the disk soon, where the system can be asked. Waits only if the disk's queue is
  // full, and reports nothing: Sync does.
  void StartWriteback(ByteRange range) const;
  // Returns once everything written is on the disk, and not merely in its cache as far as the system can tell. After a
  // failure the bytes may be lost even if a second call succeeds.
  Status Sync() const;

  // Fills this file with the bytes of `source`, by the first of CopyWay's ways that works, and says which it was.
  // Opens `source` like OpenForReading; kDataLoss if it is truncated meanwhile. REQUIRES: nothing was written yet, and
  // no other thread uses this object. `first_way` and `step_bytes` are there for tests.
  Result<CopyWay> CopyFrom(const std::string& source, const std::function<Status()>& poll,
                           CopyWay first_way = CopyWay::kReflink, uint64_t step_bytes = kCopyStepBytes);

  // Gives the file its final name, in place of what has that name: a file, or a link, whose target stays. Errors that
  // some file systems keep until a file is closed are reported before, and nothing is renamed then.
  //
  // After success the file is closed, unlocked, and no temporary any more. After a failure it still is one.
  Status RenameTo(const std::string& path);

 private:
  bool CloneFrom(const Descriptor& source);
  Status CopyThroughMemory(const Descriptor& source, const std::string& source_path, ByteRange range) const;
  Status FlushAsCloseDoes() const;

  std::string path_;
  LockableDescriptor file_;
};

// The loop of WriteAt, over any call that writes up to `length` bytes at `offset` and returns their number, or -1 and
// sets errno.
using WriteCall = std::function<ptrdiff_t(const uint8_t* bytes, size_t length, uint64_t offset)>;
Status WriteFully(const WriteCall& call, const std::string& path, uint64_t offset, ByteView bytes);

// The temporaries of files whose path begins with `prefix` that nobody is writing: their writers died. Sorted.
// Where others serve the file system, locks may not reach them: there a leftover also has to have been left alone for a
// day.
Result<std::vector<std::string>> FindLeftovers(const std::string& prefix);
// Removes what FindLeftovers found, unless it is a leftover no more: somebody writes it, or it is gone.
Status RemoveLeftover(const std::string& path);
// The part of FindLeftovers that judges a temporary whose lock could be had.
bool IsLeftAlone(bool served_by_others, int64_t seconds_since_change);

// Removes a file or a link. Success if there is none.
Status RemoveFile(const std::string& path);
// Gives the file at `from`, or what a link there leads to, the further name `to`. EEXIST if that is taken; EXDEV,
// EPERM, EMLINK, ENOTSUP and others where there can be no such name.
Status LinkFile(const std::string& from, const std::string& to);

// Returns once what was written to a file, by whomever, is on the disk.
Status SyncFile(const std::string& path);
// Returns once the names in `directory` are on the disk; at once where the file system knows no such thing.
Status SyncDirectory(const std::string& directory);
// Makes a directory and those above it, and brings the names of those that it made to the disk if they are to be
// durable. Success if it is there. Those that it made are appended to `made`, unless that is null, also on failure.
Status MakeDirectory(const std::string& path, bool durable = false, std::vector<std::string>* made = nullptr);

// Directories that were made for what was to come into them. Those that stay empty go, the innermost first, when this
// goes away, unless they are to be kept. Movable.
class NewDirectories {
 public:
  NewDirectories() = default;  // None.
  NewDirectories(NewDirectories&& other) noexcept = default;
  NewDirectories& operator=(NewDirectories&& other) noexcept;
  ~NewDirectories();

  // As MakeDirectory does.
  Status Make(const std::string& path, bool durable);
  void Keep() { made_.clear(); }

 private:
  std::vector<std::string> made_;  // Each in the one before.
  int process_ = 0;                // That made them: a forked child has a copy, and no business with them.
};

// The names in a directory but "." and "..", sorted by their bytes.
Result<std::vector<std::string>> ListDirectory(const std::string& directory);
// The directory that `path` lies in: what precedes its last slash, "." if it has none.
std::string DirectoryOf(const std::string& path);

// How long a directory may be locked by others. A commit takes as long as it takes to sync an index and a directory,
// which on a busy disk may be many seconds, and several may come first. Whoever keeps the lock for longer does not
// save.
inline constexpr std::chrono::seconds kLongestCommits{300};

// An exclusive lock on a directory: others who want it, in this process or another, wait. Nothing is written for it,
// and those who do not ask for it are not kept out. Movable.
class DirectoryLock {
 public:
  DirectoryLock() = default;  // Holds nothing.
  // Waits for the lock; meanwhile calls `poll` every 1 to 20 ms. EWOULDBLOCK once that has taken `patience`.
  static Result<DirectoryLock> Acquire(const std::string& directory, const std::function<Status()>& poll,
                                       std::chrono::seconds patience = kLongestCommits);

  // False where the file system cannot lock directories. Then nobody is kept out.
  bool held() const { return directory_.is_open(); }

 private:
  explicit DirectoryLock(LockableDescriptor directory) : directory_(std::move(directory)) {}

  LockableDescriptor directory_;
};

}  // namespace tensorbundle::os

#endif  // TENSORBUNDLE_IO_OS_WRITE_H_
