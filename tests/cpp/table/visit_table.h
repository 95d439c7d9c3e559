// What the tests of the table reader say again and again.

#ifndef TENSORBUNDLE_TESTS_TABLE_VISIT_TABLE_H_
#define TENSORBUNDLE_TESTS_TABLE_VISIT_TABLE_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "support/table_maker.h"
#include "table/table_reader.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle::test_support {

struct Visited {
  Entries entries;
  Status status;
};

inline Visited Visit(const std::string& bytes) {
  // A copy that ends where the allocation ends, for the sanitizers.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  Visited visited;
  visited.status = VisitTable(ByteView(exact.data(), exact.size()), [&visited](ByteView key, ByteView value) {
    visited.entries.emplace_back(key.AsText(), value.AsText());
    return Status();
  });
  visited.status.IgnoreError();  // The caller looks at what it needs.
  return visited;
}

inline void ExpectSound(const std::string& bytes, const Entries& entries) {
  const Visited visited = Visit(bytes);
  EXPECT_TRUE(visited.status.ok()) << visited.status.message();
  EXPECT_EQ(visited.entries, entries);
}

// Damage at `offset`, after `good_entries`.
inline void ExpectDamaged(const std::string& bytes, size_t good_entries, uint64_t offset, const std::string& message) {
  const Visited visited = Visit(bytes);
  EXPECT_EQ(visited.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(visited.status.offset(), offset);
  EXPECT_EQ(visited.status.message(), message);
  EXPECT_EQ(visited.entries.size(), good_entries);
}

inline Entries Numbered(size_t count) {
  Entries entries = {{"", "header"}};
  for (size_t i = 0; i < count; ++i) {
    entries.emplace_back("layer/" + std::to_string(100000 + i), "value " + std::to_string(i));
  }
  return entries;
}

inline Entries TwoEntries() { return {{"", "h"}, {"a", "1"}}; }

// A table of them: data block of 17 bytes at 0, metaindex of 8 at 22, index of 14 at 35, footer at 54.
inline MadeTable MakeTwo() { return MakeTable(TwoEntries()); }

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_TABLE_VISIT_TABLE_H_
