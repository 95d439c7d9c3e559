#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/entry.h"
#include "bundle/naming.h"
#include "checkpoint/stored_index.h"
#include "slices/key.h"
#include "support/bundle_files.h"
#include "tensorbundle/checkpoint_edits.h"
#include "tensorbundle/checkpoint_writer.h"
#include "tensorbundle/object_graph.h"

namespace tensorbundle {
namespace {

using test_support::AsTensorFlowWrites;
using test_support::BundleMaker;
using test_support::Bytes;
using test_support::FileContent;
using test_support::FilesIn;
using test_support::NamesIn;
using test_support::ReadBytes;
using test_support::TemporaryDirectory;
using test_support::WriteBundle;
using Tensors = std::map<std::string, std::string>;
using NewName = std::optional<std::string>;
using NewNames = std::vector<NewName>;

namespace fs = std::filesystem;

// What is not among `changes` keeps its name.
NameEdit Change(const std::map<std::string, NewName>& changes) {
  return [changes](const std::vector<std::string_view>& names) -> Result<NewNames> {
    NewNames new_names;
    for (const std::string_view name : names) {
      const auto found = changes.find(std::string(name));
      new_names.push_back(found == changes.end() ? NewName(name) : found->second);
    }
    return new_names;
  };
}

// Expects the same failure in place and to another prefix, and every file to be what it was.
void ExpectRefused(const TemporaryDirectory& directory, const std::string& prefix, const NameEdit& edit,
                   StatusCode code, const std::string& message) {
  const auto before = FilesIn(directory.path());
  for (const std::string& destination : {std::string(), directory.File("other")}) {
    const Status status = EditIndex(prefix, destination, edit);
    EXPECT_EQ(status.code(), code) << destination;
    EXPECT_EQ(status.message(), message) << destination;
  }
  EXPECT_EQ(FilesIn(directory.path()), before);
}

TEST(Edit, RenamesAndDropsInPlace) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}, {"y", "YY"}, {"z", "ZZZ"}}));
  const auto reader = Checkpoint::Open(a);
  ASSERT_TRUE(EditIndex(a, "", Change({{"x", "new/x"}, {"y", std::nullopt}})).ok());
  EXPECT_EQ(ReadBytes(a), (Tensors{{"new/x", "X"}, {"z", "ZZZ"}}));
  EXPECT_EQ(FileContent(DataPath(a, 0, 1)), "XYYZZZ");
  EXPECT_EQ(NamesIn(directory.path()).size(), 2u);
  EXPECT_EQ(reader->Read("y")->data.view().AsText(), "YY");
}

TEST(Edit, NamesCanChangePlaces) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}, {"y", "YY"}}));
  ASSERT_TRUE(EditIndex(a, "", Change({{"x", "y"}, {"y", "x"}})).ok());
  EXPECT_EQ(ReadBytes(a), (Tensors{{"x", "YY"}, {"y", "X"}}));
}

TEST(Edit, KeepsRecordsAsTheyAreInPlace) {
  const TemporaryDirectory directory;
  BundleMaker bundle = Bytes({{"x", "X"}, {"y", "Y"}});
  test_support::AppendBytesField(99, "unknown field", &bundle.records["x"]);
  bundle.records["damaged"] = "\xFF";
  const std::string a = WriteBundle(directory, "a", bundle);
  ASSERT_TRUE(EditIndex(a, "", Change({{"x", "w"}, {"y", std::nullopt}})).ok());
  const auto index = ReadStoredIndex(a);
  ASSERT_EQ(index->records.size(), 2u);
  EXPECT_EQ(index->records[0].key, "damaged");
  EXPECT_EQ(index->records[0].value, "\xFF");
  EXPECT_EQ(index->records[1].key, "w");
  EXPECT_EQ(index->records[1].value, bundle.records["x"]);
  EXPECT_TRUE(EditIndex(a, "", Change({{"damaged", std::nullopt}})).ok());
  EXPECT_EQ(ReadBytes(a), (Tensors{{"w", "X"}}));
}

TEST(Edit, KeepsTheHeaderAsItIsInPlace) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}}));
  std::string header = test_support::EncodeHeader(1);
  test_support::AppendBytesField(9, "more", &header);
  const BundleMaker bundle = Bytes({{"x", "X"}});
  directory.Write("a.index", test_support::MakeTable({{"", header}, {"x", bundle.records.at("x")}}).bytes);
  ASSERT_TRUE(EditIndex(a, "", Change({{"x", "y"}})).ok());
  EXPECT_EQ(ReadStoredIndex(a)->header_record, header);
}

