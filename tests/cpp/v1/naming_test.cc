#include "v1/naming.h"

#include <gtest/gtest.h>

namespace tensorbundle::v1 {
namespace {

// In two pieces each: together they would have a trigraph.
const std::string kPattern = std::string("dir/m-") + "?????" + "-of-";

TEST(V1Naming, ListsTheShardsOfAPattern) {
  EXPECT_EQ(ShardsOf(kPattern + "00002"), (std::vector<std::string>{"dir/m-00000-of-00002", "dir/m-00001-of-00002"}));
  EXPECT_EQ(ShardsOf(kPattern + "00123")->size(), 123u);
  EXPECT_EQ(ShardsOf(kPattern + "00123")->back(), "dir/m-00122-of-00123");
}

TEST(V1Naming, TakesNothingElseForAPattern) {
  for (const std::string& path :
       {std::string(), std::string("m"), std::string("m-00000-of-00001"), kPattern, kPattern + "00000", kPattern + "1",
        kPattern + "-0001", kPattern + "000001", kPattern + "0000x", std::string("-of-00001")}) {
    EXPECT_EQ(ShardsOf(path), std::nullopt) << path;
  }
}

TEST(V1Naming, NamesAFewMissingShards) {
  EXPECT_EQ(MayBeMissing("it", {}), "");
  EXPECT_EQ(MayBeMissing("it", {"a"}), "; it may be in a missing shard: a");
  EXPECT_EQ(MayBeMissing("they", {"a", "b", "c", "d", "e"}), "; they may be in a missing shard: a, b, c, d, e");
  EXPECT_EQ(MayBeMissing("it", {"a", "b", "c", "d", "e", "f", "g"}),
            "; it may be in a missing shard: a, b, c, d, e and 2 more");
}

}  // namespace
}  // namespace tensorbundle::v1
