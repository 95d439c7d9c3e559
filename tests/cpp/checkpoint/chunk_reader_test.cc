#include "tensorbundle/chunk_reader.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "slices/random_boxes.h"
#include "support/bundle_maker.h"
#include "support/v1_maker.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;
using test_support::EncodeRecord;
using test_support::OpenV1;
using test_support::PackedTensor;
using test_support::V1Maker;
using test_support::Varints;

constexpr int kFloat = 1;
constexpr int kInt8 = 6;
constexpr int kBoolean = 10;
constexpr int kText = 7;

std::string BytesOf(const Tensor& tensor) {
  std::string bytes(tensor.data.view().AsText());
  for (const ByteView string : tensor.strings) bytes += std::string(string.AsText()) + "|";
  return bytes;
}

// The chunks of one tensor; an error is the last one.
std::vector<std::string> Chunks(const Result<Checkpoint>& checkpoint, const std::string& name, uint64_t max_bytes,
                                bool verify = true) {
  auto reader = ChunkReader::Create(*checkpoint, *checkpoint->Find(name), {max_bytes, verify, 2});
  if (!reader.ok()) return {reader.status().message()};
  std::vector<std::string> chunks;
  while (reader->next() != nullptr) {
    const Shape shape = reader->next()->shape;
    const auto chunk = reader->Read();
    if (!chunk.ok()) {
      chunks.push_back(chunk.status().message());
      break;
    }
    EXPECT_EQ(chunk->shape, shape);
    chunks.push_back(BytesOf(*chunk));
  }
  return chunks;
}

using Texts = std::vector<std::string>;

std::string ErrorOf(const Result<Checkpoint>& checkpoint, const std::string& name) {
  return checkpoint->Read(name).status().message();
}

TEST(ChunkReader, GivesViewsOfTheSource) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {2, 3}, "abcdef");
  const auto checkpoint = bundle.Open();
  const Entry& entry = *checkpoint->Find("w");
  auto reader = ChunkReader::Create(*checkpoint, entry, {4, true, 1});
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  EXPECT_EQ(&reader->entry(), &entry);
  EXPECT_TRUE(reader->gives_views());
  EXPECT_EQ(reader->next()->start, (Shape{0, 0}));
  EXPECT_EQ(reader->next()->shape, (Shape{1, 3}));
  EXPECT_EQ(reader->Read()->data.data(), checkpoint->View(entry)->data());
  EXPECT_EQ(reader->next()->start, (Shape{1, 0}));
  const auto last = reader->Read();
  EXPECT_EQ(last->data.data(), checkpoint->View(entry)->data() + 3);
  EXPECT_EQ(last->dtype, DType::kInt8);
  EXPECT_EQ(BytesOf(*last), "def");
  EXPECT_EQ(reader->next(), nullptr);
}

TEST(ChunkReader, ReadsIntoTheCallersMemory) {
  BundleMaker bundle;
  bundle.Add("a", kInt8, {1}, "x");
  bundle.Add("f", kFloat, {3}, "ABCDEFGHIJKL");
  const auto checkpoint = bundle.Open();
  auto reader = ChunkReader::Create(*checkpoint, *checkpoint->Find("f"), {8, true, 1});
  EXPECT_FALSE(reader->gives_views());  // Misaligned.
  std::string memory(8, '?');
  const auto chunk = reader->Read(reinterpret_cast<uint8_t*>(memory.data()));
  ASSERT_TRUE(chunk.ok()) << chunk.status().message();
  EXPECT_EQ(chunk->data.size(), 0u);
  EXPECT_EQ(memory, "ABCDEFGH");
  EXPECT_EQ(BytesOf(*reader->Read()), "IJKL");
}

TEST(ChunkReader, OutlivesTheCheckpointAndMoves) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {4}, "abcd");
  auto checkpoint = std::make_unique<Checkpoint>(*bundle.Open());
  auto created = ChunkReader::Create(*checkpoint, *checkpoint->Find("w"), {2, true, 1});
  checkpoint.reset();
  ChunkReader reader = *std::move(created);
  EXPECT_EQ(BytesOf(*reader.Read()), "ab");
  EXPECT_EQ(BytesOf(*reader.Read()), "cd");
}

