#include "bundle/naming.h"

#include <charconv>
#include <cstddef>
#include <system_error>

namespace tensorbundle {
namespace {

constexpr std::string_view kIndexSuffix = ".index";
constexpr std::string_view kDataInfix = ".data-";
constexpr std::string_view kOfInfix = "-of-";
constexpr size_t kMinDigits = 5;

std::string Padded(int32_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kMinDigits) digits.insert(0, kMinDigits - digits.size(), '0');
  return digits;
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Takes a number as Padded writes it off the end of *text.
bool TakePaddedFromEnd(std::string_view* text, int32_t* number) {
  size_t begin = text->size();
  while (begin > 0 && (*text)[begin - 1] >= '0' && (*text)[begin - 1] <= '9') --begin;
  const std::string_view digits = text->substr(begin);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  if (error != std::errc() || Padded(*number) != digits) return false;
  text->remove_suffix(digits.size());
  return true;
}

bool TakeFromEnd(std::string_view end, std::string_view* text) {
  if (!EndsWith(*text, end)) return false;
  text->remove_suffix(end.size());
  return true;
}

// Takes what DataPath appends to a prefix off the end of *path.
bool TakeDataSuffix(std::string_view* path, int32_t* num_shards) {
  int32_t shard = 0;
  return TakePaddedFromEnd(path, num_shards) && TakeFromEnd(kOfInfix, path) && TakePaddedFromEnd(path, &shard) &&
         TakeFromEnd(kDataInfix, path);
}

Status Invalid(const char* message) { return Status(StatusCode::kInvalidArgument, message); }

bool NamesADirectory(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.empty() || name == "." || name == "..";
}

}  // namespace

Status CheckPrefix(const std::string& prefix) {
  if (prefix.empty()) return Invalid("a checkpoint needs a path, and this one is empty");
  if (prefix.find('\0') != std::string::npos) return Invalid("a path may not contain a NUL byte");
  if (!NamesADirectory(prefix)) return Status();
  return Invalid("a checkpoint's path ends with its name, as in run/model.ckpt-100; this names a directory")
      .WithPath(prefix);
}

std::string IndexPath(std::string_view prefix) { return std::string(prefix).append(kIndexSuffix); }

std::string DataPath(std::string_view prefix, int32_t shard, int32_t num_shards) {
  return std::string(prefix).append(kDataInfix) + Padded(shard).append(kOfInfix) + Padded(num_shards);
}

std::string PrefixOf(std::string_view path) {
  std::string_view rest = path;
  if (TakeFromEnd(kIndexSuffix, &rest)) return std::string(rest);
  int32_t num_shards = 0;
  const bool is_data = TakeDataSuffix(&rest, &num_shards);
  return std::string(is_data ? rest : path);
}

std::optional<int32_t> NumShardsInName(std::string_view prefix, std::string_view path) {
  int32_t num_shards = 0;
  if (!TakeDataSuffix(&path, &num_shards) || path != prefix) return std::nullopt;
  return num_shards;
}

}  // namespace tensorbundle