TEST(Edit, SlicesFollowTheirTensor) {
  const TemporaryDirectory directory;
  // Names that need escapes in keys, and one that is the beginning of another.
  const std::string name("w\0\xFF", 3);
  const Slice first{{{0, 2}, {0, kWholeDimension}}};
  const Slice second{{{2, 1}, {0, 2}}};
  BundleMaker bundle(2);
  bundle.AddPiece(name, first, 4, {2, 2}, "abcd", 0);
  bundle.AddPiece(name, second, 4, {1, 2}, "ef", 1);
  bundle.AddPartitioned(name, 4, {3, 2}, {first, second});
  bundle.AddPiece("w", Slice{{{0, 1}}}, 4, {1}, "x");
  bundle.AddPartitioned("w", 4, {1}, {Slice{{{0, 1}}}});
  const std::string a = WriteBundle(directory, "a", bundle);
  ASSERT_TRUE(EditIndex(a, directory.File("b"), Change({{name, "\xFF"}})).ok());
  EXPECT_EQ(ReadBytes(directory.File("b")), (Tensors{{"w", "x"}, {"\xFF", "abcdef"}}));
  ASSERT_TRUE(EditIndex(a, "", Change({{name, "w"}, {"w", std::nullopt}})).ok());
  EXPECT_EQ(ReadBytes(a), (Tensors{{"w", "abcdef"}}));
  EXPECT_EQ(ReadStoredIndex(a)->records.size(), 3u);
}

TEST(Edit, GivesEveryNameThatReadingGives) {
  const TemporaryDirectory directory;
  BundleMaker bundle = Bytes({{"x", "X"}});
  const std::string orphan = EncodeSliceKey("nobody", Slice{{{0, 1}}});
  bundle.Add(orphan, 4, {1}, "o");
  bundle.AddPiece("w", Slice{{{0, 1}}}, 4, {1}, "w");
  bundle.AddPartitioned("w", 4, {1}, {Slice{{{0, 1}}}});
  const std::string a = WriteBundle(directory, "a", bundle);
  std::vector<std::string> given;
  const auto take = [&](const std::vector<std::string_view>& names) -> Result<NewNames> {
    given.assign(names.begin(), names.end());
    return NewNames(names.begin(), names.end());
  };
  ASSERT_TRUE(EditIndex(a, "", take).ok());
  EXPECT_EQ(given, (std::vector<std::string>{orphan, "w", "x"}));
  EXPECT_EQ(ReadBytes(a), (Tensors{{orphan, "o"}, {"w", "w"}, {"x", "X"}}));
}

TEST(Edit, CopiesToAnotherPrefix) {
  const TemporaryDirectory directory;
  BundleMaker bundle(3);
  bundle.Add("x", 4, {1}, "X", 0);
  bundle.Add("y", 4, {2}, "YY", 1);
  bundle.Add("z", 4, {3}, "ZZZ", 2);
  const std::string a = WriteBundle(directory, "a", bundle);
  const std::string b = directory.File("new/b");
  ASSERT_TRUE(EditIndex(a, b, Change({{"y", std::nullopt}, {"z", "a"}})).ok());
  EXPECT_EQ(ReadBytes(b), (Tensors{{"a", "ZZZ"}, {"x", "X"}}));
  // Without the data file that no tensor is in any more.
  EXPECT_EQ(NamesIn(directory.File("new")),
            (std::set<std::string>{"b.data-00000-of-00002", "b.data-00001-of-00002", "b.index"}));
  EXPECT_EQ(fs::hard_link_count(DataPath(b, 0, 2)), 1u);
  EXPECT_EQ(ReadBytes(a), (Tensors{{"x", "X"}, {"y", "YY"}, {"z", "ZZZ"}}));
  const auto index = ReadStoredIndex(b);
  for (const IndexRecord& record : index->records) {
    const bool is_z = record.key == "a";
    EXPECT_EQ(record.value, *WithShard(ByteView(bundle.records[is_z ? "z" : "x"]), is_z ? 1 : 0));
  }
}

TEST(Edit, LinksToAnotherPrefixOnlyIfAsked) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}}));
  EditOptions options;
  options.link = true;
  ASSERT_TRUE(EditIndex(a, directory.File("b"), Change({{"x", "y"}}), options).ok());
  EXPECT_TRUE(fs::equivalent(DataPath(a, 0, 1), DataPath(directory.File("b"), 0, 1)));
  EXPECT_EQ(ReadBytes(directory.File("b")), (Tensors{{"y", "X"}}));
  EXPECT_EQ(ReadBytes(a), (Tensors{{"x", "X"}}));
}

