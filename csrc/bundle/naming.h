// The names of a checkpoint's files: a prefix, and what is appended to it.

#ifndef TENSORBUNDLE_BUNDLE_NAMING_H_
#define TENSORBUNDLE_BUNDLE_NAMING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tensorbundle/status.h"

namespace tensorbundle {

// kInvalidArgument unless a checkpoint can have this prefix.
Status CheckPrefix(const std::string& prefix);

// "<prefix>.index".
std::string IndexPath(std::string_view prefix);

// "<prefix>.data-00000-of-00001": both numbers with at least five digits, and more if they need more.
// REQUIRES: neither is negative.
std::string DataPath(std::string_view prefix, int32_t shard, int32_t num_shards);

// The prefix of a path that IndexPath or DataPath made; any other path is a prefix, and returned as it is.
//
// Looks at the text alone: a prefix that itself ends like this can only be told by the files that are there.
std::string PrefixOf(std::string_view path);

// The number of shards in the name of a data file of this prefix; nullopt if `path` is none.
std::optional<int32_t> NumShardsInName(std::string_view prefix, std::string_view path);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_BUNDLE_NAMING_H_
