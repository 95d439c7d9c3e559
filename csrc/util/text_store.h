// Copies of many short texts, which lie close together and live as long as the store.

#ifndef TENSORBUNDLE_UTIL_TEXT_STORE_H_
#define TENSORBUNDLE_UTIL_TEXT_STORE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace tensorbundle {

class TextStore {
 public:
  TextStore() = default;
  TextStore(const TextStore&) = delete;
  TextStore& operator=(const TextStore&) = delete;

  // A copy of `text`, which never moves.
  std::string_view Keep(std::string_view text) {
    if (text.empty()) return {};
    if (text.size() > left_) AddBlock(text.size());
    char* const copy = next_;
    std::memcpy(copy, text.data(), text.size());
    next_ += text.size();
    left_ -= text.size();
    return {copy, text.size()};
  }

 private:
  static constexpr size_t kBlockBytes = size_t{64} << 10;

  void AddBlock(size_t least_bytes) {
    left_ = std::max(kBlockBytes, least_bytes);
    blocks_.emplace_back(new char[left_]);
    next_ = blocks_.back().get();
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_TEXT_STORE_H_
