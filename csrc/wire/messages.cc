#include "wire/messages.h"

#include <string>

#include "util/status_macros.h"

namespace tensorbundle::wire {
namespace {

// What this reader is, in TensorFlow's version scheme (VersionDef): the same in both formats.
constexpr int32_t kConsumerVersion = 1;

constexpr int32_t kRefOffset = 100;  // DataType n + 100 is a reference to n, which nothing can store.

// TensorShapeProto.Dim: 1 size.
Status ParseDimension(const Field& dimension, std::vector<int64_t>* shape) {
  int64_t size = 0;
  Reader reader(dimension.bytes, dimension.offset);
  while (reader.Next()) {
    if (reader.field().tag == VarintTag(1)) size = reader.field().AsInt64();
  }
  shape->push_back(size);
  return reader.status();
}

// TensorSliceProto.Extent: 1 start, 2 length; without length it is the whole dimension.
Status ParseExtent(const Field& message, Slice* slice) {
  Extent extent;
  Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const Field& field = reader.field();
    if (field.tag == VarintTag(1)) extent.start = field.AsInt64();
    if (field.tag == VarintTag(2)) extent.length = field.AsInt64();
  }
  slice->extents.push_back(extent);
  return reader.status();
}

}  // namespace

// VersionDef: 1 producer, 2 min_consumer, 3 repeated bad_consumers.
Status CheckVersion(const Field& version, const char* role) {
  const std::string name = role;
  int32_t producer = 0;
  int32_t min_consumer = 0;
  bool refused = false;
  Reader reader(version.bytes, version.offset);
  while (reader.Next()) {
    const Field& field = reader.field();
    switch (field.tag) {
      case VarintTag(1):
        producer = field.AsInt32();
        break;
      case VarintTag(2):
        min_consumer = field.AsInt32();
        break;
      case VarintTag(3):
      case BytesTag(3):
        RETURN_IF_ERROR(
            VisitVarints(field, [&](uint64_t value) { refused |= static_cast<int32_t>(value) == kConsumerVersion; }));
        break;
    }
  }
  if (!reader.status().ok()) {
    return Status(StatusCode::kDataLoss, name + " is not parseable: " + reader.status().message());
  }
  if (producer < 0) {
    return Status(StatusCode::kDataLoss, name + ": producer version " + std::to_string(producer) + " is negative");
  }
  if (min_consumer > kConsumerVersion || refused) {
    return Status(StatusCode::kUnimplemented,
                  name + ": the checkpoint asks for a reader of another version (min_consumer " +
                      std::to_string(min_consumer) + (refused ? ", version 1 refused" : "") + "; this is version 1)");
  }
  return Status();
}

// TensorShapeProto: 2 repeated dim.
Status ParseShape(const Field& message, std::vector<int64_t>* shape) {
  Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(2)) RETURN_IF_ERROR(ParseDimension(reader.field(), shape));
  }
  return reader.status();
}

// TensorSliceProto: 1 repeated extent.
Status ParseSlice(const Field& message, std::vector<Slice>* slices) {
  slices->emplace_back();
  Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(1)) RETURN_IF_ERROR(ParseExtent(reader.field(), &slices->back()));
  }
  return reader.status();
}

Status CheckDType(int32_t number) {
  constexpr int32_t kResource = 20;
  if (number == 0) return Status(StatusCode::kDataLoss, "the entry has no dtype");
  if (number == kResource) return Status(StatusCode::kDataLoss, "dtype resource cannot be stored");
  if (number < 0 || number >= kRefOffset) {
    return Status(StatusCode::kDataLoss, "invalid dtype number " + std::to_string(number));
  }
  return Status();
}

}  // namespace tensorbundle::wire
