// Under which keys the variables of a SavedModel are stored, whatever they are called.

#ifndef TENSORBUNDLE_SAVED_MODEL_VARIABLE_NAMES_H_
#define TENSORBUNDLE_SAVED_MODEL_VARIABLE_NAMES_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "saved_model/messages.h"
#include "tensorbundle/object_graph.h"

namespace tensorbundle::saved_model {

// Immutable once made.
class VariableNames {
 public:
  // `stored` is the graph in the checkpoint, which has the keys. `objects` is the one in the model, which may know what
  // a graph calls the variables where the other doesn't; it may be empty. The nodes of both are matched by the names
  // that lead to them from the root: their numbers need not agree.
  VariableNames(ObjectGraph stored, const std::vector<SavedObject>& objects);

  // The key of the only value of the object that `path` leads to, step by step, each escaped as in a key. That of a
  // slot is "<path of the variable>/.OPTIMIZER_SLOT/<path of the optimizer>/<name of the slot>". nullopt if there is
  // none.
  std::optional<std::string> KeyOfPath(std::string_view path) const;
  // The keys of all variables that a graph calls `name`.
  std::vector<std::string> KeysOfFullName(const std::string& name) const;

 private:
  const ObjectGraph::Node& At(int32_t node) const { return stored_.nodes[static_cast<size_t>(node)]; }
  std::optional<int32_t> FollowChildren(std::string_view path) const;
  std::optional<int32_t> FollowSlot(std::string_view variable_path, std::string_view slot_path) const;
  std::optional<std::string> KeyOfNode(int32_t node) const;
  void AddStoredNames();
  void AddNamesOf(const std::vector<SavedObject>& objects);

  ObjectGraph stored_;
  std::set<std::pair<std::string, std::string>> keys_;  // Full name, key.
};

}  // namespace tensorbundle::saved_model

#endif  // TENSORBUNDLE_SAVED_MODEL_VARIABLE_NAMES_H_
