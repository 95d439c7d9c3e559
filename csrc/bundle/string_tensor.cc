#include "bundle/string_tensor.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "util/checked.h"
#include "util/crc32c.h"
#include "util/endian.h"
#include "util/quote.h"
#include "util/status_macros.h"
#include "util/varint.h"

namespace tensorbundle {
namespace {

constexpr size_t kChecksumBytes = 4;

// Summed between two calls of keep_going.
constexpr size_t kStepBytes = size_t{8} << 20;

// Lengths that are read at once: the checksum of many bytes is much faster than that of four at a time.
constexpr size_t kBatchLengths = 512;

// What any element takes of the stored bytes: one for its length, and a checksum of its own if it is a variant.
constexpr uint64_t kMinStringBytes = 1;
constexpr uint64_t kMinVariantBytes = 1 + kChecksumBytes;

Status ErrorAt(size_t offset, const std::string& problem) {
  return Status(StatusCode::kDataLoss, problem + " at byte " + std::to_string(offset)).WithOffset(offset);
}

Status LengthError(size_t offset, uint64_t element) {
  return ErrorAt(offset, "the length of element " + std::to_string(element) + " is cut off or exceeds 64 bits,");
}

// An integer as the writing machine had it in memory.
template <typename T>
T LoadWritten(const uint8_t* bytes, bool foreign_byte_order) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return foreign_byte_order ? ByteSwap(value) : value;
}

// Takes a length off the front of *input, or returns false, as TakeVarint64. An optional of each would go through
// memory, and so would *input if its address got about.
inline bool TakeLength(ByteView* input, uint64_t* length) {
  if (!input->empty() && (*input)[0] < 0x80) {
    *length = (*input)[0];
    input->RemovePrefix(1);
    return true;
  }
  ByteView rest = *input;
  const std::optional<uint64_t> taken = TakeVarint64(&rest);
  *length = taken.value_or(0);
  *input = rest;
  return taken.has_value();
}

// Puts a length into the form that the checksum of strings covers, and returns the bytes of that.
inline size_t StoreCovered(uint64_t length, bool foreign_byte_order, uint8_t* bytes) {
  if (length > UINT32_MAX) {
    if (foreign_byte_order) length = ByteSwap(length);
    std::memcpy(bytes, &length, sizeof(length));
    return sizeof(length);
  }
  auto narrow = static_cast<uint32_t>(length);
  if (foreign_byte_order) narrow = ByteSwap(narrow);
  std::memcpy(bytes, &narrow, sizeof(narrow));
  return sizeof(narrow);
}

// True if each of these lengths is one byte, as most are. A loop without a way out, for the sake of vector
// instructions.
bool AreAllShort(ByteView lengths) {
  uint8_t any = 0;
  for (const uint8_t byte : lengths) any |= byte;
  return any < 0x80;
}

// What the lengths of a string tensor say.
struct Lengths {
  size_t encoded_bytes;
  std::optional<uint64_t> sum;  // nullopt if it exceeds 64 bits.
  uint32_t crc32c;
};

// Takes up to `count` lengths off the front of *input, and returns how many there were before one that can't be taken.
size_t TakeLengths(ByteView* input, size_t count, uint64_t* lengths) {
  if (input->size() >= count && AreAllShort(input->Slice(0, count))) {
    std::copy_n(input->data(), count, lengths);
    input->RemovePrefix(count);
    return count;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!TakeLength(input, &lengths[i])) return i;
  }
  return count;
}

// Also sets *offsets to where each string ends among the others, which means something if the sum does.
Result<Lengths> ScanLengths(ByteView stored, uint64_t num_elements, bool foreign_byte_order, OwnedOffsets* offsets,
                            const std::function<Status()>& keep_going) {
  uint64_t lengths[kBatchLengths];
  uint8_t covered[sizeof(lengths)];
  uint32_t crc = 0;
  uint64_t sum = 0;
  bool overflow = false;
  ByteView rest = stored;
  for (uint64_t done = 0; done < num_elements;) {
    if (keep_going) RETURN_IF_ERROR(keep_going());
    const auto count = static_cast<size_t>(std::min<uint64_t>(num_elements - done, kBatchLengths));
    const size_t taken = TakeLengths(&rest, count, lengths);
    if (taken < count) return LengthError(stored.size() - rest.size(), done + taken);
    size_t covered_bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      overflow |= !CheckedAdd(sum, lengths[i], &sum);
      offsets->Set(done + i + 1, sum);
      covered_bytes += StoreCovered(lengths[i], foreign_byte_order, covered + covered_bytes);
    }
    crc = crc32c::Extend(crc, ByteView(covered, covered_bytes));
    done += count;
  }
  return Lengths{stored.size() - rest.size(), overflow ? std::nullopt : std::optional<uint64_t>(sum), crc};
}

// Takes a stored checksum off the front of *rest, which is the end of `stored`, and compares it with `crc`, the
// checksum of what it covers. Returns the checksum of that and the stored bytes.
Result<uint32_t> TakeChecksum(ByteView stored, uint32_t crc, const char* covered, bool foreign_byte_order,
                              ByteView* rest) {
  const size_t offset = stored.size() - rest->size();
  if (rest->size() < kChecksumBytes) {
    return ErrorAt(offset, std::string("the checksum of ") + covered + " is cut off");
  }
  const ByteView bytes = rest->Slice(0, kChecksumBytes);
  rest->RemovePrefix(kChecksumBytes);
  const uint32_t expected = crc32c::Unmask(LoadWritten<uint32_t>(bytes.data(), foreign_byte_order));
  if (expected == crc) return crc32c::Extend(crc, bytes);
  return ErrorAt(offset, std::string("the checksum of ") + covered + " is stored as " + Hex32(expected) +
                             ", computed " + Hex32(crc) + ",");
}