TEST(ChunkReader, PutsTheErrorInPlaceOfTheLastChunk) {
  for (const size_t damaged : {0u, 3u, 5u}) {
    BundleMaker bundle;
    bundle.Add("before", kInt8, {2}, "??");
    bundle.Add("w", kInt8, {3, 2}, "abcdef");
    bundle.shards[0][2 + damaged] ^= 1;
    const auto checkpoint = bundle.Open();
    const std::string stored = bundle.shards[0].substr(2);
    const std::string error = ErrorOf(checkpoint, "w");
    EXPECT_NE(error.find("Checksum does not match: shard 0, 6 bytes at 2: stored 0x"), std::string::npos) << error;
    EXPECT_EQ(Chunks(checkpoint, "w", 2), Texts({stored.substr(0, 2), stored.substr(2, 2), error}));
    EXPECT_EQ(Chunks(checkpoint, "w", 100), Texts({error}));
    EXPECT_EQ(Chunks(checkpoint, "w", 3, false), Texts({stored.substr(0, 2), stored.substr(2, 2), stored.substr(4)}));
  }
}

TEST(ChunkReader, SumsLargeChunksOfManyTasks) {
  std::string bytes((5u << 20) + 12, '\0');
  std::iota(bytes.begin(), bytes.end(), 0);
  BundleMaker bundle;
  bundle.Add("large", kInt8, {static_cast<int64_t>(bytes.size())}, bytes);
  std::string joined;
  for (const std::string& chunk : Chunks(bundle.Open(), "large", 3u << 20)) joined += chunk;
  EXPECT_TRUE(joined == bytes);
}

TEST(ChunkReader, ComparesRowsOfAPartitionedTensorOnTheWay) {
  BundleMaker bundle(2);
  const Slice top{{{0, 1}, {0, kWholeDimension}}};
  const Slice middle{{{1, 2}, {0, kWholeDimension}}};
  const Slice bottom{{{3, 1}, {0, 2}}};
  bundle.AddPiece("w", bottom, kInt8, {1, 2}, "gh", 0);
  bundle.AddPiece("w", top, kInt8, {1, 2}, "ab", 0);
  bundle.AddPiece("w", middle, kInt8, {2, 2}, "cdef", 1);
  bundle.AddPartitioned("w", kInt8, {4, 2}, {middle, bottom, top});
  EXPECT_EQ(Chunks(bundle.Open(), "w", 2), Texts({"ab", "cd", "ef", "gh"}));
  EXPECT_EQ(Chunks(bundle.Open(), "w", 6), Texts({"abcdef", "gh"}));
  bundle.shards[1][0] ^= 1;
  const auto damaged = bundle.Open();
  EXPECT_EQ(Chunks(damaged, "w", 2), Texts({"ab", "bd", ErrorOf(damaged, "w")}));
  EXPECT_EQ(Chunks(damaged, "w", 4), Texts({"abbd", ErrorOf(damaged, "w")}));
  EXPECT_EQ(Chunks(damaged, "w", 6), Texts({ErrorOf(damaged, "w")}));
}

TEST(ChunkReader, ComparesOtherPiecesBeforehand) {
  BundleMaker bundle(2);
  const Slice left{{{0, kWholeDimension}, {0, 1}}};
  const Slice right{{{0, kWholeDimension}, {1, 2}}};
  bundle.AddPiece("w", left, kInt8, {2, 1}, "ad", 1);
  bundle.AddPiece("w", right, kInt8, {2, 2}, "bcef", 0);
  bundle.AddPartitioned("w", kInt8, {2, 3}, {left, right});
  EXPECT_EQ(Chunks(bundle.Open(), "w", 3), Texts({"abc", "def"}));
  EXPECT_EQ(Chunks(bundle.Open(), "w", 2), Texts({"ab", "c", "de", "f"}));
  bundle.shards[1][1] ^= 1;
  const auto damaged = bundle.Open();
  EXPECT_EQ(Chunks(damaged, "w", 3), Texts({ErrorOf(damaged, "w")}));
  EXPECT_EQ(Chunks(damaged, "w", 3, false), Texts({"abc", "eef"}));
}

