#include "checkpoint/v1_save.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "io/temporary_directory.h"
#include "slices/key.h"
#include "support/golden_files.h"
#include "support/v1_maker.h"

namespace tensorbundle {
namespace {

using test_support::EncodeV1Meta;
using test_support::MadeTable;
using test_support::OpenV1;
using test_support::PackedTensor;
using test_support::ReadGolden;
using test_support::ServeFiles;
using test_support::TableOptions;
using test_support::TemporaryDirectory;
using test_support::V1Maker;
using test_support::Varints;
using test_support::WholeSlice;

constexpr int kFloat = 1;
constexpr int kInt32 = 3;
constexpr int kText = 7;
// In two pieces: together they would have a trigraph.
const std::string kPattern = std::string("m-") + "?????" + "-of-00002";

std::string Bytes(const Tensor& tensor) { return std::string(tensor.data.view().AsText()); }

std::string Strings(const Tensor& tensor) {
  std::string joined;
  for (const ByteView string : tensor.strings) joined += std::string(string.AsText()) + "|";
  return joined;
}

std::string Int32s(const std::vector<int32_t>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int32_t));
}

Slice Rows(int64_t start, int64_t length) { return Slice{{{start, length}, {0, kWholeDimension}}}; }

// 3 rows of 200,000: each piece is larger than what is read by its head and tail alone.
constexpr int64_t kColumns = 200'000;
std::string LargeRows(int64_t rows, int start) {
  std::string bytes(static_cast<size_t>(rows * kColumns * 4), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>((i + start) * 2654435761u >> 13);
  return bytes;
}

V1Maker Mixed() {
  V1Maker maker;
  maker.Add("large", kFloat, {3, kColumns}, PackedTensor(5, LargeRows(3, 0)));
  maker.AddPieces("parts", kFloat, {3, kColumns},
                  {{Rows(0, 1), PackedTensor(5, LargeRows(1, 7))}, {Rows(1, 2), PackedTensor(5, LargeRows(2, 9))}});
  maker.AddPieces(
      "ints", kInt32, {3, 2},
      {{Rows(0, 1), PackedTensor(7, Varints({1, 2}))}, {Rows(1, 2), PackedTensor(7, Varints({3, 4, 5, -6}))}});
  maker.AddPieces("text", kText, {3, 1},
                  {{Rows(1, 2), PackedTensor(8, "b") + PackedTensor(8, "cc")}, {Rows(0, 1), PackedTensor(8, "a")}});
  maker.Add("scalar", kText, {}, PackedTensor(8, "one"));
  maker.metas["empty"] = EncodeV1Meta("empty", kFloat, {0, 4}, {WholeSlice(2)});
  return maker;
}

TEST(V1Save, ReadsEveryKindOfTensor) {
  const std::string file = Mixed().File();
  const auto checkpoint = OpenV1(file);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->prefix(), "m");
  EXPECT_EQ(checkpoint->num_shards(), 1);
  EXPECT_EQ(checkpoint->index_size_bytes(), file.size());
  for (const int threads : {1, 3}) {
    ReadOptions options;
    options.threads = threads;
    EXPECT_EQ(Bytes(*checkpoint->Read("large", options)), LargeRows(3, 0));
    EXPECT_EQ(Bytes(*checkpoint->Read("parts", options)), LargeRows(1, 7) + LargeRows(2, 9));
    EXPECT_EQ(Bytes(*checkpoint->Read("ints", options)), Int32s({1, 2, 3, 4, 5, -6}));
    EXPECT_EQ(Strings(*checkpoint->Read("text", options)), "a|b|cc|");
    EXPECT_EQ(Strings(*checkpoint->Read("scalar", options)), "one|");
    EXPECT_EQ(Bytes(*checkpoint->Read("empty", options)), "");
    std::vector<ReadRequest> requests;
    for (const Entry& entry : checkpoint->entries()) requests.push_back({&entry, CopyMode::kAlways, nullptr, false});
    requests.push_back(requests.front());  // One may be asked for twice.
    const auto all = checkpoint->ReadMany(requests, options);
    ASSERT_TRUE(all.ok()) << all.status().message();
    EXPECT_EQ(Bytes((*all)[1]), Int32s({1, 2, 3, 4, 5, -6}));
    EXPECT_EQ(Bytes((*all)[2]), LargeRows(3, 0));
  }
}

