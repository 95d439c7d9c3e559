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
  for (bool more = true; more;) {
    const std::string_view step = path.substr(0, path.find('/'));
    if (step == "..") return true;
    more = step.size() < path.size();
    path.remove_prefix(step.size() + (more ? 1 : 0));
  }
  return false;
}

}  // namespace

Status CheckAssetName(std::string_view filename) {
  if (filename.find('\0') != std::string_view::npos) return Refused(filename, "its name has a NUL in it");
  if (filename.front() == '/') return Refused(filename, "its name is an absolute path");
  if (HasParentStep(filename)) return Refused(filename, "its name leads out of \"assets\"");
  const std::string_view last = filename.substr(filename.rfind('/') + 1);
  if (last.empty() || last == ".") return Refused(filename, "its name is that of no file");
  return Status();
}

Status CheckAssetLinks(const std::string& export_dir, const std::string& filename) {
  const auto file = os::ResolveLinks(JoinPath(JoinPath(export_dir, kAssets), filename));
  if (!file.ok()) return IsMissing(file.status()) ? Status() : file.status();
  ASSIGN_OR_RETURN(const std::string directory, os::ResolveLinks(export_dir));
  const std::string assets = JoinPath(JoinPath(directory, kAssets), "");
  if (file->compare(0, assets.size(), assets) == 0) return Status();
  return Refused(filename, "a link leads out of \"assets\", to " + Quote(*file));
}

}  // namespace tensorbundle::saved_model
