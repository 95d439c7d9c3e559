#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/os_write.h"
#include "io/temporary_directory.h"
#include "slices/random_boxes.h"
#include "support/source_conformance.h"
#include "tensorbundle/checkpoint_writer.h"

namespace tensorbundle {
namespace {

using std::string_literals::operator""s;
using test_support::DistinctBytes;
using test_support::TemporaryDirectory;
namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

// Not to wait for the disk: what that changes is tested by itself.
WriteOptions Quick() {
  WriteOptions options;
  options.durable = false;
  return options;
}

// A tensor over bytes that lie row-major; `bytes` must stay.
TensorToWrite Over(const std::string& bytes, const std::string& name, DType dtype, std::vector<int64_t> shape) {
  return {name, dtype, std::move(shape), reinterpret_cast<const uint8_t*>(bytes.data()), {}, false, {}};
}
TensorToWrite BytesOver(const std::string& bytes, const std::string& name) {
  return Over(bytes, name, DType::kUint8, {static_cast<int64_t>(bytes.size())});
}
TensorToWrite StringsOver(const Texts& elements, const std::string& name, DType dtype = DType::kString) {
  TensorToWrite tensor{name, dtype, {static_cast<int64_t>(elements.size())}, nullptr, {}, false, {}};
  for (const std::string& element : elements) tensor.strings.emplace_back(element);
  return tensor;
}

std::string JoinedStrings(const Tensor& tensor) {
  std::string joined;
  for (const ByteView string : tensor.strings) joined += std::string(string.AsText()) + "|";
  return joined;
}

class Writer : public ::testing::Test {
 protected:
  const std::string& prefix() const { return prefix_; }
  std::string File(const std::string& name) const { return directory_.File(name); }
  Texts Names() const {
    const auto names = os::ListDirectory(directory_.path());
    EXPECT_TRUE(names.ok());
    return names.ok() ? *names : Texts();
  }
  // The bytes of every file in a directory, by name.
  static std::map<std::string, std::string> Contents(const std::string& directory) {
    std::map<std::string, std::string> contents;
    for (const auto& entry : fs::directory_iterator(directory)) {
      std::ifstream file(entry.path(), std::ios::binary);
      contents[entry.path().filename().string()] = {std::istreambuf_iterator<char>(file),
                                                    std::istreambuf_iterator<char>()};
    }
    return contents;
  }

  CheckpointWriter Create(const WriteOptions& options = Quick()) const { return CreateAt(prefix_, options); }
  static CheckpointWriter CreateAt(const std::string& prefix, const WriteOptions& options = Quick()) {
    auto writer = CheckpointWriter::Create(prefix, options);
    EXPECT_TRUE(writer.ok()) << writer.status().message();
    return std::move(writer).value();
  }
  Checkpoint Open() const {
    auto checkpoint = Checkpoint::Open(prefix_);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    return std::move(checkpoint).value();
  }
  // The elements as bytes, or as texts with a bar after each; or why not.
  std::string Read(const std::string& name) const {
    const auto tensor = Open().Read(name);
    if (!tensor.ok()) return tensor.status().message();
    return tensor->strings.empty() ? std::string(tensor->data.view().AsText()) : JoinedStrings(*tensor);
  }
  void ExpectUndamaged() const {
    const auto report = Open().VerifyAll();
    ASSERT_TRUE(report.ok());
    for (const Damage& damage : report->damaged) ADD_FAILURE() << damage.name << ": " << damage.why.message();
  }
  // Replaces the checkpoint by one of this tensor.
  void Save(const std::string& name, const std::string& bytes, const WriteOptions& options = Quick()) const {
    CheckpointWriter writer = Create(options);
    EXPECT_TRUE(writer.Add(BytesOver(bytes, name)).ok());
    const Status status = writer.Finish();
    EXPECT_TRUE(status.ok()) << status.message();
  }

  const TemporaryDirectory directory_;
  const std::string prefix_ = directory_.File("model");
};

void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.message(); }

void ExpectInvalid(const Status& status, const std::string& message) {
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), message);
}

// --- Creating ---

TEST_F(Writer, MakesTheDirectoryAndOneTemporaryInIt) {
  const CheckpointWriter writer = CreateAt(File("new/deep/model"));
  const std::map<std::string, std::string> contents = Contents(File("new/deep"));
  ASSERT_EQ(contents.size(), 1u);
  EXPECT_EQ(contents.begin()->first.substr(0, 21), "model.data-00000.tmp-");
}

TEST_F(Writer, LeavesNoDirectoryThatItMadeForNothing) {
  {
    const CheckpointWriter dropped = CreateAt(File("new/deep/model"));
  }
  EXPECT_EQ(Names(), Texts());
  EXPECT_EQ(CheckpointWriter::Create(File("new/" + std::string(240, 'n'))).status().system_error(), ENAMETOOLONG);
  EXPECT_EQ(Names(), Texts());
  CheckpointWriter abandoned = CreateAt(File("new/deep/model"));
  directory_.Write("new/theirs", "");
  abandoned.Abandon();
  EXPECT_EQ(Names(), Texts{"new"});
  EXPECT_FALSE(fs::exists(File("new/deep")));
  CheckpointWriter finished = CreateAt(File("new/deep/model"));
  ExpectOk(finished.Add(BytesOver("bytes", "w")));
  ExpectOk(finished.Finish());
  fs::remove(File("new/deep/model.index"));
  fs::remove(File("new/deep/model.data-00000-of-00001"));
  finished.Abandon();
  EXPECT_TRUE(fs::is_directory(File("new/deep")));
}

