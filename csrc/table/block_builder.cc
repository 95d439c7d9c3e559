#include "table/block_builder.h"

#include <algorithm>
#include <cstring>

#include "tensorbundle/buffer.h"
#include "util/endian.h"
#include "util/varint.h"

namespace tensorbundle {
namespace {

size_t CommonPrefix(std::string_view a, std::string_view b) {
  const size_t limit = std::min(a.size(), b.size());
  size_t size = 0;
  // Neighbouring keys share most of what they have, so eight bytes at a time.
  while (limit - size >= 8 && std::memcmp(a.data() + size, b.data() + size, 8) == 0) size += 8;
  while (size < limit && a[size] == b[size]) ++size;
  return size;
}

void AppendFixed32(uint32_t value, std::string* output) {
  uint8_t bytes[sizeof(value)];
  StoreLittleEndian(value, bytes);
  output->append(ByteView(bytes, sizeof(bytes)).AsText());
}

}  // namespace

void BlockBuilder::Add(std::string_view key, std::string_view value) {
  const size_t shared = TakeShared(key);
  const std::string_view suffix = key.substr(shared);
  uint8_t header[3 * kMaxVarint64Length];
  uint8_t* end = StoreVarint(shared, header);
  end = StoreVarint(suffix.size(), end);
  end = StoreVarint(value.size(), end);
  contents_.append(ByteView(header, static_cast<size_t>(end - header)).AsText());
  contents_.append(suffix);
  contents_.append(value);
  last_key_.replace(shared, std::string::npos, suffix);
}

// How much of the key the one before it stands for. A restart shares nothing.
size_t BlockBuilder::TakeShared(std::string_view key) {
  if (contents_.empty()) {
    since_restart_ = 1;
    return 0;
  }
  if (since_restart_ == restart_interval_) {
    restarts_.push_back(static_cast<uint32_t>(contents_.size()));
    since_restart_ = 1;
    return 0;
  }
  ++since_restart_;
  return CommonPrefix(last_key_, key);
}

std::string_view BlockBuilder::Finish() {
  for (const uint32_t offset : restarts_) AppendFixed32(offset, &contents_);
  AppendFixed32(static_cast<uint32_t>(restarts_.size()), &contents_);
  return contents_;
}

void BlockBuilder::Clear() {
  contents_.clear();
  restarts_.assign(1, 0);
}

}  // namespace tensorbundle
