// The names of a V1 checkpoint's files: one file, or shards that a pattern stands for.

#ifndef TENSORBUNDLE_V1_NAMING_H_
#define TENSORBUNDLE_V1_NAMING_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tensorbundle::v1 {

// What a pattern has between the name and the number of shards. (Raw: it would have a trigraph.)
inline constexpr std::string_view kAnyNumber = R"(-?????-of-)";

// The shards of "<name>-?????-of-00002": "<name>-00000-of-00002" and "<name>-00001-of-00002". nullopt for any other
// path. The number has five digits and is not 0.
std::optional<std::vector<std::string>> ShardsOf(std::string_view path);

// The pattern of the shards of which "<name>-00000-of-00002" is one. nullopt for any other path.
std::optional<std::string> PatternOf(std::string_view path);

// For the end of a message, if any shards are missing: "; it may be in a missing shard: ...", where `what` is "it".
std::string MayBeMissing(std::string_view what, const std::vector<std::string>& missing_shards);

}  // namespace tensorbundle::v1

#endif  // TENSORBUNDLE_V1_NAMING_H_