TEST_F(Writer, KeepsItsPlaceWhateverBecomesOfTheWorkingDirectory) {
  const fs::path before = fs::current_path();
  fs::create_directory(File("elsewhere"));
  fs::current_path(directory_.path());
  CheckpointWriter writer = CreateAt("model");
  fs::current_path(File("elsewhere"));
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  const Status status = writer.Finish();
  fs::current_path(before);
  ExpectOk(status);
  EXPECT_EQ(Names(), (Texts{"elsewhere", "model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(Read("w"), "bytes");
}

TEST_F(Writer, SaysWhatIsWrongWithThePlace) {
  directory_.Write("file", "");
  fs::create_directory(File("model.index"));
  const auto error = [this](const std::string& name) { return CheckpointWriter::Create(File(name)).status(); };
  EXPECT_EQ(error("file/model").system_error(), EEXIST);
  EXPECT_EQ(error("model").system_error(), EISDIR);
  EXPECT_EQ(error("model").path(), File("model.index"));
  EXPECT_EQ(error(std::string(240, 'n')).system_error(), ENAMETOOLONG);
  EXPECT_EQ(Names(), (Texts{"file", "model.index"}));
}

TEST_F(Writer, RefusesPathsThatNameNoCheckpoint) {
  const auto error = [](const std::string& prefix) { return CheckpointWriter::Create(prefix).status(); };
  const std::string why = "a checkpoint's path ends with its name, as in run/model.ckpt-100; this names a directory";
  ExpectInvalid(error(""), "a checkpoint needs a path, and this one is empty");
  for (const char* name : {"runs/.", "runs/.."}) ExpectInvalid(error(File(name)), File(name) + ": " + why);
  ExpectInvalid(error(File("runs/")), File("runs/") + ": " + why);
  EXPECT_EQ(error(File("runs/")).path(), File("runs/"));
  ExpectInvalid(error(File("mo\0del"s)), "a path may not contain a NUL byte");
  EXPECT_EQ(Names(), Texts());
}

TEST_F(Writer, RefusesImpossibleOptions) {
  const auto error = [this](int32_t num_shards, uint64_t alignment) {
    WriteOptions options;
    options.num_shards = num_shards;
    options.alignment = alignment;
    return CheckpointWriter::Create(prefix(), options).status();
  };
  ExpectInvalid(error(0, 64), "a checkpoint has 1 to 100000 shards, not 0");
  ExpectInvalid(error(-1, 64), "a checkpoint has 1 to 100000 shards, not -1");
  ExpectInvalid(error(100001, 64), "a checkpoint has 1 to 100000 shards, not 100001");
  ExpectInvalid(error(1, 0), "alignment is a power of two from 1 to 1048576, not 0");
  ExpectInvalid(error(1, 48), "alignment is a power of two from 1 to 1048576, not 48");
  ExpectInvalid(error(1, 2 << 20), "alignment is a power of two from 1 to 1048576, not 2097152");
  EXPECT_EQ(Names(), Texts());
  ExpectOk(error(1, 1 << 20));
}

// --- Tensors ---

TEST_F(Writer, WritesEveryDType) {
  const std::string bytes = DistinctBytes(6 * 16);
  CheckpointWriter writer = Create();
  for (const DTypeInfo& info : kDTypes) {
    if (info.size_bytes == 0) continue;
    ExpectOk(writer.Add(Over(bytes, info.name, info.dtype, {2, 3})));
  }
  const Texts elements = {"one", "", "three"};
  ExpectOk(writer.Add(StringsOver(elements, "string")));
  ExpectOk(writer.Add(StringsOver(elements, "variant", DType::kVariant)));
  ExpectOk(writer.Finish());

  const Checkpoint checkpoint = Open();
  ASSERT_EQ(checkpoint.entries().size(), std::size(kDTypes));
  for (const DTypeInfo& info : kDTypes) {
    const Entry* const entry = checkpoint.Find(info.name);
    ASSERT_NE(entry, nullptr) << info.name;
    EXPECT_EQ(entry->dtype, info.dtype);
    if (info.size_bytes == 0) {
      EXPECT_EQ(Read(info.name), "one||three|");
      continue;
    }
    EXPECT_EQ(entry->shape, (std::vector<int64_t>{2, 3}));
    std::string expected = bytes.substr(0, size_t{6} * info.size_bytes);
    for (char& byte : expected) {
      if (info.dtype == DType::kBool) byte = byte != 0 ? 1 : 0;
      if (info.value_bits < 8 && info.dtype != DType::kBool) {
        byte = static_cast<char>(byte & ((1 << info.value_bits) - 1));
      }
    }
    EXPECT_EQ(Read(info.name), expected) << info.name;
    EXPECT_TRUE(checkpoint.Aligned(*entry)) << info.name;
  }
  ExpectUndamaged();
}

TEST_F(Writer, WritesTensorsWithoutElementsAndScalars) {
  CheckpointWriter writer = Create();
  const std::string scalar = "abcd";
  ExpectOk(writer.Add(Over(scalar, "scalar", DType::kFloat32, {})));
  ExpectOk(writer.Add({"empty", DType::kFloat32, {3, 0, 2}, nullptr, {1, 2, 3}, false, {}}));
  ExpectOk(writer.Add({"vast but empty", DType::kFloat32, {INT64_MAX, 0, INT64_MAX}, nullptr, {}, false, {}}));
  ExpectOk(writer.Add(StringsOver({}, "no strings")));
  ExpectOk(writer.Add(StringsOver({}, "no variants", DType::kVariant)));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("scalar"), "abcd");
  for (const char* const name : {"empty", "vast but empty", "no strings", "no variants"}) EXPECT_EQ(Read(name), "");
  EXPECT_EQ(Open().Find("vast but empty")->shape, (std::vector<int64_t>{INT64_MAX, 0, INT64_MAX}));
  ExpectUndamaged();
}

TEST_F(Writer, TakesElementsFromWhereverTheyAre) {
  const std::string bytes = "abcdefghijkl";
  TensorToWrite transposed = Over(bytes, "transposed", DType::kInt16, {3, 2});
  transposed.strides = {2, 6};
  TensorToWrite backwards = Over(bytes, "backwards", DType::kInt8, {12});
  backwards.data += 11;
  backwards.strides = {-1};
  TensorToWrite foreign = Over(bytes, "foreign", DType::kInt32, {3});
  foreign.foreign_byte_order = true;
  CheckpointWriter writer = Create();
  ExpectOk(writer.AddMany({transposed, backwards, foreign}));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("transposed"), "abghcdijefkl");
  EXPECT_EQ(Read("backwards"), "lkjihgfedcba");
  EXPECT_EQ(Read("foreign"), "dcbahgfelkji");
  ExpectUndamaged();
}

TEST_F(Writer, TakesAnyBytesForNames) {
  const Texts names = {" ", "a", "a/b", "a\0b"s, "\x01", "\xFF\xFE", std::string(5000, 'n')};
  CheckpointWriter writer = Create();
  for (const std::string& name : names) ExpectOk(writer.Add(BytesOver(name, name)));
  ExpectOk(writer.Finish());
  for (const std::string& name : names) EXPECT_EQ(Read(name), name);
  EXPECT_EQ(Open().entries().size(), names.size());
}

TEST_F(Writer, KeepsTheOrderOfABatchInItsFilesWhateverTheNames) {
  Texts bytes;
  for (size_t i = 0; i < 50; ++i) bytes.push_back(DistinctBytes(100 + i));
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < bytes.size(); ++i) {
    tensors.push_back(BytesOver(bytes[i], std::to_string(i * 7919 % 50) + " of " + std::to_string(i)));
  }
  for (const uint64_t alignment : {1, 64, 4096}) {
    WriteOptions options = Quick();
    options.alignment = alignment;
    options.num_shards = 3;
    CheckpointWriter writer = Create(options);
    ExpectOk(writer.AddMany(tensors));
    ExpectOk(writer.Finish());
    const Checkpoint checkpoint = Open();
    std::map<int32_t, uint64_t> ends;
    int32_t shard = 0;
    for (const TensorToWrite& tensor : tensors) {
      const Entry& entry = *checkpoint.Find(tensor.name);
      EXPECT_GE(entry.shard, shard);
      shard = entry.shard;
      EXPECT_EQ(entry.offset_in_shard, ends[shard]);
      ends[shard] = (entry.offset_in_shard + entry.size_bytes + alignment - 1) / alignment * alignment;
    }
    // At first three; then four, to differ; then three again.
    EXPECT_GE(shard, 2);
    ExpectUndamaged();
  }
}

