// Two opened checkpoints compared by their indexes. There may be hundreds of thousands of tensors, most of them equal:
// only the others become objects of Python's.

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bindings/entry_object.h"
#include "bindings/gil.h"
#include "bindings/register.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"
#include "tensorbundle/checkpoint.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

struct Difference {
  std::vector<const Entry*> only_a;
  std::vector<const Entry*> only_b;
  std::vector<std::pair<const Entry*, const Entry*>> differing;
  uint64_t num_equal = 0;
};

// Whether the indexes prove two tensors to be equal. What lies in pieces or in the V1 format has no shard and no
// checksum.
bool AreEqual(const Entry& a, const Entry& b) {
  return a.shard >= 0 && b.shard >= 0 && a.crc32c == b.crc32c && a.size_bytes == b.size_bytes && a.dtype == b.dtype &&
         a.shape == b.shape;
}

// Walks both lists, which are in the order of names, once.
Difference Compare(const std::vector<Entry>& of_a, const std::vector<Entry>& of_b) {
  Difference difference;
  auto a = of_a.begin();
  auto b = of_b.begin();
  while (a != of_a.end() || b != of_b.end()) {
    const int order = a == of_a.end() ? 1 : b == of_b.end() ? -1 : a->name.compare(b->name);
    if (order < 0) {
      difference.only_a.push_back(&*a++);
    } else if (order > 0) {
      difference.only_b.push_back(&*b++);
    } else {
      if (AreEqual(*a, *b)) {
        ++difference.num_equal;
      } else {
        difference.differing.emplace_back(&*a, &*b);
      }
      ++a;
      ++b;
    }
  }
  return difference;
}

// A record that can't be understood would be compared with what it isn't.
void CheckEntries(const Checkpoint& checkpoint) {
  for (const Entry& entry : checkpoint.entries()) {
    if (entry.dtype == DType::kInvalid) Unwrap(checkpoint.Problem(entry));
  }
}

py::list Names(const std::vector<const Entry*>& entries) {
  py::list names;
  for (const Entry* entry : entries) names.append(NameToPython(entry->name));
  return names;
}

py::tuple CompareIndexes(const Checkpoint& a, const Checkpoint& b) {
  CheckEntries(a);
  CheckEntries(b);
  // The interpreter keeps both checkpoints alive as long as this runs, and their entries never change.
  const Difference difference = WithoutGil([&] { return Compare(a.entries(), b.entries()); });
  EntryMaker maker;
  py::list differing;
  for (const auto& [of_a, of_b] : difference.differing) {
    differing.append(py::make_tuple(maker.Make(*of_a, a.Aligned(*of_a)), maker.Make(*of_b, b.Aligned(*of_b))));
  }
  return py::make_tuple(Names(difference.only_a), Names(difference.only_b), differing, difference.num_equal);
}

}  // namespace

void RegisterDifference(py::module_& module) {
  module.def(
      "compare_indexes", &CompareIndexes, py::arg("a"), py::arg("b"),
      "Names of one checkpoint alone, of the other alone, pairs of entries that may differ, number of equal ones.");
}

}  // namespace tensorbundle::bindings
