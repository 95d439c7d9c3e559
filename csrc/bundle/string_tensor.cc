#include "bundle/string_tensor.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
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

// Takes a length off the front of *input, or returns false, as TakeVarint64. Most are one byte, and a million of them
// should cost little; an optional of each would go through memory, and so would *input if its address got about.
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

// What the lengths of a string tensor say.
struct Lengths {
  size_t encoded_bytes;
  std::optional<uint64_t> sum;  // nullopt if it exceeds 64 bits.
  uint32_t crc32c;
};

Result<Lengths> ScanLengths(ByteView stored, uint64_t num_elements, bool foreign_byte_order,
                            const std::function<Status()>& keep_going) {
  // Collected, because the checksum of many bytes at once is much faster than that of four at a time.
  uint8_t covered[4096];
  size_t covered_bytes = 0;
  uint32_t crc = 0;
  uint64_t sum = 0;
  bool overflow = false;
  ByteView rest = stored;
  for (uint64_t i = 0; i < num_elements; ++i) {
    uint64_t length = 0;
    if (!TakeLength(&rest, &length)) return LengthError(stored.size() - rest.size(), i);
    overflow |= !CheckedAdd(sum, length, &sum);
    covered_bytes += StoreCovered(length, foreign_byte_order, covered + covered_bytes);
    if (covered_bytes <= sizeof(covered) - sizeof(uint64_t)) continue;
    if (keep_going) RETURN_IF_ERROR(keep_going());
    crc = crc32c::Extend(crc, ByteView(covered, covered_bytes));
    covered_bytes = 0;
  }
  crc = crc32c::Extend(crc, ByteView(covered, covered_bytes));
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

// Sets *strings to what `lengths`, varints that were read before and sum to the size of `payload`, cut it into.
void CutStrings(ByteView lengths, uint64_t num_elements, ByteView payload, std::vector<ByteView>* strings) {
  strings->resize(num_elements);
  for (ByteView& string : *strings) {
    uint64_t length = 0;
    TakeLength(&lengths, &length);
    string = payload.Slice(0, length);
    payload.RemovePrefix(length);
  }
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

Status DecodeStrings(ByteView stored, uint64_t num_elements, bool foreign_byte_order, std::vector<ByteView>* elements,
                     uint32_t* crc, const std::function<Status()>& keep_going) {
  RETURN_IF_ERROR(CheckCount(stored, num_elements, kMinStringBytes));
  if (stored.empty()) {
    elements->clear();
    *crc = 0;
    return Status();
  }
  ASSIGN_OR_RETURN(const Lengths lengths, ScanLengths(stored, num_elements, foreign_byte_order, keep_going));
  ByteView payload = stored;
  payload.RemovePrefix(lengths.encoded_bytes);
  ASSIGN_OR_RETURN(const uint32_t crc_so_far,
                   TakeChecksum(stored, lengths.crc32c, "the lengths", foreign_byte_order, &payload));
  if (lengths.sum != payload.size()) {
    const std::string sum = lengths.sum ? std::to_string(*lengths.sum) : "2^64 or more";
    return ErrorAt(stored.size() - payload.size(), "the strings should have " + sum + " bytes together, " +
                                                       std::to_string(payload.size()) + " are stored");
  }
  uint32_t payload_crc = crc_so_far;
  for (ByteView rest = payload; !rest.empty();) {
    if (keep_going) RETURN_IF_ERROR(keep_going());
    const ByteView step = rest.Slice(0, std::min(rest.size(), kStepBytes));
    payload_crc = crc32c::Extend(payload_crc, step);
    rest.RemovePrefix(step.size());
  }
  *crc = payload_crc;
  CutStrings(stored.Slice(0, lengths.encoded_bytes), num_elements, payload, elements);
  return Status();
}

Status DecodeVariants(ByteView stored, uint64_t num_elements, bool foreign_byte_order, std::vector<ByteView>* elements,
                      uint32_t* crc, const std::function<Status()>& keep_going) {
  if (foreign_byte_order) {
    return Status(StatusCode::kUnimplemented, "variants written on a machine of the other byte order");
  }
  RETURN_IF_ERROR(CheckCount(stored, num_elements, kMinVariantBytes));
  std::vector<ByteView> taken;
  taken.reserve(num_elements);
  uint32_t running = 0;
  ByteView rest = stored;
  size_t next_call = 0;
  for (uint64_t i = 0; i < num_elements; ++i) {
    if (const size_t done = stored.size() - rest.size(); keep_going && done >= next_call) {
      RETURN_IF_ERROR(keep_going());
      next_call = done + kStepBytes;
    }
    ASSIGN_OR_RETURN(const ByteView element, TakeVariant(stored, i, &running, &rest));
    taken.push_back(element);
  }
  if (!rest.empty()) {
    return ErrorAt(stored.size() - rest.size(), std::to_string(rest.size()) + " bytes follow the last element,");
  }
  *elements = std::move(taken);
  *crc = running;
  return Status();
}

}  // namespace tensorbundle
