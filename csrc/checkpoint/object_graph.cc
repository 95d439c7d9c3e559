#include "tensorbundle/object_graph.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "util/quote.h"
#include "util/status_macros.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace tensorbundle {
namespace {

std::string TextOf(const wire::Field& field) { return std::string(field.bytes.AsText()); }

// One message each, in the order of the schema.

Result<ObjectGraph::Child> ParseChild(const wire::Field& message) {
  ObjectGraph::Child child;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == wire::VarintTag(1)) child.node = field.AsInt32();
    if (field.tag == wire::BytesTag(2)) child.name = TextOf(field);
  }
  RETURN_IF_ERROR(reader.status());
  return child;
}

Result<ObjectGraph::Attribute> ParseAttribute(const wire::Field& message) {
  ObjectGraph::Attribute attribute;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == wire::BytesTag(1)) attribute.name = TextOf(field);
    if (field.tag == wire::BytesTag(2)) attribute.full_name = TextOf(field);
    if (field.tag == wire::BytesTag(3)) attribute.checkpoint_key = TextOf(field);
  }
  RETURN_IF_ERROR(reader.status());
  return attribute;
}

Result<ObjectGraph::Slot> ParseSlot(const wire::Field& message) {
  ObjectGraph::Slot slot;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == wire::VarintTag(1)) slot.variable = field.AsInt32();
    if (field.tag == wire::BytesTag(2)) slot.name = TextOf(field);
    if (field.tag == wire::VarintTag(3)) slot.slot_variable = field.AsInt32();
  }
  RETURN_IF_ERROR(reader.status());
  return slot;
}

Status ParseSaver(const wire::Field& message, ObjectGraph::RegisteredSaver* saver) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == wire::BytesTag(1)) saver->name = TextOf(field);
    if (field.tag == wire::BytesTag(2)) saver->object_name = TextOf(field);
  }
  return reader.status();
}

Status ParseBool(const wire::Field& message, std::optional<bool>* value) {
  *value = value->value_or(false);
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == wire::VarintTag(1)) *value = reader.field().AsBool();
  }
  return reader.status();
}

// Leaves the last of the children of each name.
void DropShadowed(std::vector<ObjectGraph::Child>* children) {
  std::vector<size_t> by_name(children->size());
  std::iota(by_name.begin(), by_name.end(), size_t{0});
  const auto name = [children](size_t i) -> const std::string& { return (*children)[i].name; };
  std::sort(by_name.begin(), by_name.end(), [&](size_t a, size_t b) {
    const int order = name(a).compare(name(b));
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<bool> shadowed(children->size(), false);
  bool any = false;
  for (size_t i = 1; i < by_name.size(); ++i) {
    if (name(by_name[i - 1]) != name(by_name[i])) continue;
    shadowed[by_name[i - 1]] = true;
    any = true;
  }
  if (!any) return;
  size_t kept = 0;
  for (size_t i = 0; i < children->size(); ++i) {
    if (shadowed[i]) continue;
    if (kept != i) (*children)[kept] = std::move((*children)[i]);
    ++kept;
  }
  children->resize(kept);
}

class GraphParser {
 public:
  Result<ObjectGraph> Parse(ByteView record) {
    wire::Reader reader(record);
    while (reader.Next()) {
      if (reader.field().tag != wire::BytesTag(1)) continue;
      if (graph_.nodes.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
        return Status(StatusCode::kResourceExhausted, "the object graph has more than 2^31 - 1 nodes");
      }
      RETURN_IF_ERROR(ParseNode(reader.field()));
    }
    RETURN_IF_ERROR(reader.status());
    if (graph_.nodes.empty()) return Status(StatusCode::kDataLoss, "the object graph has no nodes");
    RETURN_IF_ERROR(CheckNumbers());
    return std::move(graph_);
  }

 private:
  Status ParseNode(const wire::Field& message) {
    const auto number = static_cast<int32_t>(graph_.nodes.size());
    ObjectGraph::Node& node = graph_.nodes.emplace_back();
    ObjectGraph::RegisteredSaver saver{number, {}, {}};
    bool has_saver = false;
    wire::Reader reader(message.bytes, message.offset);
    while (reader.Next()) {
      const wire::Field& field = reader.field();
      if (field.tag == wire::BytesTag(4)) has_saver = true;
      RETURN_IF_ERROR(ParseField(field, &node, &saver));
    }
    RETURN_IF_ERROR(reader.status());
    if (has_saver) graph_.registered_savers.push_back(std::move(saver));
    if (node.children.size() > 1) DropShadowed(&node.children);
    return Status();
  }

  static Status ParseField(const wire::Field& field, ObjectGraph::Node* node, ObjectGraph::RegisteredSaver* saver) {
    switch (field.tag) {
      case wire::BytesTag(1): {
        ASSIGN_OR_RETURN(ObjectGraph::Child child, ParseChild(field));
        node->children.push_back(std::move(child));
        return Status();
      }
      case wire::BytesTag(2): {
        ASSIGN_OR_RETURN(ObjectGraph::Attribute attribute, ParseAttribute(field));
        node->attributes.push_back(std::move(attribute));
        return Status();
      }
      case wire::BytesTag(3): {
        ASSIGN_OR_RETURN(ObjectGraph::Slot slot, ParseSlot(field));
        node->slots.push_back(std::move(slot));
        return Status();
      }
      case wire::BytesTag(4):
        return ParseSaver(field, saver);
      case wire::BytesTag(5):
        return ParseBool(field, &node->has_checkpoint_values);
      default:
        return Status();
    }
  }

  Status CheckNumbers() const {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const ObjectGraph::Child& child : graph_.nodes[i].children) {
        RETURN_IF_ERROR(CheckNumber(i, child.node, "its child ", child.name));
      }
      for (const ObjectGraph::Slot& slot : graph_.nodes[i].slots) {
        RETURN_IF_ERROR(CheckNumber(i, slot.variable, "the variable of its slot ", slot.name));
        RETURN_IF_ERROR(CheckNumber(i, slot.slot_variable, "its slot ", slot.name));
      }
    }
    return Status();
  }

  Status CheckNumber(size_t from, int32_t number, const char* what, const std::string& name) const {
    if (number >= 0 && static_cast<size_t>(number) < graph_.nodes.size()) return Status();
    return Status(StatusCode::kDataLoss, "node " + std::to_string(from) + " of the object graph: " + what +
                                             Quote(name) + " is node " + std::to_string(number) +
                                             ", where the graph has " + std::to_string(graph_.nodes.size()) + " nodes");
  }

  ObjectGraph graph_;
};

