#include "v1/records.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "io/owned_memory.h"
#include "util/checked.h"
#include "util/endian.h"
#include "util/owned_offsets.h"
#include "util/status_macros.h"
#include "util/varint.h"
#include "wire/messages.h"
#include "wire/reader.h"

namespace tensorbundle::v1 {
namespace {

// Fields of SavedTensorSlices, SavedSlice and TensorProto.
constexpr uint32_t kMeta = 1;
constexpr uint32_t kData = 2;
constexpr uint32_t kTensor = 3;
constexpr uint32_t kTensorContent = 4;

// Elements between two calls of keep_going: some milliseconds' worth.
constexpr uint64_t kElementsPerCall = uint64_t{1} << 20;

enum class Encoding { kVarint, kFixed32, kFixed64, kBytes };

// The field of TensorProto that holds the values of a dtype.
struct ValueField {
  DType dtype;
  uint32_t number;
  Encoding encoding;
};

constexpr ValueField kValueFields[] = {
    {DType::kFloat32, 5, Encoding::kFixed32},     {DType::kFloat64, 6, Encoding::kFixed64},
    {DType::kInt32, 7, Encoding::kVarint},        {DType::kUint8, 7, Encoding::kVarint},
    {DType::kInt16, 7, Encoding::kVarint},        {DType::kInt8, 7, Encoding::kVarint},
    {DType::kString, 8, Encoding::kBytes},        {DType::kComplex64, 9, Encoding::kFixed32},
    {DType::kInt64, 10, Encoding::kVarint},       {DType::kBool, 11, Encoding::kVarint},
    {DType::kQint8, 7, Encoding::kVarint},        {DType::kQuint8, 7, Encoding::kVarint},
    {DType::kQint32, 7, Encoding::kVarint},       {DType::kUint16, 7, Encoding::kVarint},
    {DType::kComplex128, 12, Encoding::kFixed64}, {DType::kFloat16, 13, Encoding::kVarint},
};

const ValueField* FindValueField(DType dtype) {
  for (const ValueField& field : kValueFields) {
    if (field.dtype == dtype) return &field;
  }
  return nullptr;
}

// TensorFlow's words for a record that is not what its tensor needs.
Status CopyError(const std::string& what) { return Status(StatusCode::kDataLoss, "Error copying slice data: " + what); }

Status WrongCount(uint64_t found, uint64_t expected, const char* relation) {
  return CopyError("the record holds " + std::string(relation) + std::to_string(found) + " elements, the slice has " +
                   std::to_string(expected));
}

// Calls visit(const wire::Field&) for each field of a message.
template <typename Visit>
Status VisitFields(ByteView message, size_t origin, const Visit& visit) {
  wire::Reader reader(message, origin);
  while (reader.Next()) RETURN_IF_ERROR(visit(reader.field()));
  return reader.status();
}

// The same for each field of every TensorProto in a record. Messages that are stored twice are one after the other,
// which is how protobuf joins them.
template <typename Visit>
Status VisitTensorFields(ByteView record, const Visit& visit) {
  const auto visit_slice = [&](const wire::Field& field) {
    return field.tag == wire::BytesTag(kTensor) ? VisitFields(field.bytes, field.offset, visit) : Status();
  };
  return VisitFields(record, 0, [&](const wire::Field& field) {
    return field.tag == wire::BytesTag(kData) ? VisitFields(field.bytes, field.offset, visit_slice) : Status();
  });
}

// Takes the fields of a record in their order, and stores the numbers in them.
class NumberDecoder {
 public:
  NumberDecoder(const ValueField& field, uint64_t count, uint8_t* destination, const KeepGoing& keep_going)
      : field_(field),
        element_bytes_(FindDTypeInfo(field.dtype)->size_bytes),
        count_(count),
        destination_(destination),
        keep_going_(keep_going) {}

  Status Take(const wire::Field& field) {
    if (field.tag == wire::BytesTag(kTensorContent) && !field.bytes.empty()) {
      return CopyError("it is stored as tensor_content, which this format does not have");
    }
    if (field.number() != field_.number) return Status();
    switch (field_.encoding) {
      case Encoding::kVarint:
        return TakeVarints(field);
      case Encoding::kFixed32:
        return TakeFixed(field, wire::Fixed32Tag(field_.number), sizeof(uint32_t));
      default:
        return TakeFixed(field, wire::Fixed64Tag(field_.number), sizeof(uint64_t));
    }
  }

