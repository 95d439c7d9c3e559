#include <algorithm>
#include <numeric>
#include <utility>

#include "tensorbundle/object_graph.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

constexpr std::string_view kAttributes = "/.ATTRIBUTES/";
constexpr std::string_view kVariable = "VARIABLE_VALUE";

// A path is as long as its graph is deep, so a small graph can give many tensors names that fill any memory. Those of
// real checkpoints are about as long as the keys.
constexpr uint64_t kMaxNameBytesPerKeyByte = 64;
constexpr uint64_t kMaxNameBytesAnyway = uint64_t{16} << 20;

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// The value of an object that a tensor is, or is a part of.
struct Owner {
  const ObjectGraph::Attribute* attribute = nullptr;
  int32_t node = -1;
};

class TensorNames {
 public:
  TensorNames(const ObjectGraph& graph, const std::vector<std::string_view>& keys)
      : graph_(graph), keys_(keys), owners_(keys.size()) {
    FindOwners();
    FindOwnersByStart();
  }

  Result<std::vector<std::string>> ByPath() const {
    const ObjectPaths paths(graph_);
    uint64_t limit = kMaxNameBytesAnyway;
    uint64_t size_bytes = 0;
    for (size_t i = 0; i < keys_.size(); ++i) {
      limit += kMaxNameBytesPerKeyByte * keys_[i].size();
      if (owners_[i].attribute != nullptr) size_bytes += paths.SizeOf(owners_[i].node);
    }
    if (size_bytes > limit) {
      return Status(StatusCode::kResourceExhausted, "the paths of the tensors take " + std::to_string(size_bytes) +
                                                        " bytes, which is out of proportion to their keys: at most " +
                                                        std::to_string(limit));
    }
    std::vector<std::string> names(keys_.size());
    for (size_t i = 0; i < keys_.size(); ++i) names[i] = PathName(paths, i);
    return Distinct(std::move(names));
  }

  std::vector<std::string> ByFullName() const {
    std::vector<std::string> names(keys_.size());
    for (size_t i = 0; i < keys_.size(); ++i) {
      const ObjectGraph::Attribute* const attribute = owners_[i].attribute;
      if (attribute != nullptr && attribute->checkpoint_key == keys_[i]) names[i] = attribute->full_name;
    }
    return Distinct(std::move(names));
  }

 private:
  struct Start {
    std::string_view key;
    Owner owner;
  };

  void FindOwners() {
    for (size_t node = 0; node < graph_.nodes.size(); ++node) {
      for (const ObjectGraph::Attribute& attribute : graph_.nodes[node].attributes) {
        const std::string_view key = attribute.checkpoint_key;
        const auto found = std::lower_bound(keys_.begin(), keys_.end(), key);
        const Owner owner{&attribute, static_cast<int32_t>(node)};
        if (found == keys_.end() || *found != key) {
          if (key.find(kAttributes) != std::string_view::npos) starts_.push_back({key, owner});
        } else if (Owner& first = owners_[static_cast<size_t>(found - keys_.begin())]; first.attribute == nullptr) {
          first = owner;
        }
      }
    }
  }

  // Gives what is left to the attribute whose key is the longest start of its own. In order, the starts of a key are
  // those of the key before it, less some and plus some: a stack.
  void FindOwnersByStart() {
    std::stable_sort(starts_.begin(), starts_.end(), [](const Start& a, const Start& b) { return a.key < b.key; });
    std::vector<const Start*> open;
    const auto close_others = [&open](std::string_view text) {
      while (!open.empty() && !StartsWith(text, open.back()->key)) open.pop_back();
    };
    auto next = starts_.begin();
    for (size_t i = 0; i < keys_.size(); ++i) {
      for (; next != starts_.end() && next->key < keys_[i]; ++next) {
        close_others(next->key);
        if (open.empty() || open.back()->key != next->key) open.push_back(&*next);
      }
      close_others(keys_[i]);
      if (owners_[i].attribute == nullptr && !open.empty()) owners_[i] = open.back()->owner;
    }
  }

  // Empty for a tensor that the graph gives no path.
  std::string PathName(const ObjectPaths& paths, size_t i) const {
    const auto [attribute, node] = owners_[i];
    if (attribute == nullptr) return std::string();
    std::optional<std::string> path = paths.PathOf(node);
    if (!path) return std::string();
    const size_t mark = keys_[i].find(kAttributes);
    const bool has_mark = mark != std::string_view::npos;
    const std::string value =
        has_mark ? std::string(keys_[i].substr(mark + kAttributes.size())) : EscapeLocalName(attribute->name);
    if (value != kVariable) path->append(kAttributes).append(value);
    return *std::move(path);
  }

  // Names of which each is one tensor's alone: where a name isn't, it is the key.
  std::vector<std::string> Distinct(std::vector<std::string> names) const {
    std::vector<size_t> order(names.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return names[a] < names[b]; });
    std::vector<bool> keeps_key(names.size(), false);
    for (size_t i = 0; i < order.size(); ++i) {
      const std::string& name = names[order[i]];
      const bool as_before = i > 0 && name == names[order[i - 1]];
      const bool as_after = i + 1 < order.size() && name == names[order[i + 1]];
      keeps_key[order[i]] = name.empty() || as_before || as_after || IsOtherKey(name, order[i]);
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (keeps_key[i]) names[i] = std::string(keys_[i]);
    }
    return names;
  }

  bool IsOtherKey(const std::string& name, size_t i) const {
    return name != keys_[i] && std::binary_search(keys_.begin(), keys_.end(), std::string_view(name));
  }

  const ObjectGraph& graph_;
  const std::vector<std::string_view>& keys_;
  std::vector<Owner> owners_;
  std::vector<Start> starts_;  // Attributes whose key is no tensor's.
};

}  // namespace

Result<std::vector<std::string>> NameTensors(const ObjectGraph& graph, const std::vector<std::string_view>& keys,
                                             NamesBy by) {
  if (by == NamesBy::kPath) return TensorNames(graph, keys).ByPath();
  if (by == NamesBy::kFullName) return TensorNames(graph, keys).ByFullName();
  return std::vector<std::string>(keys.begin(), keys.end());
}

}  // namespace tensorbundle
