#include "tensorbundle/saved_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "io/temporary_directory.h"
#include "support/bundle_maker.h"
#include "support/golden_files.h"
#include "support/saved_model_maker.h"
#include "tensorbundle/checkpoint_writer.h"

namespace tensorbundle {
namespace {

using test_support::AssetCollectionPart;
using test_support::AssetDef;
using test_support::AssetPart;
using test_support::MapPart;
using test_support::MetaGraphPart;
using test_support::NodeCollectionPart;
using test_support::Part;
using test_support::ReadGolden;
using test_support::ServeFiles;
using test_support::SignaturePart;
using test_support::TemporaryDirectory;

using Tags = SavedModel::Tags;

const std::string kGolden = TENSORBUNDLE_GOLDEN_DIR "/2.21.0/saved_model";
const std::string kGoldenV1 = TENSORBUNDLE_GOLDEN_DIR "/2.21.0/saved_model_v1";
constexpr char kKernelKey[] = "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE";
constexpr char kAssetType[] = "type.googleapis.com/tensorflow.AssetFileDef";

// A model "m" that consists of this file alone.
OpenOptions ServeModel(const std::string& file) { return ServeFiles({{"m/saved_model.pb", file}}); }

// The only meta graph of a model, of these parts.
Result<SavedModel> Open(const std::string& parts) {
  return SavedModel::OpenOnly("m", ServeModel(MetaGraphPart({}, parts)));
}

Status OpenError(const std::string& file, const Tags& tags) {
  return SavedModel::Open("m", tags, ServeModel(file)).status();
}

std::vector<float> Floats(const Tensor& tensor) {
  std::vector<float> values(tensor.data.size() / sizeof(float));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

TEST(SavedModel, ReadsWhatTensorFlow2Wrote) {
  const auto model = SavedModel::Open(kGolden, {"serve"});
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->export_dir(), kGolden);
  EXPECT_EQ(model->tag_sets(), (std::vector<Tags>{{"serve"}}));
  EXPECT_EQ(model->tags(), (Tags{"serve"}));
  ASSERT_EQ(model->signatures().size(), 3u);
  ASSERT_NE(model->FindSignature("serving_default"), nullptr);
  EXPECT_EQ(model->FindSignature("serving_default")->inputs.at("x").name, "serving_default_x:0");
  EXPECT_EQ(model->FindSignature("none"), nullptr);
  const auto assets = model->Assets();
  ASSERT_TRUE(assets.ok()) << assets.status().message();
  ASSERT_EQ(assets->size(), 1u);
  EXPECT_EQ(assets->at(0).tensor_name, "asset_path_initializer:0");
  EXPECT_EQ(assets->at(0).path, kGolden + "/assets/vocabulary.txt");
  EXPECT_EQ(*model->MainOp(), "NoOp");
  EXPECT_EQ(model->Variables()->entries().size(), 3u);
}

TEST(SavedModel, ReadsWhatTensorFlow1Wrote) {
  const auto model = SavedModel::Open(kGoldenV1, {"gpu", "serve", "gpu"});  // A set.
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->tags(), (Tags{"serve", "gpu"}));
  EXPECT_EQ(model->tag_sets(), (std::vector<Tags>{{"serve", "gpu"}, {"train"}}));
  EXPECT_EQ(model->Assets()->at(0).path, kGoldenV1 + "/assets/words.txt");
  EXPECT_EQ(*model->MainOp(), "prepare");
  EXPECT_EQ(Floats(*model->Variable("kernel")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  const auto other = SavedModel::Open(kGoldenV1, {"train"});
  EXPECT_NE(other->FindSignature("composite"), nullptr);
  EXPECT_EQ(Floats(*other->Variable("kernel")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(SavedModel, FindsAVariableUnderAnyOfItsNames) {
  const auto model = SavedModel::OpenOnly(kGolden);
  for (const std::string name : {kKernelKey, "layer/kernel", "shared/kernel", "dense/kernel", "dense/kernel:0"}) {
    EXPECT_EQ(*model->VariableKey(name), kKernelKey) << name;
    EXPECT_EQ(Floats(*model->Variable(name)), (std::vector<float>{1, -2, 1.5, -2})) << name;
  }
  const auto step = model->Variable("step");
  ASSERT_TRUE(step.ok());
  EXPECT_EQ(step->dtype, DType::kInt64);
  const Status status = model->Variable("kernel").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            kGolden + "/variables/variables: no variable is called \"kernel\", by key, path or full name");
}

TEST(SavedModel, GivesGraphsAsBytes) {
  const std::string file = ReadGolden("2.21.0/saved_model_v1/saved_model.pb");
  Buffer meta_graph;
  Buffer graph;
  {
    const auto model = SavedModel::Open("m", {"train"}, ServeModel(file));
    meta_graph = model->meta_graph();
    graph = model->graph_def();
  }
  EXPECT_NE(file.find(meta_graph.view().AsText()), std::string::npos);
  EXPECT_NE(meta_graph.view().AsText().find(graph.view().AsText()), std::string_view::npos);
  EXPECT_GE(graph.data(), meta_graph.data());
  EXPECT_NE(graph.view().AsText().find("Placeholder"), std::string_view::npos);
  EXPECT_EQ(SavedModel::OpenOnly("m", ServeModel(MetaGraphPart({})))->graph_def().size(), 0u);
}

TEST(SavedModel, TagsMatchExactly) {
  const std::string file = MetaGraphPart({"serve"}, Part(2, "first")) + MetaGraphPart({"gpu", "serve"}) +
                           MetaGraphPart({}) + MetaGraphPart({"serve"}, Part(2, "second"));
  EXPECT_EQ(SavedModel::Open("m", {"serve"}, ServeModel(file))->graph_def().view().AsText(), "first");
  EXPECT_EQ(SavedModel::Open("m", {"serve", "gpu"}, ServeModel(file))->tags(), (Tags{"gpu", "serve"}));
  EXPECT_EQ(SavedModel::Open("m", Tags(), ServeModel(file))->tags(), Tags());
  const Status status = OpenError(file, {"gpu"});
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.path(), "m/saved_model.pb");
  EXPECT_EQ(status.message(),
            "m/saved_model.pb: MetaGraphDef associated with tags {\"gpu\"} could not be found; available: {\"serve\"}, "
            "{\"gpu\", "
            "\"serve\"}, {}, {\"serve\"}");
}

TEST(SavedModel, ListsAtMostTenSetsOfTags) {
  std::string file;
  for (int i = 0; i < 12; ++i) file += MetaGraphPart({std::string(1, static_cast<char>('a' + i))});
  const std::string message = OpenError(file, {"x"}).message();
  EXPECT_EQ(message.substr(message.size() - 16), "{\"j\"} and 2 more");
}

TEST(SavedModel, ListsAtMostTenTagsOfASet) {
  const std::string message = OpenError(MetaGraphPart(Tags(11, "a")), {"x"}).message();
  EXPECT_EQ(message.substr(message.size() - 14), "\"a\", \"a\", ...}");
}

TEST(SavedModel, TheOnlyOneIsExactlyOne) {
  const auto error = [](const std::string& file) {
    const Status status = SavedModel::OpenOnly("m", ServeModel(file)).status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    return status.message();
  };
  EXPECT_EQ(error(""), "m/saved_model.pb: it has 0 MetaGraphDefs: tags must say which; available: none");
  EXPECT_EQ(error(MetaGraphPart({"a"}) + MetaGraphPart({"b"})),
            "m/saved_model.pb: it has 2 MetaGraphDefs: tags must say which; available: {\"a\"}, {\"b\"}");
  EXPECT_EQ(OpenError("", {"a"}).message(),
            "m/saved_model.pb: MetaGraphDef associated with tags {\"a\"} could not be found; available: none");
}

TEST(SavedModel, BinaryFilesComeFirst) {
  const TemporaryDirectory directory;
  directory.Write("saved_model.pbtxt", "nonsense");
  directory.Write("saved_model.cpb", "nonsense");
  directory.Write("saved_model.pb", MetaGraphPart({"serve"}));
  EXPECT_TRUE(SavedModel::Open(directory.path() + "/", {"serve"}).ok());
}

TEST(SavedModel, OtherFormsAreUnimplemented) {
  const TemporaryDirectory directory;
  const std::string chunked = directory.Write("saved_model.cpb", "");
  Status status = SavedModel::Open(directory.path(), {"serve"}).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(status.message(), chunked + ": a SavedModel in chunks is not read here, nor by TensorFlow: export it anew");
  const std::string text = directory.Write("saved_model.pbtxt", "");
  status = SavedModel::Open(directory.path(), {"serve"}).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(status.path(), text);
  EXPECT_EQ(status.message(),
            text +
                ": a SavedModel in text form is not read here: load it with tensorbundle.saved_model in Python and "
                "save it with its Builder, which writes saved_model.pb");
}

TEST(SavedModel, SaysWhatIsNotThere) {
  const TemporaryDirectory directory;
  const Status status = SavedModel::Open(directory.path(), {"serve"}).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.message(), "open " + directory.File("saved_model.pb") + ": No such file or directory");
}

TEST(SavedModel, DamageNamesTheFileAndTheByte) {
  const Status status = OpenError("\x12\x05\x08", {});
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(),
            "m/saved_model.pb: malformed protobuf message: byte 1: field 2: 5 bytes wanted, where 1 are left");
}

TEST(SavedModel, IsNotReadIfLargerThanAnyMessage) {
  const TemporaryDirectory directory;
  const std::string path = directory.WriteSparse("saved_model.pb", uint64_t{1} << 31, "");
  const Status status = SavedModel::Open(directory.path(), {"serve"}).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), path + ": it has 2147483648 bytes, more than the 2147483647 of any protobuf message");
}