  Status Finish() const {
    // Of fixed-width values also half a complex number may be too few.
    const bool complete = field_.encoding == Encoding::kVarint ? taken_ == count_ : taken_ == count_ * element_bytes_;
    if (complete) return Status();
    return WrongCount(field_.encoding == Encoding::kVarint ? taken_ : taken_ / element_bytes_, count_, "");
  }

 private:
  // `taken_` counts bytes here.
  Status TakeFixed(const wire::Field& field, uint32_t single_tag, size_t width) {
    if (field.tag == single_tag) {
      uint8_t value[sizeof(uint64_t)];
      StoreLittleEndian(field.scalar, value);
      return Copy(ByteView(value, width), width);
    }
    if (field.tag != wire::BytesTag(field_.number)) return Status();  // As an unknown one.
    if (field.bytes.size() % width != 0) {
      return CopyError(std::to_string(field.bytes.size()) + " bytes of packed values of " + std::to_string(width) +
                       " bytes each");
    }
    return Copy(field.bytes, width);
  }

  Status Copy(ByteView bytes, size_t width) {
    if (bytes.size() > count_ * element_bytes_ - taken_) {
      return WrongCount((taken_ + bytes.size()) / element_bytes_, count_, "at least ");
    }
    if (destination_ != nullptr) RETURN_IF_ERROR(CopyInSteps(bytes, width, destination_ + taken_));
    taken_ += bytes.size();
    return Status();
  }

  Status CopyInSteps(ByteView bytes, size_t width, uint8_t* destination) const {
    constexpr size_t kStep = kElementsPerCall * sizeof(uint64_t);
    for (size_t done = 0; done < bytes.size(); done += kStep) {
      RETURN_IF_ERROR(keep_going_());
      const size_t step = std::min(kStep, bytes.size() - done);
      std::memcpy(destination + done, bytes.data() + done, step);
      if (!kHostIsLittleEndian) SwapUnits(destination + done, step, width);
    }
    return Status();
  }

  // `taken_` counts elements here.
  Status TakeVarints(const wire::Field& field) {
    if (field.tag == wire::VarintTag(field_.number)) {
      uint8_t value[kMaxVarint64Length];
      const auto size = static_cast<size_t>(StoreVarint(field.scalar, value) - value);
      return TakePacked(ByteView(value, size), field);
    }
    return field.tag == wire::BytesTag(field_.number) ? TakePacked(field.bytes, field) : Status();
  }

  Status TakePacked(ByteView packed, const wire::Field& field) {
    const size_t size = packed.size();
    while (!packed.empty()) {
      RETURN_IF_ERROR(keep_going_());
      if (taken_ == count_) return WrongCount(count_, count_, "more than ");
      if (TakeSome(&packed)) continue;
      return wire::BadPackedVarint(field_.number, field.offset + (size - packed.size()));
    }
    return Status();
  }

  // Up to so many elements off the front of *packed; false at damage.
  bool TakeSome(ByteView* packed) {
    const uint64_t most = std::min(kElementsPerCall, count_ - taken_);
    switch (field_.dtype) {
      case DType::kInt64:
        return TakeSomeAs<uint64_t>(packed, most, [](uint64_t value) { return value; });
      case DType::kBool:
        return TakeSomeAs<uint8_t>(packed, most, [](uint64_t value) { return static_cast<uint8_t>(value != 0); });
      default:
        break;
    }
    if (element_bytes_ == 1) return TakeSomeAs<uint8_t>(packed, most, Truncate<uint8_t>);
    if (element_bytes_ == 2) return TakeSomeAs<uint16_t>(packed, most, Truncate<uint16_t>);
    return TakeSomeAs<uint32_t>(packed, most, Truncate<uint32_t>);
  }

  template <typename T>
  static T Truncate(uint64_t value) {
    return static_cast<T>(value);
  }

