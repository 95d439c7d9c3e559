#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tensorbundle/fingerprint.h"
#include "util/status_macros.h"
#include "wire/reader.h"

namespace tensorbundle {
namespace {

using wire::Field;
using wire::Reader;
using wire::WireType;

// As protobuf's own limit: what is deeper could not be read again.
constexpr int kMaxDepth = 100;
constexpr uint32_t kKey = 1;

struct MapEntry {
  uint32_t field = 0;
  size_t begin = 0;  // Of its tag.
  size_t end = 0;
  uint64_t number = 0;    // The key, if it is a number,
  std::string_view text;  // or if it is text. The one that it is not is always the same.
};

const MessageField* FindField(const MessageFields& fields, const Field& field) {
  if (field.type() != WireType::kBytes) return nullptr;
  for (const MessageField& candidate : fields) {
    if (candidate.number == field.number()) return &candidate;
  }
  return nullptr;
}

Status FindKey(ByteView entry, size_t origin, MapEntry* found) {
  Reader reader(entry, origin);
  while (reader.Next()) {
    const Field& field = reader.field();
    if (field.number() != kKey) continue;
    if (field.type() == WireType::kBytes) {
      found->text = field.bytes.AsText();
    } else {
      found->number = field.scalar;
    }
  }
  return reader.status();
}

class Sorter {
 public:
  Sorter(const std::vector<MessageFields>& types, uint8_t* bytes, size_t size)
      : types_(types), bytes_(bytes), whole_(bytes, size) {}

  Status SortMessage(uint32_t type, size_t begin, size_t size, int depth);

 private:
  void SortRuns(std::vector<MapEntry>* entries);
  void SortRun(std::vector<MapEntry>::iterator first, std::vector<MapEntry>::iterator last);

  const std::vector<MessageFields>& types_;
  uint8_t* bytes_;
  ByteView whole_;
  std::vector<uint8_t> scratch_;
};

// Messages inside come first: after that, entries move as they are.
Status Sorter::SortMessage(uint32_t type, size_t begin, size_t size, int depth) {
  if (depth > kMaxDepth) {
    return Status(StatusCode::kResourceExhausted, "messages nest deeper than " + std::to_string(kMaxDepth) + " levels");
  }
  std::vector<MapEntry> entries;
  Reader reader(whole_.Slice(begin, size), begin);
  for (size_t start = begin; reader.Next(); start = reader.offset()) {
    const Field& field = reader.field();
    const MessageField* found = FindField(types_[type], field);
    if (found == nullptr) continue;
    RETURN_IF_ERROR(SortMessage(found->message, field.offset, field.bytes.size(), depth + 1));
    if (!found->is_map_entry) continue;
    entries.push_back({field.number(), start, reader.offset(), 0, {}});
    RETURN_IF_ERROR(FindKey(field.bytes, field.offset, &entries.back()));
  }
  RETURN_IF_ERROR(reader.status());
  SortRuns(&entries);
  return Status();
}

void Sorter::SortRuns(std::vector<MapEntry>* entries) {
  for (auto first = entries->begin(); first != entries->end();) {
    auto last = first + 1;
    while (last != entries->end() && last->field == first->field && last->begin == (last - 1)->end) ++last;
    SortRun(first, last);
    first = last;
  }
}

void Sorter::SortRun(std::vector<MapEntry>::iterator first, std::vector<MapEntry>::iterator last) {
  const auto precedes = [](const MapEntry& a, const MapEntry& b) {
    return std::tie(a.number, a.text) < std::tie(b.number, b.text);
  };
  if (std::is_sorted(first, last, precedes)) return;
  uint8_t* const begin = bytes_ + first->begin;
  const size_t origin = first->begin;
  const size_t size = (last - 1)->end - origin;
  std::stable_sort(first, last, precedes);
  scratch_.assign(begin, begin + size);
  uint8_t* destination = begin;
  for (auto entry = first; entry != last; ++entry) {
    const size_t length = entry->end - entry->begin;
    std::memcpy(destination, scratch_.data() + (entry->begin - origin), length);
    destination += length;
  }
}

}  // namespace

Status SortMapEntries(const std::vector<MessageFields>& types, uint32_t message, uint8_t* bytes, size_t size) {
  return Sorter(types, bytes, size).SortMessage(message, 0, size, 0);
}

}  // namespace tensorbundle
