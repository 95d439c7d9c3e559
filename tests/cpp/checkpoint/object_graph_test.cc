#include "tensorbundle/object_graph.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorbundle/checkpoint.h"

namespace tensorbundle {
namespace {

using Texts = std::vector<std::string>;
using Views = std::vector<std::string_view>;

std::string KeyOf(const std::string& path) { return path + "/.ATTRIBUTES/VARIABLE_VALUE"; }

// A graph of so many nodes, whose children are given as (from, to, name).
struct Edge {
  int32_t from;
  int32_t to;
  std::string name;
};
ObjectGraph GraphOf(size_t num_nodes, const std::vector<Edge>& edges) {
  ObjectGraph graph;
  graph.nodes.resize(num_nodes);
  for (const Edge& edge : edges) graph.nodes[static_cast<size_t>(edge.from)].children.push_back({edge.to, edge.name});
  return graph;
}

Texts PathsOf(const ObjectGraph& graph) {
  const ObjectPaths paths(graph);
  Texts texts;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto node = static_cast<int32_t>(i);
    texts.push_back(paths.PathOf(node).value_or("(none)"));
    EXPECT_EQ(paths.SizeOf(node), paths.PathOf(node).value_or("").size());
  }
  return texts;
}

std::string MessageOf(std::string_view record) {
  const auto graph = ParseObjectGraph(ByteView(record));
  EXPECT_EQ(graph.status().code(), StatusCode::kDataLoss);
  return graph.status().message();
}

ObjectGraph GoldenGraph(std::string* record) {
  const auto checkpoint = Checkpoint::Open(TENSORBUNDLE_GOLDEN_DIR "/2.21.0/objects");
  const auto tensor = checkpoint->Read(kObjectGraphKey);
  *record = std::string(tensor->strings[0].AsText());
  return *ParseObjectGraph(ByteView(*record));
}

TEST(ObjectGraph, ReadsWhatTensorFlowWrote) {
  std::string record;
  const ObjectGraph graph = GoldenGraph(&record);
  ASSERT_EQ(graph.nodes.size(), 18u);
  const ObjectGraph::Node& optimizer = graph.nodes[3];
  ASSERT_EQ(optimizer.slots.size(), 4u);
  EXPECT_EQ(optimizer.slots[1].variable, 10);
  EXPECT_EQ(optimizer.slots[1].name, "m");
  EXPECT_EQ(optimizer.slots[1].slot_variable, 15);
  EXPECT_EQ(graph.nodes[14].attributes[0].full_name, "kernel/Adam");
  EXPECT_EQ(graph.nodes[0].has_checkpoint_values, true);
  EXPECT_EQ(PathsOf(graph)[15], "model/layer/bias/.OPTIMIZER_SLOT/optimizer/m");
}

TEST(ObjectGraph, EncodesWhatTensorFlowWroteToTheSameBytes) {
  std::string record;
  EXPECT_EQ(EncodeObjectGraph(GoldenGraph(&record)), record);
}

TEST(ObjectGraph, TellsWhatIsNotThereFromWhatIsEmpty) {
  ObjectGraph graph = GraphOf(2, {{0, 1, std::string("\xFF\0", 2)}, {0, 0, ""}});
  graph.nodes[0].has_checkpoint_values = false;
  graph.registered_savers = {{1, "saver", "object"}};
  const auto again = ParseObjectGraph(ByteView(EncodeObjectGraph(graph)));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->nodes[0].children[0].name, std::string("\xFF\0", 2));
  EXPECT_EQ(again->nodes[0].has_checkpoint_values, false);
  EXPECT_EQ(again->nodes[1].has_checkpoint_values, std::nullopt);
  ASSERT_EQ(again->registered_savers.size(), 1u);
  EXPECT_EQ(again->registered_savers[0].node, 1);
  EXPECT_EQ(again->registered_savers[0].object_name, "object");
}

TEST(ObjectGraph, TheLastOfEqualNamesStays) {
  const ObjectGraph graph = GraphOf(4, {{0, 1, "a"}, {0, 2, "b"}, {0, 3, "a"}});
  const auto again = ParseObjectGraph(ByteView(EncodeObjectGraph(graph)));
  EXPECT_EQ(PathsOf(*again), (Texts{"", "(none)", "b", "a"}));
}