TEST_F(Writer, PadsTheLastTensorOfAFileToo) {
  for (const auto& [alignment, size_bytes] : std::map<uint64_t, uint64_t>{{1, 10}, {16, 16}, {64, 64}}) {
    const TemporaryDirectory directory;
    WriteOptions options = Quick();
    options.alignment = alignment;
    CheckpointWriter writer = CreateAt(directory.File("m"), options);
    const std::string bytes = "0123456789";
    ExpectOk(writer.Add(BytesOver(bytes, "w")));
    ExpectOk(writer.Finish());
    EXPECT_EQ(Contents(directory.path())["m.data-00000-of-00001"],
              bytes + std::string(size_bytes - bytes.size(), '\0'));
  }
}

// A bit of everything, in several calls. `bytes` are at least 3 MiB and outlive the writer.
Status AddEverything(const std::string& bytes, CheckpointWriter* writer) {
  std::vector<TensorToWrite> batch = {Over(bytes, "large", DType::kFloat32, {3, 256, 1000}),
                                      Over(bytes, "bools", DType::kBool, {700000})};
  for (int i = 0; i < 200; ++i) batch.push_back(Over(bytes, "tiny " + std::to_string(i), DType::kInt64, {}));
  static const Texts elements = {"a", std::string(300000, 'b'), ""};
  batch.push_back(StringsOver(elements, "strings"));
  Status status = writer->AddMany(batch);
  if (status.ok()) status = writer->Add(Over(bytes, "late", DType::kUint8, {5}));
  if (status.ok()) status = writer->AddSlice(Over(bytes, "parts", DType::kInt8, {2, 3}), {2, 5}, {0, 2});
  if (status.ok()) status = writer->AddSlice(Over(bytes, "parts", DType::kInt8, {2, 2}), {2, 5}, {0, 0});
  if (status.ok()) status = writer->BeginChunks("chunks", DType::kFloat64, {100, 1000});
  for (size_t i = 0; i < 8 && status.ok(); ++i) status = writer->AppendChunk(ByteView(bytes).Slice(i, 100000));
  return status;
}

TEST_F(Writer, MakesTheSameBytesOfTheSameInputOnAFreshPrefix) {
  const std::string bytes = DistinctBytes(4 << 20);
  for (const uint64_t max_shard_bytes : {0, 1000000}) {
    std::map<std::string, std::string> first;
    for (const int threads : {1, 2, 4}) {
      const TemporaryDirectory directory;
      WriteOptions options = Quick();
      options.threads = threads;
      options.num_shards = 3;
      options.max_shard_bytes = max_shard_bytes;
      CheckpointWriter writer = CreateAt(directory.File("m"), options);
      ExpectOk(AddEverything(bytes, &writer));
      ExpectOk(writer.Finish());
      if (threads == 1) first = Contents(directory.path());
      EXPECT_TRUE(Contents(directory.path()) == first) << threads;
    }
    EXPECT_GE(first.size(), 4u);
  }
}

TEST_F(Writer, WritesTheSameIfItHasToSurviveAPowerCut) {
  const std::string bytes = DistinctBytes(4 << 20);
  std::map<std::string, std::string> quick;
  for (const bool durable : {false, true}) {
    const TemporaryDirectory directory;
    WriteOptions options;
    options.durable = durable;
    CheckpointWriter writer = CreateAt(directory.File("m"), options);
    ExpectOk(AddEverything(bytes, &writer));
    ExpectOk(writer.Finish());
    if (!durable) quick = Contents(directory.path());
    EXPECT_TRUE(Contents(directory.path()) == quick);
  }
}

TEST_F(Writer, SpreadsTheFirstBatchAndFillsUpLater) {
  const std::string bytes = DistinctBytes(1000);
  WriteOptions options = Quick();
  options.num_shards = 2;
  options.alignment = 1;
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.AddMany({}));  // No batch.
  ExpectOk(writer.AddMany({Over(bytes, "a", DType::kInt8, {10}), Over(bytes, "b", DType::kInt8, {20}),
                           Over(bytes, "c", DType::kInt8, {40})}));
  ExpectOk(writer.Add(Over(bytes, "d", DType::kInt8, {15})));
  ExpectOk(writer.AddMany({Over(bytes, "e", DType::kInt8, {1}), Over(bytes, "f", DType::kInt8, {1})}));
  ExpectOk(writer.Finish());
  const Checkpoint checkpoint = Open();
  EXPECT_EQ(checkpoint.num_shards(), 2);
  std::map<std::string, int32_t> shards;
  for (const Entry& entry : checkpoint.entries()) shards[entry.name] = entry.shard;
  EXPECT_EQ(shards, (std::map<std::string, int32_t>{{"a", 0}, {"b", 0}, {"c", 1}, {"d", 0}, {"e", 1}, {"f", 1}}));
}

TEST_F(Writer, MakesNoFilesWithoutATensor) {
  WriteOptions options = Quick();
  options.num_shards = 3;
  Save("w", "bytes", options);
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(Read("w"), "bytes");
}

TEST_F(Writer, MakesFilesForTensorsThatComeOneByOne) {
  WriteOptions options = Quick();
  options.num_shards = 3;
  CheckpointWriter writer = Create(options);
  for (const char* name : {"a", "b", "c", "d"}) ExpectOk(writer.Add(BytesOver("bytes", name)));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00003", "model.data-00001-of-00003", "model.data-00002-of-00003",
                            "model.index"}));
}

// --- Limits on the size of a file ---

TEST_F(Writer, SlicesWhatIsTooLargeForAFile) {
  const std::string bytes = DistinctBytes(1200);
  WriteOptions options = Quick();
  options.max_shard_bytes = 256;
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.AddMany({Over(bytes, "before", DType::kInt8, {10}), Over(bytes, "cut", DType::kFloat32, {10, 30}),
                           Over(bytes, "after", DType::kInt8, {10})}));
  ExpectOk(writer.Finish());
  EXPECT_TRUE(writer.oversized().empty());
  const Checkpoint checkpoint = Open();
  const Entry& cut = *checkpoint.Find("cut");
  ASSERT_EQ(cut.slices.size(), 5u);  // Two rows of 120 bytes each.
  EXPECT_EQ(cut.slices[1], (Slice{{{2, 2}, {0, 30}}}));
  EXPECT_EQ(checkpoint.num_shards(), 7);
  EXPECT_EQ(Read("before"), bytes.substr(0, 10));
  EXPECT_EQ(Read("cut"), bytes);
  EXPECT_EQ(Read("after"), bytes.substr(0, 10));
  for (const auto& [name, content] : Contents(directory_.path())) {
    EXPECT_TRUE(name == "model.index" || content.size() <= 256) << name;
  }
  ExpectUndamaged();
}

