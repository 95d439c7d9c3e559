// Any bytes as a Snappy block, beside a second decoder that is as plain as can be. Both must agree, byte for byte.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "table/snappy.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace {

using tensorbundle::ByteView;
using tensorbundle::Result;
using tensorbundle::StatusCode;

void Require(bool condition) {
  if (!condition) std::abort();
}

// Takes one byte after the other; past the end, all that follows fails.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool AtEnd() const { return position_ >= size_; }
  bool failed() const { return failed_; }
  uint64_t Byte() {
    if (!AtEnd()) return data_[position_++];
    failed_ = true;
    return 0;
  }
  uint64_t Integer(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value += Byte() << (8 * i);
    return value;
  }
  std::optional<uint64_t> Varint32() {
    uint64_t value = 0;
    for (int i = 0; i < 5; ++i) {
      const uint64_t byte = Byte();
      value += (byte % 128) << (7 * i);
      if (byte < 128) return failed_ || value > UINT32_MAX ? std::nullopt : std::optional<uint64_t>(value);
    }
    return std::nullopt;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t position_ = 0;
  bool failed_ = false;
};

std::optional<std::string> DecodePlainly(const uint8_t* data, size_t size) {
  Input input(data, size);
  const std::optional<uint64_t> announced = input.Varint32();
  if (!announced) return std::nullopt;
  std::string output;
  while (!input.AtEnd()) {
    const uint64_t tag = input.Byte();
    uint64_t length = tag / 4 + 1;
    uint64_t offset = 0;
    if (tag % 4 == 0 && length > 60) length = input.Integer(static_cast<int>(length - 60)) + 1;
    if (tag % 4 == 1) length = tag / 4 % 8 + 4;
    if (tag % 4 == 1) offset = tag / 32 * 256 + input.Byte();
    if (tag % 4 == 2) offset = input.Integer(2);
    if (tag % 4 == 3) offset = input.Integer(4);
    if (tag % 4 != 0 && (offset == 0 || offset > output.size())) return std::nullopt;
    for (uint64_t i = 0; i < length && !input.failed(); ++i) {
      output.push_back(tag % 4 == 0 ? static_cast<char>(input.Byte()) : output[output.size() - offset]);
    }
    if (input.failed() || output.size() > *announced) return std::nullopt;
  }
  if (output.size() != *announced) return std::nullopt;
  return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> scratch;
  const Result<ByteView> decoded = tensorbundle::DecodeSnappy(ByteView(data, size), &scratch);
  const std::optional<std::string> expected = DecodePlainly(data, size);
  Require(decoded.ok() == expected.has_value());
  if (decoded.ok()) {
    Require(decoded->AsText() == *expected);
  } else {
    Require(decoded.status().code() == StatusCode::kDataLoss && *decoded.status().offset() <= size);
  }
  return 0;
}