TEST(ObjectGraph, RefusesDamage) {
  EXPECT_EQ(MessageOf(""), "the object graph has no nodes");
  EXPECT_EQ(MessageOf("\x0A\x05"), "malformed protobuf message: byte 1: field 1: 5 bytes wanted, where 0 are left");
  EXPECT_EQ(MessageOf("\x0A\x03\x0A\x01\x08"),
            "malformed protobuf message: byte 5: field 1: a varint is cut short or has more than 10 bytes");
  for (const int32_t number : {-1, 2}) {
    const std::string shown = std::to_string(number);
    EXPECT_EQ(MessageOf(EncodeObjectGraph(GraphOf(2, {{1, number, "x"}}))),
              "node 1 of the object graph: its child \"x\" is node " + shown + ", where the graph has 2 nodes");
    ObjectGraph graph = GraphOf(2, {});
    graph.nodes[0].slots = {{number, "m", 0}};
    EXPECT_EQ(MessageOf(EncodeObjectGraph(graph)),
              "node 0 of the object graph: the variable of its slot \"m\" is node " + shown +
                  ", where the graph has 2 nodes");
    graph.nodes[0].slots = {{0, "m", number}};
    EXPECT_EQ(MessageOf(EncodeObjectGraph(graph)),
              "node 0 of the object graph: its slot \"m\" is node " + shown + ", where the graph has 2 nodes");
  }
}

TEST(ObjectPaths, EscapesNames) {
  EXPECT_EQ(EscapeLocalName("a/b.c"), "a.Sb..c");
  EXPECT_EQ(PathsOf(GraphOf(3, {{0, 1, "a/b"}, {1, 2, ".S"}})), (Texts{"", "a.Sb", "a.Sb/..S"}));
}

TEST(ObjectPaths, AreTheShortestAndThenTheFirst) {
  EXPECT_EQ(PathsOf(GraphOf(4, {{0, 1, "a"}, {0, 2, "b"}, {1, 3, "c"}, {2, 3, "d"}, {3, 0, "up"}, {3, 3, "self"}})),
            (Texts{"", "a", "b", "a/c"}));
  EXPECT_EQ(PathsOf(GraphOf(4, {{0, 1, "a"}, {1, 2, "b"}, {2, 3, "c"}, {0, 3, "z"}})), (Texts{"", "a", "a/b", "z"}));
}

TEST(ObjectPaths, LeadAroundLists) {
  for (const std::string list : {"trainable_variables", "_variables", "variables", "keras_api"}) {
    EXPECT_EQ(PathsOf(GraphOf(5, {{0, 1, list}, {1, 4, "0"}, {0, 2, "model"}, {2, 3, "layer"}, {3, 4, "kernel"}})),
              (Texts{"", list, "model", "model/layer", "model/layer/kernel"}));
  }
  EXPECT_EQ(PathsOf(GraphOf(3, {{0, 1, "variables"}, {1, 2, "0"}})), (Texts{"", "variables", "variables/0"}));
}

TEST(ObjectPaths, OfAMillionNodesInARow) {
  constexpr int32_t kNodes = 1'000'000;
  ObjectGraph graph = GraphOf(kNodes, {});
  for (int32_t i = 0; i + 1 < kNodes; ++i) graph.nodes[static_cast<size_t>(i)].children = {{i + 1, "x"}};
  const ObjectPaths paths(graph);
  EXPECT_EQ(paths.SizeOf(kNodes - 1), 2u * (kNodes - 1) - 1);
  EXPECT_EQ(paths.PathOf(kNodes - 1)->size(), paths.SizeOf(kNodes - 1));
}

TEST(TensorNames, ByPath) {
  ObjectGraph graph =
      GraphOf(5, {{0, 1, "optimizer"}, {1, 2, "trainable_variables"}, {2, 3, "0"}, {0, 4, "w"}, {4, 3, "k"}});
  const std::string kernel = KeyOf("optimizer/trainable_variables/0");
  graph.nodes[3].attributes = {{"VARIABLE_VALUE", "model/kernel", kernel}, {"table", "", "t/.ATTRIBUTES/table"}};
  const Views keys{"graph", kernel, "t/.ATTRIBUTES/tabl", "t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values"};
  EXPECT_EQ(
      *NameTensors(graph, keys, NamesBy::kPath),
      (Texts{"graph", "w/k", "t/.ATTRIBUTES/tabl", "w/k/.ATTRIBUTES/table-keys", "w/k/.ATTRIBUTES/table-values"}));
  EXPECT_EQ(
      *NameTensors(graph, keys, NamesBy::kFullName),
      (Texts{"graph", "model/kernel", "t/.ATTRIBUTES/tabl", "t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values"}));
  EXPECT_EQ(*NameTensors(graph, keys, NamesBy::kKey), Texts(keys.begin(), keys.end()));
}