TEST_F(Writer, LeavesWholeWhatTensorFlowCouldNotPutTogetherAndSaysSo) {
  const std::string bytes = DistinctBytes(1200);
  const Texts elements = {bytes, bytes};
  WriteOptions options = Quick();
  options.max_shard_bytes = 256;
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.AddMany({Over(bytes, "float16", DType::kFloat16, {600}), StringsOver(elements, "strings"),
                           Over(bytes, "small", DType::kFloat16, {128}),
                           Over(bytes, "rank 9", DType::kInt8, {1, 1, 1, 1, 1, 1, 1, 1, 257})}));
  EXPECT_EQ(writer.oversized(), (Texts{"float16", "strings", "rank 9"}));
  ExpectOk(writer.BeginChunks("chunks", DType::kUint64, {150}));
  EXPECT_EQ(writer.oversized(), (Texts{"float16", "strings", "rank 9", "chunks"}));
  ExpectOk(writer.AppendChunk(ByteView(bytes)));
  // The caller made the slices, and knows.
  ExpectOk(writer.AddSlice(Over(bytes, "sliced", DType::kInt8, {300}), {301}, {0}));
  ExpectOk(writer.AddSlice(Over(bytes, "sliced", DType::kInt8, {1}), {301}, {300}));
  ExpectOk(writer.Finish());
  EXPECT_EQ(writer.oversized().size(), 4u);
  EXPECT_EQ(Read("float16"), bytes);
  EXPECT_EQ(Read("strings"), bytes + "|" + bytes + "|");
  EXPECT_EQ(Read("chunks"), bytes);
  EXPECT_TRUE(Open().Find("float16")->slices.empty());
  ExpectUndamaged();
}

TEST_F(Writer, RefusesALimitThatMakesTooManyFilesAndGoesOn) {
  const std::string bytes = DistinctBytes(60000);
  WriteOptions options = Quick();
  options.max_shard_bytes = 1;
  options.alignment = 1;
  CheckpointWriter writer = Create(options);
  const std::string many(100001, 'x');
  const std::string why = "a limit of 1 bytes a data file would make more than 100000 of them";
  EXPECT_EQ(writer.Add(BytesOver(many, "many")).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer.AddMany({BytesOver(bytes, "half"), BytesOver(bytes, "other half")}).message(), why);
  EXPECT_EQ(writer.BeginChunks("many", DType::kInt8, {100001}).code(), StatusCode::kInvalidArgument);
  ExpectOk(writer.Add(Over(bytes, "few", DType::kInt8, {3})));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Names().size(), 4u);
  EXPECT_EQ(Read("few"), bytes.substr(0, 3));
}

// --- Slices ---

TEST_F(Writer, PutsSlicesTogetherInWhateverOrderTheyCome) {
  Random random(1);
  CheckpointWriter writer = Create();
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 30; ++i) {
    const std::string name = "w" + std::to_string(i);
    const Shape shape = RandomShape(&random, 3, 6);
    std::vector<Box> tiles;
    RandomTiling(&random, WholeBox(shape), &tiles);
    Shuffle(&random, &tiles);
    std::string& bytes = expected[name];
    bytes = DistinctBytes(2 * WholeBox(shape).NumElements());
    for (const Box& tile : tiles) {
      // The piece as a window into the whole.
      TensorToWrite piece = Over(bytes, name, DType::kFloat16, tile.shape);
      int64_t stride = 2;
      piece.strides.resize(shape.size());
      for (size_t d = shape.size(); d-- > 0; stride *= shape[d]) {
        piece.strides[d] = stride;
        piece.data += tile.start[d] * stride;
      }
      ExpectOk(writer.AddSlice(piece, shape, tile.start));
    }
  }
  ExpectOk(writer.Finish());
  for (const auto& [name, bytes] : expected) EXPECT_EQ(Read(name), bytes) << name;
  ExpectUndamaged();
}

TEST_F(Writer, PutsSlicesOfStringsTogether) {
  const Texts left = {"a", "c"};
  const Texts right = {"b", "d"};
  TensorToWrite piece = StringsOver(right, "s");
  piece.shape = {2, 1};
  CheckpointWriter writer = Create();
  ExpectOk(writer.AddSlice(piece, {2, 2}, {0, 1}));
  piece = StringsOver(left, "s");
  piece.shape = {2, 1};
  ExpectOk(writer.AddSlice(piece, {2, 2}, {0, 0}));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("s"), "a|b|c|d|");
}

TEST_F(Writer, StoresASliceThatIsTheWholeTensorAsOne) {
  const std::string bytes = "abcdef";
  CheckpointWriter writer = Create();
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {2, 3}), {2, 3}, {0, 0}));
  ExpectOk(writer.AddSlice(Over(bytes, "scalar", DType::kInt8, {}), {}, {}));
  ExpectInvalid(writer.AddSlice(Over(bytes, "w", DType::kInt8, {1, 3}), {2, 3}, {0, 0}),
                "tensor \"w\": there is a tensor of this name already");
  ExpectOk(writer.Finish());
  EXPECT_TRUE(Open().Find("w")->slices.empty());
  EXPECT_EQ(Read("w"), bytes);
  EXPECT_EQ(Read("scalar"), "a");
}

