// Any bytes as a protobuf message, and whatever has a length in it as a message again.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/fingerprint.h"
#include "tensorbundle/status.h"
#include "wire/reader.h"

namespace {

using tensorbundle::ByteView;
using tensorbundle::Status;
using tensorbundle::StatusCode;
namespace wire = tensorbundle::wire;

constexpr int kMaxDepth = 6;

volatile uint64_t sink;  // So that what is read is read.

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequireDataLoss(const Status& status) {
  Require(status.code() == StatusCode::kDataLoss && !status.message().empty() && !status.offset());
}

// `message` is a part of `outermost`, at `origin`.
void Walk(ByteView outermost, ByteView message, size_t origin, int depth) {
  wire::Reader reader(message, origin);
  size_t last_offset = origin;
  uint64_t sum = 0;
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    Require(field.number() >= 1 && field.number() < (1u << 29));
    Require(field.offset > last_offset && field.offset <= origin + message.size());
    last_offset = field.offset;
    sum += field.scalar;
    if (field.type() == wire::WireType::kVarint || field.type() == wire::WireType::kBytes) {
      const Status status = wire::VisitVarints(field, [&sum](uint64_t value) { sum += value; });
      if (!status.ok()) RequireDataLoss(status);
    }
    if (field.type() != wire::WireType::kBytes) continue;
    Require(field.bytes.data() == outermost.data() + field.offset);
    Require(field.bytes.size() <= outermost.size() - field.offset);
    for (const uint8_t byte : field.bytes) sum += byte;
    if (depth < kMaxDepth) Walk(outermost, field.bytes, field.offset, depth + 1);
  }
  sink = sum;
  if (!reader.status().ok()) RequireDataLoss(reader.status());
}

std::array<size_t, 256> Counted(ByteView bytes) {
  std::array<size_t, 256> counts = {};
  for (const uint8_t byte : bytes) ++counts[byte];
  return counts;
}

// Sorting moves bytes and makes none, and what is sorted stays as it is.
void Sort(ByteView message) {
  // message Node { repeated Node child = 1; map<..., Node> by_key = 2; }
  const std::vector<tensorbundle::MessageFields> types = {{{1, 0, false}, {2, 1, true}}, {{2, 0, false}}};
  std::vector<uint8_t> sorted(message.begin(), message.end());
  const Status status = tensorbundle::SortMapEntries(types, 0, sorted.data(), sorted.size());
  Require(Counted(ByteView(sorted.data(), sorted.size())) == Counted(message));
  if (!status.ok()) {
    Require(status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kResourceExhausted);
    return;
  }
  std::vector<uint8_t> again = sorted;
  Require(tensorbundle::SortMapEntries(types, 0, again.data(), again.size()).ok());
  Require(again == sorted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView message(data, size);
  Walk(message, message, 0, 0);
  Sort(message);
  return 0;
}