TEST(Edit, TakesThePlaceOfAnotherCheckpoint) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", AsTensorFlowWrites(Bytes({{"x", "X"}, {"y", "YY"}})));
  const std::string b = WriteBundle(directory, "b", Bytes({{"old", "old"}}));
  ASSERT_TRUE(EditIndex(a, b, Change({{"x", "y"}, {"y", "z"}})).ok());
  EXPECT_EQ(ReadBytes(b), (Tensors{{"y", "X"}, {"z", "YY"}}));
  EXPECT_EQ(NamesIn(directory.path()),
            (std::set<std::string>{"a.data-00000-of-00001", "a.index", "b.data-00000-of-00002", "b.data-00001-of-00002",
                                   "b.index"}));
  EXPECT_EQ(FileContent(DataPath(b, 1, 2)), "X");
}

TEST(Edit, RefusesBadNames) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}, {"y", "Y"}, {"z", "Z"}}));
  const auto invalid = StatusCode::kInvalidArgument;
  ExpectRefused(directory, a, Change({{"x", "z"}}), invalid, "tensor \"z\": \"x\" and \"z\" would both have this name");
  ExpectRefused(directory, a, Change({{"x", "n"}, {"y", "n"}}), invalid,
                "tensor \"n\": \"x\" and \"y\" would both have this name");
  ExpectRefused(directory, a, Change({{"y", ""}}), invalid,
                "tensor \"y\": its new name is empty, and the empty one is the format's own");
  ExpectRefused(directory, a, Change({{"y", std::string("\0y", 2)}}), invalid,
                "tensor \"y\": its new name \"\\x00y\" begins with a zero byte: these are the format's own");
  ExpectRefused(directory, a, Change({{"x", std::nullopt}, {"y", std::nullopt}, {"z", std::nullopt}}), invalid,
                "no tensor is left: a checkpoint holds at least one");
  const auto too_few = [](const std::vector<std::string_view>&) -> Result<NewNames> { return NewNames(2, "n"); };
  ExpectRefused(directory, a, too_few, invalid, "2 new names are given for 3 tensors");
  const auto fails = [](const std::vector<std::string_view>&) -> Result<NewNames> {
    return Status(StatusCode::kExternal, "no");
  };
  ExpectRefused(directory, a, fails, StatusCode::kExternal, "no");
}

TEST(Edit, RefusesDestinationsThatAreNone) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}}));
  for (const std::string& destination : {a, directory.File("./a")}) {
    const Status status = EditIndex(a, destination, Change({}));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), a + ": the destination is the checkpoint itself; without one it is edited where it is");
  }
  EXPECT_EQ(EditIndex(a, directory.path() + "/", Change({})).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadBytes(a), (Tensors{{"x", "X"}}));
}

// A graph of one object with two variables and a table of two tensors.
ObjectGraph SmallGraph() {
  ObjectGraph graph;
  graph.nodes.resize(4);
  graph.nodes[0].children = {{1, "w"}, {2, "b"}, {3, "t"}};
  graph.nodes[1].attributes = {{"VARIABLE_VALUE", "", "w/.ATTRIBUTES/VARIABLE_VALUE"}};
  graph.nodes[2].attributes = {{"VARIABLE_VALUE", "", "b/.ATTRIBUTES/VARIABLE_VALUE"}};
  graph.nodes[3].attributes = {{"table", "", "t/.ATTRIBUTES/table"}};
  return graph;
}

// A checkpoint of such objects, saved by the writer.
std::string WriteObjects(const TemporaryDirectory& directory, const std::string& name,
                         const ObjectGraph& graph = SmallGraph()) {
  const std::string prefix = directory.File(name);
  WriteOptions options;
  options.alignment = 1;
  auto writer = CheckpointWriter::Create(prefix, options);
  EXPECT_TRUE(writer.ok());
  for (const std::string key : {"w/.ATTRIBUTES/VARIABLE_VALUE", "b/.ATTRIBUTES/VARIABLE_VALUE",
                                "t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values"}) {
    EXPECT_TRUE(
        writer->Add({key, DType::kUint8, {1}, reinterpret_cast<const uint8_t*>(key.data()), {}, false, {}}).ok());
  }
  const std::string record = EncodeObjectGraph(graph);
  EXPECT_TRUE(
      writer->Add({std::string(kObjectGraphKey), DType::kString, {}, nullptr, {}, false, {ByteView(record)}}).ok());
  EXPECT_TRUE(writer->Finish().ok());
  return prefix;
}