TEST_F(Writer, RefusesSlicesThatMakeNoSense) {
  const std::string bytes = DistinctBytes(64);
  CheckpointWriter writer = Create();
  const auto error = [&](DType dtype, const Shape& shape, const Shape& full_shape, const Shape& start) {
    return writer.AddSlice(Over(bytes, "w", dtype, shape), full_shape, start);
  };
  ExpectOk(error(DType::kInt8, {2, 3}, {4, 6}, {1, 2}));
  ExpectInvalid(error(DType::kInt8, {1, 3}, {4, 6}, {0, 4}),
                "tensor \"w\": region, dimension 1: 3 elements from 4 in steps of 1 leave the dimension, which has 6");
  ExpectInvalid(error(DType::kInt8, {1, 3}, {4, 6}, {-1, 0}),
                "tensor \"w\": region, dimension 0: start -1 is negative");
  ExpectInvalid(error(DType::kInt8, {1, 3}, {4, 6}, {INT64_MAX, 0}),
                "tensor \"w\": region, dimension 0: 1 elements from 9223372036854775807 in steps of 1 leave the "
                "dimension, which has 4");
  ExpectInvalid(error(DType::kInt8, {3}, {4, 6}, {0, 0}),
                "tensor \"w\": region has 2 starts, 1 sizes and 0 steps, its tensor has 2 dimensions");
  ExpectInvalid(error(DType::kInt8, {0, 3}, {4, 6}, {0, 0}), "tensor \"w\": a slice without elements");
  ExpectInvalid(error(DType::kInt8, {2, 2}, {4, 6}, {2, 4}),
                "tensor \"w\": its slices [1:3, 2:5] and [2:4, 4:6] overlap");
  ExpectInvalid(error(DType::kInt8, {1, 1}, {4, 7}, {0, 0}),
                "tensor \"w\": its slices disagree on dtype or full shape: int8 [4, 6] and int8 [4, 7]");
  EXPECT_EQ(error(DType::kUint8, {1, 1}, {4, 6}, {0, 0}).code(), StatusCode::kInvalidArgument);
  ExpectInvalid(error(DType::kInt8, {1, 1}, {INT64_MAX, 6}, {0, 0}),
                "tensor \"w\": no tensor can have shape [9223372036854775807, 6]");
  ExpectInvalid(writer.Add(Over(bytes, "w", DType::kInt8, {4, 6})),
                "tensor \"w\": there is a tensor of this name already");
  ExpectInvalid(writer.AddSlice(Over(bytes, "w", DType::kInt8, {4, 6}), {4, 6}, {0, 0}),
                "tensor \"w\": there is a tensor of this name already");
  // All of that left the tensor as it was.
  ExpectOk(error(DType::kInt8, {1, 6}, {4, 6}, {0, 0}));
  ExpectOk(error(DType::kInt8, {1, 6}, {4, 6}, {3, 0}));
  ExpectOk(error(DType::kInt8, {2, 2}, {4, 6}, {1, 0}));
  ExpectOk(error(DType::kInt8, {2, 1}, {4, 6}, {1, 5}));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Open().Find("w")->slices.size(), 5u);
  ExpectUndamaged();
}

TEST_F(Writer, WaitsForTheSlicesThatAreMissing) {
  const std::string bytes = DistinctBytes(64);
  CheckpointWriter writer = Create();
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {2}), {5}, {0}));
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {1}), {5}, {4}));
  const Status status = writer.Finish();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.tensor(), "w");
  EXPECT_NE(status.message().find("its slices are not all there: "), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("[2:4]"), std::string::npos) << status.message();
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {2}), {5}, {2}));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("w"), bytes.substr(0, 2) + bytes.substr(0, 2) + bytes.substr(0, 1));
}

TEST_F(Writer, LeavesSlicesToOtherWritersIfItIsPartial) {
  const std::string bytes = "abcd";
  WriteOptions options = Quick();
  options.partial = true;
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {2}), {5}, {3}));
  ExpectOk(writer.Add(BytesOver(bytes, "whole")));
  ExpectInvalid(writer.AddSlice(Over(bytes, "w", DType::kInt8, {2}), {5}, {2}),
                "tensor \"w\": its slices [3:5] and [2:4] overlap");
  ExpectOk(writer.Finish());
  const Checkpoint checkpoint = Open();
  EXPECT_EQ(Read("whole"), bytes);
  const Entry& entry = *checkpoint.Find("w");
  EXPECT_EQ(entry.slices, (std::vector<Slice>{{{{3, 2}}}}));
  EXPECT_EQ(checkpoint.Problem(entry).code(), StatusCode::kDataLoss);
}

// --- Chunks ---

TEST_F(Writer, TakesATensorInPartsCutAnywhere) {
  Random random(1);
  const std::string bytes = DistinctBytes(3000);
  const DType dtypes[] = {DType::kFloat32, DType::kComplex128, DType::kBool, DType::kUint4, DType::kInt8};
  for (const uint64_t max_shard_bytes : {0, 100, 1000}) {
    WriteOptions options = Quick();
    options.max_shard_bytes = max_shard_bytes;
    CheckpointWriter writer = Create(options);
    std::vector<std::pair<std::string, std::string>> expected;
    for (int i = 0; i < 25; ++i) {
      const DType dtype = dtypes[i % 5];
      const Shape shape = RandomShape(&random, 3, 5);
      const uint64_t size = WholeBox(shape).NumElements() * FindDTypeInfo(dtype)->size_bytes;
      const std::string name = "w" + std::to_string(i);
      std::string content = bytes.substr(static_cast<size_t>(i), size);
      ExpectOk(writer.BeginChunks(name, dtype, shape));
      for (size_t done = 0; done < size;) {
        const auto step =
            static_cast<size_t>(random.Below(static_cast<int64_t>(std::min<size_t>(size - done, 90)) + 1));
        ExpectOk(writer.AppendChunk(ByteView(content).Slice(done, step)));
        done += step;
      }
      for (char& byte : content) {
        if (dtype == DType::kBool) byte = byte != 0 ? 1 : 0;
        if (dtype == DType::kUint4) byte = static_cast<char>(byte & 0x0F);
      }
      expected.emplace_back(name, content);
    }
    ExpectOk(writer.Finish());
    for (const auto& [name, content] : expected) EXPECT_EQ(Read(name), content) << name;
    ExpectUndamaged();
  }
}

TEST_F(Writer, TakesLargeChunksAcrossFiles) {
  const std::string bytes = DistinctBytes(5 << 20);
  WriteOptions options = Quick();
  options.max_shard_bytes = 1 << 20;
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.BeginChunks("w", DType::kInt8, {5 << 20}));
  ExpectOk(writer.AppendChunk(ByteView(bytes).Slice(0, 100)));
  ExpectOk(writer.AppendChunk(ByteView(bytes).Slice(100, bytes.size() - 100)));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Open().Find("w")->slices.size(), 5u);
  EXPECT_TRUE(Read("w") == bytes);
  ExpectUndamaged();
}

TEST_F(Writer, IsDoneAtOnceWithATensorOfNoChunks) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.BeginChunks("empty", DType::kFloat32, {0, 3}));
  ExpectInvalid(writer.AppendChunk(ByteView("x")), "no tensor is being added in parts");
  ExpectOk(writer.Finish());
  EXPECT_EQ(Open().Find("empty")->shape, (std::vector<int64_t>{0, 3}));
}

