#include "checkpoint/read_job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bundle/string_encoder.h"
#include "slices/random_boxes.h"
#include "support/source_conformance.h"
#include "util/crc32c.h"
#include "util/quote.h"

namespace tensorbundle {
namespace {

using test_support::DistinctBytes;

// A shard in memory that gives views or copies, and fails where it is told to.
class ShardSource : public ByteSource {
 public:
  ShardSource(const std::string* bytes, std::string name, bool gives_views)
      : bytes_(bytes), name_(std::move(name)), gives_views_(gives_views) {}

  const std::string& name() const override { return name_; }
  uint64_t size_bytes() const override { return bytes_->size(); }
  Result<Buffer> Read(ByteRange range) const override {
    return Buffer(ByteView(*bytes_).Slice(range.offset, range.length), nullptr);
  }
  Status ReadInto(ByteRange range, uint8_t* destination) const override {
    if (Fails(range)) return Status::FromErrno(EIO, name_, "read");
    std::memcpy(destination, bytes_->data() + range.offset, range.length);
    return Status();
  }
  bool reads_are_views() const override { return gives_views_; }
  Status Populate(ByteRange range) const override {
    return Fails(range) ? Status::FromErrno(EIO, name_, "read") : Status();
  }

  void FailAt(uint64_t offset) { failing_offset_ = offset; }

 private:
  bool Fails(ByteRange range) const {
    return failing_offset_ && *failing_offset_ >= range.offset && *failing_offset_ - range.offset < range.length;
  }

  const std::string* bytes_;
  std::string name_;
  bool gives_views_;
  std::optional<uint64_t> failing_offset_;
};

// Requests over one shard, whose source gives views if the parameter is true.
class Job : public ::testing::TestWithParam<bool> {
 protected:
  // Appends a tensor that is stored whole, after a byte that makes it misaligned.
  size_t Add(const std::string& name, DType dtype, const Shape& shape, const std::string& bytes, ReadAction action) {
    const size_t request = AddRequest(name, dtype, shape, action);
    AddPiece(request, nullptr, bytes, crc32c::Extend(0, ByteView(bytes)));
    return request;
  }
  size_t AddBytes(const std::string& name, const std::string& bytes, ReadAction action = ReadAction::kCheck) {
    return Add(name, DType::kUint8, {static_cast<int64_t>(bytes.size())}, bytes, action);
  }
  size_t AddStrings(const std::string& name, const std::vector<std::string>& elements, ReadAction action,
                    DType dtype = DType::kString) {
    const size_t request = AddRequest(name, dtype, {static_cast<int64_t>(elements.size())}, action);
    AddStringPiece(request, nullptr, elements);
    return request;
  }
  size_t AddRequest(const std::string& name, DType dtype, const Shape& shape, ReadAction action) {
    Entry& entry = entries_.emplace_back();
    entry.name = name;
    entry.dtype = dtype;
    entry.shape = shape;
    JobRequest request;
    request.entry = &entry;
    request.action = action;
    request.conversion = ConversionFor(*FindDTypeInfo(dtype), foreign_byte_order_);
    const uint64_t size = *CountElements(shape) * FindDTypeInfo(dtype)->size_bytes;
    if (action == ReadAction::kCopy || action == ReadAction::kScatter) {
      request.destination = reinterpret_cast<uint8_t*>(memory_.emplace_back(size, '?').data());
    } else {
      memory_.emplace_back();
    }
    requests_.push_back(request);
    return requests_.size() - 1;
  }
  void AddPiece(size_t request, const Box* box, const std::string& bytes, uint32_t crc) {
    shard_.push_back('?');
    PlannedPiece piece;
    piece.request = request;
    piece.box = box;
    piece.bytes = {0, shard_.size(), bytes.size(), crc};
    piece.source = &source_;
    const DType dtype = requests_[request].entry->dtype;
    piece.divisible = dtype != DType::kString && dtype != DType::kVariant;
    pieces_.push_back(piece);
    shard_ += bytes;
  }
  void AddStringPiece(size_t request, const Box* box, const std::vector<std::string>& elements) {
    std::vector<ByteView> views;
    for (const std::string& element : elements) views.emplace_back(element);
    std::string bytes;
    const auto emit = [&bytes](ByteView block) {
      bytes.append(block.AsText());
      return Status();
    };
    uint32_t crc = 0;
    const auto encode = requests_[request].entry->dtype == DType::kVariant ? EncodeVariants : EncodeStrings;
    EXPECT_TRUE(encode(views.data(), views.size(), emit, &crc).ok());
    AddPiece(request, box, bytes, crc);
  }