  template <typename T, typename Convert>
  bool TakeSomeAs(ByteView* packed, uint64_t most, const Convert& convert) {
    T* const elements = destination_ == nullptr ? nullptr : reinterpret_cast<T*>(destination_) + taken_;
    const uint8_t* next = packed->begin();
    uint64_t i = 0;
    for (; i < most && next != packed->end(); ++i) {
      uint64_t value = 0;
      const uint8_t* const end = LoadVarint(next, packed->end(), &value);
      if (end == nullptr) break;
      next = end;
      if (elements != nullptr) elements[i] = convert(value);
    }
    packed->RemovePrefix(static_cast<size_t>(next - packed->begin()));
    taken_ += i;
    return i == most || packed->empty();
  }

  // wire::TakeVarint where each nanosecond counts: the end of the varint, or null.
  static const uint8_t* LoadVarint(const uint8_t* next, const uint8_t* end, uint64_t* value) {
    for (int shift = 0; next != end && shift < 7 * kMaxVarint64Length; shift += 7) {
      const uint8_t byte = *next++;
      *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return next;
    }
    return nullptr;
  }

  const ValueField& field_;
  const uint64_t element_bytes_;
  const uint64_t count_;
  uint8_t* const destination_;
  const KeepGoing& keep_going_;
  uint64_t taken_ = 0;
};

// Calls visit(ByteView) for each string of a record.
template <typename Visit>
Status VisitStrings(ByteView record, const KeepGoing& keep_going, const Visit& visit) {
  constexpr uint64_t kStringsPerCall = 1 << 16;
  const ValueField& strings = *FindValueField(DType::kString);
  uint64_t number = 0;
  return VisitTensorFields(record, [&](const wire::Field& field) {
    if (field.tag == wire::BytesTag(kTensorContent) && !field.bytes.empty()) {
      return CopyError("it is stored as tensor_content, which this format does not have");
    }
    if (field.tag != wire::BytesTag(strings.number)) return Status();
    visit(field.bytes);
    return ++number % kStringsPerCall == 0 ? keep_going() : Status();
  });
}

// How many strings a record has, and bytes in them.
Status CountStrings(ByteView record, uint64_t count, const KeepGoing& keep_going, uint64_t* num_bytes) {
  uint64_t found = 0;
  RETURN_IF_ERROR(VisitStrings(record, keep_going, [&](ByteView string) {
    ++found;
    *num_bytes += string.size();
  }));
  return found == count ? Status() : WrongCount(found, count, "");
}

// SavedSliceMeta.
Result<TensorMeta> ParseTensorMeta(const wire::Field& message) {
  TensorMeta meta;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    switch (field.tag) {
      case wire::BytesTag(1):
        meta.name = std::string(field.bytes.AsText());
        break;
      case wire::BytesTag(2):
        RETURN_IF_ERROR(wire::ParseShape(field, &meta.shape));
        break;
      case wire::VarintTag(3):
        meta.dtype = field.AsInt32();
        break;
      case wire::BytesTag(4):
        RETURN_IF_ERROR(wire::ParseSlice(field, &meta.slices));
        break;
    }
  }
  RETURN_IF_ERROR(reader.status());
  return meta;
}

// SavedTensorSliceMeta. *version is the last VersionDef, if there is one.
Status ParseMeta(const wire::Field& message, std::vector<TensorMeta>* tensors, std::optional<wire::Field>* version) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == wire::BytesTag(1)) {
      ASSIGN_OR_RETURN(TensorMeta tensor, ParseTensorMeta(reader.field()));
      tensors->push_back(std::move(tensor));
    } else if (reader.field().tag == wire::BytesTag(2)) {
      *version = reader.field();
    }
  }
  return reader.status();
}

// Takes the tag and length of a field that ends with the message around it, of which `*left` bytes are left.
bool TakeLastField(uint32_t tag, ByteView* head, uint64_t* left) {
  const size_t before = head->size();
  const std::optional<uint32_t> found = TakeVarint32(head);
  const std::optional<uint64_t> length = found == tag ? TakeVarint64(head) : std::nullopt;
  if (!length) return false;
  *left -= before - head->size();
  return *length == *left;
}

