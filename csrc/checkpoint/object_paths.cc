#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

#include "tensorbundle/object_graph.h"

namespace tensorbundle {
namespace {

constexpr std::string_view kSlotMark = "/.OPTIMIZER_SLOT/";

// True for a child that lists what has a place of its own elsewhere: Keras' bookkeeping, an optimizer's list of the
// variables that it trains.
bool IsList(std::string_view name) {
  constexpr std::string_view kEnd = "variables";
  return name == "keras_api" || (name.size() >= kEnd.size() && name.substr(name.size() - kEnd.size()) == kEnd);
}

uint64_t EscapedSize(std::string_view name) {
  const auto is_escaped = [](char character) { return character == '.' || character == '/'; };
  return name.size() + static_cast<uint64_t>(std::count_if(name.begin(), name.end(), is_escaped));
}

}  // namespace

std::string EscapeLocalName(std::string_view name) {
  std::string escaped;
  escaped.reserve(name.size());
  for (const char character : name) {
    if (character == '.') {
      escaped += "..";
    } else if (character == '/') {
      escaped += ".S";
    } else {
      escaped += character;
    }
  }
  return escaped;
}

ObjectPaths::ObjectPaths(const ObjectGraph& graph) : graph_(graph), steps_(graph.nodes.size()) {
  FollowChildren();
  FollowSlots();
}

// The cheapest way to each node first, so that the first one found is its own.
void ObjectPaths::FollowChildren() {
  struct Arrival {
    uint32_t lists;   // Steps to a list.
    uint32_t length;  // All steps.
    uint64_t order;
    int32_t node;
    Step step;
    bool operator>(const Arrival& other) const {
      return std::tie(lists, length, order) > std::tie(other.lists, other.length, other.order);
    }
  };
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals;
  uint64_t order = 0;
  arrivals.push({0, 0, order++, 0, {Kind::kRoot, -1, 0, 0}});
  while (!arrivals.empty()) {
    const Arrival arrival = arrivals.top();
    arrivals.pop();
    Step& step = steps_[static_cast<size_t>(arrival.node)];
    if (step.kind != Kind::kUnreachable) continue;
    step = arrival.step;
    const std::vector<ObjectGraph::Child>& children = graph_.nodes[static_cast<size_t>(arrival.node)].children;
    for (size_t i = 0; i < children.size(); ++i) {
      if (steps_[static_cast<size_t>(children[i].node)].kind != Kind::kUnreachable) continue;
      const uint64_t before = step.kind == Kind::kRoot ? 0 : step.size_bytes + 1;
      const uint32_t lists = arrival.lists + (IsList(children[i].name) ? 1 : 0);
      arrivals.push({lists,
                     arrival.length + 1,
                     order++,
                     children[i].node,
                     {Kind::kChild, arrival.node, i, before + EscapedSize(children[i].name)}});
    }
  }
}

void ObjectPaths::FollowSlots() {
  const auto is_object = [this](int32_t node) {
    const Kind kind = steps_[static_cast<size_t>(node)].kind;
    return kind == Kind::kRoot || kind == Kind::kChild;
  };
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const auto optimizer = static_cast<int32_t>(i);
    const std::vector<ObjectGraph::Slot>& slots = graph_.nodes[i].slots;
    for (size_t position = 0; position < slots.size() && is_object(optimizer); ++position) {
      const ObjectGraph::Slot& slot = slots[position];
      Step& step = steps_[static_cast<size_t>(slot.slot_variable)];
      if (step.kind != Kind::kUnreachable || !is_object(slot.variable)) continue;
      const uint64_t size = SizeOf(slot.variable) + kSlotMark.size() + SizeOf(optimizer) + 1 + EscapedSize(slot.name);
      step = {Kind::kSlot, optimizer, position, size};
    }
  }
}

// Appends the path of an object from its end to its beginning: a path has as many steps as the graph likes.
void ObjectPaths::AppendReversed(int32_t node, std::string* path) const {
  for (bool last = true; steps_[static_cast<size_t>(node)].kind == Kind::kChild; last = false) {
    const Step& step = steps_[static_cast<size_t>(node)];
    const std::string name = EscapeLocalName(graph_.nodes[static_cast<size_t>(step.from)].children[step.position].name);
    if (!last) path->push_back('/');
    path->append(name.rbegin(), name.rend());
    node = step.from;
  }
}

std::optional<std::string> ObjectPaths::PathOf(int32_t node) const {
  const Step& step = steps_[static_cast<size_t>(node)];
  if (step.kind == Kind::kUnreachable) return std::nullopt;
  std::string path;
  if (step.kind == Kind::kSlot) {
    const ObjectGraph::Slot& slot = graph_.nodes[static_cast<size_t>(step.from)].slots[step.position];
    const std::string name = EscapeLocalName(slot.name);
    path.append(name.rbegin(), name.rend());
    path.push_back('/');
    AppendReversed(step.from, &path);
    path.append(kSlotMark.rbegin(), kSlotMark.rend());
    AppendReversed(slot.variable, &path);
  } else {
    AppendReversed(node, &path);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

int32_t ObjectPaths::ParentOf(int32_t node) const {
  const Step& step = steps_[static_cast<size_t>(node)];
  return step.kind == Kind::kChild ? step.from : -1;
}

}  // namespace tensorbundle