// The keys of a graph's values, in the order of the nodes.
std::vector<std::string> KeysInGraph(const std::string& prefix) {
  std::vector<std::string> keys;
  const auto graph = Checkpoint::Open(prefix)->ReadObjectGraph();
  EXPECT_TRUE(graph.ok() && graph->has_value()) << graph.status().message();
  if (!graph.ok() || !graph->has_value()) return keys;
  for (const ObjectGraph::Node& node : (*graph)->nodes) {
    for (const ObjectGraph::Attribute& attribute : node.attributes) keys.push_back(attribute.checkpoint_key);
  }
  return keys;
}

TEST(Edit, AnObjectGraphFollows) {
  for (const bool in_place : {true, false}) {
    const TemporaryDirectory directory;
    const std::string a = WriteObjects(directory, "a");
    const auto reader = Checkpoint::Open(a);
    const std::string destination = in_place ? "" : directory.File("b");
    const Status status = EditIndex(a, destination,
                                    Change({{"w/.ATTRIBUTES/VARIABLE_VALUE", "x/y/.ATTRIBUTES/VARIABLE_VALUE"},
                                            {"b/.ATTRIBUTES/VARIABLE_VALUE", std::nullopt},
                                            {"t/.ATTRIBUTES/table-keys", "u/.ATTRIBUTES/table-keys"},
                                            {"t/.ATTRIBUTES/table-values", "u/.ATTRIBUTES/table-values"}}));
    ASSERT_TRUE(status.ok()) << status.message();
    const std::string edited = in_place ? a : destination;
    EXPECT_EQ(KeysInGraph(edited), (std::vector<std::string>{"x/y/.ATTRIBUTES/VARIABLE_VALUE", "u/.ATTRIBUTES/table"}));
    const auto checkpoint = Checkpoint::Open(edited);
    EXPECT_EQ(checkpoint->num_shards(), 2);
    EXPECT_EQ(checkpoint->Find(kObjectGraphKey)->shard, 1);
    EXPECT_EQ(checkpoint->Read("x/y/.ATTRIBUTES/VARIABLE_VALUE")->data.view().AsText(), "w");
    EXPECT_TRUE(checkpoint->VerifyAll()->damaged.empty());
    EXPECT_EQ(NamesIn(directory.path()).size(), in_place ? 3u : 5u);
    EXPECT_EQ(reader->Read("b/.ATTRIBUTES/VARIABLE_VALUE")->data.view().AsText(), "b");
  }
}

TEST(Edit, AnObjectGraphInPlaceLinksTheData) {
  const TemporaryDirectory directory;
  const std::string a = WriteObjects(directory, "a");
  fs::create_hard_link(DataPath(a, 0, 1), directory.File("seen"));
  ASSERT_TRUE(EditIndex(a, "", Change({{"b/.ATTRIBUTES/VARIABLE_VALUE", std::nullopt}})).ok());
  EXPECT_TRUE(fs::equivalent(DataPath(a, 0, 2), directory.File("seen")));
}

TEST(Edit, ManyEditsOfObjectsDoNotMakeManyFiles) {
  const TemporaryDirectory directory;
  const std::string a = WriteObjects(directory, "a");
  for (int i = 0; i < 12; ++i) {
    const std::string from = std::string(i % 2 == 0 ? "w" : "v") + "/.ATTRIBUTES/VARIABLE_VALUE";
    const std::string to = std::string(i % 2 == 0 ? "v" : "w") + "/.ATTRIBUTES/VARIABLE_VALUE";
    ASSERT_TRUE(EditIndex(a, "", Change({{from, to}})).ok()) << i;
    const auto checkpoint = Checkpoint::Open(a);
    EXPECT_LE(checkpoint->num_shards(), 3) << i;
    EXPECT_TRUE(checkpoint->VerifyAll()->damaged.empty()) << i;
    EXPECT_EQ(checkpoint->Read(to)->data.view().AsText(), "w") << i;
    EXPECT_EQ(NamesIn(directory.path()).size(), static_cast<size_t>(checkpoint->num_shards()) + 1) << i;
  }
}

