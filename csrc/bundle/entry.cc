#include "bundle/entry.h"

#include <string>
#include <utility>

#include "slices/slice.h"
#include "util/checked.h"
#include "util/crc32c.h"
#include "util/status_macros.h"
#include "wire/reader.h"

namespace tensorbundle {
namespace {

// What this reader is, in TensorFlow's version scheme (VersionDef).
constexpr int32_t kConsumerVersion = 1;

constexpr int32_t kMaxShards = 99999999;
constexpr size_t kMaxRank = 254;  // TensorFlow's.

// The values of BundleHeaderProto.endianness; TensorFlow reads any other as the host's order.
constexpr int32_t kLittleEndian = 0;
constexpr int32_t kBigEndian = 1;

constexpr int32_t kRefOffset = 100;  // DataType n + 100 is a reference to n, which nothing can store.

Status Malformed(const std::string& what) { return Status(StatusCode::kDataLoss, what); }

// VersionDef: 1 producer, 2 min_consumer, 3 repeated bad_consumers.
Status CheckVersion(const wire::Field& version) {
  int32_t producer = 0;
  int32_t min_consumer = 0;
  bool refused = false;
  wire::Reader reader(version.bytes, version.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    switch (field.tag) {
      case wire::VarintTag(1):
        producer = field.AsInt32();
        break;
      case wire::VarintTag(2):
        min_consumer = field.AsInt32();
        break;
      case wire::VarintTag(3):
      case wire::BytesTag(3):
        RETURN_IF_ERROR(wire::VisitVarints(
            field, [&](uint64_t value) { refused |= static_cast<int32_t>(value) == kConsumerVersion; }));
        break;
    }
  }
  if (!reader.status().ok()) return Malformed("header is not parseable: " + reader.status().message());
  if (producer < 0) return Malformed("header: producer version " + std::to_string(producer) + " is negative");
  if (min_consumer > kConsumerVersion || refused) {
    return Status(StatusCode::kUnimplemented,
                  "header: the checkpoint asks for a reader of another version (min_consumer " +
                      std::to_string(min_consumer) + (refused ? ", version 1 refused" : "") + "; this is version 1)");
  }
  return Status();
}

// TensorShapeProto.Dim: 1 size.
Status ParseDimension(const wire::Field& dimension, std::vector<int64_t>* shape) {
  int64_t size = 0;
  wire::Reader reader(dimension.bytes, dimension.offset);
  while (reader.Next()) {
    if (reader.field().tag == wire::VarintTag(1)) size = reader.field().AsInt64();
  }
  shape->push_back(size);
  return reader.status();
}

// TensorShapeProto: 2 repeated dim. An unknown rank is read as a scalar, which is how TensorFlow reads it.
Status ParseShape(const wire::Field& message, std::vector<int64_t>* shape) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == wire::BytesTag(2)) RETURN_IF_ERROR(ParseDimension(reader.field(), shape));
  }
  return reader.status();
}

// TensorSliceProto.Extent: 1 start, 2 length; without length it is the whole dimension.
Status ParseExtent(const wire::Field& message, Slice* slice) {
  Extent extent;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == wire::VarintTag(1)) extent.start = field.AsInt64();
    if (field.tag == wire::VarintTag(2)) extent.length = field.AsInt64();
  }
  slice->extents.push_back(extent);
  return reader.status();
}

// TensorSliceProto: 1 repeated extent.
Status ParseSlice(const wire::Field& message, std::vector<Slice>* slices) {
  slices->emplace_back();
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == wire::BytesTag(1)) RETURN_IF_ERROR(ParseExtent(reader.field(), &slices->back()));
  }
  return reader.status();
}

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
        RETURN_IF_ERROR(ParseShape(field, &record->shape));
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
        RETURN_IF_ERROR(ParseSlice(field, &record->slices));
        break;
    }
  }
  return reader.status();
}

Status CheckShape(const std::vector<int64_t>& shape) {
  if (shape.size() > kMaxRank) {
    return Malformed("Invalid tensor shape: rank " + std::to_string(shape.size()) + " is above " +
                     std::to_string(kMaxRank));
  }
  for (const int64_t dimension : shape) {
    if (dimension < 0) return Malformed("Invalid tensor shape: dimension " + std::to_string(dimension));
  }
  if (!CountElements(shape)) return Malformed("Invalid tensor shape: more than 2^63 elements");
  return Status();
}

// Says no to dtypes that nothing can store; FindDTypeInfo tells of those that are merely unknown.
Status CheckDType(int32_t dtype) {
  constexpr int32_t kResource = 20;
  if (dtype == 0) return Malformed("the entry has no dtype");
  if (dtype == kResource) return Malformed("dtype resource cannot be stored");
  if (dtype < 0 || dtype >= kRefOffset) return Malformed("invalid dtype number " + std::to_string(dtype));
  return Status();
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

}  // namespace

Result<Header> ParseHeader(ByteView record) {
  Header header;
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
        RETURN_IF_ERROR(CheckVersion(field));
        break;
    }
  }
  if (!reader.status().ok()) return Malformed("header is not parseable: " + reader.status().message());
  if (header.num_shards < 1 || header.num_shards > kMaxShards) {
    return Malformed("header: " + std::to_string(header.num_shards) + " shards; expected 1 to " +
                     std::to_string(kMaxShards));
  }
  header.foreign_byte_order = endianness == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? kBigEndian : kLittleEndian);
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
  RETURN_IF_ERROR(CheckDType(record.dtype));
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

}  // namespace tensorbundle
