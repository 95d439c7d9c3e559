// Any shape, slices and region of a small tensor: every answer beside that of a walk through the elements one by one;
// and any name and extents as a key, which a second program text must be able to take apart again.
//
// Input: what Input's callers below take, byte by byte; past the end, zeros.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "slices/assemble.h"
#include "slices/cover.h"
#include "slices/key.h"
#include "slices/slice.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/slice.h"
#include "tensorbundle/status.h"

namespace {

using tensorbundle::Box;
using tensorbundle::ByteView;
using tensorbundle::Extent;
using tensorbundle::Region;
using tensorbundle::Result;
using tensorbundle::RunPlan;
using tensorbundle::Slice;
using tensorbundle::Status;
using tensorbundle::StatusCode;
using Numbers = std::vector<int64_t>;

constexpr int64_t kMaxRank = 5;
constexpr int64_t kMaxDimension = 5;
constexpr size_t kMaxPieces = 40;

void Require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  size_t left() const { return size_ - position_; }
  uint8_t Byte() { return left() > 0 ? data_[position_++] : 0; }
  // A number in [0, limit].
  int64_t UpTo(int64_t limit) { return Byte() % (limit + 1); }
  int64_t Any() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | Byte();
    return static_cast<int64_t>(value);
  }
  // Mostly near the dimensions in use; now and then anything at all.
  int64_t Number() {
    const uint8_t byte = Byte();
    return byte == 0xFF ? Any() : byte % 10 - 2;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t position_ = 0;
};

bool NextIndex(const Numbers& shape, Numbers* index) {
  for (size_t d = shape.size(); d-- > 0;) {
    if (++(*index)[d] < shape[d]) return true;
    (*index)[d] = 0;
  }
  return false;
}

template <typename Visit>
void ForEachIndex(const Numbers& shape, Visit visit) {
  for (const int64_t size : shape) {
    if (size == 0) return;
  }
  Numbers index(shape.size(), 0);
  do {
    visit(index);
  } while (NextIndex(shape, &index));
}

bool Contains(const Box& box, const Numbers& index) {
  for (size_t d = 0; d < index.size(); ++d) {
    if (index[d] < box.start[d] || index[d] >= box.start[d] + box.shape[d]) return false;
  }
  return true;
}

size_t PositionIn(const Box& box, const Numbers& index) {
  size_t position = 0;
  for (size_t d = 0; d < index.size(); ++d) {
    position = position * static_cast<size_t>(box.shape[d]) + static_cast<size_t>(index[d] - box.start[d]);
  }
  return position;
}

Slice TakeSlice(Input* input, size_t rank) {
  Slice slice;
  for (size_t d = 0; d < rank; ++d) {
    const int64_t start = input->Number();
    slice.extents.push_back({start, input->Number()});
  }
  return slice;
}

bool IsValid(const Slice& slice, const Numbers& shape) {
  for (size_t d = 0; d < shape.size(); ++d) {
    const auto [start, length] = slice.extents[d];
    const bool whole = start == 0 && length == -1;
    if (!whole && (start < 0 || length < 1 || start > shape[d] || length > shape[d] - start)) return false;
  }
  return true;
}

void CheckPieces(const Numbers& shape, const std::vector<Box>& pieces) {
  bool overlap = false;
  size_t elements = 0;
  size_t missing = 0;
  std::optional<Numbers> first_missing;
  ForEachIndex(shape, [&](const Numbers& index) {
    int depth = 0;
    for (const Box& piece : pieces) depth += Contains(piece, index) ? 1 : 0;
    overlap = overlap || depth > 1;
    ++elements;
    missing += depth == 0 ? 1 : 0;
    if (depth == 0 && !first_missing) first_missing = index;
  });
  const Status status = CheckCover(shape, pieces);
  Require(status.ok() == (!overlap && missing == 0));
  if (status.ok()) return;
  Require(status.code() == StatusCode::kDataLoss);
  const std::string& message = status.message();
  if (overlap) {
    Require(message.substr(0, 7) == "pieces " && message.substr(message.size() - 8) == " overlap");
    return;
  }
  std::string start =
      std::to_string(missing) + " of " + std::to_string(elements) + " elements are in no piece, first [";
  if (!shape.empty()) start += std::to_string((*first_missing)[0]) + ":";
  Require(message.substr(0, start.size()) == start);
}

Region TakeRegion(Input* input, size_t rank) {
  Region region;
  const bool steps = input->Byte() % 2 == 1;
  for (size_t d = 0; d < rank; ++d) {
    region.start.push_back(input->Number());
    region.shape.push_back(input->Number());
    if (steps) region.step.push_back(input->Number());
  }
  return region;
}

bool IsValid(const Region& region, const Numbers& shape) {
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t step = region.step.empty() ? 1 : region.step[d];
    if (region.start[d] < 0 || region.start[d] > shape[d] || region.shape[d] < 0 || step < 1) return false;
    if (region.shape[d] > shape[d]) return false;  // Keeps the loop short.
    int64_t last = region.start[d];
    for (int64_t i = 1; i < region.shape[d] && last < shape[d]; ++i) last += step < shape[d] ? step : shape[d];
    if (region.shape[d] > 0 && last >= shape[d]) return false;
  }
  return true;
}

