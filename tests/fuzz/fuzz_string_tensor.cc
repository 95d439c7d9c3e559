// Any bytes as a tensor of strings or variants, beside a second decoder that is as plain as can be. Both must agree.
//
// Input: one byte of flags, two of element count (eight if kLongCount), least significant first, then what is stored.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/string_tensor.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"
#include "tensorbundle/string_array.h"
#include "util/crc32c.h"

namespace {

using tensorbundle::ByteView;
using tensorbundle::Status;
using tensorbundle::StatusCode;
namespace crc32c = tensorbundle::crc32c;

constexpr uint8_t kForeign = 1;
constexpr uint8_t kVariants = 2;
constexpr uint8_t kRepair = 4;  // Checksums are put right first: no fuzzer finds them by itself.
constexpr uint8_t kLongCount = 8;
constexpr uint8_t kWide = 16;  // Offsets of 64 bits.

void Require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
std::string InMemory(T value, bool foreign) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  if (foreign) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

struct Expected {
  std::vector<std::string> elements;
  uint32_t crc = 0;
};

// Reads as the format's description says, and puts each checksum right on the way if it may.
class PlainDecoder {
 public:
  PlainDecoder(std::string* stored, bool foreign, bool repair) : stored_(*stored), foreign_(foreign), repair_(repair) {}

  std::optional<Expected> Strings(uint64_t count) {
    if (count == 0 && stored_.empty()) return Expected();
    std::vector<uint64_t> lengths;
    for (uint64_t i = 0; i < count; ++i) {
      const std::optional<uint64_t> length = Varint();
      if (!length) return std::nullopt;
      lengths.push_back(*length);
      Cover(*length <= 0xFFFFFFFF ? InMemory(static_cast<uint32_t>(*length), foreign_) : InMemory(*length, foreign_));
    }
    if (!Checksum()) return std::nullopt;
    for (const uint64_t length : lengths) {
      if (!Element(length)) return std::nullopt;
    }
    return Finish();
  }

  std::optional<Expected> Variants(uint64_t count) {
    if (foreign_) return std::nullopt;
    for (uint64_t i = 0; i < count; ++i) {
      const std::optional<uint64_t> length = Varint();
      if (!length) return std::nullopt;
      Cover(InMemory(*length, false));
      if (!Element(*length) || !Checksum()) return std::nullopt;
    }
    return Finish();
  }

 private:
  std::optional<uint64_t> Varint() {
    uint64_t value = 0;
    for (int i = 0; i < 10 && position_ < stored_.size(); ++i) {
      const auto byte = static_cast<uint8_t>(stored_[position_++]);
      if (i == 9 && byte > 1) return std::nullopt;
      value |= uint64_t{byte & 0x7Fu} << (7 * i);
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  void Cover(std::string_view bytes) { expected_.crc = crc32c::Extend(expected_.crc, ByteView(bytes)); }

  bool Checksum() {
    if (stored_.size() - position_ < 4) return false;
    const std::string right = InMemory(crc32c::Mask(expected_.crc), foreign_);
    if (repair_) stored_.replace(position_, 4, right);
    if (stored_.compare(position_, 4, right) != 0) return false;
    position_ += 4;
    Cover(right);
    return true;
  }

  bool Element(uint64_t length) {
    if (length > stored_.size() - position_) return false;
    expected_.elements.push_back(stored_.substr(position_, length));
    position_ += length;
    Cover(expected_.elements.back());
    return true;
  }

  std::optional<Expected> Finish() {
    if (position_ != stored_.size()) return std::nullopt;
    return expected_;
  }

  std::string& stored_;
  const bool foreign_;
  const bool repair_;
  size_t position_ = 0;
  Expected expected_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t flags = data[0];
  const size_t count_bytes = (flags & kLongCount) != 0 ? 8 : 2;
  if (size < 1 + count_bytes) return 0;
  uint64_t count = 0;
  for (size_t i = 0; i < count_bytes; ++i) count |= uint64_t{data[1 + i]} << (8 * i);
  std::string bytes(data + 1 + count_bytes, data + size);

  const bool foreign = (flags & kForeign) != 0;
  const bool variants = (flags & kVariants) != 0;
  const uint64_t max_narrow_offset = (flags & kWide) != 0 ? 0 : tensorbundle::kMaxNarrowOffset;
  PlainDecoder plain(&bytes, foreign, (flags & kRepair) != 0);
  const std::optional<Expected> expected = variants ? plain.Variants(count) : plain.Strings(count);

  // An allocation of that very size, so that a sanitizer sees any step beyond.
  const std::vector<uint8_t> stored(bytes.begin(), bytes.end());
  tensorbundle::StringArray elements;
  uint32_t crc = 0;
  const auto decode = variants ? tensorbundle::DecodeVariants : tensorbundle::DecodeStrings;
  const Status status = decode(tensorbundle::Buffer(ByteView(stored.data(), stored.size()), nullptr), count, foreign,
                               &elements, &crc, nullptr, max_narrow_offset);

  Require(status.ok() == expected.has_value());
  if (!status.ok()) {
    const bool unimplemented = variants && foreign;
    Require(status.code() == (unimplemented ? StatusCode::kUnimplemented : StatusCode::kDataLoss));
    Require(!status.message().empty() && elements.empty());
    Require(unimplemented || *status.offset() <= stored.size());
    return 0;
  }
  Require(crc == expected->crc && elements.size() == expected->elements.size());
  for (size_t i = 0; i < elements.size(); ++i) Require(elements[i].AsText() == expected->elements[i]);
  return 0;
}
