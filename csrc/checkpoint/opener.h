// What opening a save of either format, or a SavedModel, takes.

#ifndef TENSORBUNDLE_CHECKPOINT_OPENER_H_
#define TENSORBUNDLE_CHECKPOINT_OPENER_H_

#include <cerrno>
#include <string>

#include "tensorbundle/byte_source.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// A writer that replaces the checkpoint this often in a row, each time just while it is being opened, is out of order.
inline constexpr int kMaxOpeningAttempts = 100;

inline SourceOpener OpenerFor(const OpenOptions& options) {
  if (options.opener) return options.opener;
  return [access = options.access](const std::string& path) { return OpenFile(path, access); };
}

// True if there is no such file, as far as its opener can tell.
inline bool IsMissing(const Status& status) {
  if (status.code() == StatusCode::kNotFound) return true;
  const int error = status.system_error();
  return status.code() == StatusCode::kIo && (error == ENOENT || error == ENOTDIR || error == EISDIR);
}

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_OPENER_H_
