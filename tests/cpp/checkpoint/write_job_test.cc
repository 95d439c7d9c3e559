#include "checkpoint/write_job.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bundle/string_encoder.h"
#include "io/temporary_directory.h"
#include "support/source_conformance.h"
#include "support/table_maker.h"
#include "util/crc32c.h"

namespace tensorbundle {
namespace {

using test_support::AppendFixed;
using test_support::AppendVarint;
using test_support::DistinctBytes;
using test_support::TemporaryDirectory;

constexpr uint64_t kBlock = 512 << 10;  // What is written at once.

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

uint32_t SumOf(const std::string& bytes) { return crc32c::Extend(0, ByteView(bytes)); }

// A tensor with the memory behind it, and what is to be stored of it.
struct Example {
  TensorToWrite tensor;
  std::string memory;
  std::vector<std::string> elements;
  std::string stored;
  uint32_t crc32c = 0;
};

// Data files that are being written, and what they are to hold.
class Files {
 public:
  explicit Files(size_t num_shards) : expected_(num_shards) {
    for (size_t i = 0; i < num_shards; ++i) {
      auto file = os::TemporaryFile::Create(directory_.File("data-" + std::to_string(i)));
      EXPECT_TRUE(file.ok()) << file.status().message();
      files_.push_back(std::move(file).value());
    }
  }

  const Example& AddBytes(DType dtype, std::string memory) {
    Example& example = NewExample(dtype);
    example.memory = std::move(memory);
    const auto count = static_cast<int64_t>(example.memory.size() / FindDTypeInfo(dtype)->size_bytes);
    example.tensor.shape = {count};
    example.tensor.data = reinterpret_cast<const uint8_t*>(example.memory.data());
    example.stored = example.memory;
    example.crc32c = SumOf(example.stored);
    return example;
  }
  const Example& AddBools(const std::string& memory) {
    AddBytes(DType::kBool, memory);
    Example& example = examples_.back();
    for (char& byte : example.stored) byte = byte != 0 ? 1 : 0;
    example.crc32c = SumOf(example.stored);
    return example;
  }
  // The bytes from the last to the first.
  const Example& AddReversed(std::string memory) {
    AddBytes(DType::kUint8, std::move(memory));
    Example& example = examples_.back();
    example.tensor.data += example.memory.size() - 1;
    example.tensor.strides = {-1};
    std::reverse(example.stored.begin(), example.stored.end());
    example.crc32c = SumOf(example.stored);
    return example;
  }
  const Example& AddForeign(std::string memory) {
    AddBytes(DType::kFloat32, std::move(memory));
    Example& example = examples_.back();
    example.tensor.foreign_byte_order = true;
    for (size_t i = 0; i < example.stored.size(); i += 4) {
      std::reverse(example.stored.begin() + static_cast<ptrdiff_t>(i),
                   example.stored.begin() + static_cast<ptrdiff_t>(i + 4));
    }
    example.crc32c = SumOf(example.stored);
    return example;
  }
  // The lengths, their checksum, the bytes.
  const Example& AddStrings(std::vector<std::string> elements) {
    Example& example = NewExample(DType::kString);
    example.elements = std::move(elements);
    std::string lengths;
    std::string payload;
    for (const std::string& element : example.elements) {
      example.tensor.strings.emplace_back(element);
      AppendVarint(element.size(), &example.stored);
      AppendFixed(element.size(), 4, &lengths);
      payload += element;
    }
    std::string sum;
    AppendFixed(crc32c::Mask(SumOf(lengths)), 4, &sum);
    example.stored += sum + payload;
    example.crc32c = SumOf(lengths + sum + payload);
    example.tensor.shape = {static_cast<int64_t>(example.elements.size())};
    return example;
  }
  // For each element the length, the bytes, the checksum.
  const Example& AddVariants(std::vector<std::string> elements) {
    Example& example = NewExample(DType::kVariant);
    example.elements = std::move(elements);
    for (const std::string& element : example.elements) {
      example.tensor.strings.emplace_back(element);
      AppendVarint(element.size(), &example.stored);
      std::string length;
      AppendFixed(element.size(), 8, &length);
      example.crc32c = crc32c::Extend(example.crc32c, ByteView(length + element));
      std::string sum;
      AppendFixed(crc32c::Mask(example.crc32c), 4, &sum);
      example.crc32c = crc32c::Extend(example.crc32c, ByteView(sum));
      example.stored += element + sum;
    }
    example.tensor.shape = {static_cast<int64_t>(example.elements.size())};
    return example;
  }