void AppendText(uint32_t number, const std::string& text, std::string* message) {
  if (!text.empty()) wire::AppendBytes(number, ByteView(text), message);
}

void AppendNumber(uint32_t number, int32_t value, std::string* message) {
  if (value != 0) wire::AppendInt(number, value, message);
}

void AppendNode(const ObjectGraph::Node& node, const ObjectGraph::RegisteredSaver* saver, std::string* message) {
  for (const ObjectGraph::Child& child : node.children) {
    wire::AppendMessage(1, message, [&] {
      AppendNumber(1, child.node, message);
      AppendText(2, child.name, message);
    });
  }
  for (const ObjectGraph::Attribute& attribute : node.attributes) {
    wire::AppendMessage(2, message, [&] {
      AppendText(1, attribute.name, message);
      AppendText(2, attribute.full_name, message);
      AppendText(3, attribute.checkpoint_key, message);
    });
  }
  for (const ObjectGraph::Slot& slot : node.slots) {
    wire::AppendMessage(3, message, [&] {
      AppendNumber(1, slot.variable, message);
      AppendText(2, slot.name, message);
      AppendNumber(3, slot.slot_variable, message);
    });
  }
  if (saver != nullptr) {
    wire::AppendMessage(4, message, [&] {
      AppendText(1, saver->name, message);
      AppendText(2, saver->object_name, message);
    });
  }
  if (node.has_checkpoint_values) {
    wire::AppendMessage(5, message, [&] {
      if (*node.has_checkpoint_values) wire::AppendVarint(1, 1, message);
    });
  }
}

}  // namespace

Result<ObjectGraph> ParseObjectGraph(ByteView record) { return GraphParser().Parse(record); }

// Each node is put together by itself: closing a message moves what it holds if that is long.
std::string EncodeObjectGraph(const ObjectGraph& graph) {
  std::vector<const ObjectGraph::RegisteredSaver*> savers(graph.nodes.size(), nullptr);
  for (const ObjectGraph::RegisteredSaver& saver : graph.registered_savers) {
    savers[static_cast<size_t>(saver.node)] = &saver;
  }
  std::string record;
  std::string node;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    node.clear();
    AppendNode(graph.nodes[i], savers[i], &node);
    wire::AppendBytes(1, ByteView(node), &record);
  }
  return record;
}

}  // namespace tensorbundle
