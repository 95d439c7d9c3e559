// A source over bytes that are in memory already.

#ifndef TENSORBUNDLE_IO_MEMORY_SOURCE_H_
#define TENSORBUNDLE_IO_MEMORY_SOURCE_H_

#include <string>
#include <utility>

#include "tensorbundle/byte_source.h"

namespace tensorbundle {

class MemorySource final : public ByteSource {
 public:
  MemorySource(Buffer bytes, std::string name) : bytes_(std::move(bytes)), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  uint64_t size_bytes() const override { return bytes_.size(); }
  Result<Buffer> Read(ByteRange range) const override;
  bool reads_are_views() const override { return true; }

 private:
  const Buffer bytes_;
  const std::string name_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_IO_MEMORY_SOURCE_H_
