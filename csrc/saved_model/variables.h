// The checkpoint of a SavedModel's variables.

#ifndef TENSORBUNDLE_SAVED_MODEL_VARIABLES_H_
#define TENSORBUNDLE_SAVED_MODEL_VARIABLES_H_

#include <string>

#include "tensorbundle/checkpoint.h"
#include "tensorbundle/status.h"

namespace tensorbundle::saved_model {

// Opens variables/variables, of either format; or else a V1 checkpoint under the other names that the earliest models
// give it: "variables-?????-of-00001", "saved_model_variables-?????-of-00001", with any number of shards. (These are
// looked for in local directories: not if the options have an opener.) kNotFound if there is none.
Result<Checkpoint> OpenVariables(const std::string& export_dir, const OpenOptions& options);

}  // namespace tensorbundle::saved_model

#endif  // TENSORBUNDLE_SAVED_MODEL_VARIABLES_H_