TEST(SavedModel, AssetsOfTheGraphComeBeforeThoseOfTheCollection) {
  const std::string collection = AssetCollectionPart(kAssetType, {AssetDef("c:0", "deep/c.txt")});
  EXPECT_EQ(Open(collection)->Assets()->at(0).path, "m/assets/deep/c.txt");
  const auto both = Open(AssetPart("a:0", "a.txt") + collection)->Assets();
  ASSERT_EQ(both->size(), 1u);
  EXPECT_EQ(both->at(0).path, "m/assets/a.txt");
  EXPECT_TRUE(Open("")->Assets()->empty());
}

TEST(SavedModel, AssetsThatLeadElsewhereAreRefused) {
  const auto model = Open(AssetPart("a:0", "a.txt") + AssetPart("b:0", "../../b"));
  ASSERT_TRUE(model.ok());
  const Status status = model->Assets().status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "m/saved_model.pb: the asset \"../../b\" is refused: its name leads out of \"assets\"");
}

TEST(SavedModel, LinksOfLocalAssetsAreFollowed) {
  const TemporaryDirectory directory;
  std::filesystem::create_directories(directory.File("m/assets"));
  directory.Write("m/saved_model.pb", MetaGraphPart({}, AssetPart("a:0", "a.txt")));
  std::filesystem::create_symlink(directory.Write("secret", ""), directory.File("m/assets/a.txt"));
  EXPECT_EQ(SavedModel::OpenOnly(directory.File("m"))->Assets().status().code(), StatusCode::kDataLoss);
}