TEST(Edit, AnObjectGraphThatStaysIsNotWrittenAnew) {
  const TemporaryDirectory directory;
  ObjectGraph graph = SmallGraph();
  graph.nodes[2].attributes.clear();
  const std::string a = WriteObjects(directory, "a", graph);
  ASSERT_TRUE(EditIndex(a, "", Change({{"b/.ATTRIBUTES/VARIABLE_VALUE", "unknown"}})).ok());
  EXPECT_EQ(Checkpoint::Open(a)->num_shards(), 1);
}

TEST(Edit, AnObjectGraphCanBeDropped) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{std::string(kObjectGraphKey), "G"}, {"x", "X"}}));
  ASSERT_TRUE(EditIndex(a, "", Change({{std::string(kObjectGraphKey), std::nullopt}, {"x", "y"}})).ok());
  EXPECT_EQ(ReadBytes(a), (Tensors{{"y", "X"}}));
}

TEST(Edit, RefusesWhatObjectsWouldNotFind) {
  const TemporaryDirectory directory;
  const std::string a = WriteObjects(directory, "a");
  const std::string w = "w/.ATTRIBUTES/VARIABLE_VALUE";
  ExpectRefused(directory, a, Change({{std::string(kObjectGraphKey), "graph"}}), StatusCode::kInvalidArgument,
                "tensor \"_CHECKPOINTABLE_OBJECT_GRAPH\": the object graph can be dropped and not renamed: TensorFlow "
                "looks for it by this name");
  for (const std::string name : {"w", "w/.ATTRIBUTES/VALUE"}) {
    ExpectRefused(directory, a, Change({{w, name}}), StatusCode::kInvalidArgument,
                  "tensor \"" + w + "\": its new name \"" + name +
                      "\" does not end with \"/.ATTRIBUTES/VARIABLE_VALUE\", by which TensorFlow finds the value of an "
                      "object; drop _CHECKPOINTABLE_OBJECT_GRAPH too, and it is a checkpoint of names alone");
  }
  const std::string parted =
      "tensor \"t/.ATTRIBUTES/table-values\": it is one of the tensors whose names begin with "
      "\"t/.ATTRIBUTES/table\": they are one value of an object, so they keep a beginning in common, or go together";
  ExpectRefused(directory, a, Change({{"t/.ATTRIBUTES/table-keys", std::nullopt}}), StatusCode::kInvalidArgument,
                parted);
  ExpectRefused(directory, a, Change({{"t/.ATTRIBUTES/table-keys", "u/.ATTRIBUTES/table-keys"}}),
                StatusCode::kInvalidArgument, parted);
}

TEST(Edit, RefusesToFollowADamagedObjectGraph) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{std::string(kObjectGraphKey), "G"}, {"x", "X"}}));
  const std::string message =
      a +
      ": tensor \"_CHECKPOINTABLE_OBJECT_GRAPH\": an object graph is stored as a scalar string, "
      "and this is none";
  ExpectRefused(directory, a, Change({{"x", "y"}}), StatusCode::kDataLoss, message);
  ASSERT_TRUE(EditIndex(a, "", Change({})).ok());
}

TEST(Edit, SaysWhatIsMissingOrDamaged) {
  const TemporaryDirectory directory;
  EXPECT_EQ(EditIndex(directory.File("a"), "", Change({})).system_error(), ENOENT);
  EXPECT_EQ(EditIndex(directory.File("a"), directory.File("b"), Change({})).system_error(), ENOENT);
  EXPECT_EQ(EditIndex(directory.File("no/a"), "", Change({})).system_error(), ENOENT);
  BundleMaker bundle = Bytes({{"x", "X"}});
  bundle.records["damaged"] = "\xFF";
  const std::string a = WriteBundle(directory, "a", bundle);
  // In a new checkpoint, every tensor needs a place.
  const Status status = EditIndex(a, directory.File("b"), Change({}));
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.tensor(), "damaged");
  EXPECT_EQ(status.path(), a + ".index");
  EXPECT_TRUE(EditIndex(a, directory.File("b"), Change({{"damaged", std::nullopt}})).ok());
  EXPECT_EQ(NamesIn(directory.path()).size(), 4u);
}

TEST(Edit, FailureLeavesEverythingAsItWas) {
  const TemporaryDirectory directory;
  const std::string a = WriteBundle(directory, "a", Bytes({{"x", "X"}}));
  fs::create_directories(directory.File("b.index/in"));
  const auto before = FilesIn(directory.path());
  EXPECT_EQ(EditIndex(a, directory.File("b"), Change({{"x", "y"}})).system_error(), EISDIR);
  EXPECT_EQ(FilesIn(directory.path()), before);
}

}  // namespace
}  // namespace tensorbundle
