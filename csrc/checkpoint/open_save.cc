#include <memory>
#include <utility>

#include "checkpoint/bundle_save.h"
#include "checkpoint/open_bundle.h"
#include "checkpoint/opener.h"
#include "checkpoint/save.h"
#include "checkpoint/v1_save.h"
#include "v1/naming.h"

namespace tensorbundle {

Result<std::unique_ptr<const Save>> OpenSave(const std::string& path, const OpenOptions& options) {
  auto bundle = OpenBundle(path, options);
  if (bundle.ok()) return std::unique_ptr<const Save>(std::make_unique<BundleSave>(*std::move(bundle)));
  if (!IsMissing(bundle.status())) return std::move(bundle).status();
  auto v1 = V1Save::Open(path, options);
  if (!v1.ok() && IsMissing(v1.status())) {
    // Of two files that are not there, most would miss the index.
    const bool is_pattern = v1::ShardsOf(path).has_value();
    return is_pattern ? std::move(v1).status() : std::move(bundle).status();
  }
  return v1;
}

}  // namespace tensorbundle