  // A place for the tensor, or for the bytes [begin, end) of it, after `gap` zeros at the end of a shard.
  void Put(const Example& example, int32_t shard, uint64_t gap = 0) {
    PutPart(example, 0, example.stored.size(), shard, gap);
    expected_sums_.back() = example.crc32c;
  }
  void PutPart(const Example& example, uint64_t begin, uint64_t end, int32_t shard, uint64_t gap = 0) {
    std::string& content = expected_[static_cast<size_t>(shard)];
    content.append(gap, '\0');
    pieces_.push_back({&example.tensor, begin, end, shard, &files_[static_cast<size_t>(shard)], content.size()});
    const std::string bytes = example.stored.substr(begin, end - begin);
    expected_sums_.push_back(SumOf(bytes));
    content += bytes;
  }

  Result<std::vector<uint32_t>> Write(const WriteJobOptions& options = {}) const {
    return WritePieces(pieces_, options);
  }
  void ExpectWrites(int threads, bool write_back = false) const {
    const auto sums = Write({threads, write_back, nullptr});
    ASSERT_TRUE(sums.ok()) << sums.status().message();
    EXPECT_EQ(*sums, expected_sums_);
    for (size_t i = 0; i < files_.size(); ++i) EXPECT_TRUE(ReadAll(files_[i].path()) == expected_[i]) << i;
  }

  const std::string& path(size_t shard) const { return files_[shard].path(); }
  std::vector<WritePiece>& pieces() { return pieces_; }
  uint64_t total_bytes() const {
    uint64_t total = 0;
    for (const WritePiece& piece : pieces_) total += piece.end - piece.begin;
    return total;
  }

 private:
  Example& NewExample(DType dtype) {
    Example& example = examples_.emplace_back();
    example.tensor.name = "tensor " + std::to_string(examples_.size() - 1);
    example.tensor.dtype = dtype;
    return example;
  }

  const TemporaryDirectory directory_;
  std::deque<Example> examples_;
  std::vector<os::TemporaryFile> files_;
  std::vector<WritePiece> pieces_;
  std::vector<uint32_t> expected_sums_;
  std::vector<std::string> expected_;
};

// Something of everything: large and tiny, in one piece and in several, copied and converted, in three shards.
void FillWithEverything(Files* files) {
  const Example& large = files->AddBytes(DType::kUint8, DistinctBytes(3 * kBlock + 77));
  const Example& wide = files->AddBytes(DType::kComplex128, DistinctBytes(kBlock / 4 * 5));
  files->Put(files->AddBytes(DType::kInt8, "first"), 0);
  files->Put(large, 0, 3);
  for (int i = 0; i < 300; ++i) {
    files->Put(files->AddBytes(DType::kFloat32, DistinctBytes(4)), i % 3, static_cast<uint64_t>(i % 7));
  }
  files->PutPart(wide, 0, 48, 2);
  files->Put(files->AddReversed(DistinctBytes(kBlock + 11)), 1, 100);
  files->PutPart(wide, 48, wide.stored.size(), 1);
  files->Put(files->AddForeign(DistinctBytes(2 * kBlock)), 2, 13);
  files->Put(files->AddBools(DistinctBytes(kBlock)), 0);
  files->Put(files->AddStrings({"a", "", "bc"}), 0);
  files->Put(files->AddStrings({std::string(700000, 'x'), "y", std::string(600000, 'z')}), 2, 1);
  files->Put(files->AddVariants({"v", std::string(kBlock, 'w')}), 1);
  files->Put(files->AddVariants({"tiny"}), 1, 64);
  files->PutPart(large, 64, 1000, 1);
}

TEST(WritePieces, StoresTheSameBytesWithAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 4, 0}) {
    Files files(3);
    FillWithEverything(&files);
    files.ExpectWrites(threads);
  }
}

TEST(WritePieces, StoresTheSameBytesWhileTheDiskTakesThem) {
  Files files(3);
  FillWithEverything(&files);
  files.ExpectWrites(2, true);
}

