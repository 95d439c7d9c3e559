// The messages of saved_model.pb, as far as a reader of variables and signatures needs them. All else stays bytes.
//
// As in protobuf, of a field that is there twice the last counts, lists go on, and messages merge. Where bytes are
// kept, and in the entries of maps, a second one is kDataLoss.

#ifndef TENSORBUNDLE_SAVED_MODEL_MESSAGES_H_
#define TENSORBUNDLE_SAVED_MODEL_MESSAGES_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/object_graph.h"
#include "tensorbundle/saved_model.h"
#include "tensorbundle/status.h"
#include "wire/reader.h"

namespace tensorbundle::saved_model {

// Messages inside each other, the outermost included: protobuf's own limit.
inline constexpr int kMaxLevels = 100;

// Where a meta graph is in the file, and whose it is.
struct TaggedGraph {
  wire::Field message;
  std::vector<std::string> tags;  // As they are stored.
};

// Reads a SavedModel: nothing of its meta graphs but their tags. kDataLoss, here and below, for what is malformed.
Result<std::vector<TaggedGraph>> ParseSavedModel(ByteView file);

// AssetFileDef.
struct AssetFile {
  std::string tensor_name;
  std::string filename;
};

struct MetaGraph {
  std::map<std::string, Signature, std::less<>> signatures;
  std::vector<AssetFile> asset_files;
  // Collections; nullopt where there is no such one.
  std::optional<std::vector<AssetFile>> saved_model_assets;
  std::optional<std::vector<std::string>> saved_model_main_op;
  std::optional<std::vector<std::string>> legacy_init_op;
  Buffer graph_def;
  Buffer object_graph_def;
};

// Reads the MetaGraphDef at `message` in `file`.
Result<MetaGraph> ParseMetaGraph(const Buffer& file, const wire::Field& message);

// A node of a SavedObjectGraph, as far as variables are found by it.
struct SavedObject {
  std::vector<ObjectGraph::Child> children;
  std::optional<std::string> variable_name;  // Of a variable; may be empty.
};

// Reads a SavedObjectGraph. kDataLoss also if it refers to a node that there is not.
Result<std::vector<SavedObject>> ParseSavedObjects(ByteView record);

}  // namespace tensorbundle::saved_model

#endif  // TENSORBUNDLE_SAVED_MODEL_MESSAGES_H_