// Passes over a field that has a length.
bool SkipField(uint32_t tag, ByteView* head, uint64_t* left) {
  const size_t before = head->size();
  ByteView rest = *head;
  const std::optional<uint32_t> found = TakeVarint32(&rest);
  if (found != tag) return true;
  const std::optional<uint64_t> length = TakeVarint64(&rest);
  if (!length || *length > rest.size()) return false;
  rest.RemovePrefix(*length);
  *head = rest;
  *left -= before - rest.size();
  return true;
}

}  // namespace

Status NoMetadata(const std::string& why) {
  return Status(StatusCode::kDataLoss,
                "Failed to find the saved tensor slices at the beginning of the checkpoint file: " + why);
}

Result<std::vector<TensorMeta>> ParseMetadata(ByteView record) {
  std::vector<TensorMeta> tensors;
  std::optional<wire::Field> version;
  bool any = false;
  wire::Reader reader(record);
  while (reader.Next()) {
    if (reader.field().tag != wire::BytesTag(kMeta)) continue;
    any = true;
    if (const Status status = ParseMeta(reader.field(), &tensors, &version); !status.ok()) {
      return NoMetadata(status.message());
    }
  }
  if (!reader.status().ok()) return NoMetadata(reader.status().message());
  if (!any) return NoMetadata("its first record holds none");
  if (version) RETURN_IF_ERROR(wire::CheckVersion(*version, "metadata"));
  return tensors;
}

std::optional<uint64_t> MinStoredBytes(DType dtype) {
  const ValueField* const field = FindValueField(dtype);
  if (field == nullptr) return std::nullopt;
  if (field->encoding == Encoding::kVarint) return 1;
  if (field->encoding == Encoding::kBytes) return 2;  // The tag, and a length.
  return FindDTypeInfo(dtype)->size_bytes;
}

Status DecodeValues(ByteView record, DType dtype, uint64_t count, uint8_t* destination, const KeepGoing& keep_going) {
  NumberDecoder decoder(*FindValueField(dtype), count, destination, keep_going);
  RETURN_IF_ERROR(VisitTensorFields(record, [&](const wire::Field& field) { return decoder.Take(field); }));
  return decoder.Finish();
}

Result<StringArray> DecodeStrings(ByteView record, uint64_t count, const KeepGoing& keep_going) {
  uint64_t num_bytes = 0;
  RETURN_IF_ERROR(CountStrings(record, count, keep_going, &num_bytes));
  ASSIGN_OR_RETURN(OwnedOffsets offsets, OwnedOffsets::Allocate(count, num_bytes));
  ASSIGN_OR_RETURN(const OwnedMemory memory, AllocateMemory(num_bytes));
  uint64_t offset = 0;
  size_t i = 0;
  RETURN_IF_ERROR(VisitStrings(record, keep_going, [&](ByteView string) {
    std::copy(string.begin(), string.end(), memory.data + offset);
    offset += string.size();
    offsets.Set(++i, offset);
  }));
  return offsets.Finish(memory.buffer);
}

Status CheckStrings(ByteView record, uint64_t count, const KeepGoing& keep_going) {
  uint64_t num_bytes = 0;
  return CountStrings(record, count, keep_going, &num_bytes);
}

std::optional<uint64_t> FindPackedValues(ByteView head, uint64_t record_size, DType dtype, uint64_t count) {
  const ValueField* const field = FindValueField(dtype);
  const bool fixed = field->encoding == Encoding::kFixed32 || field->encoding == Encoding::kFixed64;
  uint64_t size_bytes = 0;
  uint64_t left = record_size;
  if (!fixed || !CheckedMultiply<uint64_t>(count, FindDTypeInfo(dtype)->size_bytes, &size_bytes)) return std::nullopt;
  const bool found = TakeLastField(wire::BytesTag(kData), &head, &left) && SkipField(wire::BytesTag(1), &head, &left) &&
                     SkipField(wire::BytesTag(2), &head, &left) &&
                     TakeLastField(wire::BytesTag(kTensor), &head, &left) &&
                     TakeLastField(wire::BytesTag(field->number), &head, &left);
  return found && left == size_bytes ? std::optional<uint64_t>(record_size - left) : std::nullopt;
}

}  // namespace tensorbundle::v1
