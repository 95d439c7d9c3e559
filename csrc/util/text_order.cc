#include "util/text_order.h"

#include <algorithm>
#include <cstdint>

namespace tensorbundle {
namespace {

constexpr size_t kChunkBytes = sizeof(uint64_t);
// So few are compared as they are.
constexpr size_t kFew = 12;

// Eight bytes of a text as a number that sorts as they do. A text that ends before them all has zeros there.
uint64_t ChunkAt(std::string_view text, size_t begin) {
  uint8_t bytes[kChunkBytes] = {};
  const std::string_view rest = text.substr(std::min(begin, text.size()), kChunkBytes);
  std::copy(rest.begin(), rest.end(), bytes);
  uint64_t chunk = 0;
  for (const uint8_t byte : bytes) chunk = chunk << 8 | byte;
  return chunk;
}

class Sorter {
 public:
  explicit Sorter(const std::vector<std::string_view>& texts) : texts_(texts), items_(texts.size()) {
    for (size_t i = 0; i < texts.size(); ++i) items_[i].position = i;
  }

  std::vector<size_t> Run() {
    AddRange({0, items_.size(), 0});
    while (!pending_.empty()) {
      const Range range = pending_.back();
      pending_.pop_back();
      SortByChunk(range);
    }
    std::vector<size_t> order;
    order.reserve(items_.size());
    for (const Item& item : items_) order.push_back(item.position);
    return order;
  }

 private:
  struct Item {
    uint64_t chunk = 0;
    size_t position = 0;
  };

  // Items [begin, end), whose texts have the same first `depth` bytes.
  struct Range {
    size_t begin;
    size_t end;
    size_t depth;
  };

  std::string_view TextOf(const Item& item) const { return texts_[item.position]; }

  // Sorts a range, at once if it is short.
  void AddRange(Range range) {
    if (range.end - range.begin > kFew) return pending_.push_back(range);
    std::sort(items_.begin() + range.begin, items_.begin() + range.end, [&](const Item& a, const Item& b) {
      return TextOf(a).substr(range.depth) < TextOf(b).substr(range.depth);
    });
  }

  void SortByChunk(Range range) {
    const auto begin = items_.begin() + range.begin;
    const auto end = items_.begin() + range.end;
    for (auto item = begin; item != end; ++item) item->chunk = ChunkAt(TextOf(*item), range.depth);
    const auto by_chunk = [](const Item& a, const Item& b) { return a.chunk < b.chunk; };
    if (!std::is_sorted(begin, end, by_chunk)) std::sort(begin, end, by_chunk);
    for (auto first = begin; first != end;) {
      const auto next = std::find_if(first, end, [&](const Item& item) { return item.chunk != first->chunk; });
      if (next - first > 1) SortTail(first - items_.begin(), next - items_.begin(), range.depth + kChunkBytes);
      first = next;
    }
  }

  // Items with the same chunk before `depth`. Of the texts that end in it, zeros or no zeros, the shorter come first.
  void SortTail(size_t begin, size_t end, size_t depth) {
    const auto ended = std::partition(items_.begin() + begin, items_.begin() + end,
                                      [&](const Item& item) { return TextOf(item).size() <= depth; });
    std::sort(items_.begin() + begin, ended,
              [this](const Item& a, const Item& b) { return TextOf(a).size() < TextOf(b).size(); });
    AddRange({static_cast<size_t>(ended - items_.begin()), end, depth});
  }

  const std::vector<std::string_view>& texts_;
  std::vector<Item> items_;
  std::vector<Range> pending_;
};

}  // namespace

std::vector<size_t> SortedOrder(const std::vector<std::string_view>& texts) { return Sorter(texts).Run(); }

}  // namespace tensorbundle