TEST(V1Save, ReadsWhatTensorFlowWrote) {
  const auto checkpoint = OpenV1(ReadGolden("2.21.0/v1"));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->entries().size(), 48u);
  const auto sound = checkpoint->VerifyAll();
  ASSERT_TRUE(sound.ok());
  EXPECT_TRUE(sound->damaged.empty());
  EXPECT_EQ(sound->num_tensors, 48u);
}

TEST(V1Save, ReadsShardsAsOne) {
  const std::map<std::string, std::string> files = {
      {"m-00000-of-00002", ReadGolden("2.21.0/v1_sharded-00000-of-00002")},
      {"m-00001-of-00002", ReadGolden("2.21.0/v1_sharded-00001-of-00002")}};
  const auto checkpoint = Checkpoint::Open(kPattern, ServeFiles(files));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->num_shards(), 2);
  const auto w = checkpoint->Read("w");
  ASSERT_TRUE(w.ok()) << w.status().message();
  std::vector<float> values(12);
  std::iota(values.begin(), values.end(), 0.0F);
  EXPECT_EQ(std::memcmp(w->data.data(), values.data(), 48), 0);
  // One file of it, by itself, has a part.
  const auto first = Checkpoint::Open("m-00000-of-00002", ServeFiles(files));
  ASSERT_TRUE(first.ok());
  EXPECT_NE(first->Problem(first->entries()[0]).message().find("[1:4, 0:3]"), std::string::npos);
}

// Three shards: a piece of "w" in the first and one in the last, and beside it a tensor of each.
std::map<std::string, std::string> ThreeShards() {
  std::map<std::string, std::string> files;
  for (int shard = 0; shard < 3; ++shard) {
    V1Maker maker;
    maker.Add("t" + std::to_string(shard), kInt32, {1}, PackedTensor(7, Varints({shard})));
    if (shard != 1) maker.AddPieces("w", kInt32, {2, 1}, {{Rows(shard / 2, 1), PackedTensor(7, Varints({shard}))}});
    files["m-0000" + std::to_string(shard) + "-of-00003"] = maker.File();
  }
  return files;
}
const std::string kPatternOfThree = std::string("m-") + "?????" + "-of-00003";

TEST(V1Save, ReadsTheShardsThatAreThere) {
  auto files = ThreeShards();
  files.erase("m-00001-of-00003");
  const auto checkpoint = Checkpoint::Open(kPatternOfThree, ServeFiles(files));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->missing_shards(), std::vector<std::string>{"m-00001-of-00003"});
  EXPECT_EQ(checkpoint->num_shards(), 3);
  ASSERT_EQ(checkpoint->entries().size(), 3u);
  EXPECT_EQ(Bytes(*checkpoint->Read("t2")), Int32s({2}));
  EXPECT_EQ(Bytes(*checkpoint->Read("w")), Int32s({0, 2}));
  const Status status = checkpoint->Read("t1").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(), kPatternOfThree + ": \"t1\" not found in checkpoint " + kPatternOfThree +
                                  "; it may be in a missing shard: m-00001-of-00003");
  const auto all = checkpoint->VerifyAll();
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE(all->damaged.empty());
  EXPECT_EQ(all->missing_shards, std::vector<std::string>{"m-00001-of-00003"});
  EXPECT_FALSE(all->sound());
  EXPECT_TRUE(checkpoint->Verify({checkpoint->Find("w")})->sound());
}

