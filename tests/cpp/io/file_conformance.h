// What sources over local files owe their callers beyond source_conformance.h, in both ways of reaching a file.

#ifndef TENSORBUNDLE_TESTS_IO_FILE_CONFORMANCE_H_
#define TENSORBUNDLE_TESTS_IO_FILE_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>

#include "io/temporary_directory.h"
#include "support/source_conformance.h"
#include "tensorbundle/byte_source.h"

namespace tensorbundle::test_support {

// Makes the sources of OpenFile for both suites.
template <FileAccess kAccess>
class FileMaker {
 public:
  std::shared_ptr<const ByteSource> Open(const std::string& content) {
    path_ = directory_.Write("file", content);
    return OpenPath(path_);
  }
  std::shared_ptr<const ByteSource> OpenPath(const std::string& path) {
    auto source = OpenFile(path, kAccess);
    EXPECT_TRUE(source.ok()) << source.status().message();
    return source.ok() ? *source : nullptr;
  }
  std::string name() const { return path_; }
  const TemporaryDirectory& directory() const { return directory_; }
  static Status OpenFailure(const std::string& path) { return OpenFile(path, kAccess).status(); }

 private:
  TemporaryDirectory directory_;
  std::string path_;
};

template <typename Maker>
class FileConformance : public ::testing::Test {
 protected:
  Maker maker_;
};

TYPED_TEST_SUITE_P(FileConformance);

TYPED_TEST_P(FileConformance, BytesStayReadableAfterTheFileIsDeleted) {
  const auto source = this->maker_.Open("0123456789");
  ASSERT_TRUE(std::filesystem::remove(source->name()));
  EXPECT_EQ(TextOf(source->Read({2, 5})), "23456");
  EXPECT_EQ(ReadIntoText(*source, {0, 10}), "0123456789");
  EXPECT_TRUE(source->Populate({0, 10}).ok());
}

TYPED_TEST_P(FileConformance, BytesStayTheSameAfterAnotherFileTakesTheName) {
  const auto source = this->maker_.Open("0123456789");
  std::filesystem::rename(this->maker_.directory().Write("other", "abcdefghij"), source->name());
  EXPECT_EQ(TextOf(source->Read({0, 10})), "0123456789");
  EXPECT_EQ(ReadIntoText(*source, {8, 2}), "89");
}

TYPED_TEST_P(FileConformance, IdentityTellsAnotherFileOfTheSameNameApart) {
  const auto source = this->maker_.Open("0123456789");
  const auto again = this->maker_.OpenPath(source->name());
  EXPECT_NE(source->identity(), "");
  EXPECT_EQ(source->identity(), again->identity());
  std::filesystem::rename(this->maker_.directory().Write("other", "0123456789"), source->name());
  EXPECT_NE(this->maker_.OpenPath(source->name())->identity(), source->identity());
}

TYPED_TEST_P(FileConformance, IdentityTellsAFileThatWasWrittenToApart) {
  const auto source = this->maker_.Open("0123456789");
  const auto time = std::filesystem::last_write_time(source->name());
  std::filesystem::last_write_time(source->name(), time + std::chrono::nanoseconds(1000));
  EXPECT_NE(this->maker_.OpenPath(source->name())->identity(), source->identity());
  std::filesystem::last_write_time(source->name(), time);
  EXPECT_EQ(this->maker_.OpenPath(source->name())->identity(), source->identity());
  std::filesystem::resize_file(source->name(), 11);
  std::filesystem::last_write_time(source->name(), time);
  EXPECT_NE(this->maker_.OpenPath(source->name())->identity(), source->identity());
}

TYPED_TEST_P(FileConformance, SizeIsTheOneAtOpening) {
  const auto source = this->maker_.Open("0123456789");
  std::filesystem::resize_file(source->name(), 20);
  EXPECT_EQ(source->size_bytes(), 10u);
  ExpectRefusal(source->Read({10, 1}).status(), *source, {10, 1});
}

TYPED_TEST_P(FileConformance, ReadsBeyondFourGibibytes) {
  constexpr uint64_t kSize = (uint64_t{1} << 32) + 12345;
  const std::string path = this->maker_.directory().WriteSparse("sparse", kSize, "the end");
  const auto source = this->maker_.OpenPath(path);
  ASSERT_EQ(source->size_bytes(), kSize);
  EXPECT_EQ(TextOf(source->Read({kSize - 9, 9})), std::string("\0\0the end", 9));
  EXPECT_EQ(ReadIntoText(*source, {kSize - 7, 7}), "the end");
  EXPECT_EQ(ReadManyTexts(*source, {{kSize - 3, 3}, {(uint64_t{1} << 31) - 1, 2}}),
            (std::vector<std::string>{"end", std::string(2, '\0')}));
  source->Prefetch({0, kSize});
  EXPECT_TRUE(source->Populate({kSize - 4096, 4096}).ok());
  ExpectRefusal(source->Read({kSize - 7, 8}).status(), *source, {kSize - 7, 8});
}

TYPED_TEST_P(FileConformance, MissingFileIsTheSystemsErrorWithThePath) {
  const std::string path = this->maker_.directory().File("absent");
  const Status status = TypeParam::OpenFailure(path);
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), ENOENT);
  EXPECT_EQ(status.path(), path);
  EXPECT_EQ(status.message(), "open " + path + ": No such file or directory");
}

TYPED_TEST_P(FileConformance, DirectoryIsRefused) {
  const std::string path = this->maker_.directory().path();
  const Status status = TypeParam::OpenFailure(path);
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), EISDIR);
  EXPECT_EQ(status.path(), path);
}

REGISTER_TYPED_TEST_SUITE_P(FileConformance, BytesStayReadableAfterTheFileIsDeleted,
                            BytesStayTheSameAfterAnotherFileTakesTheName, IdentityTellsAnotherFileOfTheSameNameApart,
                            IdentityTellsAFileThatWasWrittenToApart, SizeIsTheOneAtOpening, ReadsBeyondFourGibibytes,
                            MissingFileIsTheSystemsErrorWithThePath, DirectoryIsRefused);

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_IO_FILE_CONFORMANCE_H_
