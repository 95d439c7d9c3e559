// The tensors of an index, in key order, and what is wrong with those that can't be read.

#ifndef TENSORBUNDLE_UTIL_ENTRY_LIST_H_
#define TENSORBUNDLE_UTIL_ENTRY_LIST_H_

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensorbundle/entry.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

class EntryList {
 public:
  // Every tensor, in the order of their names' bytes.
  const std::vector<Entry>& entries() const { return entries_; }

  // Null if there is none of this name.
  const Entry* Find(std::string_view name) const {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), name,
                                        [](const Entry& entry, std::string_view key) { return entry.name < key; });
    return found != entries_.end() && found->name == name ? &*found : nullptr;
  }

  // Why entries()[position] cannot be read; ok for most.
  Status Problem(size_t position) const {
    const auto found = problems_.find(position);
    return found == problems_.end() ? Status() : Status(found->second).WithTensor(entries_[position].name);
  }

 protected:
  ~EntryList() = default;
  EntryList() = default;
  EntryList(const EntryList&) = default;
  EntryList(EntryList&&) = default;
  EntryList& operator=(const EntryList&) = default;
  EntryList& operator=(EntryList&&) = default;

  std::vector<Entry> entries_;
  std::unordered_map<size_t, Status> problems_;  // By position; few entries have one.
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_ENTRY_LIST_H_
