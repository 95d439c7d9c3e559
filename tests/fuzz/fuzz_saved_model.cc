// Any bytes as saved_model.pb, opened by each of its sets of tags; and its object graph, with any record as that of the
// checkpoint, to name variables by.
//
// The input is two bytes of length, the checkpoint's record, and then the file.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "saved_model/messages.h"
#include "saved_model/variable_names.h"
#include "support/saved_model_maker.h"
#include "tensorbundle/saved_model.h"

namespace {

using tensorbundle::Buffer;
using tensorbundle::ByteSource;
using tensorbundle::ByteView;
using tensorbundle::ObjectGraph;
using tensorbundle::Result;
using tensorbundle::SavedModel;
using tensorbundle::Signature;
using tensorbundle::Status;
using tensorbundle::StatusCode;
using tensorbundle::TensorInfo;
namespace messages = tensorbundle::saved_model;

constexpr char kFile[] = "m/saved_model.pb";
constexpr size_t kMaxOpened = 16;  // Meta graphs, each of which opens the file again.

volatile uint64_t sink;  // So that what is read is read.

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequireDamage(const Status& status) {
  Require(status.code() == StatusCode::kDataLoss && status.path() == kFile && !status.message().empty());
}

// A model that consists of this file alone.
tensorbundle::OpenOptions Serve(ByteView file) {
  tensorbundle::OpenOptions options;
  options.opener = [file](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    if (path != kFile) return Status(StatusCode::kNotFound, "there is none");
    return tensorbundle::FromMemory(Buffer(file, nullptr), path);
  };
  return options;
}

void RequireInside(const Buffer& part, ByteView whole) {
  if (part.size() == 0) return;
  Require(std::less_equal<>()(whole.begin(), part.view().begin()) &&
          std::less_equal<>()(part.view().end(), whole.end()));
  for (const uint8_t byte : part.view()) sink = sink + byte;
}

void CheckTensor(const TensorInfo& info, ByteView file, int depth) {
  Require(depth < messages::kMaxLevels / 2);
  Require(info.name.empty() || info.encoding == TensorInfo::Encoding::kDense);
  Require(info.values_name.empty() || info.encoding == TensorInfo::Encoding::kCooSparse);
  Require(info.components.empty() || info.encoding == TensorInfo::Encoding::kComposite);
  RequireInside(info.type_spec, file);
  for (const TensorInfo& component : info.components) CheckTensor(component, file, depth + 1);
}

void CheckSignature(const Signature& signature, ByteView file) {
  for (const auto& [name, info] : signature.inputs) CheckTensor(info, file, 0);
  for (const auto& [name, info] : signature.outputs) CheckTensor(info, file, 0);
  for (const auto& [name, value] : signature.defaults) RequireInside(value, file);
}

void CheckAssets(const SavedModel& model) {
  const auto assets = model.Assets();
  if (!assets.ok()) return RequireDamage(assets.status());
  for (const tensorbundle::Asset& asset : *assets) {
    const std::string path = asset.path + "/";
    Require(path.substr(0, 9) == "m/assets/" && path.size() > 10 && path[9] != '/');
    Require(path.find('\0') == std::string::npos && path.find("/../") == std::string::npos);
  }
}

void CheckModel(const SavedModel& model, ByteView file) {
  RequireInside(model.meta_graph(), file);
  RequireInside(model.graph_def(), model.meta_graph().view());
  for (const auto& [key, signature] : model.signatures()) CheckSignature(signature, file);
  CheckAssets(model);
  const auto main_op = model.MainOp();
  if (!main_op.ok()) RequireDamage(main_op.status());
  Require(model.Variables().status().code() == StatusCode::kNotFound);
  Require(model.VariableKey("w").status().code() == StatusCode::kNotFound);
}

// The same meta graph in a file of its own, where everything has another place.
void CheckAlone(const SavedModel& model) {
  const std::string file = tensorbundle::test_support::Part(2, model.meta_graph().view().AsText());
  const auto alone = SavedModel::OpenOnly("m", Serve(ByteView(file)));
  Require(alone.ok() && alone->tags() == model.tags());
  const auto same_key = [](const auto& a, const auto& b) { return a.first == b.first; };
  Require(std::equal(alone->signatures().begin(), alone->signatures().end(), model.signatures().begin(),
                     model.signatures().end(), same_key));
  Require(alone->graph_def().view().AsText() == model.graph_def().view().AsText());
}

void OpenEverything(ByteView file) {
  const auto options = Serve(file);
  const auto none = SavedModel::OpenOnly("m", options);
  const auto graphs = messages::ParseSavedModel(file);
  if (!graphs.ok()) return RequireDamage(none.status());
  Require((none.status().code() == StatusCode::kNotFound) == (graphs->size() != 1));
  for (size_t i = 0; i < graphs->size() && i < kMaxOpened; ++i) {
    const auto model = SavedModel::Open("m", graphs->at(i).tags, options);
    if (!model.ok()) {
      RequireDamage(model.status());
      continue;
    }
    Require(model->tag_sets().size() == graphs->size());
    CheckModel(*model, file);
    CheckAlone(*model);
  }
}

// What is at a path is found by it. (Slots may share their names.)
void CheckPaths(const ObjectGraph& graph, const messages::VariableNames& names) {
  const tensorbundle::ObjectPaths paths(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto path = paths.PathOf(static_cast<int32_t>(i));
    if (!path || path->empty() || path->find("/.OPTIMIZER_SLOT/") != std::string::npos) continue;
    const auto& attributes = graph.nodes[i].attributes;
    const auto key = names.KeyOfPath(*path);
    Require(key.has_value() == (attributes.size() == 1));
    Require(!key || *key == attributes.front().checkpoint_key);
  }
}

void NameEverything(ByteView record, ByteView file) {
  const auto stored = tensorbundle::ParseObjectGraph(record);
  if (!stored.ok()) return;
  const auto graphs = messages::ParseSavedModel(file);
  if (!graphs.ok() || graphs->empty()) return;
  const auto graph = messages::ParseMetaGraph(Buffer(file, nullptr), graphs->front().message);
  if (!graph.ok()) return;
  const auto objects = messages::ParseSavedObjects(graph->object_graph_def.view());
  if (!objects.ok()) return Require(objects.status().code() == StatusCode::kDataLoss);
  const messages::VariableNames names(*stored, *objects);
  CheckPaths(*stored, names);
  for (const ObjectGraph::Node& node : stored->nodes) {
    for (const ObjectGraph::Attribute& attribute : node.attributes) {
      const auto keys = names.KeysOfFullName(attribute.full_name);
      const bool is_there = std::find(keys.begin(), keys.end(), attribute.checkpoint_key) != keys.end();
      Require(is_there || attribute.full_name.empty());
      names.KeyOfPath(attribute.full_name);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t length = std::min<size_t>(data[0] | data[1] << 8, size - 2);
  const ByteView file(data + 2 + length, size - 2 - length);
  OpenEverything(file);
  NameEverything(ByteView(data + 2, length), file);
  return 0;
}
