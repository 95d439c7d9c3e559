#include "checkpoint/open_bundle.h"

#include <gtest/gtest.h>

#include "support/bundle_maker.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;

BundleMaker Generation(const std::string& bytes) {
  BundleMaker bundle;
  bundle.Add("w", 6, {static_cast<int64_t>(bytes.size())}, bytes);
  return bundle;
}

// Serves one generation for the first `count` openings of a file, and then the other.
OpenOptions ReplacedAfter(int count, const BundleMaker& before, const BundleMaker& after) {
  OpenOptions options;
  auto openings = std::make_shared<int>(0);
  options.opener = [=, old_files = before.Options().opener, new_files = after.Options().opener](
                       const std::string& path) { return (*openings)++ < count ? old_files(path) : new_files(path); };
  return options;
}

TEST(OpenBundle, TakesAnyOfItsFilesForThePrefix) {
  const OpenOptions options = Generation("abc").Options();
  for (const char* path : {"m", "m.index", "m.data-00000-of-00001"}) {
    const auto bundle = OpenBundle(path, options);
    ASSERT_TRUE(bundle.ok()) << path;
    EXPECT_EQ(bundle->prefix, "m");
  }
}

TEST(OpenBundle, KnowsTheIndexBySizeAndChecksum) {
  const BundleMaker maker = Generation("abc");
  const auto bundle = OpenBundle("m", maker.Options());
  EXPECT_EQ(bundle->index_size_bytes, maker.Index().size());
  EXPECT_EQ(bundle->index_crc32c, crc32c::Extend(0, ByteView(maker.Index())));
}

TEST(OpenBundle, StartsOverWhenAnotherSaveTookItsPlace) {
  // Openings: index, shard, index again.
  for (const int count : {1, 2}) {
    const auto bundle = OpenBundle("m", ReplacedAfter(count, Generation("abc"), Generation("defg")));
    ASSERT_TRUE(bundle.ok());
    EXPECT_EQ(bundle->index.entries()[0].size_bytes, 4u) << count;
    EXPECT_EQ(bundle->shards.at(0)->Read({0, 4})->view().AsText(), "defg") << count;
  }
  const auto unchanged = OpenBundle("m", ReplacedAfter(3, Generation("abc"), Generation("defg")));
  EXPECT_EQ(unchanged->index.entries()[0].size_bytes, 3u);
}

TEST(OpenBundle, GivesUpOnAWriterThatNeverRests) {
  OpenOptions options;
  auto openings = std::make_shared<int>(0);
  options.opener = [=](const std::string& path) {
    return Generation(std::string(static_cast<size_t>(++*openings), 'x')).Options().opener(path);
  };
  const Status status = OpenBundle("m", options).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_NE(status.message().find("replaced faster than it can be opened"), std::string::npos);
}

TEST(OpenBundle, PutsThePathBeforeWhatIsWrongWithTheIndex) {
  OpenOptions options;
  options.opener = [](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    static const std::string bytes = "not a table";
    return FromMemory(Buffer(ByteView(bytes), nullptr), path);
  };
  const Status status = OpenBundle("m", options).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.path(), "m.index");
  EXPECT_EQ(status.message().rfind("m.index: ", 0), 0u) << status.message();
}

TEST(OpenBundle, PassesOnThatThereIsNoIndex) {
  OpenOptions options;
  options.opener = [](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    return Status::FromErrno(2, path, "cannot open");
  };
  const Status status = OpenBundle("run/m", options).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.path(), "run/m.index");
}

}  // namespace
}  // namespace tensorbundle