void CheckCopy(const Box& piece, const Region& region, size_t width, size_t part_size) {
  std::vector<uint8_t> stored(piece.NumElements() * width);
  for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<uint8_t>(i * 37 + i / 256 + 1);
  std::vector<uint8_t> expected;
  ForEachIndex(region.shape, [&](const Numbers& index) {
    Numbers element = index;
    for (size_t d = 0; d < index.size(); ++d) {
      element[d] = region.start[d] + index[d] * (region.step.empty() ? 1 : region.step[d]);
    }
    const bool inside = Contains(piece, element);
    const size_t from = inside ? PositionIn(piece, element) * width : 0;
    for (size_t i = 0; i < width; ++i) expected.push_back(inside ? stored[from + i] : 0);
  });
  const RunPlan plan(piece, region, width);
  std::vector<uint8_t> copied(expected.size(), 0);
  for (size_t begin = 0; begin < stored.size(); begin += part_size) {
    const size_t length = stored.size() - begin < part_size ? stored.size() - begin : part_size;
    const std::vector<uint8_t> part(stored.data() + begin, stored.data() + begin + length);
    CopyRuns(plan, begin, ByteView(part.data(), part.size()), copied.data());
  }
  Require(copied == expected);
  uint64_t total = 0;
  uint64_t end = plan.source_span().offset;
  plan.ForEachRun([&](uint64_t source, uint64_t, uint64_t length) {
    Require(source >= end && length == plan.run_bytes());
    end = source + length;
    total += length;
  });
  Require(total == plan.total_bytes() && end == plan.source_span().offset + plan.source_span().length);
}

// Takes a signed number off the front of a key, or fails if it isn't the shortest encoding of it.
int64_t TakeSigned(std::string_view* key) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>((*key)[i]); };
  const uint8_t flip = byte(0) < 0x80 ? 0xFF : 0;
  size_t length = 0;
  while (length < 8 && ((byte(0) ^ flip) << length & 0x80) != 0) ++length;
  if (length == 8) {
    while (length < 10 && ((byte(1) ^ flip) << (length - 8) & 0x80) != 0) ++length;
  }
  const uint32_t header = 0xFFFFu << (16 - length) & 0xFFFFu;
  uint64_t value = flip != 0 ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < length; ++i) {
    const uint32_t mask = i == 0 ? header >> 8 : i == 1 ? header & 0xFF : 0;
    value = value << 8 | (byte(i) ^ mask);
  }
  const uint64_t magnitude = flip != 0 ? ~value : value;
  Require(length == 1 || magnitude >> (7 * (length - 1) - 1) != 0);
  key->remove_prefix(length);
  return static_cast<int64_t>(value);
}

void CheckKey(const std::string& name, const Slice& slice) {
  const std::string encoded = EncodeSliceKey(name, slice);
  Require(tensorbundle::IsSliceKey(encoded));
  std::string_view key = encoded;
  key.remove_prefix(1);
  std::string found;
  while (key[0] != 0 || key[1] != 1) {
    const bool escaped = key[0] == '\x00' || key[0] == '\xFF';
    if (escaped) Require(key[1] == static_cast<char>(~key[0]));
    found += key[0];
    key.remove_prefix(escaped ? 2 : 1);
  }
  Require(found == name);
  key.remove_prefix(2);
  const size_t rank_bytes = static_cast<uint8_t>(key[0]);
  size_t rank = 0;
  for (size_t i = 1; i <= rank_bytes; ++i) rank = rank << 8 | static_cast<uint8_t>(key[i]);
  key.remove_prefix(1 + rank_bytes);
  Require(rank == slice.extents.size());
  for (const Extent& extent : slice.extents) {
    Require(TakeSigned(&key) == extent.start);
    Require(TakeSigned(&key) == extent.length);
  }
  Require(key.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const size_t width = size_t{1} << input.UpTo(4);
  const size_t part_size = 1 + input.Byte();
  Numbers shape(static_cast<size_t>(input.UpTo(kMaxRank)));
  for (int64_t& dimension : shape) dimension = input.UpTo(kMaxDimension);

  const Region region = TakeRegion(&input, shape.size());
  const bool valid_region = IsValid(region, shape);
  const Status region_status = CheckRegion(region, shape);
  Require(region_status.ok() == valid_region);
  Require(valid_region || region_status.code() == StatusCode::kInvalidArgument);

  std::vector<Box> pieces;
  while (input.left() > 0 && pieces.size() < kMaxPieces) {
    const Slice slice = TakeSlice(&input, shape.size());
    CheckKey(std::string(reinterpret_cast<const char*>(data), size % 40 < size ? size % 40 : size), slice);
    const Result<Box> box = ResolveSlice(slice, shape);
    Require(box.ok() == IsValid(slice, shape));
    if (!box.ok()) {
      Require(box.status().code() == StatusCode::kDataLoss);
      continue;
    }
    if (valid_region) CheckCopy(*box, region, width, part_size);
    pieces.push_back(*box);
    if (shape.empty()) break;  // A slice without extents takes no input.
  }
  CheckPieces(shape, pieces);
  return 0;
}
