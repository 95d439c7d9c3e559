// What every ByteSource owes its callers, as one suite. A new source runs it like this:
//
//   struct MyMaker {
//     std::shared_ptr<const ByteSource> Open(const std::string& content);  // A source that holds `content`.
//     std::string name() const;                                            // What the source last made calls itself.
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(MySource, SourceConformance, MyMaker);
//
// A maker lives as long as one test, and may keep there what its sources need.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_SOURCE_CONFORMANCE_H_
#define TENSORBUNDLE_TESTS_SUPPORT_SOURCE_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tensorbundle/byte_source.h"

namespace tensorbundle::test_support {

// `size` bytes in which no two places look alike.
inline std::string DistinctBytes(size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = 88172645463325252u;
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  return bytes;
}

inline std::string TextOf(const Result<Buffer>& result) {
  return result.ok() ? std::string(result->view().AsText()) : "failed: " + result.status().message();
}

inline std::string ReadIntoText(const ByteSource& source, ByteRange range) {
  std::string text(range.length, '?');
  const Status status = source.ReadInto(range, reinterpret_cast<uint8_t*>(text.data()));
  return status.ok() ? text : "failed: " + status.message();
}

inline std::vector<std::string> ReadManyTexts(const ByteSource& source, const std::vector<ByteRange>& ranges) {
  const auto buffers = source.ReadMany(ranges);
  if (!buffers.ok()) return {"failed: " + buffers.status().message()};
  std::vector<std::string> texts;
  for (const Buffer& buffer : *buffers) texts.emplace_back(buffer.view().AsText());
  return texts;
}

// The refusal of a range that is not inside the source.
inline void ExpectRefusal(const Status& status, const ByteSource& source, ByteRange range) {
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << range.offset << " " << range.length;
  EXPECT_EQ(status.path(), source.name());
  EXPECT_EQ(status.offset(), range.offset);
  EXPECT_EQ(status.message(), source.name() + ": " + std::to_string(range.length) + " bytes at offset " +
                                  std::to_string(range.offset) + " are not inside its " +
                                  std::to_string(source.size_bytes()) + " bytes");
}

template <typename Maker>
class SourceConformance : public ::testing::Test {
 protected:
  std::shared_ptr<const ByteSource> Open(const std::string& content) { return maker_.Open(content); }
  Maker maker_;
};

TYPED_TEST_SUITE_P(SourceConformance);

TYPED_TEST_P(SourceConformance, KnowsItsNameAndSize) {
  const auto source = this->Open("0123456789");
  EXPECT_EQ(source->size_bytes(), 10u);
  EXPECT_EQ(source->name(), this->maker_.name());
}

TYPED_TEST_P(SourceConformance, ReadsEveryRangeOfASmallSource) {
  const std::string content = DistinctBytes(17);
  const auto source = this->Open(content);
  for (uint64_t offset = 0; offset <= content.size(); ++offset) {
    for (uint64_t length = 0; length <= content.size() - offset; ++length) {
      const std::string expected = content.substr(offset, length);
      EXPECT_EQ(TextOf(source->Read({offset, length})), expected) << offset << " " << length;
      EXPECT_EQ(ReadIntoText(*source, {offset, length}), expected) << offset << " " << length;
    }
  }
}

TYPED_TEST_P(SourceConformance, ReadsRangesAroundPages) {
  const std::string content = DistinctBytes(300001);
  const auto source = this->Open(content);
  for (const uint64_t page : {4096u, 16384u, 65536u, 131072u, 262144u}) {
    for (const uint64_t offset : {uint64_t{0}, page - 1, page, page + 1}) {
      for (const uint64_t length : {uint64_t{1}, uint64_t{4096}, uint64_t{30000}, content.size() - offset}) {
        const std::string expected = content.substr(offset, length);
        const uint64_t available = expected.size();
        EXPECT_TRUE(TextOf(source->Read({offset, available})) == expected) << offset << " " << length;
        EXPECT_TRUE(ReadIntoText(*source, {offset, available}) == expected) << offset << " " << length;
      }
    }
  }
}

TYPED_TEST_P(SourceConformance, ReadsManyMegabytes) {
  const std::string content = DistinctBytes((9u << 20) + 5);
  const auto source = this->Open(content);
  EXPECT_TRUE(TextOf(source->Read({3, content.size() - 3})) == content.substr(3));
  EXPECT_TRUE(ReadIntoText(*source, {0, content.size()}) == content);
  EXPECT_TRUE(ReadManyTexts(*source, {{1, content.size() - 1}, {0, 5}}) ==
              (std::vector<std::string>{content.substr(1), content.substr(0, 5)}));
}

TYPED_TEST_P(SourceConformance, RefusesRangesOutside) {
  const auto source = this->Open("0123456789");
  constexpr uint64_t kMax = UINT64_MAX;
  const std::vector<ByteRange> outside = {{10, 1},
                                          {11, 0},
                                          {0, 11},
                                          {9, 2},
                                          {kMax, 0},
                                          {kMax, 1},
                                          {kMax, kMax},
                                          {1, kMax},
                                          {5, kMax},
                                          {8, kMax - 8 + 1},
                                          {kMax / 2 + 1, kMax / 2 + 1}};
  for (const ByteRange& range : outside) {
    ExpectRefusal(source->Read(range).status(), *source, range);
    std::string untouched(16, '?');
    ExpectRefusal(source->ReadInto(range, reinterpret_cast<uint8_t*>(untouched.data())), *source, range);
    EXPECT_EQ(untouched, std::string(16, '?'));
    ExpectRefusal(source->ReadMany({{0, 1}, range, {2, 2}}).status(), *source, range);
    source->Prefetch(range);
  }
}

TYPED_TEST_P(SourceConformance, ReadIntoWritesTheRangeAndNothingElse) {
  const auto source = this->Open("0123456789");
  std::string text(8, '?');
  ASSERT_TRUE(source->ReadInto({3, 4}, reinterpret_cast<uint8_t*>(text.data()) + 2).ok());
  EXPECT_EQ(text, "??3456??");
  EXPECT_TRUE(source->ReadInto({3, 0}, nullptr).ok());
}

TYPED_TEST_P(SourceConformance, ReadManyKeepsTheCallersOrder) {
  const auto source = this->Open("0123456789");
  EXPECT_EQ(ReadManyTexts(*source, {{7, 3}, {0, 2}, {4, 1}}), (std::vector<std::string>{"789", "01", "4"}));
  EXPECT_EQ(ReadManyTexts(*source, {}), std::vector<std::string>());
  EXPECT_EQ(ReadManyTexts(*source, {{10, 0}, {0, 0}, {3, 0}}), (std::vector<std::string>{"", "", ""}));
  EXPECT_EQ(ReadManyTexts(*source, {{2, 3}, {2, 3}, {0, 10}, {4, 4}, {4, 0}, {2, 3}}),
            (std::vector<std::string>{"234", "234", "0123456789", "4567", "", "234"}));
}

TYPED_TEST_P(SourceConformance, ReadManyTakesScatteredAndTouchingRanges) {
  const std::string content = DistinctBytes(4u << 20);
  const auto source = this->Open(content);
  std::vector<ByteRange> ranges;
  std::vector<std::string> expected;
  for (uint64_t i = 0; i < 400; ++i) {
    const uint64_t offset = i * 7919 % 397 * 10000 + i % 3;
    ranges.push_back({offset, i % 5 * 4000});
    expected.push_back(content.substr(offset, i % 5 * 4000));
  }
  EXPECT_TRUE(ReadManyTexts(*source, ranges) == expected);
}

TYPED_TEST_P(SourceConformance, BuffersOutliveTheSource) {
  auto source = this->Open("0123456789");
  auto one = source->Read({2, 5});
  auto many = source->ReadMany({{8, 2}, {0, 2}});
  source.reset();
  EXPECT_EQ(TextOf(one), "23456");
  ASSERT_TRUE(many.ok());
  const Buffer last = many->front();
  many->clear();
  EXPECT_EQ(last.view().AsText(), "89");
}

TYPED_TEST_P(SourceConformance, ManyThreadsReadAtOnce) {
  const std::string content = DistinctBytes(200000);
  const auto source = this->Open(content);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 0; i < 100; ++i) {
        const ByteRange range{(i * 1931 + thread * 977) % 150000, 50000};
        source->Prefetch(range);
        const bool populated = source->Populate(range).ok();
        const std::string expected = content.substr(range.offset, range.length);
        const bool same = TextOf(source->Read(range)) == expected && ReadIntoText(*source, range) == expected &&
                          ReadManyTexts(*source, {range, range}).back() == expected;
        if (!populated || !same) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TYPED_TEST_P(SourceConformance, PrefetchAndPopulateChangeNothing) {
  const std::string content = DistinctBytes(3u << 20);
  const auto source = this->Open(content);
  for (const ByteRange& range : {ByteRange{0, 0}, ByteRange{content.size(), 0}, ByteRange{1, 1}, ByteRange{4095, 300},
                                 ByteRange{0, content.size()}, ByteRange{content.size() - 1, 1}}) {
    source->Prefetch(range);
    const Status populated = source->Populate(range);
    EXPECT_TRUE(populated.ok()) << populated.message();
    EXPECT_TRUE(TextOf(source->Read(range)) == content.substr(range.offset, range.length));
  }
}

TYPED_TEST_P(SourceConformance, DroppedBytesAreReadAgain) {
  const std::string content = DistinctBytes((5u << 20) + 77);
  const auto source = this->Open(content);
  const auto all = source->Read({0, content.size()});
  for (const ByteRange& range :
       {ByteRange{0, 0}, ByteRange{content.size(), 0}, ByteRange{1, 1}, ByteRange{3u << 20, 1u << 20},
        ByteRange{0, content.size()}, ByteRange{content.size() - 1, 1}, ByteRange{content.size(), 1},
        ByteRange{UINT64_MAX, UINT64_MAX}}) {
    source->DropCache(range);
    EXPECT_TRUE(TextOf(all) == content) << range.offset;
    EXPECT_TRUE(ReadIntoText(*source, {0, content.size()}) == content) << range.offset;
  }
}

TYPED_TEST_P(SourceConformance, AnEmptySourceHoldsEmptyRangesOnly) {
  const auto source = this->Open("");
  EXPECT_EQ(source->size_bytes(), 0u);
  EXPECT_EQ(TextOf(source->Read({0, 0})), "");
  EXPECT_EQ(ReadIntoText(*source, {0, 0}), "");
  EXPECT_EQ(ReadManyTexts(*source, {{0, 0}}), std::vector<std::string>{""});
  source->Prefetch({0, 0});
  source->DropCache({0, 0});
  EXPECT_TRUE(source->Populate({0, 0}).ok());
  ExpectRefusal(source->Read({0, 1}).status(), *source, {0, 1});
  ExpectRefusal(source->Read({1, 0}).status(), *source, {1, 0});
}

REGISTER_TYPED_TEST_SUITE_P(SourceConformance, KnowsItsNameAndSize, ReadsEveryRangeOfASmallSource,
                            ReadsRangesAroundPages, ReadsManyMegabytes, RefusesRangesOutside,
                            ReadIntoWritesTheRangeAndNothingElse, ReadManyKeepsTheCallersOrder,
                            ReadManyTakesScatteredAndTouchingRanges, BuffersOutliveTheSource, ManyThreadsReadAtOnce,
                            PrefetchAndPopulateChangeNothing, DroppedBytesAreReadAgain,
                            AnEmptySourceHoldsEmptyRangesOnly);

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_SOURCE_CONFORMANCE_H_
