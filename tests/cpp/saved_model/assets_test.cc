#include "saved_model/assets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "io/temporary_directory.h"

namespace tensorbundle::saved_model {
namespace {

namespace fs = std::filesystem;
using test_support::TemporaryDirectory;

std::string ErrorOf(const Status& status) {
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  return status.message();
}

TEST(AssetNames, MayBeAnyFileBelow) {
  for (const std::string name : {"a.txt", "a/b", "..a", "a..", "a/.../b", "a\\..\\b", "./a", "a//b", "\xFF"}) {
    EXPECT_TRUE(CheckAssetName(name).ok()) << name;
  }
}

TEST(AssetNames, MayNotLeaveTheDirectory) {
  for (const std::string name : {"..", "../x", "a/../b", "a/..", "./../x", "a//.."}) {
    EXPECT_EQ(ErrorOf(CheckAssetName(name)), "the asset \"" + name + "\" is refused: its name leads out of \"assets\"");
  }
  EXPECT_EQ(ErrorOf(CheckAssetName("/etc/x")), "the asset \"/etc/x\" is refused: its name is an absolute path");
  for (const std::string name : {"", ".", "a/", "a/."}) {
    EXPECT_EQ(ErrorOf(CheckAssetName(name)), "the asset \"" + name + "\" is refused: its name is that of no file");
  }
  EXPECT_EQ(ErrorOf(CheckAssetName(std::string_view("a\0b", 3))),
            "the asset \"a\\x00b\" is refused: its name has a NUL in it");
}

class AssetLinks : public ::testing::Test {
 protected:
  AssetLinks() {
    fs::create_directories(directory_.File("model/assets/deep"));
    fs::create_directories(directory_.File("elsewhere"));
    directory_.Write("model/assets/plain", "x");
    directory_.Write("elsewhere/secret", "x");
    model_ = fs::canonical(directory_.File("model")).string();
    elsewhere_ = fs::canonical(directory_.File("elsewhere")).string();
  }
  void ExpectRefused(const std::string& model, const std::string& name, const std::string& target) {
    EXPECT_EQ(ErrorOf(CheckAssetLinks(model, name)),
              "the asset \"" + name + "\" is refused: a link leads out of \"assets\", to \"" + target + "\"");
  }

  TemporaryDirectory directory_;
  std::string model_;
  std::string elsewhere_;
};

TEST_F(AssetLinks, PlainFilesAndWhatIsNotThereAreFine) {
  EXPECT_TRUE(CheckAssetLinks(model_, "plain").ok());
  EXPECT_TRUE(CheckAssetLinks(model_, "none").ok());
  EXPECT_TRUE(CheckAssetLinks(model_ + "/none", "plain").ok());
}

TEST_F(AssetLinks, MayLeadToOtherAssets) {
  fs::create_symlink("../plain", model_ + "/assets/deep/link");
  EXPECT_TRUE(CheckAssetLinks(model_, "deep/link").ok());
  fs::create_symlink(model_, directory_.File("current"));
  EXPECT_TRUE(CheckAssetLinks(directory_.File("current"), "deep/link").ok());
}

TEST_F(AssetLinks, MayNotLeadElsewhere) {
  fs::create_symlink("../../elsewhere/secret", model_ + "/assets/file");
  ExpectRefused(model_, "file", elsewhere_ + "/secret");
  fs::create_symlink(elsewhere_, model_ + "/assets/folder");
  ExpectRefused(model_, "folder/secret", elsewhere_ + "/secret");
}

TEST_F(AssetLinks, TheDirectoryOfAssetsItselfIsNone) {
  fs::create_directories(directory_.File("other"));
  fs::create_symlink(elsewhere_, directory_.File("other/assets"));
  ExpectRefused(directory_.File("other"), "secret", elsewhere_ + "/secret");
}

TEST_F(AssetLinks, ThatLeadNowhereAreTheSystemsError) {
  fs::create_symlink("loop", model_ + "/assets/loop");
  EXPECT_EQ(CheckAssetLinks(model_, "loop").code(), StatusCode::kIo);
}

}  // namespace
}  // namespace tensorbundle::saved_model