TEST(SavedModel, TheMainOpIsTheSignaturesOrTheCollections) {
  const std::string output = Part(2, Part(1, "__saved_model_init_op") + Part(2, Part(1, "init")));
  const std::string signature = SignaturePart("__saved_model_init_op", output);
  const std::string main = NodeCollectionPart("saved_model_main_op", {"main"});
  const std::string legacy = NodeCollectionPart("legacy_init_op", {"legacy"});
  EXPECT_EQ(*Open(signature + main + legacy)->MainOp(), "init");
  EXPECT_EQ(*Open(main + legacy)->MainOp(), "main");
  EXPECT_EQ(*Open(legacy)->MainOp(), "legacy");
  EXPECT_EQ(*Open("")->MainOp(), std::nullopt);
}

TEST(SavedModel, OneOperationInitializesAModel) {
  const auto error = [](const std::string& parts) {
    const Status status = Open(parts)->MainOp().status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    return status.message();
  };
  EXPECT_EQ(error(NodeCollectionPart("saved_model_main_op", {"a", "b"})),
            "m/saved_model.pb: Expected exactly one SavedModel init op: the collection \"saved_model_main_op\" has 2");
  EXPECT_EQ(error(NodeCollectionPart("saved_model_main_op", {}) + NodeCollectionPart("legacy_init_op", {"a"})),
            "m/saved_model.pb: Expected exactly one SavedModel init op: the collection \"saved_model_main_op\" has 0");
  EXPECT_EQ(error(SignaturePart("__saved_model_init_op", "")),
            "m/saved_model.pb: the signature \"__saved_model_init_op\" has no output of that name");
}

