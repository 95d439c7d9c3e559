#include "tensorbundle/byte_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "io/range_check.h"
#include "io/temporary_directory.h"
#include "support/source_conformance.h"

namespace tensorbundle::test_support {
namespace {

// Overrides what has no default, and nothing else.
class MinimalSource : public ByteSource {
 public:
  explicit MinimalSource(std::string content) : content_(std::move(content)) {}
  const std::string& name() const override { return name_; }
  uint64_t size_bytes() const override { return content_.size(); }
  Result<Buffer> Read(ByteRange range) const override {
    if (Status status = CheckRange(*this, range); !status.ok()) return status;
    const auto bytes = std::make_shared<const std::string>(content_.substr(range.offset, range.length));
    return Buffer(ByteView(*bytes), bytes);
  }

 private:
  const std::string content_;
  const std::string name_ = "minimal";
};

struct MinimalMaker {
  std::shared_ptr<const ByteSource> Open(const std::string& content) {
    return std::make_shared<MinimalSource>(content);
  }
  std::string name() const { return "minimal"; }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Minimal, SourceConformance, MinimalMaker);

// Answers with another number of bytes than it was asked for.
class WrongLengthSource final : public MinimalSource {
 public:
  explicit WrongLengthSource(int64_t surplus) : MinimalSource(std::string(100, 'x')), surplus_(surplus) {}
  Result<Buffer> Read(ByteRange range) const override {
    return MinimalSource::Read({0, range.length + static_cast<uint64_t>(surplus_)});
  }

 private:
  const int64_t surplus_;
};

// Fails for reasons of its own.
class FailingSource final : public MinimalSource {
 public:
  FailingSource() : MinimalSource(std::string(100, 'x')) {}
  Result<Buffer> Read(ByteRange range) const override {
    if (range.offset < 50) return MinimalSource::Read(range);
    return Status(StatusCode::kExternal, "quota used up at " + std::to_string(range.offset));
  }
};

TEST(ByteSource, DefaultsPromiseNothing) {
  const MinimalSource source("0123456789");
  EXPECT_FALSE(source.reads_are_views());
  EXPECT_EQ(source.identity(), "");
}

TEST(ByteSource, AnAnswerOfTheWrongLengthIsDataLoss) {
  for (const int64_t surplus : {-3, 4}) {
    const WrongLengthSource source(surplus);
    const std::string message =
        "minimal: expected 10 bytes at offset 20, the source returned " + std::to_string(10 + surplus);
    std::string text(10, '?');
    const Status into = source.ReadInto({20, 10}, reinterpret_cast<uint8_t*>(text.data()));
    EXPECT_EQ(into.code(), StatusCode::kDataLoss);
    EXPECT_EQ(into.message(), message);
    EXPECT_EQ(into.offset(), 20u);
    EXPECT_EQ(text, std::string(10, '?'));
    const Status many = source.ReadMany({{20, 10}}).status();
    EXPECT_EQ(many.code(), StatusCode::kDataLoss);
    EXPECT_EQ(many.message(), message);
  }
}

TEST(ByteSource, FailuresOfASourcePassUnchangedAndTheFirstWins) {
  const FailingSource source;
  uint8_t byte = 0;
  EXPECT_EQ(source.ReadInto({60, 1}, &byte).code(), StatusCode::kExternal);
  const Status many = source.ReadMany({{0, 1}, {70, 1}, {60, 1}}).status();
  EXPECT_EQ(many.code(), StatusCode::kExternal);
  EXPECT_EQ(many.message(), "quota used up at 70");
}

TEST(OpenFile, ReachesTheFileAsAsked) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("file", "0123456789");
  EXPECT_TRUE((*OpenFile(path, FileAccess::kMap))->reads_are_views());
  EXPECT_FALSE((*OpenFile(path, FileAccess::kRead))->reads_are_views());
  EXPECT_EQ(TextOf((*OpenFile(path))->Read({0, 10})), "0123456789");
}

TEST(OpenFile, BothWaysGiveTheSameIdentity) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("file", "0123456789");
  EXPECT_EQ((*OpenFile(path, FileAccess::kMap))->identity(), (*OpenFile(path, FileAccess::kRead))->identity());
}

}  // namespace
}  // namespace tensorbundle::test_support
