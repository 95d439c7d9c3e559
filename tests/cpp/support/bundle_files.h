// Bundles of a BundleMaker on disk, and what is in a directory afterwards.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_BUNDLE_FILES_H_
#define TENSORBUNDLE_TESTS_SUPPORT_BUNDLE_FILES_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "bundle/entry.h"
#include "bundle/naming.h"
#include "io/temporary_directory.h"
#include "support/bundle_maker.h"
#include "tensorbundle/checkpoint.h"

namespace tensorbundle::test_support {

// Writes the files of `bundle` and returns their prefix. Directories in `name` are made.
inline std::string WriteBundle(const TemporaryDirectory& directory, const std::string& name,
                               const BundleMaker& bundle) {
  std::filesystem::create_directories(std::filesystem::path(directory.File(name)).parent_path());
  const auto num_shards = static_cast<int32_t>(bundle.shards.size());
  for (const auto& [shard, bytes] : bundle.shards) directory.Write(DataPath(name, shard, num_shards), bytes);
  directory.Write(IndexPath(name), bundle.Index());
  return directory.File(name);
}

// A bundle of byte tensors, all in one data file.
inline BundleMaker Bytes(const std::map<std::string, std::string>& tensors) {
  BundleMaker bundle;
  for (const auto& [name, bytes] : tensors) bundle.Add(name, 4, {static_cast<int64_t>(bytes.size())}, bytes);
  return bundle;
}

// The same with records in their shortest form: without the fields that are zero.
inline BundleMaker AsTensorFlowWrites(BundleMaker bundle) {
  for (auto& [key, record] : bundle.records) {
    Entry entry;
    const auto num_shards = static_cast<int32_t>(bundle.shards.size());
    EXPECT_TRUE(ParseEntry(ByteView(key), ByteView(record), num_shards, &entry).ok());
    EncodeEntry(entry, &record);
  }
  return bundle;
}

// Every tensor of a checkpoint of byte tensors, which must all be readable, checksums compared.
inline std::map<std::string, std::string> ReadBytes(const std::string& prefix) {
  std::map<std::string, std::string> tensors;
  const auto checkpoint = Checkpoint::Open(prefix, {FileAccess::kRead, nullptr});
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  if (!checkpoint.ok()) return tensors;
  for (const Entry& entry : checkpoint->entries()) {
    const auto tensor = checkpoint->Read(entry.name);
    EXPECT_TRUE(tensor.ok()) << tensor.status().message();
    if (tensor.ok()) tensors[entry.name] = std::string(tensor->data.view().AsText());
  }
  return tensors;
}

inline std::string FileContent(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Every file below a directory, by its path from there, and what is in it.
inline std::map<std::string, std::string> FilesIn(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& item : std::filesystem::recursive_directory_iterator(directory)) {
    if (!item.is_regular_file()) continue;
    files[item.path().lexically_relative(directory).string()] = FileContent(item.path().string());
  }
  return files;
}

inline std::set<std::string> NamesIn(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& [name, content] : FilesIn(directory)) names.insert(name);
  return names;
}

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_BUNDLE_FILES_H_