TEST(SavedModel, OpensWithoutItsVariables) {
  const auto model = Open("");
  ASSERT_TRUE(model.ok());
  for (const Status& status : {model->Variables().status(), model->Variable("w").status()}) {
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_EQ(status.message(),
              "m: this SavedModel has no variables: there is no \"m/variables/variables.index\", nor a file of the V1 "
              "format");
  }
}

// A model of variables "1" and "2" with a graph in their checkpoint, and the model's own, as given.
Result<SavedModel> OpenWithGraphs(const ObjectGraph& stored, const std::string& objects) {
  const TemporaryDirectory directory;
  const std::string graph = EncodeObjectGraph(stored);
  auto writer = CheckpointWriter::Create(directory.File("variables/variables"));
  EXPECT_TRUE(
      writer->Add({std::string(kObjectGraphKey), DType::kString, {}, nullptr, {}, false, {ByteView(graph)}}).ok());
  for (const std::string value : {"1", "2"}) {
    EXPECT_TRUE(writer->Add({value, DType::kInt8, {}, ByteView(value).data(), {}, false, {}}).ok());
  }
  EXPECT_TRUE(writer->Finish().ok());
  directory.Write("saved_model.pb", MetaGraphPart({}, Part(7, objects)));
  return SavedModel::OpenOnly(directory.path());
}

ObjectGraph TwoVariables(const std::string& first, const std::string& second) {
  ObjectGraph graph;
  graph.nodes.resize(3);
  graph.nodes[0].children = {{1, "a"}, {2, "b"}};
  graph.nodes[1].attributes = {{"VARIABLE_VALUE", first, "1"}};
  graph.nodes[2].attributes = {{"VARIABLE_VALUE", second, "2"}};
  return graph;
}

TEST(SavedModel, ANameOfSeveralVariablesIsNone) {
  const auto model = OpenWithGraphs(TwoVariables("w", "w"), "");
  const Status status = model->VariableKey("w").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            model->Variables()->prefix() + ": \"w\" is what 2 variables are called: their keys are \"1\", \"2\"");
  EXPECT_EQ(*model->VariableKey("b"), "2");
}

TEST(SavedModel, NamesMayHaveThePortOfTheirTensor) {
  const auto model = OpenWithGraphs(TwoVariables("w", "other:0"), "");
  EXPECT_EQ(*model->VariableKey("w:0"), "1");
  EXPECT_EQ(*model->VariableKey("1:0"), "1");
  EXPECT_EQ(*model->VariableKey("other:0"), "2");
  EXPECT_EQ(model->VariableKey("w:1").status().code(), StatusCode::kNotFound);
}

TEST(SavedModel, KeysComeBeforePathsAndPathsBeforeNames) {
  EXPECT_EQ(*OpenWithGraphs(TwoVariables("2", "a"), "")->VariableKey("2"), "2");
  EXPECT_EQ(*OpenWithGraphs(TwoVariables("x", "a"), "")->VariableKey("a"), "1");
}

TEST(SavedModel, ItsOwnGraphNamesWhatTheCheckpointsDoesNot) {
  const std::string child = Part(1, test_support::Number(1, 1) + Part(2, "b"));
  const auto model = OpenWithGraphs(TwoVariables("", ""), Part(1, child) + Part(1, Part(7, Part(6, "dense/bias"))));
  EXPECT_EQ(model->Variable("dense/bias")->data.view().AsText(), "2");
}

TEST(SavedModel, ADamagedGraphLeavesTheKeys) {
  const auto model = OpenWithGraphs(TwoVariables("v", "w"), "\x0A\x05");
  EXPECT_EQ(model->Variable("1")->data.view().AsText(), "1");
  for (int i = 0; i < 2; ++i) {
    const Status status = model->Variable("v").status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_NE(status.message().find("saved_model.pb: malformed protobuf message: byte 1: field 1: 5 bytes wanted, "
                                    "where 0 are left"),
              std::string::npos)
        << status.message();
  }
}

TEST(SavedModel, IsSharedByThreads) {
  const auto model = SavedModel::OpenOnly(kGolden);
  std::vector<std::thread> threads;
  std::vector<std::string> keys(4);
  for (std::string& key : keys) threads.emplace_back([&] { key = *model->VariableKey("dense/kernel"); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(keys, std::vector<std::string>(4, kKernelKey));
}

}  // namespace
}  // namespace tensorbundle
