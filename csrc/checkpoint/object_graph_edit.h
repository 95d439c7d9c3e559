// What becomes of an object graph when tensors get other keys or go.

#ifndef TENSORBUNDLE_CHECKPOINT_OBJECT_GRAPH_EDIT_H_
#define TENSORBUNDLE_CHECKPOINT_OBJECT_GRAPH_EDIT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// A key, and what it becomes: nullopt if the tensor goes.
struct KeyChange {
  std::string_view key;
  std::optional<std::string> new_key;
};

// The record of a graph whose values are where `changes` puts them. Objects keep their places; a value that goes is
// taken from its object, and a slot with it. What isn't known of the record stays. nullopt if nothing changes.
//
// `changes` has every key of the checkpoint, in order, those that stay as they are included.
//
// kDataLoss if the record is damaged. kInvalidArgument if TensorFlow could not restore what comes of it: it takes what
// follows "/.ATTRIBUTES/" in a key for the name of the value, and an object's value may be several tensors whose keys
// have a beginning in common.
Result<std::optional<std::string>> EditObjectGraph(ByteView record, const std::vector<KeyChange>& changes);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_OBJECT_GRAPH_EDIT_H_