TEST(TensorNames, TheLongestStartNamesATensor) {
  ObjectGraph graph = GraphOf(3, {{0, 1, "a"}, {0, 2, "b"}});
  graph.nodes[1].attributes = {{"", "", "x/.ATTRIBUTES/t"}};
  graph.nodes[2].attributes = {{"", "", "x/.ATTRIBUTES/ta"}};
  const Views keys{"x/.ATTRIBUTES/t1", "x/.ATTRIBUTES/ta1", "x/.ATTRIBUTES/tb", "y"};
  EXPECT_EQ(*NameTensors(graph, keys, NamesBy::kPath),
            (Texts{"a/.ATTRIBUTES/t1", "b/.ATTRIBUTES/ta1", "a/.ATTRIBUTES/tb", "y"}));
}

TEST(TensorNames, NamesThatAreNotOneTensorsAreKeys) {
  ObjectGraph graph = GraphOf(4, {{0, 1, "a"}, {0, 2, "b"}, {0, 3, "c"}});
  graph.nodes[1].attributes = {{"VARIABLE_VALUE", "Variable", "1"}};
  graph.nodes[2].attributes = {{"VARIABLE_VALUE", "Variable", "2"}, {"VARIABLE_VALUE", "other", "1"}};
  graph.nodes[3].attributes = {{"VARIABLE_VALUE", "2", "3"}};
  EXPECT_EQ(*NameTensors(graph, {"1", "2", "3"}, NamesBy::kFullName), (Texts{"1", "2", "3"}));
  EXPECT_EQ(*NameTensors(graph, {"1", "2", "3", "c"}, NamesBy::kPath), (Texts{"a", "b", "3", "c"}));
}

TEST(TensorNames, OutOfProportionAreRefused) {
  constexpr int32_t kNodes = 20'000;
  ObjectGraph graph = GraphOf(kNodes, {});
  std::vector<std::string> keys;
  for (int32_t i = 0; i < kNodes; ++i) {
    if (i + 1 < kNodes) graph.nodes[static_cast<size_t>(i)].children = {{i + 1, "x"}};
    keys.push_back(std::to_string(1'000'000 + i));
    graph.nodes[static_cast<size_t>(i)].attributes = {{"VARIABLE_VALUE", "", keys.back()}};
  }
  const auto names = NameTensors(graph, Views(keys.begin(), keys.end()), NamesBy::kPath);
  EXPECT_EQ(names.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(
      names.status().message(),
      "the paths of the tensors take 399960001 bytes, which is out of proportion to their keys: at most 25737216");
}

TEST(CheckpointNamed, ReadsTheSameTensors) {
  const auto checkpoint = Checkpoint::Open(TENSORBUNDLE_GOLDEN_DIR "/2.21.0/objects");
  const auto named = checkpoint->Named(NamesBy::kPath);
  ASSERT_TRUE(named.ok());
  ASSERT_EQ(named->entries().size(), checkpoint->entries().size());
  for (size_t i = 0; i < named->entries().size(); ++i) {
    const Entry& entry = named->entries()[i];
    if (i > 0) {
      EXPECT_LT(named->entries()[i - 1].name, entry.name);
    }
    const Entry* const stored = checkpoint->Find(named->Key(entry));
    ASSERT_NE(stored, nullptr);
    EXPECT_EQ(entry.offset_in_shard, stored->offset_in_shard);
    EXPECT_EQ(named->Find(entry.name), &entry);
  }
  const auto kernel = named->Read("model/layer/kernel");
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->data.view().AsText(), checkpoint->Read(KeyOf("model/layer/kernel"))->data.view().AsText());
  EXPECT_EQ(named->Named(NamesBy::kKey)->entries()[1].name, checkpoint->entries()[1].name);
  EXPECT_EQ((*named->ReadObjectGraph())->nodes.size(), 18u);
  EXPECT_TRUE(named->VerifyAll()->damaged.empty());
}

TEST(CheckpointNamed, WithoutAGraphNamesAreKeys) {
  const auto checkpoint = Checkpoint::Open(TENSORBUNDLE_GOLDEN_DIR "/2.21.0/one");
  EXPECT_FALSE(checkpoint->ReadObjectGraph()->has_value());
  EXPECT_EQ(checkpoint->Named(NamesBy::kPath)->entries()[0].name, checkpoint->entries()[0].name);
}

}  // namespace
}  // namespace tensorbundle
