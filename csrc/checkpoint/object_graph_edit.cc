#include <algorithm>
#include <unordered_map>
#include <utility>

#include "tensorbundle/object_graph.h"
#include "util/quote.h"
#include "util/status_macros.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace tensorbundle {
namespace {

constexpr std::string_view kAttributes = "/.ATTRIBUTES/";
// TrackableObject.attributes and .slot_variables, SerializedTensor.checkpoint_key.
constexpr uint32_t kAttributesNumber = 2;
constexpr uint32_t kSlotsNumber = 3;
constexpr uint32_t kKeyNumber = 3;

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

Status Invalid(const std::string& message) { return Status(StatusCode::kInvalidArgument, message); }

// Success unless a value's key changes in what TensorFlow takes for the value's name.
Status CheckValueName(std::string_view key, std::string_view new_key) {
  const size_t mark = key.find(kAttributes);
  if (mark == std::string_view::npos) return Status();
  const std::string_view kept = key.substr(mark);
  const size_t new_mark = new_key.find(kAttributes);
  if (new_mark != std::string_view::npos && new_key.substr(new_mark) == kept) return Status();
  return Invalid("its new name " + Quote(new_key) + " does not end with " + Quote(kept) +
                 ", by which TensorFlow finds the value of an object; drop " + std::string(kObjectGraphKey) +
                 " too, and it is a checkpoint of names alone")
      .WithTensor(std::string(key));
}

class GraphEdit {
 public:
  explicit GraphEdit(const std::vector<KeyChange>& changes) : changes_(changes), is_exact_(changes.size(), false) {}

  Result<std::optional<std::string>> Run(ByteView record) {
    ASSIGN_OR_RETURN(graph_, ParseObjectGraph(record));
    FindExactKeys();
    RETURN_IF_ERROR(Decide());
    if (!changes_any_) return std::optional<std::string>();
    return Rewrite(record);
  }

 private:
  // What becomes of a checkpoint_key; nullopt: the value goes.
  using NewKey = std::optional<std::string>;

  // The position of a key, or of the first after it.
  size_t PositionOf(std::string_view key) const {
    const auto is_before = [](const KeyChange& change, std::string_view text) { return change.key < text; };
    return static_cast<size_t>(std::lower_bound(changes_.begin(), changes_.end(), key, is_before) - changes_.begin());
  }

  bool HasKeyAt(size_t i, std::string_view key) const { return i < changes_.size() && changes_[i].key == key; }

  void FindExactKeys() {
    for (const ObjectGraph::Node& node : graph_.nodes) {
      for (const ObjectGraph::Attribute& attribute : node.attributes) {
        const size_t i = PositionOf(attribute.checkpoint_key);
        if (HasKeyAt(i, attribute.checkpoint_key)) is_exact_[i] = true;
      }
    }
  }

  Status Decide() {
    emptied_.resize(graph_.nodes.size(), false);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const std::vector<ObjectGraph::Attribute>& attributes = graph_.nodes[i].attributes;
      size_t num_dropped = 0;
      for (const ObjectGraph::Attribute& attribute : attributes) {
        const std::string_view key = attribute.checkpoint_key;
        if (new_keys_.count(key) == 0) {
          ASSIGN_OR_RETURN(NewKey new_key, NewKeyOf(key));
          new_keys_.emplace(key, std::move(new_key));
        }
        const NewKey& new_key = new_keys_.at(key);
        changes_any_ |= new_key != attribute.checkpoint_key;
        if (!new_key) ++num_dropped;
      }
      emptied_[i] = num_dropped > 0 && num_dropped == attributes.size();
    }
    return Status();
  }

  Result<NewKey> NewKeyOf(std::string_view key) const {
    const size_t i = PositionOf(key);
    if (!HasKeyAt(i, key)) return NewStartOf(key, i);
    const NewKey& new_key = changes_[i].new_key;
    if (new_key) RETURN_IF_ERROR(CheckValueName(key, *new_key));
    return new_key;
  }

