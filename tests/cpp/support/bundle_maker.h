// Bundles in memory, field by field, so that tests can say exactly what a record claims.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_BUNDLE_MAKER_H_
#define TENSORBUNDLE_TESTS_SUPPORT_BUNDLE_MAKER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "slices/key.h"
#include "support/table_maker.h"
#include "tensorbundle/byte_source.h"
#include "tensorbundle/checkpoint.h"
#include "util/crc32c.h"

namespace tensorbundle::test_support {

// Serves these files from memory; others do not exist.
inline OpenOptions ServeFiles(const std::map<std::string, std::string>& files) {
  OpenOptions options;
  options.opener = [files](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    const auto found = files.find(path);
    if (found == files.end()) return Status::FromErrno(2, path, "cannot open");
    const auto kept = std::make_shared<const std::string>(found->second);
    return FromMemory(Buffer(ByteView(*kept), kept), path);
  };
  return options;
}

inline void AppendVarintField(uint32_t number, uint64_t value, std::string* message) {
  AppendVarint(number << 3, message);
  AppendVarint(value, message);
}

inline void AppendBytesField(uint32_t number, std::string_view value, std::string* message) {
  AppendVarint(number << 3 | 2, message);
  AppendVarint(value.size(), message);
  message->append(value);
}

inline std::string EncodeHeader(int32_t num_shards, int endianness = 0) {
  std::string header;
  AppendVarintField(1, static_cast<uint64_t>(static_cast<int64_t>(num_shards)), &header);
  if (endianness != 0) AppendVarintField(2, static_cast<uint64_t>(endianness), &header);
  AppendBytesField(3, std::string("\x08\x01", 2), &header);
  return header;
}

// What a BundleEntryProto says. Defaults: a float32 scalar at the start of shard 0.
struct RecordFields {
  int64_t dtype = 1;
  std::vector<int64_t> shape;
  int64_t shard = 0;
  int64_t offset = 0;
  int64_t size = 4;
  uint32_t crc32c = 0;  // Not masked.
  std::vector<Slice> slices;
};

inline std::string EncodeSlice(const Slice& slice) {
  std::string message;
  for (const Extent& extent : slice.extents) {
    std::string field;
    if (extent.start != 0) AppendVarintField(1, static_cast<uint64_t>(extent.start), &field);
    if (extent.length != kWholeDimension) AppendVarintField(2, static_cast<uint64_t>(extent.length), &field);
    AppendBytesField(1, field, &message);
  }
  return message;
}

inline std::string EncodeRecord(const RecordFields& fields) {
  std::string record;
  std::string shape;
  for (const int64_t size : fields.shape) {
    std::string dimension;
    AppendVarintField(1, static_cast<uint64_t>(size), &dimension);
    AppendBytesField(2, dimension, &shape);
  }
  AppendVarintField(1, static_cast<uint64_t>(fields.dtype), &record);
  AppendBytesField(2, shape, &record);
  AppendVarintField(3, static_cast<uint64_t>(fields.shard), &record);
  AppendVarintField(4, static_cast<uint64_t>(fields.offset), &record);
  AppendVarintField(5, static_cast<uint64_t>(fields.size), &record);
  AppendVarint(6 << 3 | 5, &record);
  AppendFixed(crc32c::Mask(fields.crc32c), 4, &record);
  for (const Slice& slice : fields.slices) AppendBytesField(7, EncodeSlice(slice), &record);
  return record;
}

// The files of one bundle, and an opener that finds them by name.
class BundleMaker {
 public:
  explicit BundleMaker(int32_t num_shards = 1, int endianness = 0)
      : header_(EncodeHeader(num_shards, endianness)), num_shards_(num_shards) {
    for (int32_t i = 0; i < num_shards; ++i) shards[i];
  }

  // Appends the bytes to a shard and adds their record.
  void Add(const std::string& name, int64_t dtype, std::vector<int64_t> shape, std::string_view bytes,
           int32_t shard = 0) {
    records[name] = EncodeRecord({dtype,
                                  std::move(shape),
                                  shard,
                                  static_cast<int64_t>(shards[shard].size()),
                                  static_cast<int64_t>(bytes.size()),
                                  crc32c::Extend(0, ByteView(bytes)),
                                  {}});
    shards[shard].append(bytes);
  }
  // The same for one piece of a tensor, whose own record AddPartitioned adds.
  void AddPiece(const std::string& name, const Slice& slice, int64_t dtype, std::vector<int64_t> shape,
                std::string_view bytes, int32_t shard = 0) {
    Add(EncodeSliceKey(name, slice), dtype, std::move(shape), bytes, shard);
  }
  void AddPartitioned(const std::string& name, int64_t dtype, std::vector<int64_t> shape, std::vector<Slice> slices) {
    RecordFields fields{dtype, std::move(shape), 0, 0, 0, 0, std::move(slices)};
    records[name] = EncodeRecord(fields);
  }

  std::string Index() const {
    Entries entries = {{"", header_}};
    for (const auto& [key, record] : records) entries.emplace_back(key, record);
    return MakeTable(entries).bytes;
  }

  // Serves "m.index" and "m.data-0000?-of-0000?" from memory. Files that are not in `shards` do not exist.
  OpenOptions Options() const {
    std::map<std::string, std::string> files = {{"m.index", Index()}};
    for (const auto& [shard, bytes] : shards) {
      files["m.data-0000" + std::to_string(shard) + "-of-0000" + std::to_string(num_shards_)] = bytes;
    }
    return ServeFiles(files);
  }
  Result<Checkpoint> Open() const { return Checkpoint::Open("m", Options()); }

  std::map<std::string, std::string> records;  // By key; the header apart. Tests overwrite what they want to damage.
  std::map<int32_t, std::string> shards;

 private:
  std::string header_;
  int32_t num_shards_;
};

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_BUNDLE_MAKER_H_
