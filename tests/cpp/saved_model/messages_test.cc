#include "saved_model/messages.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "support/golden_files.h"
#include "support/saved_model_maker.h"

namespace tensorbundle::saved_model {
namespace {

using test_support::AssetCollectionPart;
using test_support::AssetDef;
using test_support::AssetPart;
using test_support::MapPart;
using test_support::MetaGraphPart;
using test_support::NodeCollectionPart;
using test_support::Number;
using test_support::Part;
using test_support::ReadGolden;
using test_support::SignaturePart;

using Texts = std::vector<std::string>;
using Shape = std::vector<int64_t>;
using Encoding = TensorInfo::Encoding;

constexpr char kAssetType[] = "type.googleapis.com/tensorflow.AssetFileDef";

Buffer BufferOf(const std::string& bytes) {
  const auto kept = std::make_shared<const std::string>(bytes);
  return Buffer(ByteView(*kept), kept);
}

// The first meta graph of a file.
Result<MetaGraph> FirstGraph(const std::string& bytes) {
  const Buffer file = BufferOf(bytes);
  const auto graphs = ParseSavedModel(file.view());
  if (!graphs.ok()) return graphs.status();
  return ParseMetaGraph(file, graphs->at(0).message);
}

std::string ErrorOf(const std::string& bytes) {
  const auto graph = FirstGraph(bytes);
  EXPECT_EQ(graph.status().code(), StatusCode::kDataLoss);
  return graph.status().message();
}

// The input "x" of a signature that has only this TensorInfo.
TensorInfo Input(const std::string& info) {
  const auto graph = FirstGraph(MetaGraphPart({}, SignaturePart("s", MapPart(1, "x", info))));
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph->signatures.at("s").inputs.at("x");
}

std::string Dimension(int64_t size) { return Part(2, Number(1, size)); }

TEST(SavedModelMessages, ReadWhatTensorFlow2Wrote) {
  const std::string file = ReadGolden("2.21.0/saved_model/saved_model.pb");
  EXPECT_EQ(ParseSavedModel(ByteView(file))->at(0).tags, (Texts{"serve"}));
  const auto graph = FirstGraph(file);
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  ASSERT_EQ(graph->signatures.size(), 3u);
  const Signature& shift = graph->signatures.at("shift");
  EXPECT_EQ(shift.method_name, "tensorflow/serving/predict");
  EXPECT_EQ(shift.inputs.at("n").name, "shift_n:0");
  EXPECT_EQ(shift.inputs.at("n").dtype, DType::kInt64);
  EXPECT_EQ(shift.inputs.at("n").shape, (Shape{-1, 3}));
  EXPECT_EQ(shift.outputs.at("text").name, "StatefulPartitionedCall_1:1");
  EXPECT_EQ(graph->signatures.at("__saved_model_init_op").outputs.begin()->second.shape, std::nullopt);
  EXPECT_EQ(graph->saved_model_main_op, (Texts{"NoOp"}));
  EXPECT_EQ(graph->saved_model_assets, std::nullopt);
  ASSERT_EQ(graph->asset_files.size(), 1u);
  EXPECT_EQ(graph->asset_files[0].tensor_name, "asset_path_initializer:0");
  EXPECT_EQ(graph->asset_files[0].filename, "vocabulary.txt");
  EXPECT_GT(graph->graph_def.size(), 1000u);
  const auto objects = ParseSavedObjects(graph->object_graph_def.view());
  ASSERT_TRUE(objects.ok());
  EXPECT_EQ(objects->at(3).variable_name, "step");
  EXPECT_EQ(objects->at(8).variable_name, "dense/kernel");
  EXPECT_EQ(objects->at(0).variable_name, std::nullopt);
}

TEST(SavedModelMessages, ReadWhatTensorFlow1Wrote) {
  const Buffer file = BufferOf(ReadGolden("2.21.0/saved_model_v1/saved_model.pb"));
  const auto graphs = ParseSavedModel(file.view());
  ASSERT_EQ(graphs->size(), 2u);
  EXPECT_EQ(graphs->at(0).tags, (Texts{"serve", "gpu"}));
  const auto first = ParseMetaGraph(file, graphs->at(0).message);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->saved_model_assets->at(0).tensor_name, "words:0");
  EXPECT_EQ(first->saved_model_assets->at(0).filename, "words.txt");
  EXPECT_EQ(first->object_graph_def.size(), 0u);
  const auto second = ParseMetaGraph(file, graphs->at(1).message);
  ASSERT_TRUE(second.ok());
  const Signature& signature = second->signatures.at("composite");
  const TensorInfo& sparse = signature.inputs.at("s");
  EXPECT_EQ(sparse.encoding, Encoding::kCooSparse);
  EXPECT_EQ(sparse.values_name, "sparse/values:0");
  EXPECT_EQ(sparse.indices_name, "sparse/indices:0");
  EXPECT_EQ(sparse.dense_shape_name, "sparse/shape:0");
  const TensorInfo& ragged = signature.inputs.at("r");
  EXPECT_EQ(ragged.encoding, Encoding::kComposite);
  EXPECT_EQ(ragged.components.at(0).name, "ragged/flat_values:0");
  EXPECT_EQ(ragged.components.at(1).shape, (Shape{-1}));
  EXPECT_NE(ragged.type_spec.view().AsText().find("RaggedTensorSpec"), std::string_view::npos);
}

TEST(SavedModelMessages, AnEmptyFileHasNoMetaGraphs) { EXPECT_TRUE(ParseSavedModel(ByteView())->empty()); }

TEST(SavedModelMessages, PassOverWhatTheyDoNotKnow) {
  const std::string unknown = Number(99, 1) + Part(98, "x");
  const auto graph = FirstGraph(unknown + MetaGraphPart({}, unknown + SignaturePart("s", unknown)));
  ASSERT_TRUE(graph.ok());
  EXPECT_EQ(graph->signatures.count("s"), 1u);
}

TEST(SavedModelMessages, ShapesAreWhatIsKnownOfThem) {
  EXPECT_EQ(Input("").shape, (Shape{}));
  EXPECT_EQ(Input(Part(3, "")).shape, (Shape{}));
  EXPECT_EQ(Input(Part(3, Dimension(-1) + Dimension(3))).shape, (Shape{-1, 3}));
  EXPECT_EQ(Input(Part(3, Number(3, 1))).shape, std::nullopt);
  EXPECT_EQ(Input(Part(3, Number(3, 0) + Dimension(2))).shape, (Shape{2}));
}

TEST(SavedModelMessages, DTypesMayBeThoseOfNoCheckpoint) {
  EXPECT_EQ(Input("").dtype, DType::kInvalid);
  EXPECT_EQ(static_cast<int>(Input(Number(2, 20)).dtype), 20);
  EXPECT_EQ(FindDTypeInfo(Input(Number(2, 101)).dtype), nullptr);
}

TEST(SavedModelMessages, TheLastEncodingCounts) {
  const TensorInfo info = Input(Number(2, 3) + Part(1, "x:0") + Part(4, Part(1, "v:0") + Part(3, "s:0")));
  EXPECT_EQ(info.encoding, Encoding::kCooSparse);
  EXPECT_EQ(info.name, "");
  EXPECT_EQ(info.values_name, "v:0");
  EXPECT_EQ(info.dtype, DType::kInt32);
  EXPECT_EQ(Input(Part(5, Part(2, "")) + Part(1, "x:0")).components.size(), 0u);
  EXPECT_EQ(Input(Part(4, Part(1, "v:0")) + Part(4, Part(2, "i:0"))).values_name, "v:0");
  EXPECT_EQ(Input("").encoding, Encoding::kNone);
}

TEST(SavedModelMessages, DefaultsStayBytes) {
  const std::string signature = MapPart(4, "x", "any bytes") + Part(4, Part(1, "y"));
  const auto graph = FirstGraph(MetaGraphPart({}, SignaturePart("s", signature)));
  EXPECT_EQ(graph->signatures.at("s").defaults.at("x").view().AsText(), "any bytes");
  EXPECT_EQ(graph->signatures.at("s").defaults.at("y").size(), 0u);
}

TEST(SavedModelMessages, TheLastOfEqualKeysStays) {
  const auto graph = FirstGraph(MetaGraphPart({}, SignaturePart("s", Part(3, "a")) + SignaturePart("s", Part(3, "b")) +
                                                      NodeCollectionPart("legacy_init_op", {"a"}) +
                                                      NodeCollectionPart("legacy_init_op", {"b"})));
  EXPECT_EQ(graph->signatures.at("s").method_name, "b");
  EXPECT_EQ(graph->legacy_init_op, (Texts{"b"}));
}

TEST(SavedModelMessages, TagsOfAMessageInPartsAreOneList) {
  const std::string file = Part(2, Part(1, Part(4, "a")) + Part(1, Part(4, "b")));
  EXPECT_EQ(ParseSavedModel(ByteView(file))->at(0).tags, (Texts{"a", "b"}));
}

TEST(SavedModelMessages, RefuseASecondOneOfWhatIsKeptAsBytes) {
  EXPECT_EQ(ErrorOf(MetaGraphPart({}, Part(2, "") + Part(2, "x"))),
            "malformed SavedModel: byte 8: field 2 is there twice, which no writer of SavedModels does");
  EXPECT_EQ(ErrorOf(MetaGraphPart({}, Part(7, "") + Part(7, ""))),
            "malformed SavedModel: byte 8: field 7 is there twice, which no writer of SavedModels does");
  EXPECT_EQ(ErrorOf(MetaGraphPart({}, Part(5, Part(2, "") + Part(2, "")))),
            "malformed SavedModel: byte 10: field 2 is there twice, which no writer of SavedModels does");
  EXPECT_EQ(ErrorOf(MetaGraphPart({}, AssetCollectionPart("type.googleapis.com/tensorflow.Other", {""}))),
            "byte 32: an asset is of type \"type.googleapis.com/tensorflow.Other\", where "
            "\"tensorflow.AssetFileDef\" is expected");
}

TEST(SavedModelMessages, ReadAssetsOfBothPlaces) {
  const auto graph = FirstGraph(MetaGraphPart({}, AssetPart("a:0", "a.txt") + AssetPart("b:0", "b.txt") +
                                                      AssetCollectionPart(kAssetType, {AssetDef("c:0", "c.txt")})));
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  ASSERT_EQ(graph->asset_files.size(), 2u);
  EXPECT_EQ(graph->asset_files[1].filename, "b.txt");
  ASSERT_EQ(graph->saved_model_assets->size(), 1u);
  EXPECT_EQ(graph->saved_model_assets->at(0).tensor_name, "c:0");
}

// Each level of nesting is two messages, and five are around the first.
std::string NestedTensor(int components) {
  std::string info = Part(1, "x:0");
  for (int i = 0; i < components; ++i) info = Part(5, Part(2, info));
  return MetaGraphPart({}, SignaturePart("s", MapPart(1, "x", info)));
}

TEST(SavedModelMessages, NestNoDeeperThanProtobuf) {
  EXPECT_TRUE(FirstGraph(NestedTensor(47)).ok());
  const std::string message = ErrorOf(NestedTensor(48));
  EXPECT_NE(message.find(": more than 100 messages inside each other"), std::string::npos) << message;
  EXPECT_EQ(ErrorOf(NestedTensor(1'000)).substr(0, 33), "malformed protobuf message: byte ");
}

TEST(SavedModelMessages, DamageHasAPlace) {
  EXPECT_EQ(ErrorOf("\x12\x05\x08"), "malformed protobuf message: byte 1: field 2: 5 bytes wanted, where 1 are left");
  EXPECT_EQ(ErrorOf(Part(2, "\x2A\x7F")),
            "malformed protobuf message: byte 3: field 5: 127 bytes wanted, where 0 are left");
  EXPECT_EQ(ErrorOf(Part(2, Part(5, Part(2, Part(1, Part(2, "\x08")))))),
            "malformed protobuf message: byte 11: field 1: a varint is cut short or has more than 10 bytes");
}

TEST(SavedModelMessages, EveryTruncationIsDamageOrSound) {
  for (const std::string name : {"saved_model", "saved_model_v1"}) {
    const std::string whole = ReadGolden("2.21.0/" + name + "/saved_model.pb");
    for (size_t size = 0; size < whole.size(); size += 1 + size / 100) {
      const auto graphs = ParseSavedModel(ByteView(std::string_view(whole).substr(0, size)));
      if (graphs.ok()) continue;
      EXPECT_EQ(graphs.status().code(), StatusCode::kDataLoss);
    }
  }
}

TEST(SavedModelMessages, ObjectsReferToObjects) {
  const std::string cycle = Part(1, Part(1, Number(1, 1) + Part(2, "x"))) + Part(1, Part(1, "") + Part(7, ""));
  const auto sound = ParseSavedObjects(ByteView(cycle));
  ASSERT_TRUE(sound.ok()) << sound.status().message();
  EXPECT_EQ(sound->at(0).children.at(0).node, 1);
  EXPECT_EQ(sound->at(1).children.at(0).node, 0);
  EXPECT_EQ(sound->at(1).variable_name, "");
  for (const int64_t node : {-1, 2}) {
    const std::string record = Part(1, "") + Part(1, Part(1, Number(1, node) + Part(2, "x")));
    const auto objects = ParseSavedObjects(ByteView(record));
    EXPECT_EQ(objects.status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(objects.status().message(), "node 1 of the model's object graph: its child \"x\" is node " +
                                              std::to_string(node) + ", where the graph has 2 nodes");
  }
}

}  // namespace
}  // namespace tensorbundle::saved_model
