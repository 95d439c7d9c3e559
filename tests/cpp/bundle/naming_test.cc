#include "bundle/naming.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace tensorbundle {
namespace {

constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

TEST(IndexPath, AppendsToThePrefix) {
  EXPECT_EQ(IndexPath("run/model.ckpt-100"), "run/model.ckpt-100.index");
  EXPECT_EQ(IndexPath(""), ".index");
}

TEST(DataPath, PadsBothNumbersToFiveDigits) {
  EXPECT_EQ(DataPath("run/ckpt", 0, 1), "run/ckpt.data-00000-of-00001");
  EXPECT_EQ(DataPath("run/ckpt", 12, 345), "run/ckpt.data-00012-of-00345");
  EXPECT_EQ(DataPath("run/ckpt", 99999, 99999), "run/ckpt.data-99999-of-99999");
}

TEST(DataPath, NeverTruncatesWiderNumbers) {
  EXPECT_EQ(DataPath("c", 100000, 1), "c.data-100000-of-00001");
  EXPECT_EQ(DataPath("c", 0, 99999999), "c.data-00000-of-99999999");
  EXPECT_EQ(DataPath("c", kMax, kMax), "c.data-2147483647-of-2147483647");
}

TEST(PrefixOf, TakesBackWhatWasAppended) {
  for (const char* prefix :
       {"ckpt", "/a/b/model.ckpt-100", "", "dir/", "a.b", "x.index", "x.data-00000-of-00001", "\xFF"}) {
    EXPECT_EQ(PrefixOf(IndexPath(prefix)), prefix);
    EXPECT_EQ(PrefixOf(DataPath(prefix, 0, 1)), prefix);
    EXPECT_EQ(PrefixOf(DataPath(prefix, 123456, kMax)), prefix);
  }
}

TEST(PrefixOf, ReturnsAnyOtherPathAsItIs) {
  for (const char* path :
       {"", "ckpt", "ckpt.indexes", "index", ".data-", "-of-", "c.index/", "c.data-00000-of-00001.tmp",
        "c.data-00000-of-", "c.data--of-00001", "c.data-0000-of-00001", "c.data-00000-of-0001", "c.data-00000_of-00001",
        "c.data00000-of-00001", "c.data-00000-of-00001x", "00000-of-00001",
        // Numbers as no writer pads them, or too large to be one.
        "c.data-000001-of-00001", "c.data-00000-of-000001", "c.data-2147483648-of-00001",
        "c.data-00000-of-99999999999999999999", "c.data-+0000-of-00001", "c.data-00000-of--0001"}) {
    EXPECT_EQ(PrefixOf(path), path);
  }
}

TEST(NumShardsInName, TakesBackTheNumberFromTheNameOfADataFile) {
  for (const char* prefix : {"ckpt", "/a/b/model.ckpt-100", "", "dir/", "x.index", "x.data-00000-of-00001", "\xFF"}) {
    for (const int32_t num_shards : {0, 1, 99999, 100000, kMax}) {
      EXPECT_EQ(NumShardsInName(prefix, DataPath(prefix, 0, num_shards)), num_shards);
      EXPECT_EQ(NumShardsInName(prefix, DataPath(prefix, kMax, num_shards)), num_shards);
    }
  }
}

TEST(NumShardsInName, KnowsNoOtherFiles) {
  for (const char* path :
       {"c", "", "c.index", "c.data-00000", "c.data-00000-of-", "c.data-0000-of-00001", "c.data-00000-of-0001",
        "c.data-00000-of-000001", "c.data-00000-of-00001.tmp-0123456789abcdef", "c.data-00000-of-99999999999",
        "c.data-99999999999-of-00001", "c.data-00000-of--0001", "c.data--of-00001",
        // Those of longer and shorter prefixes, and of the same name elsewhere.
        "c2.data-00000-of-00001", "c-1.data-00000-of-00001", ".data-00000-of-00001", "d/c.data-00000-of-00001",
        "./c.data-00000-of-00001", "c.data-00000-of-00001.data-00000-of-00001"}) {
    EXPECT_EQ(NumShardsInName("c", path), std::nullopt) << path;
  }
}

}  // namespace
}  // namespace tensorbundle
