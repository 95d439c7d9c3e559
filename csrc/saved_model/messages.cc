#include "saved_model/messages.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "util/quote.h"
#include "util/status_macros.h"
#include "wire/messages.h"

namespace tensorbundle::saved_model {
namespace {

using wire::BytesTag;
using wire::VarintTag;

constexpr std::string_view kAssetFileType = "tensorflow.AssetFileDef";

// Level of a TensorInfo of a signature: SavedModel, MetaGraphDef, an entry, SignatureDef and an entry are around it.
constexpr int kArgumentLevel = 6;
// And that of an asset, which AssetFileDef is around.
constexpr int kAssetLevel = 4;

std::string TextOf(const wire::Field& field) { return std::string(field.bytes.AsText()); }

// What is kept as bytes can't be merged with more of itself, and dropping a part could hide it from whoever looks.
Status Twice(const wire::Field& field) {
  return Status(StatusCode::kDataLoss, "malformed SavedModel: byte " + std::to_string(field.offset) + ": field " +
                                           std::to_string(field.number()) +
                                           " is there twice, which no writer of SavedModels does");
}

Status TakeBytes(const Buffer& file, const wire::Field& field, Buffer* bytes) {
  if (bytes->data() != nullptr) return Twice(field);
  *bytes = file.Slice(field.offset, field.bytes.size());
  return Status();
}

// An entry of a map: 1 key, 2 value. A message Any has its type and value under these numbers too.
struct MapEntry {
  std::string key;
  wire::Field value;
};

Result<MapEntry> ParseMapEntry(const wire::Field& message) {
  MapEntry entry;
  entry.value.offset = message.offset;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == BytesTag(1)) entry.key = TextOf(field);
    if (field.tag != BytesTag(2)) continue;
    if (entry.value.tag != 0) return Twice(field);
    entry.value = field;
  }
  RETURN_IF_ERROR(reader.status());
  return entry;
}

// TensorShapeProto: 2 repeated dim, 3 unknown_rank.
Status ParseShape(const wire::Field& message, std::optional<std::vector<int64_t>>* shape) {
  std::vector<int64_t> dimensions = shape->value_or(std::vector<int64_t>());
  bool has_rank = shape->has_value();
  RETURN_IF_ERROR(wire::ParseShape(message, &dimensions));
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == VarintTag(3)) has_rank = !reader.field().AsBool();
  }
  *shape = has_rank ? std::make_optional(std::move(dimensions)) : std::nullopt;
  return reader.status();
}

// CooSparse: 1 values_tensor_name, 2 indices_tensor_name, 3 dense_shape_tensor_name.
Status ParseCooSparse(const wire::Field& message, TensorInfo* info) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == BytesTag(1)) info->values_name = TextOf(field);
    if (field.tag == BytesTag(2)) info->indices_name = TextOf(field);
    if (field.tag == BytesTag(3)) info->dense_shape_name = TextOf(field);
  }
  return reader.status();
}

// Of several ways to encode a tensor the last one that is met counts, and nothing stays of the others.
void SetEncoding(TensorInfo::Encoding encoding, TensorInfo* info) {
  if (info->encoding == encoding) return;
  TensorInfo other;
  other.encoding = encoding;
  other.dtype = info->dtype;
  other.shape = std::move(info->shape);
  *info = std::move(other);
}

// NOLINTBEGIN(misc-no-recursion): kMaxLevels bounds it.
class SignatureParser {
 public:
  explicit SignatureParser(const Buffer& file) : file_(file) {}

  // SignatureDef: 1 inputs, 2 outputs, 3 method_name, 4 defaults.
  Status Parse(const wire::Field& message, Signature* signature) const {
    wire::Reader reader(message.bytes, message.offset);
    while (reader.Next()) {
      const wire::Field& field = reader.field();
      if (field.tag == BytesTag(1)) RETURN_IF_ERROR(ParseArgument(field, &signature->inputs));
      if (field.tag == BytesTag(2)) RETURN_IF_ERROR(ParseArgument(field, &signature->outputs));
      if (field.tag == BytesTag(3)) signature->method_name = TextOf(field);
      if (field.tag == BytesTag(4)) RETURN_IF_ERROR(ParseDefault(field, &signature->defaults));
    }
    return reader.status();
  }

  // TensorInfo: 1 name, 4 coo_sparse or 5 composite_tensor; 2 dtype, 3 tensor_shape.
  Status ParseTensorInfo(const wire::Field& message, int level, TensorInfo* info) const {
    if (level > kMaxLevels) {
      return Status(StatusCode::kDataLoss, "malformed protobuf message: byte " + std::to_string(message.offset) +
                                               ": more than " + std::to_string(kMaxLevels) +
                                               " messages inside each other");
    }
    wire::Reader reader(message.bytes, message.offset);
    while (reader.Next()) RETURN_IF_ERROR(ParseTensorField(reader.field(), level, info));
    return reader.status();
  }

