// tensorbundle.Entry: the Python type of an index entry.
//
// Written against Python's own C API and not as a pybind11 class: listing a large checkpoint makes hundreds of
// thousands of these, and pybind11's per-object bookkeeping would take longer than parsing the index.

#ifndef TENSORBUNDLE_BINDINGS_ENTRY_OBJECT_H_
#define TENSORBUNDLE_BINDINGS_ENTRY_OBJECT_H_

#include <pybind11/pybind11.h>

#include "tensorbundle/entry.h"

namespace tensorbundle::bindings {

// Makes the type.
pybind11::object MakeEntryType();

// Makes entries, and shares among them what many of one checkpoint have in common.
class EntryMaker {
 public:
  EntryMaker() = default;
  // `aligned`: a view of it would be.
  pybind11::object Make(const Entry& entry, bool aligned);

 private:
  pybind11::object ShapeTuple(const std::vector<int64_t>& shape);

  std::vector<int64_t> last_shape_;
  pybind11::object last_shape_tuple_;
};

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_ENTRY_OBJECT_H_