TEST_F(Writer, LetsOtherTensorsWaitUntilAllBytesAreThere) {
  const std::string bytes = "abcdefgh";
  const std::string why = "tensor \"w\": 5 bytes of it are still missing";
  CheckpointWriter writer = Create();
  ExpectInvalid(writer.AppendChunk(ByteView("x")), "no tensor is being added in parts");
  ExpectOk(writer.BeginChunks("w", DType::kInt16, {4}));
  ExpectOk(writer.AppendChunk(ByteView("ABC")));
  ExpectInvalid(writer.Add(BytesOver(bytes, "x")), why);
  ExpectInvalid(writer.AddMany({BytesOver(bytes, "x")}), why);
  ExpectInvalid(writer.AddSlice(Over(bytes, "x", DType::kInt8, {1}), {2}, {0}), why);
  ExpectInvalid(writer.BeginChunks("x", DType::kInt8, {1}), why);
  ExpectInvalid(writer.Finish(), why);
  ExpectInvalid(writer.AppendChunk(ByteView("DEFGHI")), "tensor \"w\": 6 bytes are given, 5 are missing");
  ExpectOk(writer.AppendChunk(ByteView()));
  ExpectOk(writer.AppendChunk(ByteView("DEFGH")));
  ExpectInvalid(writer.AppendChunk(ByteView("x")), "no tensor is being added in parts");
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("w"), "ABCDEFGH");
}

TEST_F(Writer, RefusesChunksOfWhatCannotBeTakenInParts) {
  CheckpointWriter writer = Create();
  const std::string why = "strings can't be added in parts: their lengths come first";
  ExpectInvalid(writer.BeginChunks("s", DType::kString, {1}), "tensor \"s\": " + why);
  ExpectInvalid(writer.BeginChunks("s", DType::kVariant, {1}), "tensor \"s\": " + why);
  ExpectInvalid(writer.BeginChunks("s", DType::kInt8, {-1}), "tensor \"s\": no tensor can have shape [-1]");
  ExpectInvalid(writer.BeginChunks("", DType::kInt8, {1}),
                "tensor \"\": a tensor needs a name: the empty one is the format's own");
  ExpectOk(writer.BeginChunks("s", DType::kInt8, {1}));
}

// --- The caller's mistakes ---

TEST_F(Writer, RefusesTensorsThatNoCheckpointCanHold) {
  const std::string bytes = DistinctBytes(64);
  const Texts elements = {"a", "b"};
  CheckpointWriter writer = Create();
  const auto error = [&](const std::string& name, DType dtype, const Shape& shape) {
    return writer.Add(Over(bytes, name, dtype, shape));
  };
  ExpectInvalid(error("", DType::kInt8, {1}), "tensor \"\": a tensor needs a name: the empty one is the format's own");
  EXPECT_EQ(error("\0x"s, DType::kInt8, {1}).code(), StatusCode::kInvalidArgument);
  for (const int number : {0, 20, 34, 101, -1}) {
    ExpectInvalid(error("w", static_cast<DType>(number), {1}),
                  "tensor \"w\": a checkpoint can't hold tensors of dtype number " + std::to_string(number));
  }
  ExpectInvalid(error("w", DType::kInt8, {3, -2}), "tensor \"w\": no tensor can have shape [3, -2]");
  ExpectInvalid(error("w", DType::kFloat32, {INT64_MAX / 2}),
                "tensor \"w\": no tensor can have shape [4611686018427387903]");
  ExpectInvalid(error("w", DType::kInt8, Shape(255, 1)), "tensor \"w\": a tensor has at most 254 dimensions, not 255");
  ExpectInvalid(writer.Add({"w", DType::kInt8, {1}, nullptr, {}, false, {}}),
                "tensor \"w\": a tensor with elements has no data");
  TensorToWrite strided = Over(bytes, "w", DType::kInt8, {2, 2});
  strided.strides = {1};
  ExpectInvalid(writer.Add(strided), "tensor \"w\": shape and strides differ in length: 2 and 1");
  TensorToWrite strings = StringsOver(elements, "w");
  strings.shape = {3};
  ExpectInvalid(writer.Add(strings), "tensor \"w\": shape [3] has 3 elements, 2 are given");
  ExpectOk(error("w", DType::kInt8, Shape(254, 1)));
  ExpectInvalid(error("w", DType::kInt8, {1}), "tensor \"w\": there is a tensor of this name already");
  ExpectInvalid(writer.BeginChunks("w", DType::kInt8, {1}), "tensor \"w\": there is a tensor of this name already");
  ExpectInvalid(writer.AddSlice(Over(bytes, "w", DType::kInt8, {1}), {2}, {0}),
                "tensor \"w\": there is a tensor of this name already");
  ExpectOk(writer.Finish());
  EXPECT_EQ(Open().entries().size(), 1u);
}

TEST_F(Writer, TakesNothingOfABatchWithAMistake) {
  const std::string bytes = DistinctBytes(64);
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver(bytes, "a")));
  ExpectInvalid(writer.AddMany({BytesOver(bytes, "b"), Over(bytes, "c", DType::kInt8, {-1})}),
                "tensor \"c\": no tensor can have shape [-1]");
  ExpectInvalid(writer.AddMany({BytesOver(bytes, "b"), BytesOver(bytes, "c"), BytesOver(bytes, "b")}),
                "tensor \"b\": there is a tensor of this name already");
  ExpectInvalid(writer.AddMany({BytesOver(bytes, "b"), BytesOver(bytes, "a")}),
                "tensor \"a\": there is a tensor of this name already");
  ExpectOk(writer.Add(BytesOver(bytes, "b")));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Open().entries().size(), 2u);
  // Not a byte of the refused ones.
  EXPECT_EQ(Contents(directory_.path())["model.data-00000-of-00001"], bytes + bytes);
}

TEST_F(Writer, FindsNamesThatAreThereAlreadyInAFirstBatch) {
  const std::string bytes = "x";
  CheckpointWriter writer = Create();
  ExpectInvalid(writer.AddMany({BytesOver(bytes, "a"), BytesOver(bytes, "b"), BytesOver(bytes, "a")}),
                "tensor \"a\": there is a tensor of this name already");
  ExpectInvalid(writer.Finish(), prefix() + ": a checkpoint holds at least one tensor");
  ExpectOk(writer.AddMany({BytesOver(bytes, "a"), BytesOver(bytes, "b")}));
  ExpectOk(writer.Finish());
}

// --- Ends ---

TEST_F(Writer, LeavesNothingUnlessItFinishes) {
  {
    CheckpointWriter writer = Create();
    ExpectOk(writer.Add(BytesOver("bytes", "w")));
    EXPECT_EQ(Names().size(), 1u);
  }
  EXPECT_EQ(Names(), Texts());
  {
    CheckpointWriter writer = Create();
    ExpectOk(writer.BeginChunks("w", DType::kInt8, {10}));
    ExpectOk(writer.AppendChunk(ByteView("half")));
  }
  EXPECT_EQ(Names(), Texts());
}