TEST(V1Save, NamesTheMissingShardsWhereAPieceIsMissing) {
  auto files = ThreeShards();
  files.erase("m-00000-of-00003");
  files.erase("m-00001-of-00003");
  const auto checkpoint = Checkpoint::Open(kPatternOfThree, ServeFiles(files));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const Entry& w = *checkpoint->Find("w");
  EXPECT_EQ(w.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(checkpoint->Problem(w).code(), StatusCode::kDataLoss);
  EXPECT_EQ(checkpoint->Problem(w).message(),
            "tensor \"w\": 1 of 2 elements are in no piece, first [0:1, 0:1]; they may be in a missing shard: "
            "m-00000-of-00003, m-00001-of-00003");
  EXPECT_EQ(Bytes(*checkpoint->Read("t2")), Int32s({2}));
}

TEST(V1Save, NumbersDamageByTheShardsName) {
  auto files = ThreeShards();
  files.erase("m-00000-of-00003");
  V1Maker maker;
  maker.Add("small", kInt32, {1}, PackedTensor(7, Varints({5})));
  maker.Add("large", kFloat, {3, kColumns}, PackedTensor(5, LargeRows(3, 0)));
  MadeTable table = maker.Table();
  for (const auto& block : {table.data[1], table.data[2]}) table.Flip(block.offset + block.size / 2);
  files["m-00002-of-00003"] = table.bytes;
  const auto checkpoint = Checkpoint::Open(kPatternOfThree, ServeFiles(files));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto report = checkpoint->VerifyAll();
  ASSERT_EQ(report->damaged.size(), 2u);
  for (const Damage& damage : report->damaged) EXPECT_EQ(damage.shard, 2) << damage.name;
}

TEST(V1Save, NeedsOneShardAndNoErrorButThatOneIsMissing) {
  const Status gone = Checkpoint::Open(kPatternOfThree, ServeFiles({})).status();
  EXPECT_EQ(gone.code(), StatusCode::kIo);
  EXPECT_EQ(gone.path(), "m-00000-of-00003");
  OpenOptions options = ServeFiles(ThreeShards());
  options.opener = [serve = options.opener](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    if (path == "m-00001-of-00003") return Status::FromErrno(EACCES, path, "cannot open");
    return serve(path);
  };
  EXPECT_EQ(Checkpoint::Open(kPatternOfThree, options).status().system_error(), EACCES);
  auto files = ThreeShards();
  files["m-00001-of-00003"] = std::string(100, 'x');
  EXPECT_EQ(Checkpoint::Open(kPatternOfThree, ServeFiles(files)).status().code(), StatusCode::kDataLoss);
}

TEST(V1Save, IsAnotherSaveWithAnotherShard) {
  auto files = ThreeShards();
  const auto whole = Checkpoint::Open(kPatternOfThree, ServeFiles(files));
  EXPECT_TRUE(whole->missing_shards().empty());
  files.erase("m-00001-of-00003");
  const auto part = Checkpoint::Open(kPatternOfThree, ServeFiles(files));
  EXPECT_NE(whole->index_size_bytes(), part->index_size_bytes());
  EXPECT_NE(whole->index_crc32c(), part->index_crc32c());
}

TEST(V1Save, PrefersTheIndexOfV2) {
  test_support::BundleMaker bundle;
  bundle.Add("v2", 6, {1}, "x");
  std::map<std::string, std::string> files = {
      {"m", V1Maker().File()}, {"m.index", bundle.Index()}, {"m.data-00000-of-00001", "x"}};
  EXPECT_EQ(Checkpoint::Open("m", ServeFiles(files))->entries().size(), 1u);
  EXPECT_EQ(Checkpoint::Open("nothing", ServeFiles(files)).status().path(), "nothing.index");
  EXPECT_EQ(Checkpoint::Open(kPattern, ServeFiles(files)).status().path(), "m-00000-of-00002");
}

TEST(V1Save, HandsOutNoViews) {
  const auto checkpoint = OpenV1(Mixed().File());
  const Entry& entry = *checkpoint->Find("large");
  EXPECT_FALSE(checkpoint->CanView(entry));
  EXPECT_FALSE(checkpoint->WillView(entry, CopyMode::kNever));
  const Status status = checkpoint->ReadMany({{&entry, CopyMode::kNever, nullptr, false}}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "tensor \"large\": a view is not possible: in the V1 format values are encoded; allow a copy");
  EXPECT_EQ(checkpoint->View(entry).status().code(), StatusCode::kInvalidArgument);
}

TEST(V1Save, ReadsIntoTheCallersMemory) {
  const auto checkpoint = OpenV1(Mixed().File());
  std::vector<int32_t> memory(6);
  ASSERT_TRUE(checkpoint->ReadInto("ints", reinterpret_cast<uint8_t*>(memory.data()), 24).ok());
  EXPECT_EQ(memory, (std::vector<int32_t>{1, 2, 3, 4, 5, -6}));
  EXPECT_EQ(checkpoint->ReadInto("text", nullptr, 0).code(), StatusCode::kInvalidArgument);
}

TEST(V1Save, ReadsRegions) {
  const auto checkpoint = OpenV1(Mixed().File());
  for (const char* name : {"large", "parts"}) {
    const std::string whole = Bytes(*checkpoint->Read(name));
    const auto region = checkpoint->Read(name, {1, 100}, {2, 50});
    ASSERT_TRUE(region.ok()) << region.status().message();
    EXPECT_EQ(Bytes(*region), whole.substr((kColumns + 100) * 4, 200) + whole.substr((2 * kColumns + 100) * 4, 200));
  }
  EXPECT_EQ(Bytes(*checkpoint->Read("ints", {1, 1}, {2, 1})), Int32s({4, -6}));
  const Region steps{{0, 0}, {2, 2}, {2, 1}};
  EXPECT_EQ(Bytes(*checkpoint->ReadRegion(*checkpoint->Find("ints"), steps)), Int32s({1, 2, 5, -6}));
  EXPECT_EQ(Strings(*checkpoint->Read("text", {0, 0}, {2, 1})), "a|b|");
  EXPECT_EQ(Strings(*checkpoint->Read("text", {2, 0}, {1, 1})), "cc|");
  EXPECT_EQ(Bytes(*checkpoint->Read("empty", {0, 0}, {0, 4})), "");
  EXPECT_EQ(checkpoint->Read("ints", {2, 0}, {2, 1}).status().code(), StatusCode::kInvalidArgument);
}

// A piece of a partitioned tensor that the region does not touch may be damaged.
TEST(V1Save, ReadsOnlyThePiecesOfARegion) {
  MadeTable table = Mixed().Table();
  table.Flip(table.data[3].offset + 1000);  // Rows 1 and 2 of "parts".
  const auto checkpoint = OpenV1(table.bytes);
  EXPECT_TRUE(checkpoint->Read("parts", {0, 0}, {1, kColumns}).ok());
  EXPECT_EQ(checkpoint->Read("parts").status().code(), StatusCode::kDataLoss);
}

TEST(V1Save, NamesTensorFileBlockAndChecksumsOfDamage) {
  const MadeTable sound = Mixed().Table();
  // The blocks in key order: small tensors, the large one, two pieces, small ones.
  ASSERT_EQ(sound.data.size(), 5u);
  for (const auto& [block, name] : std::vector<std::pair<size_t, std::string>>{{1, "large"}, {3, "parts"}}) {
    MadeTable table = sound;
    table.Flip(table.data[block].offset + 5000);
    const auto checkpoint = OpenV1(table.bytes);
    ASSERT_TRUE(checkpoint.ok());
    const Status status = checkpoint->Read(name).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.tensor(), name);
    EXPECT_EQ(status.path(), "m");
    EXPECT_EQ(status.offset(), std::optional<uint64_t>(table.data[block].offset));
    EXPECT_NE(
        status.message().find("data block at " + std::to_string(table.data[block].offset) + " of " +
                              std::to_string(table.data[block].size) + " bytes: block checksum mismatch: stored 0x"),
        std::string::npos)
        << status.message();
    EXPECT_TRUE(checkpoint->Read("ints").ok());
    ReadOptions unchecked;
    unchecked.verify = false;
    EXPECT_TRUE(checkpoint->Read(name, unchecked).ok());
    const auto report = checkpoint->VerifyAll(unchecked);
    ASSERT_TRUE(report.ok());
    ASSERT_EQ(report->damaged.size(), 1u);
    EXPECT_EQ(report->damaged[0].name, name);
    EXPECT_EQ(report->damaged[0].shard, 0);
    EXPECT_EQ(report->damaged[0].offset_in_shard, table.data[block].offset);
    EXPECT_EQ(report->damaged[0].expected_crc32c, sound.Checksum(sound.data[block]));
    EXPECT_EQ(report->damaged[0].found_crc32c, table.Checksum(table.data[block]));
    EXPECT_EQ(report->damaged[0].why.message(), status.message());
  }
}

