// Where the assets of a SavedModel are. Their names come from its file and might say anything.

#ifndef TENSORBUNDLE_SAVED_MODEL_ASSETS_H_
#define TENSORBUNDLE_SAVED_MODEL_ASSETS_H_

#include <string>
#include <string_view>

#include "tensorbundle/status.h"

namespace tensorbundle::saved_model {

// kDataLoss unless `filename` is the name of a file in the assets directory, or below it, as far as the text tells.
Status CheckAssetName(std::string_view filename);

// kDataLoss if there is such a file and a link on the way to it, beginning with that of the assets directory, leads
// somewhere else. `export_dir` itself may be a link. REQUIRES: CheckAssetName(filename) is ok.
Status CheckAssetLinks(const std::string& export_dir, const std::string& filename);

}  // namespace tensorbundle::saved_model

#endif  // TENSORBUNDLE_SAVED_MODEL_ASSETS_H_
