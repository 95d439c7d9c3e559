#include "saved_model/variables.h"

#include <optional>
#include <string_view>
#include <vector>

#include "bundle/naming.h"
#include "checkpoint/opener.h"
#include "io/os_write.h"
#include "saved_model/paths.h"
#include "util/quote.h"
#include "v1/naming.h"

namespace tensorbundle::saved_model {
namespace {

constexpr std::string_view kEarliestName = "saved_model_variables";

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// The V1 checkpoint that a file in the directory of variables is, or is a shard of.
std::optional<std::string> V1CheckpointOf(const std::string& name) {
  if (name == kEarliestName) return name;
  std::optional<std::string> pattern = v1::PatternOf(name);
  if (!pattern) return std::nullopt;
  for (const std::string_view stem : {kVariables, kEarliestName}) {
    if (StartsWith(*pattern, std::string(stem) + std::string(v1::kAnyNumber))) return pattern;
  }
  return std::nullopt;
}

std::optional<std::string> FindV1(const std::string& directory) {
  const auto names = os::ListDirectory(directory);
  if (!names.ok()) return std::nullopt;
  for (const std::string& name : *names) {
    if (const auto checkpoint = V1CheckpointOf(name)) return JoinPath(directory, *checkpoint);
  }
  return std::nullopt;
}

}  // namespace

Result<Checkpoint> OpenVariables(const std::string& export_dir, const OpenOptions& options) {
  const std::string directory = JoinPath(export_dir, kVariables);
  const std::string prefix = JoinPath(directory, kVariables);
  auto checkpoint = Checkpoint::Open(prefix, options);
  if (checkpoint.ok() || !IsMissing(checkpoint.status())) return checkpoint;
  if (!options.opener) {
    if (const auto v1 = FindV1(directory)) return Checkpoint::Open(*v1, options);
  }
  return Status(StatusCode::kNotFound, "this SavedModel has no variables: there is no " + Quote(IndexPath(prefix)) +
                                           ", nor a file of the V1 format")
      .WithPath(export_dir);
}

}  // namespace tensorbundle::saved_model