TEST(WritePieces, TakesPiecesInAnyOrder) {
  Files files(2);
  for (int i = 0; i < 40; ++i) {
    files.Put(files.AddBytes(DType::kUint8, DistinctBytes(static_cast<size_t>(20000 + i))), i % 2);
  }
  std::vector<WritePiece>& pieces = files.pieces();
  const auto in_order = files.Write({1, false, nullptr});
  std::reverse(pieces.begin(), pieces.end());
  auto reversed = files.Write({2, false, nullptr});
  ASSERT_TRUE(in_order.ok() && reversed.ok());
  std::reverse(reversed->begin(), reversed->end());
  EXPECT_EQ(*reversed, *in_order);
}

TEST(WritePieces, SumsAPieceThatCrossesBlocksWhereverItBegins) {
  for (const uint64_t gap : {uint64_t{0}, uint64_t{1}, uint64_t{63}, kBlock - 1, kBlock - 64, kBlock + 5}) {
    for (const uint64_t size : {kBlock - 1, kBlock, kBlock + 1, 2 * kBlock + 200}) {
      Files files(1);
      files.Put(files.AddBytes(DType::kInt8, DistinctBytes(size)), 0, gap);
      files.Put(files.AddReversed(DistinctBytes(size)), 0, 1);
      files.ExpectWrites(2);
      if (::testing::Test::HasFailure()) FAIL() << gap << " " << size;
    }
  }
}

TEST(WritePieces, SumsASliceOfATensorFromItsOwnBeginning) {
  Files files(1);
  const Example& tensor = files.AddBytes(DType::kFloat64, DistinctBytes(4 * kBlock));
  const Example& converted = files.AddForeign(DistinctBytes(4 * kBlock));
  files.PutPart(tensor, 8, 3 * kBlock + 24, 0, 9);
  files.PutPart(converted, kBlock + 4, 3 * kBlock, 0, 2);
  files.PutPart(tensor, 0, 8, 0);
  files.ExpectWrites(3);
}

TEST(WritePieces, LeavesZerosBetweenPieces) {
  Files files(1);
  // What a block held before must not come to lie between the tensors of the next.
  files.Put(files.AddBools(std::string(3 * kBlock, '\xFF')), 0);
  for (int i = 0; i < 2000; ++i) files.Put(files.AddBytes(DType::kInt8, "x"), 0, static_cast<uint64_t>(i % 100));
  // More than fits one block, and more than a file is reserved at once for.
  files.Put(files.AddBytes(DType::kInt8, "y"), 0, 3 * kBlock);
  files.Put(files.AddBytes(DType::kInt8, "z"), 0, 5 * kBlock);
  files.ExpectWrites(1);
}

TEST(WritePieces, EncodesStringsAndVariantsOfAnySize) {
  std::vector<std::string> many;
  for (size_t i = 0; i < 120000; ++i) many.push_back(std::to_string(i * i));
  Files files(2);
  files.Put(files.AddStrings({}), 0);
  files.Put(files.AddStrings({""}), 0);
  files.Put(files.AddStrings(many), 0, 5);
  files.Put(files.AddStrings({DistinctBytes(3000000)}), 1);
  files.Put(files.AddVariants({}), 1);
  files.Put(files.AddVariants(many), 1, 2);
  files.Put(files.AddStrings({"after"}), 1, 7);
  files.ExpectWrites(2);
}

TEST(WritePieces, WritesNothingForNothing) {
  Files files(1);
  files.ExpectWrites(2);
  files.Put(files.AddBytes(DType::kFloat32, ""), 0);
  files.Put(files.AddBytes(DType::kFloat32, ""), 0, 10);
  files.pieces()[0].offset = 77;
  const auto sums = files.Write();
  ASSERT_TRUE(sums.ok());
  EXPECT_EQ(*sums, (std::vector<uint32_t>{0, 0}));
  EXPECT_EQ(ReadAll(files.path(0)), "");
}

// A caller's function, and what it was told.
struct Reports {
  std::vector<Progress> calls;
  std::vector<std::string> tensors;
  Status answer;
  ProgressFunction function = [this](const Progress& progress) {
    calls.push_back(progress);
    tensors.emplace_back(progress.tensor);
    return answer;
  };
};

