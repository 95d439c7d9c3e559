// The object graph of a checkpoint: node by node, so that a graph of a million nodes is no list of a million lists.

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/gil.h"
#include "bindings/object_graph.h"
#include "bindings/register.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"
#include "tensorbundle/object_graph.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// A graph and its paths, which refer to it: it stays where it is.
class PythonGraph {
 public:
  explicit PythonGraph(ObjectGraph graph) : graph_(std::move(graph)), paths_(graph_) {}
  PythonGraph(const PythonGraph&) = delete;
  PythonGraph& operator=(const PythonGraph&) = delete;

  const ObjectGraph& graph() const { return graph_; }
  const ObjectPaths& paths() const { return paths_; }

  const ObjectGraph::Node& NodeAt(int32_t node) const { return graph_.nodes[Checked(node)]; }
  size_t Checked(int32_t node) const {
    if (node >= 0 && static_cast<size_t>(node) < graph_.nodes.size()) return static_cast<size_t>(node);
    throw py::index_error("node " + std::to_string(node) + " of " + std::to_string(graph_.nodes.size()));
  }

 private:
  ObjectGraph graph_;
  ObjectPaths paths_;
};

py::list Children(const PythonGraph& self, int32_t node) {
  py::list children;
  for (const ObjectGraph::Child& child : self.NodeAt(node).children) {
    children.append(py::make_tuple(NameToPython(child.name), child.node));
  }
  return children;
}

py::list Attributes(const PythonGraph& self, int32_t node) {
  py::list attributes;
  for (const ObjectGraph::Attribute& attribute : self.NodeAt(node).attributes) {
    attributes.append(py::make_tuple(NameToPython(attribute.name), NameToPython(attribute.full_name),
                                     NameToPython(attribute.checkpoint_key)));
  }
  return attributes;
}

py::list Slots(const PythonGraph& self, int32_t node) {
  py::list slots;
  for (const ObjectGraph::Slot& slot : self.NodeAt(node).slots) {
    slots.append(py::make_tuple(NameToPython(slot.name), slot.variable, slot.slot_variable));
  }
  return slots;
}

py::object HasValues(const PythonGraph& self, int32_t node) {
  const std::optional<bool>& has_values = self.NodeAt(node).has_checkpoint_values;
  return has_values ? py::object(py::bool_(*has_values)) : py::object(py::none());
}

py::dict Savers(const PythonGraph& self) {
  py::dict savers;
  for (const ObjectGraph::RegisteredSaver& saver : self.graph().registered_savers) {
    savers[py::int_(saver.node)] = py::make_tuple(NameToPython(saver.name), NameToPython(saver.object_name));
  }
  return savers;
}

py::object Path(const PythonGraph& self, int32_t node) {
  self.Checked(node);
  const std::optional<std::string> path = self.paths().PathOf(node);
  return path ? NameToPython(*path) : py::object(py::none());
}

py::list NodesWith(const PythonGraph& self, bool attributes) {
  py::list nodes;
  for (size_t i = 0; i < self.graph().nodes.size(); ++i) {
    const ObjectGraph::Node& node = self.graph().nodes[i];
    if (attributes ? !node.attributes.empty() : !node.slots.empty()) nodes.append(i);
  }
  return nodes;
}

// Nodes as Python gives them: (children, attributes, slots, has values), each what the methods above return.
py::bytes Encode(const py::iterable& nodes) {
  ObjectGraph graph;
  for (const py::handle item : nodes) {
    const auto [children, attributes, slots, has_values] =
        py::cast<std::tuple<py::list, py::list, py::list, bool>>(item);
    ObjectGraph::Node& node = graph.nodes.emplace_back();
    for (const py::handle child : children) {
      const auto pair = py::cast<py::tuple>(child);
      node.children.push_back({py::cast<int32_t>(pair[1]), NameFromPython(pair[0])});
    }
    for (const py::handle attribute : attributes) {
      const auto names = py::cast<py::tuple>(attribute);
      node.attributes.push_back({NameFromPython(names[0]), NameFromPython(names[1]), NameFromPython(names[2])});
    }
    for (const py::handle slot : slots) {
      const auto parts = py::cast<py::tuple>(slot);
      node.slots.push_back({py::cast<int32_t>(parts[1]), NameFromPython(parts[0]), py::cast<int32_t>(parts[2])});
    }
    node.has_checkpoint_values = has_values;
  }
  return py::bytes(EncodeObjectGraph(graph));
}