TEST(ChunkReader, ReadsRandomTilings) {
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    const Shape shape = RandomShape(&random, 3, 5);
    std::vector<Box> tiles;
    RandomTiling(&random, WholeBox(shape), &tiles);
    Shuffle(&random, &tiles);
    if (shape.empty()) continue;
    BundleMaker bundle;
    std::vector<Slice> slices;
    std::string whole(WholeBox(shape).NumElements(), '\0');
    std::iota(whole.begin(), whole.end(), 'a');
    for (const Box& tile : tiles) {
      std::string bytes;
      ForEachIndex(tile.shape, [&](Shape index) {
        for (size_t d = 0; d < index.size(); ++d) index[d] += tile.start[d];
        bytes += whole[PositionIn(Shape(shape.size(), 0), shape, index)];
      });
      Slice slice;
      for (size_t d = 0; d < shape.size(); ++d) slice.extents.push_back({tile.start[d], tile.shape[d]});
      bundle.AddPiece("w", slice, kInt8, tile.shape, bytes);
      slices.push_back(slice);
    }
    bundle.AddPartitioned("w", kInt8, shape, slices);
    std::string joined;
    for (const std::string& chunk : Chunks(bundle.Open(), "w", 1 + static_cast<uint64_t>(random.Below(9)))) {
      joined += chunk;
    }
    ASSERT_EQ(joined, whole);
  }
}

TEST(ChunkReader, ConvertsWhatIsNotStoredAsItIsUsed) {
  const int other = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1 : 0;
  BundleMaker bundle(1, other);
  bundle.Add("f", kFloat, {3}, "abcdefghijkl");
  bundle.Add("b", kBoolean, {4}, std::string("\0\1\2\1", 4));
  const auto checkpoint = bundle.Open();
  EXPECT_EQ(Chunks(checkpoint, "f", 8), Texts({"dcbahgfe", "lkji"}));
  EXPECT_EQ(Chunks(checkpoint, "b", 2), Texts({std::string("\0\1", 2), std::string("\1\1", 2)}));
  EXPECT_EQ(Chunks(checkpoint, "b", 2, false), Texts({std::string("\0\1", 2), std::string("\1\1", 2)}));
  auto reader = ChunkReader::Create(*checkpoint, *checkpoint->Find("b"), {2, true, 1});
  EXPECT_EQ(reader->Read()->data.data(), checkpoint->View(*checkpoint->Find("b"))->data());  // Without noise.
  bundle.shards[0][14] ^= 4;  // Of the two: true as before, and yet damage.
  const auto damaged = bundle.Open();
  EXPECT_EQ(Chunks(damaged, "b", 2), Texts({std::string("\0\1", 2), ErrorOf(damaged, "b")}));
}

TEST(ChunkReader, GivesOneChunkOfAScalarOrNoElements) {
  BundleMaker bundle;
  bundle.Add("empty", kFloat, {0, 3}, "");
  bundle.Add("scalar", kFloat, {}, "abcd");
  const auto checkpoint = bundle.Open();
  EXPECT_EQ(Chunks(checkpoint, "empty", 1), Texts({""}));
  EXPECT_EQ(Chunks(checkpoint, "scalar", 1), Texts({"abcd"}));
}

