// A file as part of the address space: what is read is a view of the file itself, and costs nothing until it is
// touched.

#ifndef TENSORBUNDLE_IO_MMAP_SOURCE_H_
#define TENSORBUNDLE_IO_MMAP_SOURCE_H_

#include <memory>
#include <string>
#include <utility>

#include "io/os.h"
#include "tensorbundle/byte_source.h"

namespace tensorbundle {

// Holds a mapping, shared with every buffer that Read returned, and no file descriptor: a checkpoint may have more
// shards than a process may have open files.
class MmapSource final : public ByteSource {
 public:
  static Result<std::shared_ptr<const ByteSource>> Map(const std::string& path, const os::OpenedFile& file);
  MmapSource(std::string path, std::shared_ptr<const os::Mapping> mapping, const os::FileIdentity& identity)
      : path_(std::move(path)), mapping_(std::move(mapping)), identity_(identity) {}

  const std::string& name() const override { return path_; }
  uint64_t size_bytes() const override { return mapping_->bytes().size(); }
  Result<Buffer> Read(ByteRange range) const override;
  // Populates before it copies.
  Status ReadInto(ByteRange range, uint8_t* destination) const override;
  std::string identity() const override { return identity_.ToText(); }
  bool reads_are_views() const override { return true; }
  void Prefetch(ByteRange range) const override;
  Status Populate(ByteRange range) const override;
  // Needs a descriptor, so the file is opened once more. Nothing is dropped if it has lost its name.
  void DropCache(ByteRange range) const override;

 private:
  const std::string path_;
  const std::shared_ptr<const os::Mapping> mapping_;
  const os::FileIdentity identity_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_IO_MMAP_SOURCE_H_