TEST(V1Save, DamageOfASmallBlockIsThatOfItsTensors) {
  V1Maker maker;
  maker.Add("a", kInt32, {1}, PackedTensor(7, Varints({1})));
  maker.Add("b", kInt32, {1}, PackedTensor(7, Varints({2})));
  maker.Add("c", kInt32, {1}, PackedTensor(7, Varints({3})));
  TableOptions options;
  options.block_size = 1;
  MadeTable table = maker.Table(options);
  ASSERT_EQ(table.data.size(), 4u);
  table.Flip(table.data[2].offset + 5);
  const auto checkpoint = OpenV1(table.bytes);
  EXPECT_TRUE(checkpoint->Read("a").ok());
  EXPECT_EQ(checkpoint->Read("b").status().tensor(), "b");
  EXPECT_TRUE(checkpoint->Read("c").ok());
  const auto report = checkpoint->VerifyAll();
  ASSERT_EQ(report->damaged.size(), 1u);
  EXPECT_EQ(report->damaged[0].found_crc32c, table.Checksum(table.data[2]));
  EXPECT_EQ(report->num_bytes, table.data[1].size + table.data[2].size + table.data[3].size);
}

TEST(V1Save, SaysWhichRecordIsMissing) {
  V1Maker maker;
  maker.Add("a", kInt32, {1}, PackedTensor(7, Varints({1})));
  maker.metas["b"] = EncodeV1Meta("b", kInt32, {1}, {WholeSlice(1)});
  maker.Add("c", kInt32, {1}, PackedTensor(7, Varints({3})));
  maker.metas["d"] = EncodeV1Meta("d", kInt32, {}, {WholeSlice(0)});
  const auto checkpoint = OpenV1(maker.File());
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_TRUE(checkpoint->Problem(*checkpoint->Find("b")).ok());
  const Status status = checkpoint->Read("b").status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.tensor(), "b");
  EXPECT_NE(status.message().find("Error copying slice data: the metadata lists [0:1], and there is no record of it"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(checkpoint->Read("d").status().code(), StatusCode::kDataLoss);
  const auto report = checkpoint->VerifyAll();
  ASSERT_EQ(report->damaged.size(), 2u);
  EXPECT_EQ(report->damaged[0].name, "b");
  EXPECT_EQ(report->damaged[0].expected_crc32c, std::nullopt);
}

TEST(V1Save, SaysWhichRecordHoldsSomethingElse) {
  V1Maker maker;
  maker.Add("a", kInt32, {2}, PackedTensor(7, Varints({1})));
  maker.Add("b", kInt32, {1}, PackedTensor(4, "\x01"));
  maker.Add("c", kText, {2}, PackedTensor(8, "one"));
  maker.Add("d", kInt32, {1}, PackedTensor(7, Varints({1})));
  const auto checkpoint = OpenV1(maker.File());
  EXPECT_EQ(checkpoint->Read("a").status().message(),
            "tensor \"a\": m: Error copying slice data: the record holds 1 elements, the slice has 2");
  EXPECT_NE(checkpoint->Read("b").status().message().find("tensor_content"), std::string::npos);
  EXPECT_NE(checkpoint->Read("c").status().message().find("holds 1 elements"), std::string::npos);
  EXPECT_TRUE(checkpoint->Read("d").ok());
  EXPECT_EQ(checkpoint->VerifyAll()->damaged.size(), 3u);
}

TEST(V1Save, ReadsCompressedBlocksAndManyOfThem) {
  for (const Compression compression : {Compression::kNone, Compression::kSnappy}) {
    TableOptions options;
    options.compression = compression;
    options.block_size = 64;
    options.shorten_index_keys = false;
    const auto checkpoint = OpenV1(Mixed().File(options));
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_EQ(Bytes(*checkpoint->Read("ints")), Int32s({1, 2, 3, 4, 5, -6}));
    EXPECT_EQ(Bytes(*checkpoint->Read("parts")), LargeRows(1, 7) + LargeRows(2, 9));
    EXPECT_EQ(Strings(*checkpoint->Read("text")), "a|b|cc|");
    EXPECT_TRUE(checkpoint->VerifyAll()->damaged.empty());
  }
}

TEST(V1Save, TellsSavesApartByTheirBlocks) {
  V1Maker maker;
  maker.Add("a", kInt32, {1}, PackedTensor(7, Varints({1})));
  const auto first = OpenV1(maker.File());
  maker.Add("a", kInt32, {1}, PackedTensor(7, Varints({2})));
  const auto second = OpenV1(maker.File());
  EXPECT_EQ(first->index_size_bytes(), second->index_size_bytes());
  EXPECT_NE(first->index_crc32c(), second->index_crc32c());
}

TEST(V1Save, ReportsProgressOfBothKindsAsOne) {
  const auto checkpoint = OpenV1(Mixed().File());
  std::vector<Progress> seen;
  ReadOptions options;
  options.threads = 1;
  options.progress = [&](const Progress& progress) {
    seen.push_back({progress.done_bytes, progress.total_bytes, {}});
    return Status();
  };
  const auto report = checkpoint->VerifyAll(options);
  ASSERT_TRUE(report.ok());
  ASSERT_GE(seen.size(), 2u);
  EXPECT_EQ(seen.back().done_bytes, report->num_bytes);
  for (const Progress& progress : seen) EXPECT_EQ(progress.total_bytes, report->num_bytes);
  options.progress = [](const Progress&) { return Status(StatusCode::kExternal, "enough"); };
  EXPECT_EQ(checkpoint->VerifyAll(options).status().code(), StatusCode::kExternal);
  EXPECT_EQ(checkpoint->Read("ints", options).status().code(), StatusCode::kExternal);
}

TEST(V1Save, ReadsFilesInBothWays) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("m", Mixed().File());
  for (const FileAccess access : {FileAccess::kMap, FileAccess::kRead}) {
    const auto checkpoint = Checkpoint::Open(path, {access, nullptr});
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_EQ(Bytes(*checkpoint->Read("large")), LargeRows(3, 0));
    EXPECT_EQ(Bytes(*checkpoint->Read("large", {2, 5}, {1, 1})), LargeRows(3, 0).substr((2 * kColumns + 5) * 4, 4));
    EXPECT_EQ(Bytes(*checkpoint->Read("ints")), Int32s({1, 2, 3, 4, 5, -6}));
  }
  EXPECT_EQ(Checkpoint::Open(directory.Write("text", std::string(100, 'x')), {}).status().code(),
            StatusCode::kDataLoss);
}