TEST(ChunkReader, DecodesV1) {
  V1Maker maker;
  std::string floats(200'000 * 4, '\0');
  std::iota(floats.begin(), floats.end(), 0);
  maker.Add("large", kFloat, {2, 100'000}, PackedTensor(5, floats));
  maker.Add("ints", 3, {3}, PackedTensor(7, Varints({1, 2, -3})));
  maker.Add("text", kText, {2}, PackedTensor(8, "a") + PackedTensor(8, "bc"));
  const auto checkpoint = OpenV1(maker.File());
  const Texts large = Chunks(checkpoint, "large", 400'000);
  ASSERT_EQ(large.size(), 2u);
  EXPECT_TRUE(large[0] + large[1] == floats);
  EXPECT_EQ(Chunks(checkpoint, "ints", 8), Texts({std::string("\1\0\0\0\2\0\0\0", 8), "\xfd\xff\xff\xff"}));
  EXPECT_EQ(Chunks(checkpoint, "text", 1), Texts({"a|", "bc|"}));
  std::string file = maker.File();
  file[file.find(floats.substr(0, 2000)) + 5] ^= 1;
  const auto damaged = OpenV1(file);
  EXPECT_EQ(Chunks(damaged, "large", 400'000), Texts({ErrorOf(damaged, "large")}));
}

TEST(ChunkReader, RefusesWhatCannotBeRead) {
  BundleMaker bundle(2);
  bundle.Add("gone", kInt8, {1}, "g", 1);
  bundle.Add("here", kInt8, {1}, "h", 0);
  bundle.shards.erase(1);
  const auto checkpoint = bundle.Open();
  EXPECT_EQ(ChunkReader::Create(*checkpoint, *checkpoint->Find("gone")).status().system_error(), 2);
  const Status status = ChunkReader::Create(*checkpoint, *checkpoint->Find("here"), {0, true, 0}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.tensor(), "here");
}

TEST(ChunkReader, GoesOnAfterTheCallerHasStoppedIt) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {4}, "abcd");
  const auto checkpoint = bundle.Open();
  auto reader = ChunkReader::Create(*checkpoint, *checkpoint->Find("w"), {2, true, 1});
  ASSERT_TRUE(reader->Read().ok());
  const Status stopped =
      reader->Read(nullptr, [](const Progress&) { return Status(StatusCode::kExternal, "enough"); }).status();
  EXPECT_EQ(stopped.code(), StatusCode::kExternal);
  EXPECT_EQ(BytesOf(*reader->Read()), "cd");
  EXPECT_EQ(reader->next(), nullptr);
}

// A file in memory that remembers what its cache was to let go of.
class CachedSource final : public ByteSource {
 public:
  CachedSource(std::string name, std::string bytes) : name_(std::move(name)), bytes_(std::move(bytes)) {}
  const std::string& name() const override { return name_; }
  uint64_t size_bytes() const override { return bytes_.size(); }
  Result<Buffer> Read(ByteRange range) const override {
    return Buffer(ByteView(bytes_).Slice(range.offset, range.length), nullptr);
  }
  void DropCache(ByteRange range) const override { dropped.push_back(range); }

  mutable std::vector<ByteRange> dropped;

 private:
  const std::string name_;
  const std::string bytes_;
};

// The data files of a bundle, opened as such.
struct CachedBundle {
  explicit CachedBundle(const BundleMaker& bundle) {
    OpenOptions options = bundle.Options();
    options.opener = [this, inner = options.opener](const std::string& path) {
      Result<std::shared_ptr<const ByteSource>> plain = inner(path);
      if (path == "m.index" || !plain.ok()) return plain;
      const std::string bytes((*plain)->Read({0, (*plain)->size_bytes()})->view().AsText());
      sources[path] = std::make_shared<CachedSource>(path, bytes);
      return Result<std::shared_ptr<const ByteSource>>(sources[path]);
    };
    checkpoint = *Checkpoint::Open("m", options);
  }
  std::vector<ByteRange> Dropped(int shard) const {
    return sources.at("m.data-0000" + std::to_string(shard) + "-of-00002")->dropped;
  }
  const Entry* Find(const std::string& name) const { return checkpoint->Find(name); }

  std::map<std::string, std::shared_ptr<CachedSource>> sources;
  std::optional<Checkpoint> checkpoint;
};

using Ranges = std::vector<ByteRange>;

TEST(ChunkReader, LetsGoOfTheCacheOfTheLastChunk) {
  BundleMaker bundle(2);
  bundle.Add("other", kInt8, {3}, "???", 0);
  const Slice top{{{0, 1}}};
  const Slice bottom{{{1, 3}}};
  bundle.AddPiece("w", top, kInt8, {1}, "a", 1);
  bundle.AddPiece("w", bottom, kInt8, {3}, "bcd", 0);
  bundle.AddPartitioned("w", kInt8, {4}, {top, bottom});
  const CachedBundle cached(bundle);
  auto reader = ChunkReader::Create(*cached.checkpoint, *cached.Find("w"), {2, true, 1});
  reader->DropCache();  // Nothing has been read.
  EXPECT_EQ(cached.Dropped(0), Ranges());
  ASSERT_TRUE(reader->Read().ok());
  reader->DropCache();
  EXPECT_EQ(cached.Dropped(0), Ranges({{3, 1}}));
  EXPECT_EQ(cached.Dropped(1), Ranges({{0, 1}}));
  ASSERT_TRUE(reader->Read().ok());
  reader->DropCache();
  EXPECT_EQ(cached.Dropped(0), Ranges({{3, 1}, {4, 2}}));
  EXPECT_EQ(cached.Dropped(1), Ranges({{0, 1}}));
}

TEST(Checkpoint, LetsGoOfTheCacheOfNeighboursAtOnce) {
  BundleMaker bundle(2);
  bundle.Add("a", kInt8, {2}, "ab", 0);
  bundle.Add("b", kInt8, {1}, "c", 1);
  bundle.Add("gap", kInt8, {4 << 20}, std::string(4 << 20, '-'), 0);
  bundle.Add("c", kInt8, {3}, "def", 0);
  bundle.Add("d", kInt8, {1}, "g", 0);
  bundle.Add("none", kInt8, {0}, "", 1);
  const CachedBundle cached(bundle);
  cached.checkpoint->DropCache({cached.Find("d"), cached.Find("a"), cached.Find("c"), cached.Find("none")});
  EXPECT_EQ(cached.Dropped(0), Ranges({{0, 2}, {2 + (4 << 20), 4}}));
  cached.checkpoint->DropCache({});
  EXPECT_EQ(cached.Dropped(0).size(), 2u);
}

TEST(Checkpoint, ListsTensorsInFileOrder) {
  BundleMaker bundle(2);
  const Slice top{{{0, 1}}};
  const Slice bottom{{{1, 1}}};
  bundle.AddPiece("parts", bottom, kInt8, {1}, "b", 1);
  bundle.Add("z", kInt8, {2}, "zz", 0);
  bundle.Add("y", kFloat, {1}, "yyyy", 1);
  bundle.AddPiece("parts", top, kInt8, {1}, "a", 0);
  bundle.Add("a", kInt8, {2}, "aa", 0);
  bundle.AddPartitioned("parts", kInt8, {2}, {top, bottom});
  const auto checkpoint = bundle.Open();
  std::vector<const Entry*> all;
  for (const Entry& entry : checkpoint->entries()) all.push_back(&entry);
  std::string names;
  for (const Entry* entry : checkpoint->InFileOrder(all)) names += entry->name + " ";
  EXPECT_EQ(names, "z parts a y ");
}

TEST(Checkpoint, GuessesTheMemoryOfStrings) {
  BundleMaker bundle;
  bundle.Add("f", kFloat, {2}, "abcdefgh");
  bundle.records["s"] = EncodeRecord({kText, {3}, 0, 0, 8, 0, {}});
  const auto checkpoint = bundle.Open();
  EXPECT_EQ(checkpoint->EstimateMemory(*checkpoint->Find("f")), 8u);
  EXPECT_EQ(checkpoint->EstimateMemory(*checkpoint->Find("s")), 8u + 3 * 48);
}

}  // namespace
}  // namespace tensorbundle
