#include "checkpoint/region.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "slices/random_boxes.h"
#include "slices/slice.h"
#include "support/source_conformance.h"

namespace tensorbundle {
namespace {

using test_support::DistinctBytes;

// A shard in memory that remembers what was read of it.
class RecordingSource : public ByteSource {
 public:
  explicit RecordingSource(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string& name() const override { return name_; }
  uint64_t size_bytes() const override { return bytes_.size(); }
  Result<Buffer> Read(ByteRange range) const override {
    reads_.push_back(range);
    if (failing_) return Status::FromErrno(EIO, name_, "read");
    return Buffer(ByteView(bytes_).Slice(range.offset, range.length), nullptr);
  }
  Status ReadInto(ByteRange range, uint8_t* destination) const override {
    direct_reads_.push_back(range);
    if (failing_) return Status::FromErrno(EIO, name_, "read");
    std::memcpy(destination, bytes_.data() + range.offset, range.length);
    return Status();
  }
  Status Populate(ByteRange range) const override {
    populated_.push_back(range);
    return Status();
  }
  void Prefetch(ByteRange range) const override { prefetched_.push_back(range); }

  void Fail() { failing_ = true; }
  const std::vector<ByteRange>& reads() const { return reads_; }
  const std::vector<ByteRange>& direct_reads() const { return direct_reads_; }
  const std::vector<ByteRange>& populated() const { return populated_; }
  const std::vector<ByteRange>& prefetched() const { return prefetched_; }

 private:
  const std::string name_ = "shard";
  const std::string bytes_;
  bool failing_ = false;
  mutable std::vector<ByteRange> reads_;
  mutable std::vector<ByteRange> direct_reads_;
  mutable std::vector<ByteRange> populated_;
  mutable std::vector<ByteRange> prefetched_;
};

Entry EntryOf(DType dtype, const Shape& shape) {
  Entry entry;
  entry.name = "w";
  entry.dtype = dtype;
  entry.shape = shape;
  return entry;
}

// A tensor stored whole, at `offset` of the source.
std::vector<PlannedPiece> WholeAt(uint64_t offset, const RecordingSource& source) {
  PlannedPiece piece;
  piece.bytes.offset = offset;
  piece.source = &source;
  return {piece};
}

std::string BytesOf(const Result<Tensor>& tensor) {
  return tensor.ok() ? std::string(tensor->data.view().AsText()) : tensor.status().message();
}

Region RandomRegion(Random* random, const Shape& shape) {
  Region region = Region::Whole(shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t step = 1 + random->Below(3);
    region.step.push_back(step);
    region.start[d] = random->Below(shape[d]);
    region.shape[d] = 1 + random->Below((shape[d] - region.start[d] + step - 1) / step);
  }
  if (random->Below(3) == 0) region.step.clear();
  return region;
}

TEST(ReadFixedRegion, GathersElementsOutOfAllPieces) {
  Random random(1);
  for (int round = 0; round < 400; ++round) {
    const DTypeInfo& info = kDTypes[random.Below(2) == 0 ? 0 : 4];  // Four bytes, or two.
    const uint64_t width = info.size_bytes;
    const bool foreign = random.Below(2) == 0;
    const Shape shape = RandomShape(&random, 4, 7);
    std::vector<Box> tiles;
    RandomTiling(&random, WholeBox(shape), &tiles);
    Shuffle(&random, &tiles);
    const std::string whole = DistinctBytes(width * WholeBox(shape).NumElements());
    const auto element_at = [&](const Shape& index) {
      return whole.substr(width * PositionIn(WholeBox(shape).start, shape, index), width);
    };
    std::string shard = "?";
    std::vector<uint64_t> offsets;
    for (const Box& tile : tiles) {
      offsets.push_back(shard.size());
      ForEachIndex(tile.shape, [&](Shape index) {
        for (size_t d = 0; d < index.size(); ++d) index[d] += tile.start[d];
        shard += element_at(index);
      });
    }
    const RecordingSource source(shard);
    std::vector<PlannedPiece> pieces;
    for (size_t i = 0; i < tiles.size(); ++i) {
      pieces.push_back(WholeAt(offsets[i], source).front());
      pieces.back().box = &tiles[i];
    }
    const Region region = RandomRegion(&random, shape);
    std::string expected;
    ForEachIndex(region.shape, [&](Shape index) {
      for (size_t d = 0; d < index.size(); ++d) {
        index[d] = region.start[d] + index[d] * (region.step.empty() ? 1 : region.step[d]);
      }
      std::string element = element_at(index);
      if (foreign) std::reverse(element.begin(), element.end());
      expected += element;
    });
    const auto tensor = ReadFixedRegion(EntryOf(info.dtype, shape), region, foreign, pieces, nullptr, {});
    EXPECT_EQ(BytesOf(tensor), expected) << round;
    EXPECT_EQ(tensor->dtype, info.dtype);
    EXPECT_EQ(tensor->shape, region.shape);
  }
}

TEST(ReadFixedRegion, FillsMemoryOfTheCallersAndNothingAroundIt) {
  const RecordingSource source("abcdefghijkl");
  std::string memory = "????????";
  const auto tensor = ReadFixedRegion(EntryOf(DType::kInt8, {3, 4}), {{0, 1}, {2, 2}, {2, 2}}, false,
                                      WholeAt(0, source), reinterpret_cast<uint8_t*>(memory.data()) + 2, {});
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(memory, "??bdjl??");
  EXPECT_EQ(tensor->data.size(), 0u);
}

TEST(ReadFixedRegion, CleansNoise) {
  const RecordingSource source(std::string("\0\2\xFF\1", 4));
  EXPECT_EQ(
      BytesOf(ReadFixedRegion(EntryOf(DType::kBool, {4}), {{1}, {3}, {}}, false, WholeAt(0, source), nullptr, {})),
      "\1\1\1");
  EXPECT_EQ(BytesOf(ReadFixedRegion(EntryOf(DType::kInt4, {4}), {{1}, {2}, {}}, true, WholeAt(0, source), nullptr, {})),
            "\x02\x0F");
}

TEST(ReadFixedRegion, ReadsOnlyWhatItNeeds) {
  const RecordingSource source(DistinctBytes(1 << 20));
  // Rows of 100 KB, and 10 bytes in each of the first three.
  const auto tensor = ReadFixedRegion(EntryOf(DType::kInt8, {10, 100000}), {{0, 50}, {3, 10}, {}}, false,
                                      WholeAt(7, source), nullptr, {});
  ASSERT_TRUE(tensor.ok());
  const std::vector<ByteRange> needed = {{57, 10}, {100057, 10}, {200057, 10}};
  EXPECT_EQ(source.reads(), needed);
  EXPECT_EQ(source.populated(), needed);
  EXPECT_EQ(source.prefetched(), needed);
  EXPECT_TRUE(source.direct_reads().empty());
}

TEST(ReadFixedRegion, ReadsAtOnceWhatLiesCloserThanAPage) {
  const RecordingSource source(DistinctBytes(1 << 20));
  const auto tensor = ReadFixedRegion(EntryOf(DType::kInt8, {10, 4196}), {{0, 50}, {3, 100}, {}}, false,
                                      WholeAt(0, source), nullptr, {});
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(source.reads(), (std::vector<ByteRange>{{50, 2 * 4196 + 100}}));
}

TEST(ReadFixedRegion, ReadsLongRunsStraightToTheirPlacesInSteps) {
  constexpr uint64_t kStep = 1 << 20;
  const std::string bytes = DistinctBytes(10 * kStep);
  const RecordingSource source(bytes);
  std::string expected = bytes.substr(6, 9 * kStep + 20);
  for (size_t i = 0; i < expected.size(); i += 2) std::swap(expected[i], expected[i + 1]);
  const auto tensor =
      ReadFixedRegion(EntryOf(DType::kInt16, {5 * kStep}), {{3}, {static_cast<int64_t>(expected.size() / 2)}, {}}, true,
                      WholeAt(0, source), nullptr, {});
  EXPECT_TRUE(BytesOf(tensor) == expected);
  ASSERT_EQ(source.direct_reads().size(), 10u);
  EXPECT_EQ(source.direct_reads()[0], (ByteRange{6, kStep}));
  EXPECT_EQ(source.direct_reads()[9], (ByteRange{6 + 9 * kStep, 20}));
  EXPECT_EQ(source.prefetched(), (std::vector<ByteRange>{{6, 8 * kStep}, {6 + 8 * kStep, kStep + 20}}));
}

TEST(ReadFixedRegion, TakesMoreRunsThanFitOneBatch) {
  constexpr int64_t kRows = 150000;
  const std::string bytes = DistinctBytes(3 * kRows);
  const RecordingSource source(bytes);
  std::string expected;
  for (size_t row = 0; row < kRows; ++row) expected.push_back(bytes[3 * row + 1]);
  const auto tensor = ReadFixedRegion(EntryOf(DType::kInt8, {kRows, 3}), {{0, 1}, {kRows, 1}, {}}, false,
                                      WholeAt(0, source), nullptr, {});
  EXPECT_TRUE(BytesOf(tensor) == expected);
  // Of 65536 runs each, and the last of what is left.
  EXPECT_EQ(source.reads(), (std::vector<ByteRange>{{1, 3 * 65535 + 1}, {196609, 3 * 65535 + 1}, {393217, 56782}}));
}

TEST(ReadFixedRegion, ReadsNothingForNoElements) {
  RecordingSource source("");
  source.Fail();
  const auto tensor =
      ReadFixedRegion(EntryOf(DType::kFloat32, {3, 4}), {{3, 0}, {0, 4}, {}}, false, WholeAt(0, source), nullptr, {});
  EXPECT_EQ(BytesOf(tensor), "");
  EXPECT_EQ(tensor->shape, (Shape{0, 4}));
  EXPECT_TRUE(source.reads().empty());
}

TEST(ReadFixedRegion, NamesTheTensorThatCannotBeRead) {
  RecordingSource source(DistinctBytes(4 << 20));
  source.Fail();
  for (const int64_t size : {100, 3 << 20}) {
    const Status status =
        ReadFixedRegion(EntryOf(DType::kInt8, {size}), {{0}, {size}, {}}, false, WholeAt(0, source), nullptr, {})
            .status();
    EXPECT_EQ(status.code(), StatusCode::kIo);
    EXPECT_EQ(status.system_error(), EIO);
    EXPECT_EQ(status.tensor(), "w");
    EXPECT_EQ(status.path(), "shard");
  }
}

TEST(ReadFixedRegion, ReportsTheBytesOfTheRegion) {
  const RecordingSource source(DistinctBytes(1000));
  std::vector<std::pair<uint64_t, uint64_t>> reports;
  ReadOptions options;
  options.progress = [&reports](const Progress& progress) {
    reports.emplace_back(progress.done_bytes, progress.total_bytes);
    EXPECT_EQ(progress.tensor, "w");
    return Status();
  };
  ASSERT_TRUE(ReadFixedRegion(EntryOf(DType::kInt8, {10, 100}), {{0, 3}, {7, 5}, {}}, false, WholeAt(0, source),
                              nullptr, options)
                  .ok());
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back(), (std::pair<uint64_t, uint64_t>{35, 35}));
}

TEST(ReadFixedRegion, EndsWithTheCallersError) {
  const RecordingSource source(DistinctBytes(1000));
  ReadOptions options;
  options.progress = [](const Progress&) { return Status(StatusCode::kExternal, "enough"); };
  const Status status =
      ReadFixedRegion(EntryOf(DType::kInt8, {1000}), {{0}, {900}, {}}, false, WholeAt(0, source), nullptr, options)
          .status();
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(status.message(), "enough");
}

}  // namespace
}  // namespace tensorbundle