// None if the record stays as it is. `new_keys` has a key or None for each of `keys`, which ascend.
py::object Edit(const std::string& record, const py::list& keys, const py::list& new_keys) {
  if (keys.size() != new_keys.size()) throw py::value_error("there must be a new key, or None, for each key");
  std::vector<std::string> old_keys;
  old_keys.reserve(keys.size());
  for (const py::handle key : keys) old_keys.push_back(NameFromPython(key));
  std::vector<KeyChange> changes;
  changes.reserve(old_keys.size());
  for (size_t i = 0; i < old_keys.size(); ++i) {
    const py::handle key = new_keys[i];
    changes.push_back({old_keys[i], key.is_none() ? std::nullopt : std::make_optional(NameFromPython(key))});
  }
  const std::optional<std::string> edited = Unwrap(EditObjectGraph(ByteView(record), changes));
  return edited ? py::object(py::bytes(*edited)) : py::object(py::none());
}

std::unique_ptr<PythonGraph> Parse(const std::string& record) {
  return std::make_unique<PythonGraph>(Unwrap(ParseObjectGraph(ByteView(record))));
}

}  // namespace

py::object ReadObjectGraphObject(const Checkpoint& checkpoint) {
  // The interpreter keeps the checkpoint alive as long as a method of it runs.
  std::unique_ptr<PythonGraph> graph;
  Unwrap(WithoutGil([&]() -> Status {
    Result<std::optional<ObjectGraph>> read = checkpoint.ReadObjectGraph();
    if (!read.ok()) return std::move(read).status();
    if (read->has_value()) graph = std::make_unique<PythonGraph>(std::move(**read));
    return Status();
  }));
  return graph == nullptr ? py::object(py::none()) : py::cast(std::move(graph));
}

NamesBy NamesByFromName(const std::string& name) {
  if (name == "key") return NamesBy::kKey;
  if (name == "path") return NamesBy::kPath;
  if (name == "full_name") return NamesBy::kFullName;
  throw py::value_error("by is 'path', 'full_name' or 'key', not '" + name + "'");
}

void RegisterObjectGraph(py::module_& module) {
  py::class_<PythonGraph>(module, "ObjectGraph", py::is_final(), "A decoded object graph.")
      .def_static("parse", &Parse, py::arg("record"), "Decodes the record of a graph.")
      .def("__len__", [](const PythonGraph& self) { return self.graph().nodes.size(); })
      .def("children", &Children, py::arg("node"), "(name, node) of each child.")
      .def("attributes", &Attributes, py::arg("node"), "(name, full name, checkpoint key) of each value.")
      .def("slots", &Slots, py::arg("node"), "(name, node of the variable, node of the slot variable) of each slot.")
      .def("has_checkpoint_values", &HasValues, py::arg("node"), "What the graph says of it, or None.")
      .def("registered_savers", &Savers, "(name, object name) by node.")
      .def("path", &Path, py::arg("node"), "The object's own path, or None.")
      .def(
          "path_size", [](const PythonGraph& self, int32_t node) { return self.paths().SizeOf(node); }, py::arg("node"),
          "Bytes of that path; 0 where there is none.")
      .def(
          "parent", [](const PythonGraph& self, int32_t node) { return self.paths().ParentOf(node); }, py::arg("node"),
          "The node that the path comes from, or -1.")
      .def(
          "nodes_with_attributes", [](const PythonGraph& self) { return NodesWith(self, true); }, "Numbers of nodes.")
      .def("nodes_with_slots", [](const PythonGraph& self) { return NodesWith(self, false); }, "Numbers of nodes.");
  module.def("edit_object_graph", &Edit, py::arg("record"), py::arg("keys"), py::arg("new_keys"),
             "The record of a graph whose values have other keys.");
  module.def("encode_object_graph", &Encode, py::arg("nodes"), "The record of a graph.");
  module.def(
      "escape_local_name", [](const py::object& name) { return NameToPython(EscapeLocalName(NameFromPython(name))); },
      py::arg("name"), "A name as a part of a path.");
}

}  // namespace tensorbundle::bindings
