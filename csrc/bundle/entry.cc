#include "bundle/entry.h"

#include <string>
#include <utility>

#include "slices/slice.h"
#include "util/checked.h"
#include "util/crc32c.h"
#include "util/endian.h"
#include "util/status_macros.h"
#include "wire/messages.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace tensorbundle {
namespace {

constexpr int32_t kMaxShards = 99999999;

// The values of BundleHeaderProto.endianness; TensorFlow reads any other as the host's order.
constexpr int32_t kLittleEndian = 0;
constexpr int32_t kBigEndian = 1;
constexpr int32_t kForeignEndian = kHostIsLittleEndian ? kBigEndian : kLittleEndian;
constexpr int32_t kHostEndian = kHostIsLittleEndian ? kLittleEndian : kBigEndian;

Status Malformed(const std::string& what) { return Status(StatusCode::kDataLoss, what); }

// A BundleEntryProto as it was written; signed where the schema is.
struct Record {
  int32_t dtype = 0;
  std::vector<int64_t> shape;
  int32_t shard = 0;
  int64_t offset = 0;
  int64_t size = 0;
  uint32_t masked_crc32c = 0;
  std::vector<Slice> slices;
};

Status ParseRecord(ByteView bytes, Record* record) {
  wire::Reader reader(bytes);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    switch (field.tag) {
      case wire::VarintTag(1):
        record->dtype = field.AsInt32();
        break;
      case wire::BytesTag(2):
        RETURN_IF_ERROR(wire::ParseShape(field, &record->shape));
        break;
      case wire::VarintTag(3):
        record->shard = field.AsInt32();
        break;
      case wire::VarintTag(4):
        record->offset = field.AsInt64();
        break;
      case wire::VarintTag(5):
        record->size = field.AsInt64();
        break;
      case wire::Fixed32Tag(6):
        record->masked_crc32c = field.AsFixed32();
        break;
      case wire::BytesTag(7):
        RETURN_IF_ERROR(wire::ParseSlice(field, &record->slices));
        break;
    }
  }
  return reader.status();
}

Status CheckSize(uint64_t num_elements, const DTypeInfo& info, uint64_t size) {
  const std::string elements = std::to_string(num_elements) + " elements of " + info.name;
  if (info.size_bytes == 0) {
    // Each string takes at least the byte of its length, so a count that exceeds the bytes is a lie.
    if (num_elements <= size) return Status();
    return Malformed("Invalid size in bundle entry: " + std::to_string(size) + " bytes are too few for " + elements);
  }
  uint64_t expected = 0;
  if (CheckedMultiply<uint64_t>(num_elements, info.size_bytes, &expected) && size == expected) return Status();
  return Malformed("Invalid size in bundle entry: " + elements + " need " + std::to_string(info.size_bytes) +
                   " bytes each, the entry has " + std::to_string(size) + " bytes");
}

Status CheckPlace(const Record& record, int32_t num_shards) {
  if (record.shard < 0 || record.shard >= num_shards) {
    return Malformed("shard " + std::to_string(record.shard) + " does not exist: there are " +
                     std::to_string(num_shards));
  }
  int64_t end = 0;
  if (record.offset < 0 || record.size < 0 || !CheckedAdd(record.offset, record.size, &end)) {
    return Malformed("impossible place in the shard: offset " + std::to_string(record.offset) + ", size " +
                     std::to_string(record.size));
  }
  return Status();
}

// Fields at their default are not stored.
void AppendUnlessZero(uint32_t number, int64_t value, std::string* message) {
  if (value != 0) wire::AppendInt(number, value, message);
}

void AppendDimension(int64_t size, std::string* shape) {
  wire::AppendMessage(2, shape, [&] { AppendUnlessZero(1, size, shape); });
}

// The length is in a oneof: left out, it says that the extent is the whole dimension.
void AppendExtent(const Extent& extent, std::string* slice) {
  wire::AppendMessage(1, slice, [&] {
    AppendUnlessZero(1, extent.start, slice);
    if (extent.length != kWholeDimension) wire::AppendInt(2, extent.length, slice);
  });
}

void AppendPlace(const StoredBytes& bytes, std::string* record) {
  AppendUnlessZero(3, bytes.shard, record);
  AppendUnlessZero(4, static_cast<int64_t>(bytes.offset), record);
  AppendUnlessZero(5, static_cast<int64_t>(bytes.size_bytes), record);
  const uint32_t masked = crc32c::Mask(bytes.crc32c);
  if (masked != 0) wire::AppendFixed32(6, masked, record);
}

// The offset in `record` at which a field ends that its reader has just read.
size_t EndOf(const wire::Field& field, ByteView record) {
  if (field.type() == wire::WireType::kBytes) return field.offset + field.bytes.size();
  if (field.type() == wire::WireType::kFixed32) return field.offset + sizeof(uint32_t);
  if (field.type() == wire::WireType::kFixed64) return field.offset + sizeof(uint64_t);
  size_t last = field.offset;
  while (record[last] >= 0x80) ++last;
  return last + 1;
}

