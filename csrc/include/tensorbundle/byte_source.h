// Where a checkpoint's bytes come from: a mapped file, a file that is read, memory, or a class of your own.

#ifndef TENSORBUNDLE_BYTE_SOURCE_H_
#define TENSORBUNDLE_BYTE_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/export.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Random access to an immutable run of bytes.
//
// Threads: const methods may be called from many threads at once.
// Errors: a range that does not lie inside [0, size()) is kDataLoss and names the source, the range and the size,
// before anything is allocated; a failing system call is kIo; a class of your own may return kExternal.
class TENSORBUNDLE_EXPORT ByteSource {
 public:
  virtual ~ByteSource();

  // For messages: the path, URL or "memory".
  virtual const std::string& name() const = 0;
  // Bytes in the source, found once, when it was opened.
  virtual uint64_t size_bytes() const = 0;

  // The bytes of `range`. They live as long as any copy of the buffer does, also after the source itself is gone.
  virtual Result<Buffer> Read(ByteRange range) const = 0;
  // Fills `destination`, which has room for range.length bytes; on failure its contents are undefined.
  // By default: Read and copy.
  virtual Status ReadInto(ByteRange range, uint8_t* destination) const;
  // Read of each range, in their order; all or the first error. Override where one request for many costs less.
  virtual Result<std::vector<Buffer>> ReadMany(const std::vector<ByteRange>& ranges) const;

  // A text that differs if other bytes have come to stand behind the same name since; empty if the source can't tell.
  // Compared while both sources are open. For a file: device, inode, size and time of modification.
  virtual std::string identity() const;
  // True if Read copies nothing and costs no I/O, so that arrays can be views of the source itself. Default: false.
  virtual bool reads_are_views() const;
  // Says that `range` will be wanted soon; may start reading ahead, never waits for it. By default: nothing.
  virtual void Prefetch(ByteRange range) const;
  // Brings `range` into memory and makes it safe to touch through a view: what would be a signal on touching (a mapped
  // file that somebody truncated, a failing disk) is an error here. By default: nothing, success.
  virtual Status Populate(ByteRange range) const;
  // Says that `range` won't be wanted soon, so that the system may use the memory that it is cached in for something
  // else. What is read of it again comes from where it is stored; views stay valid. By default: nothing.
  virtual void DropCache(ByteRange range) const;
};

// How OpenFile reaches a file's bytes.
enum class FileAccess {
  kAuto,  // Map it, except on file systems where a mapping is unwise: NFS, SMB, Lustre, FUSE, 9p and their kin.
  kMap,   // Map it. Views are free; a file truncated by somebody else kills the process that touches a view.
  kRead,  // Read it with pread into memory of its own. Immune to what others do to the file.
};

// Opens a local file. The bytes stay readable after the file is renamed or deleted.
TENSORBUNDLE_EXPORT Result<std::shared_ptr<const ByteSource>> OpenFile(const std::string& path,
                                                                       FileAccess access = FileAccess::kAuto);

// A source over bytes in memory, kept by the buffer's owner.
TENSORBUNDLE_EXPORT std::shared_ptr<const ByteSource> FromMemory(Buffer bytes, std::string name = "memory");

// Opens the source at a path or URL. A checkpoint is several files; their names follow from its prefix.
using SourceOpener = std::function<Result<std::shared_ptr<const ByteSource>>(const std::string& path)>;

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BYTE_SOURCE_H_