TEST_F(Writer, TakesNothingMoreOnceItIsAbandoned) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  writer.Abandon();
  EXPECT_EQ(Names(), Texts());
  const std::string why = prefix() + ": the checkpoint was abandoned";
  ExpectInvalid(writer.Add(BytesOver("bytes", "x")), why);
  ExpectInvalid(writer.AddMany({}), why);
  ExpectInvalid(writer.AddSlice(BytesOver("bytes", "x"), {6}, {0}), why);
  ExpectInvalid(writer.BeginChunks("x", DType::kInt8, {1}), why);
  ExpectInvalid(writer.AppendChunk(ByteView("x")), why);
  ExpectInvalid(writer.Finish(), why);
  writer.Abandon();
  EXPECT_EQ(Names(), Texts());
}

TEST_F(Writer, TakesNothingMoreOnceItHasFinished) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  ExpectOk(writer.Finish());
  const std::string why = prefix() + ": the checkpoint was finished already";
  ExpectInvalid(writer.Add(BytesOver("bytes", "x")), why);
  ExpectInvalid(writer.Finish(), why);
  writer.Abandon();
  ExpectInvalid(writer.Finish(), why);
  EXPECT_EQ(Read("w"), "bytes");
}

TEST_F(Writer, CanBeMoved) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  ExpectOk(writer.BeginChunks("chunks", DType::kInt8, {2}));
  CheckpointWriter moved(std::move(writer));
  ExpectOk(moved.AppendChunk(ByteView("ab")));
  {
    CheckpointWriter other = CreateAt(File("other"));
    EXPECT_EQ(Names().size(), 2u);
    other = std::move(moved);
    EXPECT_EQ(Names().size(), 1u);  // What was written for "other" is gone.
    ExpectOk(other.Finish());
  }
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  EXPECT_EQ(Read("w"), "bytes");
  EXPECT_EQ(Read("chunks"), "ab");
}

TEST_F(Writer, BelongsToTheProcessThatCreatedIt) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  const Texts before = Names();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    const std::string why = prefix() + ": it was opened by process " + std::to_string(parent) +
                            ", and this is process " + std::to_string(getpid()) +
                            ": a forked child can only abandon its copy of the writer";
    ExpectInvalid(writer.Add(BytesOver("more", "x")), why);
    ExpectInvalid(writer.BeginChunks("x", DType::kInt8, {2}), why);
    ExpectInvalid(writer.Finish(), why);
    writer.Abandon();
    ExpectInvalid(writer.Finish(), why);
    EXPECT_EQ(Names(), before);
    _exit(HasFailure() ? 1 : 0);
  }
  int outcome = -1;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  EXPECT_EQ(outcome, 0);
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("w"), "bytes");
}

// --- Replacing ---

TEST_F(Writer, LeavesTheOldCheckpointReadableUntilItFinishesAndItsViewsForGood) {
  Save("w", "old bytes");
  const Checkpoint old = Open();
  const auto view = old.Read("w");
  ASSERT_TRUE(view.ok());
  {
    CheckpointWriter writer = Create();
    ExpectOk(writer.Add(BytesOver("new bytes", "w")));
    EXPECT_EQ(Read("w"), "old bytes");
    ExpectOk(writer.Finish());
  }
  EXPECT_EQ(Read("w"), "new bytes");
  Save("w", "third one");
  EXPECT_EQ(view->data.view().AsText(), "old bytes");
  EXPECT_EQ(old.Read("w")->data.view().AsText(), "old bytes");
  EXPECT_EQ(Read("w"), "third one");
}

TEST_F(Writer, AlternatesBetweenTwoNumbersOfFiles) {
  const std::string bytes = DistinctBytes(1000);
  for (const int32_t num_shards : {1, 2, 1, 2}) {
    CheckpointWriter writer = Create();
    ExpectOk(writer.AddMany({Over(bytes, "a", DType::kInt8, {300}), Over(bytes, "b", DType::kInt8, {400}),
                             Over(bytes, "c", DType::kInt8, {500})}));
    ExpectOk(writer.Finish());
    EXPECT_EQ(Open().num_shards(), num_shards);
    EXPECT_EQ(Names().size(), static_cast<size_t>(num_shards) + 1);
    EXPECT_EQ(Open().Find("c")->shard, num_shards - 1);
    EXPECT_EQ(Read("c"), bytes.substr(0, 500));
    ExpectUndamaged();
  }
}

// Every data file has a tensor: TensorFlow's merging counts on that.
void ExpectNoFileWithoutTensor(const std::string& prefix) {
  const auto checkpoint = Checkpoint::Open(prefix);
  ASSERT_TRUE(checkpoint.ok());
  std::map<int32_t, int> tensors;
  for (const Entry& entry : checkpoint->entries()) ++tensors[entry.shard];
  EXPECT_EQ(tensors.size(), static_cast<size_t>(checkpoint->num_shards()));
}

TEST_F(Writer, MovesTheSmallestTensorIntoAFileThatWasAdded) {
  Save("w", "old");
  const std::string bytes = DistinctBytes(1000);
  CheckpointWriter writer = Create();
  for (const int64_t size : {300, 20, 400}) {
    ExpectOk(writer.Add(Over(bytes, "w" + std::to_string(size), DType::kInt8, {size})));
  }
  ExpectOk(writer.Finish());
  ExpectNoFileWithoutTensor(prefix());
  EXPECT_EQ(Open().Find("w20")->shard, 1);
  EXPECT_EQ(Open().Find("w20")->offset_in_shard, 0u);
  EXPECT_EQ(Read("w20"), bytes.substr(0, 20));
  EXPECT_EQ(Contents(directory_.path())["model.data-00001-of-00002"], bytes.substr(0, 20) + std::string(44, '\0'));
  ExpectUndamaged();
}

TEST_F(Writer, MovesNoTensorThatIsAloneInItsFile) {
  WriteOptions options = Quick();
  options.num_shards = 2;
  const std::string bytes = DistinctBytes(1000);
  CheckpointWriter old = Create(options);
  ExpectOk(old.AddMany({BytesOver(bytes, "v"), BytesOver(bytes, "w")}));
  ExpectOk(old.Finish());
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.Add(Over(bytes, "alone", DType::kInt8, {1000})));
  ExpectOk(writer.Add(Over(bytes, "b", DType::kInt8, {600})));
  ExpectOk(writer.Add(Over(bytes, "c", DType::kInt8, {500})));
  ExpectOk(writer.Finish());
  ExpectNoFileWithoutTensor(prefix());
  EXPECT_EQ(Open().Find("c")->shard, 2);
  EXPECT_EQ(Read("c"), bytes.substr(0, 500));
}

TEST_F(Writer, MovesASliceAsWellAsATensor) {
  Save("w", "old");
  const std::string bytes = "abcdef";
  CheckpointWriter writer = Create();
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {5}), {6}, {0}));
  ExpectOk(writer.AddSlice(Over(bytes, "w", DType::kInt8, {1}), {6}, {5}));
  ExpectOk(writer.Finish());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"}));
  EXPECT_EQ(Contents(directory_.path())["model.data-00001-of-00002"][0], 'a');
  EXPECT_EQ(Read("w"), "abcdea");
  ExpectUndamaged();
}

