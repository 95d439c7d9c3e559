#include "saved_model/variable_names.h"

#include <algorithm>
#include <cstddef>
#include <queue>
#include <unordered_map>

namespace tensorbundle::saved_model {
namespace {

constexpr std::string_view kSlotMark = "/.OPTIMIZER_SLOT/";

// True if `step`, a part of a path, stands for what is called `name`. Only names that are escaped have a "." there.
bool IsStepTo(std::string_view step, const std::string& name) {
  return step.find('.') == std::string_view::npos ? name == step : EscapeLocalName(name) == step;
}

// For each object of the model the node of the checkpoint's graph that it is, -1 where there is none. No node is taken
// twice, so that the work is no more than both graphs are large.
std::vector<int32_t> MatchNodes(const std::vector<SavedObject>& objects, const ObjectGraph& stored) {
  std::vector<int32_t> nodes(objects.size(), -1);
  std::vector<bool> taken(stored.nodes.size(), false);
  std::queue<size_t> reached;
  const auto match = [&](size_t object, int32_t node) {
    if (nodes[object] >= 0 || taken[static_cast<size_t>(node)]) return;
    nodes[object] = node;
    taken[static_cast<size_t>(node)] = true;
    reached.push(object);
  };
  if (!objects.empty() && !stored.nodes.empty()) match(0, 0);
  for (; !reached.empty(); reached.pop()) {
    const size_t object = reached.front();
    std::unordered_map<std::string_view, int32_t> children;
    for (const ObjectGraph::Child& child : stored.nodes[static_cast<size_t>(nodes[object])].children) {
      children.emplace(child.name, child.node);
    }
    for (const ObjectGraph::Child& child : objects[object].children) {
      const auto found = children.find(child.name);
      if (found != children.end()) match(static_cast<size_t>(child.node), found->second);
    }
  }
  return nodes;
}

}  // namespace

VariableNames::VariableNames(ObjectGraph stored, const std::vector<SavedObject>& objects) : stored_(std::move(stored)) {
  AddStoredNames();
  AddNamesOf(objects);
}

void VariableNames::AddStoredNames() {
  for (const ObjectGraph::Node& node : stored_.nodes) {
    for (const ObjectGraph::Attribute& attribute : node.attributes) {
      if (!attribute.full_name.empty()) keys_.emplace(attribute.full_name, attribute.checkpoint_key);
    }
  }
}

void VariableNames::AddNamesOf(const std::vector<SavedObject>& objects) {
  const std::vector<int32_t> nodes = MatchNodes(objects, stored_);
  for (size_t i = 0; i < objects.size(); ++i) {
    if (nodes[i] < 0 || objects[i].variable_name.value_or("").empty()) continue;
    if (const auto key = KeyOfNode(nodes[i])) keys_.emplace(*objects[i].variable_name, *key);
  }
}

std::optional<std::string> VariableNames::KeyOfNode(int32_t node) const {
  const std::vector<ObjectGraph::Attribute>& values = At(node).attributes;
  return values.size() == 1 ? std::make_optional(values.front().checkpoint_key) : std::nullopt;
}

std::optional<std::string> VariableNames::KeyOfPath(std::string_view path) const {
  const size_t mark = path.find(kSlotMark);
  const std::optional<int32_t> node = mark == std::string_view::npos
                                          ? FollowChildren(path)
                                          : FollowSlot(path.substr(0, mark), path.substr(mark + kSlotMark.size()));
  return node ? KeyOfNode(*node) : std::nullopt;
}

std::optional<int32_t> VariableNames::FollowChildren(std::string_view path) const {
  int32_t node = 0;
  for (bool more = !path.empty(); more;) {
    const std::string_view step = path.substr(0, path.find('/'));
    more = step.size() < path.size();
    path.remove_prefix(step.size() + (more ? 1 : 0));
    const std::vector<ObjectGraph::Child>& children = At(node).children;
    const auto next = std::find_if(children.begin(), children.end(),
                                   [step](const ObjectGraph::Child& child) { return IsStepTo(step, child.name); });
    if (next == children.end()) return std::nullopt;
    node = next->node;
  }
  return node;
}

std::optional<int32_t> VariableNames::FollowSlot(std::string_view variable_path, std::string_view slot_path) const {
  const size_t slash = slot_path.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto variable = FollowChildren(variable_path);
  const auto optimizer = FollowChildren(slot_path.substr(0, slash));
  if (!variable || !optimizer) return std::nullopt;
  for (const ObjectGraph::Slot& slot : At(*optimizer).slots) {
    if (slot.variable == *variable && IsStepTo(slot_path.substr(slash + 1), slot.name)) return slot.slot_variable;
  }
  return std::nullopt;
}

std::vector<std::string> VariableNames::KeysOfFullName(const std::string& name) const {
  std::vector<std::string> keys;
  for (auto found = keys_.lower_bound({name, ""}); found != keys_.end() && found->first == name; ++found) {
    keys.push_back(found->second);
  }
  return keys;
}

}  // namespace tensorbundle::saved_model
