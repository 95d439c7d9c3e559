// A directory of a test's own, removed with all that is in it.

#ifndef TENSORBUNDLE_TESTS_IO_TEMPORARY_DIRECTORY_H_
#define TENSORBUNDLE_TESTS_IO_TEMPORARY_DIRECTORY_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace tensorbundle::test_support {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = ::testing::TempDir() + "tensorbundle-XXXXXX";
    const char* const made = mkdtemp(pattern.data());
    if (made == nullptr) std::abort();
    path_ = made;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  // Writes a file and returns its path.
  std::string Write(const std::string& name, const std::string& content) const {
    const std::string path = File(name);
    std::ofstream file(path, std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    EXPECT_TRUE(file.good()) << path;
    return path;
  }

  // Writes a file of `size_bytes` that ends with `tail` and holds zeros, not stored, before it.
  std::string WriteSparse(const std::string& name, uint64_t size_bytes, const std::string& tail) const {
    const std::string path = Write(name, "");
    std::filesystem::resize_file(path, size_bytes);
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(size_bytes - tail.size()));
    file.write(tail.data(), static_cast<std::streamsize>(tail.size()));
    file.close();
    EXPECT_TRUE(file.good()) << path;
    return path;
  }

 private:
  std::string path_;
};

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_IO_TEMPORARY_DIRECTORY_H_