TEST_F(Writer, ReplacesADamagedCheckpoint) {
  directory_.Write("model.index", "damaged");
  directory_.Write("model.data-00000-of-00001", "of the damaged one");
  Save("w", "bytes");
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"}));
  EXPECT_EQ(Read("w"), "bytes");
}

TEST_F(Writer, FollowsWhatOthersSavedSinceItWasCreated) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("mine", "w")));
  Save("w", "theirs");
  ExpectOk(writer.Finish());
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"}));
  EXPECT_EQ(Read("w"), "mine");
}

TEST_F(Writer, SavesWhileOthersSaveAndRead) {
  const Texts bytes = {DistinctBytes(200000), std::string(100, 'x')};
  Save("w", bytes[0]);
  std::atomic<int> writing{2};
  std::vector<std::thread> threads;
  for (const std::string& mine : bytes) {
    threads.emplace_back([this, &mine, &writing] {
      for (int i = 0; i < 15; ++i) Save("w", mine);
      --writing;
    });
  }
  while (writing > 0) {
    const std::string read = Read("w");
    EXPECT_TRUE(read == bytes[0] || read == bytes[1]) << read.substr(0, 200);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Names().size(), static_cast<size_t>(Open().num_shards()) + 1);
}

// --- Other errors ---

// Expects that nothing can be done any more, and that every call says why.
void ExpectDead(CheckpointWriter* writer, const Status& why) {
  const std::string bytes = "x";
  const std::vector<Status> answers = {writer->Add(BytesOver(bytes, "x")),
                                       writer->AddMany({}),
                                       writer->AddSlice(BytesOver(bytes, "x"), {2}, {0}),
                                       writer->BeginChunks("x", DType::kInt8, {1}),
                                       writer->AppendChunk(ByteView(bytes)),
                                       writer->Finish()};
  for (const Status& answer : answers) {
    EXPECT_EQ(answer.code(), why.code());
    EXPECT_EQ(answer.message(), why.message());
    EXPECT_EQ(answer.system_error(), why.system_error());
    EXPECT_EQ(answer.path(), why.path());
  }
  writer->Abandon();
  EXPECT_EQ(writer->Finish().message(), why.message());
}

TEST_F(Writer, EndsWithTheErrorOfTheSystem) {
  Save("w", "old");
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("fits", "a")));
  const std::string bytes(100000, 'x');
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low{50000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const Status status = writer.Add(BytesOver(bytes, "b"));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EFBIG);
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  ExpectDead(&writer, status);
  EXPECT_EQ(Read("w"), "old");
}

TEST_F(Writer, EndsIfTheIndexCannotHaveItsName) {
  CheckpointWriter writer = Create();
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  fs::create_directories(File("model.index/in the way"));
  const Status status = writer.Finish();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EISDIR);
  EXPECT_EQ(status.path(), File("model.index"));
  EXPECT_EQ(Names(), Texts{"model.index"});
  ExpectDead(&writer, status);
}

TEST_F(Writer, EndsIfTheCallerSaysStop) {
  Save("w", "old");
  WriteOptions options = Quick();
  Status answer;
  options.progress = [&answer](const Progress&) { return answer; };
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.Add(BytesOver("fine", "a")));
  answer = Status(StatusCode::kExternal, "enough").AsData();
  const Status status = writer.Add(BytesOver("stop", "b"));
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(status.message(), "enough");
  EXPECT_EQ(Names(), (Texts{"model.data-00000-of-00001", "model.index"}));
  answer = Status();
  ExpectDead(&writer, status);
  EXPECT_EQ(Read("w"), "old");
}

TEST_F(Writer, EndsIfTheCallerDoesNotWaitForOtherWriters) {
  const auto lock = os::DirectoryLock::Acquire(directory_.path(), nullptr);
  ASSERT_TRUE(lock.ok() && lock->held());
  WriteOptions options = Quick();
  bool finishing = false;
  options.progress = [&finishing](const Progress&) {
    return finishing ? Status(StatusCode::kExternal, "enough") : Status();
  };
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.Add(BytesOver("bytes", "w")));
  finishing = true;
  const Status status = writer.Finish();
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(Names(), Texts());
  ExpectDead(&writer, status);
}

// --- Progress ---

TEST_F(Writer, ReportsTheBytesOfEachCall) {
  std::vector<Progress> last;  // Of each call that reports, all but the names.
  WriteOptions options = Quick();
  options.max_shard_bytes = 1000;
  options.progress = [&last](const Progress& progress) {
    last.push_back({progress.done_bytes, progress.total_bytes, {}});
    return Status();
  };
  const std::string bytes = DistinctBytes(3000);
  const auto expect_end = [&last](uint64_t total_bytes) {
    ASSERT_FALSE(last.empty());
    for (const Progress& progress : last) EXPECT_EQ(progress.total_bytes, total_bytes);
    EXPECT_EQ(last.back().done_bytes, total_bytes);
    last.clear();
  };
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.Add(Over(bytes, "a", DType::kInt8, {100})));
  expect_end(100);
  ExpectOk(writer.AddMany({Over(bytes, "b", DType::kInt8, {10}), Over(bytes, "c", DType::kInt8, {2500})}));
  expect_end(2510);
  ExpectOk(writer.AddSlice(Over(bytes, "d", DType::kInt8, {7}), {8}, {0}));
  expect_end(7);
  ExpectOk(writer.AddSlice(Over(bytes, "d", DType::kInt8, {1}), {8}, {7}));
  expect_end(1);
  ExpectOk(writer.BeginChunks("e", DType::kInt8, {2500}));
  EXPECT_TRUE(last.empty());
  // The second one goes to three data files.
  ExpectOk(writer.AppendChunk(ByteView(bytes).Slice(0, 900)));
  expect_end(900);
  ExpectOk(writer.AppendChunk(ByteView(bytes).Slice(900, 1600)));
  expect_end(1600);
  ExpectOk(writer.Finish());
  EXPECT_EQ(Read("e"), bytes.substr(0, 2500));
}

TEST_F(Writer, NamesTheTensorThatIsBeingWritten) {
  std::string name;
  WriteOptions options = Quick();
  options.progress = [&name](const Progress& progress) {
    name = progress.tensor;
    return Status();
  };
  CheckpointWriter writer = Create(options);
  ExpectOk(writer.Add(BytesOver("bytes", "kernel")));
  EXPECT_EQ(name, "kernel");
  ExpectOk(writer.BeginChunks("bias", DType::kInt8, {2}));
  ExpectOk(writer.AppendChunk(ByteView("ab")));
  EXPECT_EQ(name, "bias");
}

}  // namespace
}  // namespace tensorbundle