// Shards that are replaced while they are being opened are opened again.
TEST(V1Save, StartsOverWhenAShardIsReplaced) {
  const TemporaryDirectory directory;
  V1Maker old_save;
  V1Maker new_save;
  old_save.Add("a", kInt32, {}, PackedTensor(7, Varints({1})));
  new_save.Add("a", kInt32, {}, PackedTensor(7, Varints({2})));
  directory.Write("m-00000-of-00002", old_save.File());
  directory.Write("m-00001-of-00002", V1Maker().File());
  int opened = 0;
  OpenOptions options;
  options.opener = [&](const std::string& path) {
    if (path == directory.File("m-00001-of-00002") && ++opened == 1) {
      const std::string fresh = directory.Write("fresh", new_save.File());
      std::filesystem::rename(fresh, directory.File("m-00000-of-00002"));
    }
    return OpenFile(path);
  };
  const auto checkpoint = Checkpoint::Open(directory.File(kPattern), options);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(Bytes(*checkpoint->Read("a")), Int32s({2}));
  EXPECT_EQ(opened, 4);
}

// Likewise where one comes or goes meanwhile.
TEST(V1Save, StartsOverWhenAShardComesOrGoes) {
  for (const bool comes : {true, false}) {
    const TemporaryDirectory directory;
    V1Maker maker;
    maker.Add("a", kInt32, {}, PackedTensor(7, Varints({1})));
    const std::string moving = directory.Write("m-00000-of-00002", maker.File());
    const std::string away = directory.File("away");
    if (comes) std::filesystem::rename(moving, away);
    directory.Write("m-00001-of-00002", V1Maker().File());
    int opened = 0;
    OpenOptions options;
    options.opener = [&](const std::string& path) {
      if (path == directory.File("m-00001-of-00002") && ++opened == 1) {
        std::filesystem::rename(comes ? away : moving, comes ? moving : away);
      }
      return OpenFile(path);
    };
    const auto checkpoint = Checkpoint::Open(directory.File(kPattern), options);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_EQ(checkpoint->entries().size(), comes ? 1u : 0u);
    EXPECT_EQ(checkpoint->missing_shards().size(), comes ? 0u : 1u);
    EXPECT_EQ(opened, 4);
  }
}

}  // namespace
}  // namespace tensorbundle
