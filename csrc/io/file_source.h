// A file that is read into memory of the reader's own: slower than a mapping to look into, but nothing that others do
// to the file, its server or its disk is more than an error.

#ifndef TENSORBUNDLE_IO_FILE_SOURCE_H_
#define TENSORBUNDLE_IO_FILE_SOURCE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/os.h"
#include "tensorbundle/byte_source.h"

namespace tensorbundle {

// Holds the file's descriptor. Buffers it returned do not.
class FileSource final : public ByteSource {
 public:
  static std::shared_ptr<const ByteSource> Make(const std::string& path, os::OpenedFile file);
  FileSource(std::string path, os::OpenedFile file)
      : path_(std::move(path)), file_(std::move(file)), is_local_(os::MappingIsWise(file_.descriptor)) {}

  const std::string& name() const override { return path_; }
  uint64_t size_bytes() const override { return file_.identity.size_bytes; }
  Result<Buffer> Read(ByteRange range) const override;
  Status ReadInto(ByteRange range, uint8_t* destination) const override;
  // Neighbouring small ranges are read together, and their buffers then share one allocation of at most a megabyte.
  Result<std::vector<Buffer>> ReadMany(const std::vector<ByteRange>& ranges) const override;
  std::string identity() const override { return file_.identity.ToText(); }
  void Prefetch(ByteRange range) const override;
  void DropCache(ByteRange range) const override;

 private:
  const std::string path_;
  const os::OpenedFile file_;
  const bool is_local_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_IO_FILE_SOURCE_H_
