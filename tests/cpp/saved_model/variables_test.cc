#include "saved_model/variables.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "io/temporary_directory.h"
#include "support/bundle_files.h"
#include "support/v1_maker.h"

namespace tensorbundle::saved_model {
namespace {

using test_support::PackedTensor;
using test_support::ServeFiles;
using test_support::TemporaryDirectory;
using test_support::V1Maker;
using test_support::Varints;
using test_support::WriteBundle;

constexpr int kInt32 = 3;

std::string V1File() {
  V1Maker maker;
  maker.Add("w", kInt32, {2}, PackedTensor(7, Varints({1, 2})));
  return maker.File();
}

// What is opened where only this V1 file is among the variables.
std::string OpenedFor(const std::string& name) {
  const TemporaryDirectory directory;
  std::filesystem::create_directories(directory.File("variables"));
  directory.Write("variables/" + name, V1File());
  const auto checkpoint = OpenVariables(directory.path(), {});
  if (!checkpoint.ok()) return "(" + std::string(StatusCodeName(checkpoint.status().code())) + ")";
  EXPECT_EQ(checkpoint->entries().at(0).name, "w");
  return std::filesystem::path(checkpoint->prefix()).filename().string();
}

TEST(Variables, AreABundle) {
  const TemporaryDirectory directory;
  WriteBundle(directory, "variables/variables", test_support::Bytes({{"w", "abc"}}));
  const auto checkpoint = OpenVariables(directory.path() + "/", {});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->prefix(), directory.File("variables/variables"));
  EXPECT_EQ(checkpoint->Read("w")->data.view().AsText(), "abc");
}

TEST(Variables, MayBeAV1CheckpointUnderAnyOfItsNames) {
  const std::string shard = std::string("-") + "?????" + "-of-00001";  // In pieces: it would have a trigraph.
  EXPECT_EQ(OpenedFor("variables"), "variables");
  EXPECT_EQ(OpenedFor("variables-00000-of-00001"), "variables" + shard);
  EXPECT_EQ(OpenedFor("saved_model_variables-00000-of-00001"), "saved_model_variables" + shard);
  EXPECT_EQ(OpenedFor("saved_model_variables"), "saved_model_variables");
}

TEST(Variables, OtherFilesAreNone) {
  for (const std::string name : {"checkpoint", "model-00000-of-00001", "variables-0-of-1", "my_variables"}) {
    EXPECT_EQ(OpenedFor(name), "(NOT_FOUND)") << name;
  }
}

TEST(Variables, OfWhichAShardIsMissingAreReadAsFarAsTheyGo) {
  const TemporaryDirectory directory;
  std::filesystem::create_directories(directory.File("variables"));
  directory.Write("variables/variables-00000-of-00002", V1File());
  const auto checkpoint = OpenVariables(directory.path(), {});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->entries().at(0).name, "w");
  ASSERT_EQ(checkpoint->missing_shards().size(), 1u);
  EXPECT_EQ(checkpoint->missing_shards()[0], directory.File("variables/variables-00001-of-00002"));
}

TEST(Variables, MayBeMissing) {
  const TemporaryDirectory directory;
  const Status status = OpenVariables(directory.path(), {}).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.path(), directory.path());
  EXPECT_EQ(status.message(), directory.path() + ": this SavedModel has no variables: there is no \"" +
                                  directory.File("variables/variables.index") + "\", nor a file of the V1 format");
}

TEST(Variables, DamageIsNotTakenForAbsence) {
  const TemporaryDirectory directory;
  std::filesystem::create_directories(directory.File("variables"));
  directory.Write("variables/variables.index", "no table");
  directory.Write("variables/variables-00000-of-00001", V1File());
  EXPECT_EQ(OpenVariables(directory.path(), {}).status().code(), StatusCode::kDataLoss);
}

TEST(Variables, ComeThroughAnOpener) {
  const auto opened = OpenVariables("m", ServeFiles({{"m/variables/variables", V1File()}}));
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->prefix(), "m/variables/variables");
  EXPECT_EQ(OpenVariables("m", ServeFiles({})).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace tensorbundle::saved_model
