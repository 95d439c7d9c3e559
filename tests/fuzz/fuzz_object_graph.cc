// Any bytes as the record of an object graph: decoded, encoded again, its tensors named in every way, its keys changed.
//
// The first byte says how many of the graph's own keys a checkpoint has.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tensorbundle/object_graph.h"

namespace {

using tensorbundle::ByteView;
using tensorbundle::NamesBy;
using tensorbundle::ObjectGraph;
using tensorbundle::StatusCode;

void Require(bool condition) {
  if (!condition) std::abort();
}

// Keys that attributes name, and some that begin like them.
std::vector<std::string> KeysFor(const ObjectGraph& graph, size_t step) {
  std::set<std::string> keys{"no object's"};
  size_t i = 0;
  for (const ObjectGraph::Node& node : graph.nodes) {
    for (const ObjectGraph::Attribute& attribute : node.attributes) {
      keys.insert(attribute.checkpoint_key + (i++ % step == 0 ? "" : "-part"));
    }
  }
  return {keys.begin(), keys.end()};
}

void CheckNames(const ObjectGraph& graph, const std::vector<std::string_view>& keys) {
  for (const NamesBy by : {NamesBy::kKey, NamesBy::kPath, NamesBy::kFullName}) {
    const auto names = tensorbundle::NameTensors(graph, keys, by);
    if (!names.ok()) {
      Require(names.status().code() == StatusCode::kResourceExhausted);
      continue;
    }
    Require(names->size() == keys.size());
    Require(std::set<std::string>(names->begin(), names->end()).size() == keys.size());
  }
}

// Gives each third key another name and drops each fourth.
void CheckEdit(ByteView record, const std::vector<std::string_view>& keys) {
  std::vector<tensorbundle::KeyChange> changes;
  for (size_t i = 0; i < keys.size(); ++i) {
    changes.push_back({keys[i], std::string(keys[i])});
    if (i % 3 == 0) changes.back().new_key = "new/" + std::string(keys[i]);
    if (i % 4 == 0) changes.back().new_key.reset();
  }
  const auto edited = tensorbundle::EditObjectGraph(record, changes);
  if (!edited.ok()) {
    Require(edited.status().code() == StatusCode::kInvalidArgument);
  } else if (edited->has_value()) {
    Require(tensorbundle::ParseObjectGraph(ByteView(**edited)).ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView record(data + 1, size - 1);
  const auto graph = tensorbundle::ParseObjectGraph(record);
  if (!graph.ok()) {
    Require(graph.status().code() == StatusCode::kDataLoss && !graph.status().message().empty());
    return 0;
  }
  const std::string encoded = tensorbundle::EncodeObjectGraph(*graph);
  const auto again = tensorbundle::ParseObjectGraph(ByteView(encoded));
  Require(again.ok() && tensorbundle::EncodeObjectGraph(*again) == encoded);
  const std::vector<std::string> keys = KeysFor(*graph, 1 + data[0] % 4);
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  CheckNames(*graph, views);
  CheckEdit(record, views);
  return 0;
}