Status CheckCount(ByteView stored, uint64_t num_elements, uint64_t min_bytes) {
  if (num_elements <= stored.size() / min_bytes) return Status();
  return ErrorAt(0,
                 std::to_string(num_elements) + " elements can't be in " + std::to_string(stored.size()) + " bytes,");
}

// Extends `crc` over `bytes`.
Result<uint32_t> ExtendInSteps(uint32_t crc, ByteView bytes, const std::function<Status()>& keep_going) {
  while (!bytes.empty()) {
    if (keep_going) RETURN_IF_ERROR(keep_going());
    const ByteView step = bytes.Slice(0, std::min(bytes.size(), kStepBytes));
    crc = crc32c::Extend(crc, step);
    bytes.RemovePrefix(step.size());
  }
  return crc;
}

// Takes element `i` and its checksum off the front of *rest, which is the end of `stored`. *crc is the checksum of all
// before it, and then of that and the element: it is never started anew.
Result<ByteView> TakeVariant(ByteView stored, uint64_t i, uint32_t* crc, ByteView* rest) {
  const size_t offset = stored.size() - rest->size();
  uint64_t length = 0;
  if (!TakeLength(rest, &length)) return LengthError(offset, i);
  if (length > rest->size()) {
    return ErrorAt(offset, "element " + std::to_string(i) + " should have " + std::to_string(length) + " bytes, " +
                               std::to_string(rest->size()) + " are left,");
  }
  const ByteView element = rest->Slice(0, length);
  rest->RemovePrefix(length);
  uint8_t length_bytes[sizeof(uint64_t)];
  std::memcpy(length_bytes, &length, sizeof(length_bytes));
  *crc = crc32c::Extend(*crc, ByteView(length_bytes, sizeof(length_bytes)));
  *crc = crc32c::Extend(*crc, element);
  ASSIGN_OR_RETURN(*crc, TakeChecksum(stored, *crc, "an element", false, rest));
  return element;
}

}  // namespace

Status DecodeStrings(const Buffer& stored, uint64_t num_elements, bool foreign_byte_order, StringArray* elements,
                     uint32_t* crc, const std::function<Status()>& keep_going, uint64_t max_narrow_offset) {
  RETURN_IF_ERROR(CheckCount(stored.view(), num_elements, kMinStringBytes));
  if (stored.size() == 0) {
    *elements = StringArray();
    *crc = 0;
    return Status();
  }
  ASSIGN_OR_RETURN(OwnedOffsets offsets, OwnedOffsets::Allocate(num_elements, stored.size(), max_narrow_offset));
  ASSIGN_OR_RETURN(const Lengths lengths,
                   ScanLengths(stored.view(), num_elements, foreign_byte_order, &offsets, keep_going));
  ByteView payload = stored.view();
  payload.RemovePrefix(lengths.encoded_bytes);
  ASSIGN_OR_RETURN(const uint32_t crc_so_far,
                   TakeChecksum(stored.view(), lengths.crc32c, "the lengths", foreign_byte_order, &payload));
  const size_t payload_offset = stored.size() - payload.size();
  if (lengths.sum != payload.size()) {
    const std::string sum = lengths.sum ? std::to_string(*lengths.sum) : "2^64 or more";
    return ErrorAt(payload_offset, "the strings should have " + sum + " bytes together, " +
                                       std::to_string(payload.size()) + " are stored");
  }
  ASSIGN_OR_RETURN(*crc, ExtendInSteps(crc_so_far, payload, keep_going));
  *elements = offsets.Finish(stored.Slice(payload_offset, payload.size()));
  return Status();
}

Status DecodeVariants(const Buffer& stored, uint64_t num_elements, bool foreign_byte_order, StringArray* elements,
                      uint32_t* crc, const std::function<Status()>& keep_going, uint64_t max_narrow_offset) {
  if (foreign_byte_order) {
    return Status(StatusCode::kUnimplemented, "variants written on a machine of the other byte order");
  }
  RETURN_IF_ERROR(CheckCount(stored.view(), num_elements, kMinVariantBytes));
  ASSIGN_OR_RETURN(OwnedOffsets offsets, OwnedOffsets::Allocate(num_elements, stored.size(), max_narrow_offset));
  const auto packed = std::make_shared<std::string>();
  packed->reserve(stored.size());
  uint32_t running = 0;
  ByteView rest = stored.view();
  size_t next_call = 0;
  for (uint64_t i = 0; i < num_elements; ++i) {
    if (const size_t done = stored.size() - rest.size(); keep_going && done >= next_call) {
      RETURN_IF_ERROR(keep_going());
      next_call = done + kStepBytes;
    }
    ASSIGN_OR_RETURN(const ByteView element, TakeVariant(stored.view(), i, &running, &rest));
    packed->append(element.AsText());
    offsets.Set(i + 1, packed->size());
  }
  if (!rest.empty()) {
    return ErrorAt(stored.size() - rest.size(), std::to_string(rest.size()) + " bytes follow the last element,");
  }
  *elements = offsets.Finish(Buffer(ByteView(*packed), packed));
  *crc = running;
  return Status();
}

}  // namespace tensorbundle
