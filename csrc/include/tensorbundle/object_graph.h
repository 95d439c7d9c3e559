// The object graph that TensorFlow 2 stores in a checkpoint: which objects there were, what each called the others, and
// under which keys the tensors of each are stored.
//
//   auto graph = checkpoint->ReadObjectGraph();
//   if (graph.ok() && *graph) {
//     for (const auto& child : (*graph)->nodes[0].children) ...  // What the root has.
//   }

#ifndef TENSORBUNDLE_OBJECT_GRAPH_H_
#define TENSORBUNDLE_OBJECT_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/export.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// The tensor that holds the graph: a scalar string.
inline constexpr std::string_view kObjectGraphKey = "_CHECKPOINTABLE_OBJECT_GRAPH";

// Plain data. Objects are the positions of their nodes; shared objects and cycles are normal.
struct ObjectGraph {
  struct Child {
    int32_t node = 0;
    std::string name;  // Any bytes; distinct among the children of a node.
  };
  // A value of an object, and where it is. `checkpoint_key` may be no more than the start of the keys of several
  // tensors: a hash table's has "-keys" and "-values" after it.
  struct Attribute {
    std::string name;       // "VARIABLE_VALUE" for a variable.
    std::string full_name;  // What the variable was called in a graph of TensorFlow 1; may be empty.
    std::string checkpoint_key;
  };
  // A variable that the optimizer keeps for another. Its node is nobody's child.
  struct Slot {
    int32_t variable = 0;
    std::string name;
    int32_t slot_variable = 0;
  };
  struct Node {
    std::vector<Child> children;
    std::vector<Attribute> attributes;
    std::vector<Slot> slots;
    std::optional<bool> has_checkpoint_values;  // It or one that it leads to; older writers don't say.
  };
  // An object that code of the user's saved, in files of its own.
  struct RegisteredSaver {
    int32_t node = 0;
    std::string name;
    std::string object_name;
  };

  std::vector<Node> nodes;  // At least one: the first is the root.
  std::vector<RegisteredSaver> registered_savers;
};

// Reads a serialized TrackableObjectGraph. Of children of one name, which no writer makes, the last stays, as it does
// for TensorFlow. What it takes in memory is in proportion to the record, whatever that claims.
//
// kDataLoss if the record is malformed, has no node, or refers to a node that there is not.
TENSORBUNDLE_EXPORT Result<ObjectGraph> ParseObjectGraph(ByteView record);

// The inverse, byte for byte as TensorFlow writes it.
TENSORBUNDLE_EXPORT std::string EncodeObjectGraph(const ObjectGraph& graph);

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
TENSORBUNDLE_EXPORT Result<std::optional<std::string>> EditObjectGraph(ByteView record,
                                                                       const std::vector<KeyChange>& changes);

// A name as a part of a path or key: "." becomes "..", and "/" becomes ".S".
TENSORBUNDLE_EXPORT std::string EscapeLocalName(std::string_view name);

// Where objects are: the names of children from the root on, escaped and joined with "/". Keeps nothing of the graph
// but a reference.
//
// To a shared object there are many paths. Its own is one with the fewest steps that only list what belongs elsewhere:
// those to a child called "keras_api" or "...variables", such as "trainable_variables". Among these it is the shortest,
// and among the shortest the one that comes first, level by level and in the order of the children. A slot variable has
// "<path of the variable>/.OPTIMIZER_SLOT/<path of the optimizer>/<name of the slot>", the first that leads to it.
class TENSORBUNDLE_EXPORT ObjectPaths {
 public:
  explicit ObjectPaths(const ObjectGraph& graph);
  ObjectPaths(const ObjectGraph&&) = delete;

  // Empty for the root; nullopt for a node that nothing leads to. REQUIRES, here and below: 0 <= node < nodes.size().
  std::optional<std::string> PathOf(int32_t node) const;
  // The bytes of that path, which may be far more than those of the graph: 0 where there is none.
  uint64_t SizeOf(int32_t node) const { return steps_[static_cast<size_t>(node)].size_bytes; }
  // The node that a node's own path comes from: -1 for the root, slot variables, and what nothing leads to.
  int32_t ParentOf(int32_t node) const;

 private:
  enum class Kind { kUnreachable, kRoot, kChild, kSlot };
  // The last step of the path to a node: what `from` calls it, in its list of children or of slots.
  struct Step {
    Kind kind = Kind::kUnreachable;
    int32_t from = -1;
    size_t position = 0;
    uint64_t size_bytes = 0;
  };

  void FollowChildren();
  void FollowSlots();
  void AppendReversed(int32_t node, std::string* path) const;

  const ObjectGraph& graph_;
  std::vector<Step> steps_;
};

// What tensors are named after.
enum class NamesBy {
  kKey,       // Their keys, as they are stored.
  kPath,      // The object whose value they are.
  kFullName,  // What graphs of TensorFlow 1 call them.
};

// The names of the tensors that are stored under `keys`, one for each, all different.
//
// By path a variable is named as ObjectPaths does, and any other value by its object's path, "/.ATTRIBUTES/" and what
// its key has after that. A tensor keeps its key if the graph doesn't name it, if the name would be empty, and if the
// name is that of another tensor too or the key of one. Of several objects with one tensor the first names it.
//
// kResourceExhausted if the names take far more bytes than graph and keys. REQUIRES: keys ascend strictly.
TENSORBUNDLE_EXPORT Result<std::vector<std::string>> NameTensors(const ObjectGraph& graph,
                                                                 const std::vector<std::string_view>& keys, NamesBy by);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_OBJECT_GRAPH_H_