 private:
  Status ParseTensorField(const wire::Field& field, int level, TensorInfo* info) const {
    switch (field.tag) {
      case BytesTag(1):
        SetEncoding(TensorInfo::Encoding::kDense, info);
        info->name = TextOf(field);
        return Status();
      case VarintTag(2):
        info->dtype = static_cast<DType>(field.AsInt32());
        return Status();
      case BytesTag(3):
        return ParseShape(field, &info->shape);
      case BytesTag(4):
        SetEncoding(TensorInfo::Encoding::kCooSparse, info);
        return ParseCooSparse(field, info);
      case BytesTag(5):
        SetEncoding(TensorInfo::Encoding::kComposite, info);
        return ParseComposite(field, level + 1, info);
      default:
        return Status();
    }
  }

  // CompositeTensor: 1 type_spec, 2 repeated components.
  Status ParseComposite(const wire::Field& message, int level, TensorInfo* info) const {
    wire::Reader reader(message.bytes, message.offset);
    while (reader.Next()) {
      const wire::Field& field = reader.field();
      if (field.tag == BytesTag(1)) RETURN_IF_ERROR(TakeBytes(file_, field, &info->type_spec));
      if (field.tag != BytesTag(2)) continue;
      RETURN_IF_ERROR(ParseTensorInfo(field, level + 1, &info->components.emplace_back()));
    }
    return reader.status();
  }

  Status ParseArgument(const wire::Field& message, std::map<std::string, TensorInfo, std::less<>>* arguments) const {
    ASSIGN_OR_RETURN(MapEntry entry, ParseMapEntry(message));
    TensorInfo info;
    RETURN_IF_ERROR(ParseTensorInfo(entry.value, kArgumentLevel, &info));
    arguments->insert_or_assign(std::move(entry.key), std::move(info));
    return Status();
  }

  Status ParseDefault(const wire::Field& message, std::map<std::string, Buffer, std::less<>>* defaults) const {
    ASSIGN_OR_RETURN(MapEntry entry, ParseMapEntry(message));
    defaults->insert_or_assign(std::move(entry.key), file_.Slice(entry.value.offset, entry.value.bytes.size()));
    return Status();
  }

  const Buffer& file_;
};
// NOLINTEND(misc-no-recursion)

// AssetFileDef: 1 tensor_info, 2 filename.
Status ParseAssetFile(const Buffer& file, const wire::Field& message, std::vector<AssetFile>* assets) {
  TensorInfo info;
  std::string filename;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == BytesTag(1)) {
      RETURN_IF_ERROR(SignatureParser(file).ParseTensorInfo(field, kAssetLevel, &info));
    }
    if (field.tag == BytesTag(2)) filename = TextOf(field);
  }
  assets->push_back({std::move(info.name), std::move(filename)});
  return reader.status();
}

// Any: 1 type_url, 2 value.
Status ParseAnyAsset(const Buffer& file, const wire::Field& message, std::vector<AssetFile>* assets) {
  ASSIGN_OR_RETURN(const MapEntry any, ParseMapEntry(message));
  // The type is what follows the last slash of its URL.
  if (std::string_view(any.key).substr(any.key.rfind('/') + 1) != kAssetFileType) {
    return Status(StatusCode::kDataLoss, "byte " + std::to_string(message.offset) + ": an asset is of type " +
                                             Quote(any.key) + ", where " + Quote(kAssetFileType) + " is expected");
  }
  return ParseAssetFile(file, any.value, assets);
}

// CollectionDef: 5 any_list, of 1 repeated value.
Status ParseAssetCollection(const Buffer& file, const wire::Field& message, std::vector<AssetFile>* assets) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag != BytesTag(5)) continue;
    wire::Reader list(reader.field().bytes, reader.field().offset);
    while (list.Next()) {
      if (list.field().tag == BytesTag(1)) RETURN_IF_ERROR(ParseAnyAsset(file, list.field(), assets));
    }
    RETURN_IF_ERROR(list.status());
  }
  return reader.status();
}

// CollectionDef: 1 node_list, of 1 repeated value.
Status ParseNodeCollection(const wire::Field& message, std::vector<std::string>* nodes) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag != BytesTag(1)) continue;
    wire::Reader list(reader.field().bytes, reader.field().offset);
    while (list.Next()) {
      if (list.field().tag == BytesTag(1)) nodes->push_back(TextOf(list.field()));
    }
    RETURN_IF_ERROR(list.status());
  }
  return reader.status();
}

Status ParseCollection(const Buffer& file, const wire::Field& message, MetaGraph* graph) {
  ASSIGN_OR_RETURN(const MapEntry entry, ParseMapEntry(message));
  if (entry.key == "saved_model_assets") {
    return ParseAssetCollection(file, entry.value, &graph->saved_model_assets.emplace());
  }
  if (entry.key == "saved_model_main_op")
    return ParseNodeCollection(entry.value, &graph->saved_model_main_op.emplace());
  if (entry.key == "legacy_init_op") return ParseNodeCollection(entry.value, &graph->legacy_init_op.emplace());
  return Status();
}