// The offset at which the tag of a field begins, at `begin` at the earliest. It lies right before a varint, and only
// its last byte has the top bit clear, as has the last byte of a group that may lie before the tag.
size_t TagOffset(const wire::Field& field, ByteView record, size_t begin) {
  size_t offset = field.offset - 1;
  while (offset > begin && record[offset - 1] >= 0x80) --offset;
  return offset;
}

}  // namespace

Result<Header> ParseHeader(ByteView record) {
  Header header;
  header.version.clear();
  int32_t endianness = kLittleEndian;
  wire::Reader reader(record);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    switch (field.tag) {
      case wire::VarintTag(1):
        header.num_shards = field.AsInt32();
        break;
      case wire::VarintTag(2):
        endianness = field.AsInt32();
        break;
      case wire::BytesTag(3):
        RETURN_IF_ERROR(wire::CheckVersion(field, "header"));
        header.version += field.bytes.AsText();  // Should there be two: this is how protobuf merges them.
        break;
    }
  }
  if (!reader.status().ok()) return Malformed("header is not parseable: " + reader.status().message());
  if (header.num_shards < 1 || header.num_shards > kMaxShards) {
    return Malformed("header: " + std::to_string(header.num_shards) + " shards; expected 1 to " +
                     std::to_string(kMaxShards));
  }
  header.foreign_byte_order = endianness == kForeignEndian;
  return header;
}

Status ParseEntry(ByteView key, ByteView bytes, int32_t num_shards, Entry* entry) {
  *entry = Entry();
  entry->name = std::string(key.AsText());
  Record record;
  if (const Status parsed = ParseRecord(bytes, &record); !parsed.ok()) {
    return Malformed("the entry is not parseable: " + parsed.message());
  }
  RETURN_IF_ERROR(CheckShape(record.shape));
  RETURN_IF_ERROR(wire::CheckDType(record.dtype));
  const auto dtype = static_cast<DType>(record.dtype);
  const DTypeInfo* const info = FindDTypeInfo(dtype);
  if (record.slices.empty()) {
    RETURN_IF_ERROR(CheckPlace(record, num_shards));
    if (info != nullptr) RETURN_IF_ERROR(CheckSize(*CountElements(record.shape), *info, record.size));
    entry->shard = record.shard;
    entry->offset_in_shard = record.offset;
    entry->size_bytes = record.size;
    entry->crc32c = crc32c::Unmask(record.masked_crc32c);
  }
  entry->dtype = dtype;
  entry->shape = std::move(record.shape);
  entry->slices = std::move(record.slices);
  if (info != nullptr) return Status();
  return Status(StatusCode::kUnimplemented, "unknown dtype number " + std::to_string(record.dtype) +
                                                "; a newer version of this library may know it");
}

std::string EncodeHeader(const Header& header) {
  std::string record;
  AppendUnlessZero(1, header.num_shards, &record);
  AppendUnlessZero(2, header.foreign_byte_order ? kForeignEndian : kHostEndian, &record);
  if (!header.version.empty()) wire::AppendBytes(3, ByteView(header.version), &record);
  return record;
}

void EncodeEntry(const Entry& entry, std::string* record) {
  record->clear();
  AppendUnlessZero(1, static_cast<int32_t>(entry.dtype), record);
  // Stored even if it is empty, which is a scalar's.
  wire::AppendMessage(2, record, [&] {
    for (const int64_t size : entry.shape) AppendDimension(size, record);
  });
  if (entry.slices.empty()) AppendPlace(StoredBytesOf(entry), record);
  for (const Slice& slice : entry.slices) {
    wire::AppendMessage(7, record, [&] {
      for (const Extent& extent : slice.extents) AppendExtent(extent, record);
    });
  }
}

Result<std::string> WithShard(ByteView record, int32_t shard) {
  constexpr uint32_t kShardNumber = 3;
  std::string changed;
  bool placed = shard == 0;
  size_t begin = 0;  // Of the field at hand, and of groups before it, which the reader passes over.
  wire::Reader reader(record);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (!placed && field.number() > kShardNumber) {
      wire::AppendInt(kShardNumber, shard, &changed);
      placed = true;
    }
    const size_t end = EndOf(field, record);
    const bool is_shard = field.tag == wire::VarintTag(kShardNumber);
    const size_t kept_end = is_shard ? TagOffset(field, record, begin) : end;
    changed += record.Slice(begin, kept_end - begin).AsText();
    begin = end;
  }
  if (!reader.status().ok()) return Malformed("the entry is not parseable: " + reader.status().message());
  changed += record.Slice(begin, record.size() - begin).AsText();
  if (!placed) wire::AppendInt(kShardNumber, shard, &changed);
  return changed;
}

}  // namespace tensorbundle