  // The same where `start` is no key, but what the keys from `first` on begin with that no other value has.
  Result<NewKey> NewStartOf(std::string_view start, size_t first) const {
    const NewKey unchanged = std::string(start);
    if (start.find(kAttributes) == std::string_view::npos) return unchanged;
    std::optional<NewKey> new_start;
    for (size_t i = first; i < changes_.size() && StartsWith(changes_[i].key, start); ++i) {
      if (is_exact_[i]) continue;
      const auto& [key, new_key] = changes_[i];
      NewKey this_start;
      if (new_key) {
        const std::string_view end = key.substr(start.size());
        const bool ends_alike =
            new_key->size() >= end.size() && new_key->compare(new_key->size() - end.size(), end.size(), end) == 0;
        if (!ends_alike) return Apart(start, key);
        this_start = new_key->substr(0, new_key->size() - end.size());
        RETURN_IF_ERROR(CheckValueName(key, *new_key));
      }
      if (new_start && *new_start != this_start) return Apart(start, key);
      new_start = std::move(this_start);
    }
    return new_start ? *std::move(new_start) : unchanged;
  }

  static Status Apart(std::string_view start, std::string_view key) {
    return Invalid("it is one of the tensors whose names begin with " + Quote(start) +
                   ": they are one value of an object, so they keep a beginning in common, or go together")
        .WithTensor(std::string(key));
  }

  Result<std::optional<std::string>> Rewrite(ByteView record) const {
    std::string rewritten;
    std::string node;
    size_t number = 0;
    wire::Reader reader(record);
    while (reader.Next()) {
      const wire::Field& field = reader.field();
      if (field.tag != wire::BytesTag(1)) {
        wire::AppendField(field, &rewritten);
        continue;
      }
      node.clear();
      RETURN_IF_ERROR(RewriteNode(field.bytes, graph_.nodes[number++], &node));
      wire::AppendBytes(1, ByteView(node), &rewritten);
    }
    RETURN_IF_ERROR(reader.status());
    return std::make_optional(std::move(rewritten));
  }

  Status RewriteNode(ByteView message, const ObjectGraph::Node& node, std::string* rewritten) const {
    size_t attribute = 0;
    size_t slot = 0;
    wire::Reader reader(message);
    while (reader.Next()) {
      const wire::Field& field = reader.field();
      if (field.tag == wire::BytesTag(kAttributesNumber)) {
        RETURN_IF_ERROR(RewriteAttribute(field, node.attributes[attribute++].checkpoint_key, rewritten));
      } else if (field.tag != wire::BytesTag(kSlotsNumber) ||
                 !emptied_[static_cast<size_t>(node.slots[slot++].slot_variable)]) {
        wire::AppendField(field, rewritten);
      }
    }
    return reader.status();
  }

  Status RewriteAttribute(const wire::Field& message, std::string_view key, std::string* rewritten) const {
    const NewKey& new_key = new_keys_.at(key);
    if (!new_key) return Status();
    if (*new_key == key) {
      wire::AppendField(message, rewritten);
      return Status();
    }
    std::string attribute;
    wire::Reader reader(message.bytes);
    while (reader.Next()) {
      if (reader.field().tag != wire::BytesTag(kKeyNumber)) wire::AppendField(reader.field(), &attribute);
    }
    wire::AppendBytes(kKeyNumber, ByteView(*new_key), &attribute);
    wire::AppendBytes(kAttributesNumber, ByteView(attribute), rewritten);
    return reader.status();
  }

  const std::vector<KeyChange>& changes_;
  std::vector<bool> is_exact_;  // Of each key, whether it is the whole key of a value.
  ObjectGraph graph_;
  std::unordered_map<std::string_view, NewKey> new_keys_;
  std::vector<bool> emptied_;  // Of each node, whether all its values go.
  bool changes_any_ = false;
};

}  // namespace

Result<std::optional<std::string>> EditObjectGraph(ByteView record, const std::vector<KeyChange>& changes) {
  return GraphEdit(changes).Run(record);
}

}  // namespace tensorbundle