  std::unique_ptr<ReadJob> MakeJob() const {
    return std::make_unique<ReadJob>(requests_, pieces_, foreign_byte_order_);
  }
  Status Run(const ReadOptions& options = {}) const { return MakeJob()->Run(options); }
  // The offset of a request's first piece.
  uint64_t OffsetOf(size_t request) const { return pieces_[request].bytes.offset; }
  void Damage(uint64_t offset) { shard_[offset] = static_cast<char>(shard_[offset] ^ 0x10); }

  std::string MismatchAt(const PlannedPiece& piece, uint32_t found) const {
    return "shard: Checksum does not match: shard 0, " + std::to_string(piece.bytes.size_bytes) + " bytes at " +
           std::to_string(piece.bytes.offset) + ": stored " + Hex32(piece.bytes.crc32c) + ", computed " + Hex32(found);
  }

  bool foreign_byte_order_ = false;
  std::string shard_;
  ShardSource source_{&shard_, "shard", GetParam()};
  std::deque<Entry> entries_;
  std::deque<std::string> memory_;  // Destinations, by request.
  std::vector<JobRequest> requests_;
  std::vector<PlannedPiece> pieces_;
};

INSTANTIATE_TEST_SUITE_P(ReadJob, Job, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Views" : "Copies"; });

TEST_P(Job, CopiesTensorsOfAllSizes) {
  const std::string large = DistinctBytes(5 * kWindowBytes / 2 + 7);
  AddBytes("a", "first", ReadAction::kCopy);
  AddBytes("b", large, ReadAction::kCopy);
  AddBytes("c", "", ReadAction::kCopy);
  for (int i = 0; i < 50; ++i) AddBytes("t", std::to_string(i), ReadAction::kCopy);
  for (const int threads : {1, 2, 3}) {
    for (std::string& memory : memory_) std::fill(memory.begin(), memory.end(), '?');
    ReadOptions options;
    options.threads = threads;
    ASSERT_TRUE(Run(options).ok());
    EXPECT_EQ(memory_[0], "first");
    EXPECT_TRUE(memory_[1] == large);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(memory_[static_cast<size_t>(i) + 3], std::to_string(i));
  }
}

TEST_P(Job, CopiesMuchPastTheCachesIfTheDestinationWasUsed) {
  const std::string large = DistinctBytes((33 << 20) + 3);
  requests_[AddBytes("a", large, ReadAction::kCopy)].destination_is_used = true;
  ASSERT_TRUE(Run().ok());
  EXPECT_TRUE(memory_[0] == large);
  Damage(OffsetOf(0) + (20 << 20));
  EXPECT_EQ(Run().code(), StatusCode::kDataLoss);
}

TEST_P(Job, ConvertsWhatItCopies) {
  foreign_byte_order_ = true;
  Add("f", DType::kFloat32, {2}, "abcdefgh", ReadAction::kCopy);
  Add("c", DType::kComplex64, {1}, "abcdefgh", ReadAction::kCopy);
  Add("b", DType::kBool, {4}, std::string("\0\1\2\xFF", 4), ReadAction::kCopy);
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(memory_[0], "dcbahgfe");
  EXPECT_EQ(memory_[1], "dcbahgfe");
  EXPECT_EQ(memory_[2], std::string("\0\1\1\1", 4));
}

TEST_P(Job, PutsPiecesInTheirPlacesAndConvertsThem) {
  Random random(1);
  foreign_byte_order_ = true;
  std::deque<std::vector<Box>> tilings;
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    // The first is so large that its pieces are cut into chunks.
    const Shape shape = i == 0 ? Shape{3, 700, 1100} : RandomShape(&random, 4, 6);
    std::vector<Box>& tiles = tilings.emplace_back();
    RandomTiling(&random, WholeBox(shape), &tiles);
    Shuffle(&random, &tiles);
    const size_t request = AddRequest("w", DType::kInt16, shape, ReadAction::kScatter);
    const std::string stored = DistinctBytes(2 * WholeBox(shape).NumElements());
    expected.push_back(stored);
    for (size_t j = 0; j < stored.size(); j += 2) std::swap(expected.back()[j], expected.back()[j + 1]);
    for (const Box& tile : tiles) {
      std::string bytes;
      ForEachIndex(tile.shape, [&](Shape index) {
        for (size_t d = 0; d < index.size(); ++d) index[d] += tile.start[d];
        bytes += stored.substr(2 * PositionIn(WholeBox(shape).start, shape, index), 2);
      });
      AddPiece(request, &tile, bytes, crc32c::Extend(0, ByteView(bytes)));
    }
  }
  ReadOptions options;
  options.threads = 2;
  ASSERT_TRUE(Run(options).ok());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(memory_[i] == expected[i]) << i;
}

TEST_P(Job, PutsPiecesInTheirPlacesAsTheyAre) {
  const Box left{{0, 0}, {2, 1}};
  const Box right{{0, 1}, {2, 2}};
  const size_t request = AddRequest("w", DType::kInt8, {2, 3}, ReadAction::kScatter);
  AddPiece(request, &right, "bcef", crc32c::Extend(0, ByteView("bcef")));
  AddPiece(request, &left, "ad", crc32c::Extend(0, ByteView("ad")));
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(memory_[0], "abcdef");
}

TEST_P(Job, SeesNoiseInWhatItViews) {
  const std::string large((2 * kWindowBytes) + 100, '\1');
  const size_t clean = Add("clean", DType::kBool, {3}, std::string("\0\1\1", 3), ReadAction::kView);
  const size_t noisy = Add("noisy", DType::kBool, {3}, std::string("\0\1\2", 3), ReadAction::kView);
  const size_t late =
      Add("late", DType::kBool, {static_cast<int64_t>(large.size()) + 1}, large + "\2", ReadAction::kView);
  const size_t bytes = Add("bytes", DType::kInt8, {3}, "\xFF\xFF\xFF", ReadAction::kView);
  const size_t checked = Add("checked", DType::kBool, {1}, "\xFF", ReadAction::kCheck);
  const auto job = MakeJob();
  ASSERT_TRUE(job->Run({}).ok());
  EXPECT_FALSE(job->noisy(clean));
  EXPECT_TRUE(job->noisy(noisy));
  EXPECT_TRUE(job->noisy(late));
  EXPECT_FALSE(job->noisy(bytes));
  EXPECT_FALSE(job->noisy(checked));  // Nobody wants to know.
}

std::string Joined(const Tensor& tensor) {
  std::string joined;
  for (const ByteView string : tensor.strings) joined += std::string(string.AsText()) + "|";
  return joined;
}

TEST_P(Job, DecodesStringsAndVariantsWholeAndInPieces) {
  const size_t strings = AddStrings("s", {"one", "", "three"}, ReadAction::kDecode);
  const size_t variants = AddStrings("v", {"four", "five"}, ReadAction::kDecode, DType::kVariant);
  AddBytes("between", "bytes", ReadAction::kCopy);
  const Box even{{0, 0}, {2, 1}};
  const Box odd{{0, 1}, {2, 1}};
  const size_t parts = AddRequest("p", DType::kString, {2, 2}, ReadAction::kDecode);
  AddStringPiece(parts, &odd, {"b", "d"});
  AddStringPiece(parts, &even, {"a", "c"});
  std::vector<Tensor> tensors(requests_.size());
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].shape = entries_[i].shape;
  const auto job = MakeJob();
  ReadOptions options;
  options.threads = 2;
  ASSERT_TRUE(job->Run(options).ok());
  ASSERT_TRUE(job->TakeStrings(&tensors).ok());
  EXPECT_EQ(Joined(tensors[strings]), "one||three|");
  EXPECT_EQ(Joined(tensors[variants]), "four|five|");
  EXPECT_EQ(Joined(tensors[parts]), "a|b|c|d|");
  EXPECT_EQ(Joined(tensors[2]), "");
}

TEST_P(Job, ComparesTheChecksumsOfAllThatItIsAskedTo) {
  const std::string large = DistinctBytes(2 * kWindowBytes);
  const auto add_all = [&] {
    AddBytes("check", large, ReadAction::kCheck);
    AddBytes("view", "viewed", ReadAction::kView);
    AddBytes("copy", "copied", ReadAction::kCopy);
    AddStrings("check strings", {"one", "two"}, ReadAction::kCheckStrings);
    AddStrings("decode", {"one", "two"}, ReadAction::kDecode);
  };
  add_all();
  ASSERT_TRUE(Run().ok());
  for (size_t i = 0; i < pieces_.size(); ++i) {
    // The last byte, which is no length.
    const uint64_t offset = pieces_[i].bytes.offset + pieces_[i].bytes.size_bytes - 1;
    Damage(offset);
    const Status status = Run();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_EQ(status.tensor(), entries_[i].name);
    EXPECT_EQ(status.path(), "shard");
    EXPECT_EQ(status.offset(), pieces_[i].bytes.offset);
    requests_[i].sum = false;
    EXPECT_TRUE(Run().ok()) << i;
    requests_[i].sum = true;
    Damage(offset);
  }
}

TEST_P(Job, SaysWhichBytesHaveWhichChecksums) {
  const size_t request = AddBytes("w", "good");
  Damage(OffsetOf(request) + 2);  // "g", "o", "o" ^ 0x10, "d"
  const std::string mismatch = MismatchAt(pieces_[0], crc32c::Extend(0, ByteView("go\x7F"
                                                                                 "d")));
  EXPECT_EQ(Run().message(), "tensor \"w\": " + mismatch);
}

TEST_P(Job, ReturnsTheFirstDamageInFileOrder) {
  AddBytes("a", "aaaa");
  AddBytes("b", "bbbb");
  AddBytes("c", "cccc");
  std::swap(pieces_[0], pieces_[2]);  // Whatever the order of the pieces given.
  Damage(pieces_[1].bytes.offset);
  Damage(pieces_[0].bytes.offset);
  EXPECT_EQ(Run().tensor(), "b");
}

TEST_P(Job, RunsThroughAllDamageInFileOrder) {
  const size_t unreadable = AddBytes("unreadable", DistinctBytes(kWindowBytes + 9));
  AddBytes("good", "good");
  const size_t damaged = AddBytes("damaged", "evil");
  const size_t strings = AddStrings("strings", {"one", "two"}, ReadAction::kCheckStrings);
  AddBytes("last", "good");
  source_.FailAt(OffsetOf(unreadable) + 5);
  Damage(OffsetOf(damaged));
  shard_[OffsetOf(strings)] = '\x05';  // A length.
  for (const int threads : {1, 3}) {
    const auto job = MakeJob();
    ReadOptions options;
    options.threads = threads;
    const auto failures = job->RunThrough(options);
    ASSERT_TRUE(failures.ok()) << failures.status().message();
    ASSERT_EQ(failures->size(), 3u);
    const auto& [first, second, third] = std::tie((*failures)[0], (*failures)[1], (*failures)[2]);
    EXPECT_EQ(job->plan().pieces[first.piece].request, unreadable);
    EXPECT_EQ(first.why.code(), StatusCode::kIo);
    EXPECT_EQ(first.why.tensor(), "unreadable");
    EXPECT_EQ(first.found_crc32c, std::nullopt);
    EXPECT_EQ(job->plan().pieces[second.piece].request, damaged);
    EXPECT_EQ(second.why.code(), StatusCode::kDataLoss);
    EXPECT_EQ(second.found_crc32c, crc32c::Extend(0, ByteView("uvil")));
    EXPECT_EQ(job->plan().pieces[third.piece].request, strings);
    EXPECT_EQ(third.why.code(), StatusCode::kDataLoss);
    EXPECT_EQ(third.why.path(), "shard");
    EXPECT_EQ(third.found_crc32c, std::nullopt);
  }
}

TEST_P(Job, NamesTheTensorThatCannotBeRead) {
  AddBytes("a", "aaaa");
  const size_t request = AddBytes("b", DistinctBytes(kWindowBytes), ReadAction::kCopy);
  source_.FailAt(OffsetOf(request) + kWindowBytes - 1);
  const Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EIO);
  EXPECT_EQ(status.tensor(), "b");
  EXPECT_EQ(status.path(), "shard");
}

