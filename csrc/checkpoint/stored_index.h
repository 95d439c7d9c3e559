// An index as it is stored: records that become those of another index, not tensors that are read.

#ifndef TENSORBUNDLE_CHECKPOINT_STORED_INDEX_H_
#define TENSORBUNDLE_CHECKPOINT_STORED_INDEX_H_

#include <string>
#include <vector>

#include "bundle/entry.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// One tensor or piece. What `value` says has not been looked at.
struct IndexRecord {
  std::string key;
  std::string value;
};

struct StoredIndex {
  std::string prefix;
  std::string identity;  // Of the index file.
  Header header;
  std::string header_record;
  std::vector<IndexRecord> records;  // In key order, the header apart.
};

// Reads the index at `prefix`, which is taken as it is. kDataLoss if the table or its header is damaged,
// kResourceExhausted if its keys are out of proportion to the file.
Result<StoredIndex> ReadStoredIndex(const std::string& prefix);

// A text that two indexes have in common only if they are one file in one state; empty if there is none at `prefix`, or
// it can't be opened.
std::string IndexIdentity(const std::string& prefix);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_STORED_INDEX_H_
