#include "v1/naming.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace tensorbundle::v1 {
namespace {

constexpr size_t kDigits = 5;
constexpr size_t kMaxNamed = 5;

}  // namespace

std::optional<std::vector<std::string>> ShardsOf(std::string_view path) {
  if (path.size() < kAnyNumber.size() + kDigits) return std::nullopt;
  const std::string_view digits = path.substr(path.size() - kDigits);
  const std::string_view rest = path.substr(0, path.size() - kDigits);
  const std::string_view name = rest.substr(0, rest.size() - kAnyNumber.size());
  int32_t num_shards = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), num_shards);
  const bool is_number = error == std::errc() && end == digits.data() + digits.size() && num_shards > 0;
  if (!is_number || rest.substr(name.size()) != kAnyNumber) return std::nullopt;
  std::vector<std::string> shards;
  for (int32_t shard = 0; shard < num_shards; ++shard) {
    const std::string number = std::to_string(shard);
    shards.push_back(std::string(name) + "-" + std::string(kDigits - number.size(), '0') + number + "-of-" +
                     std::string(digits));
  }
  return shards;
}

std::optional<std::string> PatternOf(std::string_view path) {
  const size_t tail = kAnyNumber.size() + kDigits;
  if (path.size() < tail) return std::nullopt;
  const std::string_view name = path.substr(0, path.size() - tail);
  const std::string_view number = path.substr(name.size() + 1, kDigits);
  if (number.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::string pattern(name);
  pattern += kAnyNumber;
  pattern += path.substr(path.size() - kDigits);
  std::string shard = pattern;
  shard.replace(name.size() + 1, kDigits, number);
  if (shard != path || !ShardsOf(pattern)) return std::nullopt;
  return pattern;
}

std::string MayBeMissing(std::string_view what, const std::vector<std::string>& missing_shards) {
  if (missing_shards.empty()) return {};
  std::string hint = "; " + std::string(what) + " may be in a missing shard: ";
  const size_t num_named = std::min(kMaxNamed, missing_shards.size());
  for (size_t i = 0; i < num_named; ++i) hint += (i > 0 ? ", " : "") + missing_shards[i];
  const size_t num_more = missing_shards.size() - num_named;
  return num_more > 0 ? hint + " and " + std::to_string(num_more) + " more" : hint;
}

}  // namespace tensorbundle::v1
