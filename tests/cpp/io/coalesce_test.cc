#include "io/coalesce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "support/source_conformance.h"

namespace tensorbundle {

static void PrintTo(const ByteRange& range, std::ostream* out) { *out << range.offset << "+" << range.length; }
static void PrintTo(const CoalescedPart& part, std::ostream* out) { *out << "#" << part.request << "+" << part.offset; }

namespace {

using Ranges = std::vector<ByteRange>;
using Parts = std::vector<CoalescedPart>;
constexpr uint64_t kMax = UINT64_MAX;

TEST(Coalesce, NothingStaysNothing) {
  const Coalesced result = Coalesce({}, {});
  EXPECT_EQ(result.requests, Ranges());
  EXPECT_EQ(result.parts, Parts());
}

TEST(Coalesce, JoinsTouchingRangesWithoutAGap) {
  const Coalesced result = Coalesce({{0, 10}, {10, 5}, {16, 4}}, {0, kMax});
  EXPECT_EQ(result.requests, (Ranges{{0, 15}, {16, 4}}));
  EXPECT_EQ(result.parts, (Parts{{0, 0}, {0, 10}, {1, 0}}));
}

TEST(Coalesce, JoinsAcrossGapsUpToTheLimit) {
  EXPECT_EQ(Coalesce({{0, 10}, {13, 1}}, {3, kMax}).requests, (Ranges{{0, 14}}));
  EXPECT_EQ(Coalesce({{0, 10}, {13, 1}}, {2, kMax}).requests, (Ranges{{0, 10}, {13, 1}}));
}

TEST(Coalesce, RequestsGrowUpToTheLimit) {
  EXPECT_EQ(Coalesce({{0, 10}, {10, 10}, {20, 10}}, {0, 20}).requests, (Ranges{{0, 20}, {20, 10}}));
  EXPECT_EQ(Coalesce({{0, 10}, {10, 10}, {20, 10}}, {0, 19}).requests, (Ranges{{0, 10}, {10, 10}, {20, 10}}));
}

TEST(Coalesce, ALargeRangeIsNotCutAndStillTakesWhatLiesInside) {
  const Coalesced result = Coalesce({{0, 100}, {40, 10}, {90, 20}}, {0, 50});
  EXPECT_EQ(result.requests, (Ranges{{0, 100}, {90, 20}}));
  EXPECT_EQ(result.parts, (Parts{{0, 0}, {0, 40}, {1, 0}}));
}

TEST(Coalesce, KeepsTheCallersOrderInParts) {
  const Coalesced result = Coalesce({{30, 5}, {0, 5}, {32, 10}, {6, 1}}, {1, kMax});
  EXPECT_EQ(result.requests, (Ranges{{0, 7}, {30, 12}}));
  EXPECT_EQ(result.parts, (Parts{{1, 0}, {0, 0}, {1, 2}, {0, 6}}));
}

TEST(Coalesce, IdenticalAndNestedRangesShareARequest) {
  const Coalesced result = Coalesce({{5, 3}, {5, 3}, {4, 8}, {5, 9}, {4, 2}}, {0, 1});
  EXPECT_EQ(result.requests, (Ranges{{4, 8}, {5, 9}}));
  EXPECT_EQ(result.parts, (Parts{{1, 0}, {1, 0}, {0, 0}, {1, 0}, {0, 0}}));
}

TEST(Coalesce, EmptyRangesHaveAPlaceLikeOthers) {
  const Coalesced result = Coalesce({{10, 0}, {0, 10}, {50, 0}, {50, 0}, {5, 0}}, {0, kMax});
  EXPECT_EQ(result.requests, (Ranges{{0, 10}, {50, 0}}));
  EXPECT_EQ(result.parts, (Parts{{0, 10}, {0, 0}, {1, 0}, {1, 0}, {0, 5}}));
}

TEST(Coalesce, TakesNumbersUpToTheLastOne) {
  EXPECT_EQ(Coalesce({{kMax - 10, 5}, {kMax - 5, 5}}, {0, kMax}).requests, (Ranges{{kMax - 10, 10}}));
  EXPECT_EQ(Coalesce({{0, kMax}, {kMax, 0}}, {0, kMax}).requests, (Ranges{{0, kMax}}));
  EXPECT_EQ(Coalesce({{0, 1}, {kMax, 0}}, {kMax, kMax}).requests, (Ranges{{0, kMax}}));
  EXPECT_EQ(Coalesce({{kMax, 0}, {kMax, 0}}, {0, 0}).requests, (Ranges{{kMax, 0}}));
}

TEST(Coalesce, PassesOnRangesThatEndBeyond64Bits) {
  const Coalesced apart = Coalesce({{kMax, kMax}, {0, 4}}, {0, kMax});
  EXPECT_EQ(apart.requests, (Ranges{{0, 4}, {kMax, kMax}}));
  EXPECT_EQ(apart.parts, (Parts{{1, 0}, {0, 0}}));
  // The joint length would be 2^64 + 1.
  EXPECT_EQ(Coalesce({{0, kMax}, {kMax - 1, 3}}, {0, kMax}).requests, (Ranges{{0, kMax}, {kMax - 1, 3}}));
  EXPECT_EQ(Coalesce({{8, kMax - 7}, {9, kMax}}, {0, kMax}).requests, (Ranges{{8, kMax - 7}, {9, kMax}}));
}

// The ranges cut out of the answers must be those cut out of the text, and the limits must hold.
TEST(Coalesce, CutsBackToTheSameBytesWhateverTheRanges) {
  std::mt19937_64 random(20240917);
  const auto below = [&random](uint64_t limit) { return random() % limit; };
  const std::string text = test_support::DistinctBytes(1000);
  for (int round = 0; round < 2000; ++round) {
    Ranges ranges(below(20));
    for (ByteRange& range : ranges) {
      range.offset = below(text.size() + 1);
      range.length = below(std::min<uint64_t>(text.size() - range.offset, below(4) == 0 ? 1000 : 40) + 1);
    }
    const CoalesceLimits limits{below(30), 1 + below(200)};
    const Coalesced result = Coalesce(ranges, limits);
    ASSERT_EQ(result.parts.size(), ranges.size());
    std::vector<std::string> answers;
    for (const ByteRange& request : result.requests) answers.push_back(text.substr(request.offset, request.length));
    uint64_t longest = 0;
    for (size_t i = 0; i < ranges.size(); ++i) {
      const CoalescedPart& part = result.parts[i];
      EXPECT_EQ(answers.at(part.request).substr(part.offset, ranges[i].length),
                text.substr(ranges[i].offset, ranges[i].length));
      longest = std::max(longest, ranges[i].length);
    }
    for (const ByteRange& request : result.requests) {
      EXPECT_LE(request.length, std::max(longest, limits.max_request_bytes));
    }
    const auto by_offset = [](const ByteRange& a, const ByteRange& b) { return a.offset < b.offset; };
    EXPECT_TRUE(std::is_sorted(result.requests.begin(), result.requests.end(), by_offset));
    // A request starts and ends where a range does, so nothing beyond the ranges and their gaps is read.
    for (const ByteRange& request : result.requests) {
      const auto starts = [&](const ByteRange& r) { return r.offset == request.offset; };
      const auto ends = [&](const ByteRange& r) { return r.offset + r.length == request.offset + request.length; };
      EXPECT_TRUE(std::any_of(ranges.begin(), ranges.end(), starts));
      EXPECT_TRUE(std::any_of(ranges.begin(), ranges.end(), ends));
    }
    std::shuffle(ranges.begin(), ranges.end(), random);
    EXPECT_EQ(Coalesce(ranges, limits).requests, result.requests);
  }
}

}  // namespace
}  // namespace tensorbundle