Status ParseSignature(const Buffer& file, const wire::Field& message, MetaGraph* graph) {
  ASSIGN_OR_RETURN(MapEntry entry, ParseMapEntry(message));
  Signature signature;
  RETURN_IF_ERROR(SignatureParser(file).Parse(entry.value, &signature));
  graph->signatures.insert_or_assign(std::move(entry.key), std::move(signature));
  return Status();
}

Status ParseMetaGraphField(const Buffer& file, const wire::Field& field, MetaGraph* graph) {
  switch (field.tag) {
    case BytesTag(2):
      return TakeBytes(file, field, &graph->graph_def);
    case BytesTag(4):
      return ParseCollection(file, field, graph);
    case BytesTag(5):
      return ParseSignature(file, field, graph);
    case BytesTag(6):
      return ParseAssetFile(file, field, &graph->asset_files);
    case BytesTag(7):
      return TakeBytes(file, field, &graph->object_graph_def);
    default:
      return Status();
  }
}

// MetaInfoDef: 4 repeated tags.
Status ParseMetaInfo(const wire::Field& message, std::vector<std::string>* tags) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(4)) tags->push_back(TextOf(reader.field()));
  }
  return reader.status();
}

// MetaGraphDef: 1 meta_info_def.
Status ParseTags(const wire::Field& message, std::vector<std::string>* tags) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(1)) RETURN_IF_ERROR(ParseMetaInfo(reader.field(), tags));
  }
  return reader.status();
}

// ObjectReference: 1 node_id, 2 local_name.
Status ParseChild(const wire::Field& message, std::vector<ObjectGraph::Child>* children) {
  ObjectGraph::Child& child = children->emplace_back();
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    const wire::Field& field = reader.field();
    if (field.tag == VarintTag(1)) child.node = field.AsInt32();
    if (field.tag == BytesTag(2)) child.name = TextOf(field);
  }
  return reader.status();
}

// SavedVariable: 6 name.
Status ParseVariable(const wire::Field& message, SavedObject* object) {
  if (!object->variable_name) object->variable_name.emplace();
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(6)) object->variable_name = TextOf(reader.field());
  }
  return reader.status();
}

// SavedObject: 1 repeated children, 7 variable.
Status ParseObject(const wire::Field& message, SavedObject* object) {
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(1)) RETURN_IF_ERROR(ParseChild(reader.field(), &object->children));
    if (reader.field().tag == BytesTag(7)) RETURN_IF_ERROR(ParseVariable(reader.field(), object));
  }
  return reader.status();
}

Status CheckChildren(const std::vector<SavedObject>& objects) {
  for (size_t i = 0; i < objects.size(); ++i) {
    for (const ObjectGraph::Child& child : objects[i].children) {
      if (child.node >= 0 && static_cast<size_t>(child.node) < objects.size()) continue;
      return Status(StatusCode::kDataLoss, "node " + std::to_string(i) + " of the model's object graph: its child " +
                                               Quote(child.name) + " is node " + std::to_string(child.node) +
                                               ", where the graph has " + std::to_string(objects.size()) + " nodes");
    }
  }
  return Status();
}

}  // namespace

// SavedModel: 2 repeated meta_graphs.
Result<std::vector<TaggedGraph>> ParseSavedModel(ByteView file) {
  std::vector<TaggedGraph> graphs;
  wire::Reader reader(file);
  while (reader.Next()) {
    if (reader.field().tag != BytesTag(2)) continue;
    TaggedGraph& graph = graphs.emplace_back();
    graph.message = reader.field();
    RETURN_IF_ERROR(ParseTags(graph.message, &graph.tags));
  }
  RETURN_IF_ERROR(reader.status());
  return graphs;
}

// MetaGraphDef: 2 graph_def, 4 collection_def, 5 signature_def, 6 repeated asset_file_def, 7 object_graph_def.
Result<MetaGraph> ParseMetaGraph(const Buffer& file, const wire::Field& message) {
  MetaGraph graph;
  wire::Reader reader(message.bytes, message.offset);
  while (reader.Next()) RETURN_IF_ERROR(ParseMetaGraphField(file, reader.field(), &graph));
  RETURN_IF_ERROR(reader.status());
  return graph;
}

// SavedObjectGraph: 1 repeated nodes. There are fewer than 2^31, since each takes two bytes of a message.
Result<std::vector<SavedObject>> ParseSavedObjects(ByteView record) {
  std::vector<SavedObject> objects;
  wire::Reader reader(record);
  while (reader.Next()) {
    if (reader.field().tag == BytesTag(1)) RETURN_IF_ERROR(ParseObject(reader.field(), &objects.emplace_back()));
  }
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(CheckChildren(objects));
  return objects;
}

}  // namespace tensorbundle::saved_model