TEST_P(Job, HasNothingToReadOfATensorWithoutBytes) {
  AddRequest("no pieces", DType::kInt8, {0}, ReadAction::kCheck);
  const size_t empty = AddBytes("empty", "");
  pieces_[0].source = nullptr;
  EXPECT_TRUE(Run().ok());
  pieces_[0].bytes.crc32c = 5;
  const Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.tensor(), entries_[empty].name);
  EXPECT_EQ(status.path(), "");
}

TEST_P(Job, ReportsEveryByteOnce) {
  AddBytes("a", DistinctBytes(3 * kWindowBytes));
  AddStrings("s", {"one", "two"}, ReadAction::kCheckStrings);
  AddBytes("b", "bbbb", ReadAction::kCopy);
  uint64_t total = 0;
  for (const PlannedPiece& piece : pieces_) total += piece.bytes.size_bytes;
  for (const int threads : {1, 2}) {
    std::vector<uint64_t> done;
    ReadOptions options;
    options.threads = threads;
    options.progress = [&](const Progress& progress) {
      EXPECT_EQ(progress.total_bytes, total);
      done.push_back(progress.done_bytes);
      return Status();
    };
    ASSERT_TRUE(Run(options).ok());
    ASSERT_FALSE(done.empty());
    EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
    EXPECT_EQ(done.back(), total);
  }
}

TEST_P(Job, EndsWithTheCallersErrorAndCallsItNoDamage) {
  AddBytes("a", "aaaa");
  ReadOptions options;
  options.progress = [](const Progress&) { return Status(StatusCode::kExternal, "enough"); };
  EXPECT_EQ(Run(options).message(), "enough");
  const auto failures = MakeJob()->RunThrough(options);
  EXPECT_EQ(failures.status().code(), StatusCode::kExternal);
  EXPECT_EQ(failures.status().message(), "enough");
}

}  // namespace
}  // namespace tensorbundle
