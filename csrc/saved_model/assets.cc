#include "saved_model/assets.h"

#include <cstddef>

#include "checkpoint/opener.h"
#include "io/os.h"
#include "saved_model/paths.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle::saved_model {
namespace {

Status Refused(std::string_view filename, const std::string& why) {
  return Status(StatusCode::kDataLoss, "the asset " + Quote(filename) + " is refused: " + why);
}

bool HasParentStep(std::string_view path) {
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('/'));
    if (step == "..") return true;
    path.remove_prefix(step.size() + (step.size() < path.size() ? 1 : 0));
  }
  return false;
}

}  // namespace

Status CheckAssetName(std::string_view filename) {
  if (filename.empty()) return Refused(filename, "it has no name");
  if (filename.find('\0') != std::string_view::npos) return Refused(filename, "its name has a NUL byte");
  if (filename.front() == '/') return Refused(filename, "its name is an absolute path");
  if (HasParentStep(filename)) return Refused(filename, "its name leaves the directory of assets");
  return Status();
}

Status CheckAssetLinks(const std::string& export_dir, const std::string& filename) {
  const auto file = os::ResolveLinks(JoinPath(JoinPath(export_dir, kAssets), filename));
  if (!file.ok()) return IsMissing(file.status()) ? Status() : file.status();
  ASSIGN_OR_RETURN(const std::string directory, os::ResolveLinks(export_dir));
  const std::string assets = JoinPath(JoinPath(directory, kAssets), "");
  if (file->compare(0, assets.size(), assets) == 0) return Status();
  return Refused(filename, "a link leads to " + Quote(*file) + ", outside of the directory of assets");
}

}  // namespace tensorbundle::saved_model
