#include "saved_model/variable_names.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tensorbundle::saved_model {
namespace {

using Texts = std::vector<std::string>;

void AddVariable(size_t node, const std::string& full_name, const std::string& key, ObjectGraph* graph) {
  graph->nodes[node].attributes.push_back({"VARIABLE_VALUE", full_name, key});
}

// root {w: 1, a: 2 {w: 1, "b/.c": 3}, opt: 4 [slot "m.x" of 1: 5]}
ObjectGraph Stored() {
  ObjectGraph graph;
  graph.nodes.resize(6);
  graph.nodes[0].children = {{1, "w"}, {2, "a"}, {4, "opt"}};
  graph.nodes[2].children = {{1, "w"}, {3, "b/.c"}, {0, "up"}};
  graph.nodes[4].slots = {{3, "m.x", 1}, {1, "m.x", 5}};
  AddVariable(1, "dense/kernel", "key w", &graph);
  AddVariable(3, "", "key c", &graph);
  AddVariable(5, "dense/kernel/Adam", "key m", &graph);
  return graph;
}

TEST(VariableNames, FollowAnyPath) {
  const VariableNames names(Stored(), {});
  EXPECT_EQ(names.KeyOfPath("w"), "key w");
  EXPECT_EQ(names.KeyOfPath("a/w"), "key w");
  EXPECT_EQ(names.KeyOfPath("a/up/a/b.S..c"), "key c");
  for (const std::string path : {"", "a", "b", "w/x", "a/b/.c", "opt/m", "/w"}) {
    EXPECT_EQ(names.KeyOfPath(path), std::nullopt) << path;
  }
}

TEST(VariableNames, FollowPathsOfSlots) {
  const VariableNames names(Stored(), {});
  EXPECT_EQ(names.KeyOfPath("w/.OPTIMIZER_SLOT/opt/m..x"), "key m");
  EXPECT_EQ(names.KeyOfPath("a/w/.OPTIMIZER_SLOT/a/up/opt/m..x"), "key m");
  for (const std::string path : {"w/.OPTIMIZER_SLOT/opt/m.x", "w/.OPTIMIZER_SLOT/opt", "w/.OPTIMIZER_SLOT/a/m..x",
                                 "none/.OPTIMIZER_SLOT/opt/m..x", "w/.OPTIMIZER_SLOT/none/m..x"}) {
    EXPECT_EQ(names.KeyOfPath(path), std::nullopt) << path;
  }
}

TEST(VariableNames, KnowWhatTheCheckpointCallsThem) {
  const VariableNames names(Stored(), {});
  EXPECT_EQ(names.KeysOfFullName("dense/kernel"), (Texts{"key w"}));
  EXPECT_EQ(names.KeysOfFullName("dense/kernel/Adam"), (Texts{"key m"}));
  EXPECT_EQ(names.KeysOfFullName(""), Texts());
  EXPECT_EQ(names.KeysOfFullName("dense"), Texts());
}

TEST(VariableNames, KnowWhatTheModelCallsThem) {
  // The same objects under other numbers; one has another name here, one is not in the checkpoint.
  std::vector<SavedObject> objects(5);
  objects[0].children = {{3, "a"}, {1, "new"}, {2, "w"}};
  objects[3].children = {{4, "b/.c"}, {2, "w"}};
  objects[1].variable_name = "lost";
  objects[2].variable_name = "other/kernel";
  objects[4].variable_name = "c";
  const VariableNames names(Stored(), objects);
  EXPECT_EQ(names.KeysOfFullName("other/kernel"), (Texts{"key w"}));
  EXPECT_EQ(names.KeysOfFullName("dense/kernel"), (Texts{"key w"}));
  EXPECT_EQ(names.KeysOfFullName("c"), (Texts{"key c"}));
  EXPECT_EQ(names.KeysOfFullName("lost"), Texts());
}

TEST(VariableNames, OfSeveralAreAllThere) {
  ObjectGraph graph = Stored();
  AddVariable(2, "dense/kernel", "another key", &graph);
  AddVariable(2, "dense/kernel", "key w", &graph);
  EXPECT_EQ(VariableNames(graph, {}).KeysOfFullName("dense/kernel"), (Texts{"another key", "key w"}));
}

TEST(VariableNames, CyclesAndEmptyGraphsEnd) {
  std::vector<SavedObject> objects(2);
  objects[0].children = {{0, "a"}, {1, "w"}, {0, "up"}};
  objects[1].children = {{0, "a"}};
  objects[1].variable_name = "v";
  EXPECT_EQ(VariableNames(Stored(), objects).KeysOfFullName("v"), (Texts{"key w"}));
  EXPECT_EQ(VariableNames(Stored(), {}).KeyOfPath("a/up/a/up/w"), "key w");
}

// Many objects that would all be the one with many children: one of them is it.
TEST(VariableNames, MatchInTimeProportionalToTheGraphs) {
  constexpr int32_t kMany = 100'000;
  ObjectGraph graph;
  graph.nodes.resize(2);
  graph.nodes[0].children = {{0, "x"}};
  for (int32_t i = 0; i < kMany; ++i) graph.nodes[0].children.push_back({1, std::to_string(i)});
  std::vector<SavedObject> objects(kMany);
  for (int32_t i = 0; i + 1 < kMany; ++i) objects[static_cast<size_t>(i)].children = {{i + 1, "x"}};
  objects[kMany - 1].variable_name = "last";
  EXPECT_EQ(VariableNames(std::move(graph), objects).KeysOfFullName("last"), Texts());
}

}  // namespace
}  // namespace tensorbundle::saved_model
