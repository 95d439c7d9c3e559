// What tests of merging have in common.

#ifndef TENSORBUNDLE_TESTS_CHECKPOINT_MERGING_H_
#define TENSORBUNDLE_TESTS_CHECKPOINT_MERGING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/stored_index.h"
#include "support/bundle_files.h"
#include "tensorbundle/checkpoint_edits.h"

namespace tensorbundle::test_support {

inline Slice Rows(int64_t start, int64_t length) { return Slice{{{start, length}}}; }

// One slice of a vector of bytes, and the record that lists it alone.
inline BundleMaker OneSlice(const std::string& name, int64_t full, int64_t start, const std::string& bytes) {
  BundleMaker bundle;
  const Slice slice = Rows(start, static_cast<int64_t>(bytes.size()));
  bundle.AddPiece(name, slice, 4, {static_cast<int64_t>(bytes.size())}, bytes);
  bundle.AddPartitioned(name, 4, {full}, {slice});
  return bundle;
}

// The record of a key, as it is stored.
inline std::string RecordAt(const std::string& prefix, const std::string& key) {
  const auto index = ReadStoredIndex(prefix);
  EXPECT_TRUE(index.ok()) << index.status().message();
  if (!index.ok()) return "";
  for (const IndexRecord& record : index->records) {
    if (record.key == key) return record.value;
  }
  ADD_FAILURE() << "no record of key " << key;
  return "";
}

// Expects the call to fail and every file to be what it was.
inline void ExpectMergeIsRefused(const TemporaryDirectory& directory, const std::vector<std::string>& prefixes,
                                 const std::string& destination, StatusCode code, const std::string& message,
                                 const MergeOptions& options = {}) {
  const auto before = FilesIn(directory.path());
  const Status status = MergeCheckpoints(prefixes, destination, options);
  EXPECT_EQ(status.code(), code);
  EXPECT_EQ(status.message(), message);
  EXPECT_EQ(FilesIn(directory.path()), before);
}

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_CHECKPOINT_MERGING_H_
