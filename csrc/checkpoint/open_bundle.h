// Opening a bundle so that it is one save, whole, while somebody may be replacing it.

#ifndef TENSORBUNDLE_CHECKPOINT_OPEN_BUNDLE_H_
#define TENSORBUNDLE_CHECKPOINT_OPEN_BUNDLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "bundle/index.h"
#include "tensorbundle/byte_source.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// A validated index in memory, and every data file that it refers to, open.
struct OpenedBundle {
  std::string prefix;
  Index index;
  uint64_t index_size_bytes = 0;
  uint32_t index_crc32c = 0;
  std::unordered_map<int32_t, std::shared_ptr<const ByteSource>> shards;  // Without those that could not be opened.
};

// Opens the bundle that `path` names: a prefix, its index file, or one of its data files.
//
// Data files have fixed names, so a save that replaces this one can put other bytes behind a name between the reading
// of the index and the opening of the file. The index is therefore looked at again afterwards, and if it is another
// one, opening starts over.
Result<OpenedBundle> OpenBundle(const std::string& path, const OpenOptions& options);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_OPEN_BUNDLE_H_
