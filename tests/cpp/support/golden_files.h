// Files that TensorFlow wrote: tests/golden.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_GOLDEN_FILES_H_
#define TENSORBUNDLE_TESTS_SUPPORT_GOLDEN_FILES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace tensorbundle::test_support {

// The bytes of a file under tests/golden. A file that is not there fails the test.
inline std::string ReadGolden(const std::string& name) {
  std::ifstream file(std::string(TENSORBUNDLE_GOLDEN_DIR "/") + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The names of all index files of the V2 format that TensorFlow wrote, for ReadGolden.
inline std::vector<std::string> GoldenIndexes() {
  const std::filesystem::path root = TENSORBUNDLE_GOLDEN_DIR;
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root / "2.21.0")) {
    if (file.path().extension() == ".index") names.push_back(file.path().lexically_relative(root).string());
  }
  std::sort(names.begin(), names.end());
  EXPECT_GE(names.size(), 11u) << "golden files are missing";
  return names;
}

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_GOLDEN_FILES_H_
