// The names of a SavedModel's files.

#ifndef TENSORBUNDLE_SAVED_MODEL_PATHS_H_
#define TENSORBUNDLE_SAVED_MODEL_PATHS_H_

#include <string>
#include <string_view>

namespace tensorbundle::saved_model {

inline constexpr std::string_view kBinaryFile = "saved_model.pb";
inline constexpr std::string_view kTextFile = "saved_model.pbtxt";
inline constexpr std::string_view kChunkedFile = "saved_model.cpb";
inline constexpr std::string_view kVariables = "variables";  // The directory, and the checkpoint in it.
inline constexpr std::string_view kAssets = "assets";

inline std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (path.empty() || path.back() != '/') path += '/';
  return path.append(name);
}

}  // namespace tensorbundle::saved_model

#endif  // TENSORBUNDLE_SAVED_MODEL_PATHS_H_