TEST(WritePieces, ReportsTheBytesOfTensorsAndNotWhatLiesBetween) {
  Files files(2);
  for (int i = 0; i < 500; ++i) files.Put(files.AddBytes(DType::kInt8, "abc"), i % 2, 61);
  files.Put(files.AddStrings({std::string(900000, 'x')}), 1);
  files.Put(files.AddBytes(DType::kInt8, DistinctBytes(2 * kBlock)), 0, 17);
  Reports reports;
  ASSERT_TRUE(files.Write({2, false, &reports.function}).ok());
  ASSERT_FALSE(reports.calls.empty());
  for (const Progress& progress : reports.calls) EXPECT_EQ(progress.total_bytes, files.total_bytes());
  EXPECT_EQ(reports.calls.back().done_bytes, files.total_bytes());
  EXPECT_EQ(reports.tensors.back().substr(0, 7), "tensor ");
}

TEST(WritePieces, ReportsOnceEvenIfThereIsNothingToDo) {
  Files files(1);
  Reports reports;
  ASSERT_TRUE(files.Write({1, false, &reports.function}).ok());
  ASSERT_EQ(reports.calls.size(), 1u);
  EXPECT_EQ(reports.calls[0].total_bytes, 0u);
}

TEST(WritePieces, FailsIfTheLastReportSaysStop) {
  Files files(1);
  files.Put(files.AddBytes(DType::kInt8, "abc"), 0);
  Reports reports;
  reports.answer = Status(StatusCode::kExternal, "enough").AsData();
  const Status status = files.Write({1, false, &reports.function}).status();
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(status.message(), "enough");
}

// More than is written until the first report, out of little memory: 256 MiB.
void MakeLong(DType dtype, Example* example) {
  constexpr int64_t kRepeats = 512;
  example->tensor.name = "long";
  example->tensor.dtype = dtype;
  example->memory = std::string(kBlock, 'x');
  if (dtype == DType::kString) {
    example->tensor.strings.assign(kRepeats, ByteView(example->memory));
    example->tensor.shape = {kRepeats};
  } else {
    example->tensor.data = reinterpret_cast<const uint8_t*>(example->memory.data());
    example->tensor.shape = {kRepeats, static_cast<int64_t>(kBlock)};
    example->tensor.strides = {0, 1};
  }
}

class StopInTheMiddle : public ::testing::TestWithParam<std::tuple<DType, int>> {};

TEST_P(StopInTheMiddle, ReturnsTheCallersOwnError) {
  const auto [dtype, threads] = GetParam();
  Example example;
  MakeLong(dtype, &example);
  const uint64_t size_bytes = dtype == DType::kString
                                  ? EncodedStringsSize(example.tensor.strings.data(), example.tensor.strings.size())
                                  : 512 * kBlock;
  const TemporaryDirectory directory;
  std::vector<os::TemporaryFile> files;
  for (int shard = 0; shard < 2; ++shard) {
    auto file = os::TemporaryFile::Create(directory.File("data"));
    ASSERT_TRUE(file.ok());
    files.push_back(std::move(file).value());
  }
  Reports reports;
  reports.answer = Status(StatusCode::kExternal, "enough").AsData();
  const Status status = WritePieces({{&example.tensor, 0, size_bytes, 0, &files[0], 0},
                                     {&example.tensor, 0, size_bytes, 1, &files[1], 0}},
                                    {threads, false, &reports.function})
                            .status();
  EXPECT_EQ(status.code(), StatusCode::kExternal);
  EXPECT_EQ(status.message(), "enough");
  ASSERT_EQ(reports.calls.size(), 1u);
  EXPECT_LT(reports.calls[0].done_bytes, reports.calls[0].total_bytes);
}

INSTANTIATE_TEST_SUITE_P(WritePieces, StopInTheMiddle,
                         ::testing::Combine(::testing::Values(DType::kString, DType::kInt8), ::testing::Values(1, 3)));

TEST(WritePieces, ReportsWhatTheSystemRefuses) {
  Files files(2);
  files.Put(files.AddBytes(DType::kInt8, "small"), 0);
  files.Put(files.AddBytes(DType::kInt8, DistinctBytes(700000)), 1);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low{500000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const Status status = files.Write({2, false, nullptr}).status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EFBIG);
  EXPECT_EQ(status.path(), files.path(1));
}

}  // namespace
}  // namespace tensorbundle
