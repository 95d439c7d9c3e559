// Entry, and what puts a pickled one together again.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/entry_object.h"
#include "bindings/register.h"
#include "bindings/text.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

Slice SliceFromPython(const py::tuple& extents) {
  Slice slice;
  for (const py::handle extent : extents) {
    const auto start = extent.attr("start").cast<int64_t>();
    slice.extents.push_back({start, extent.attr("stop").cast<int64_t>() - start});
  }
  return slice;
}

py::object UnpickleEntry(const py::str& name, int32_t dtype, std::vector<int64_t> shape, const py::tuple& slices,
                         uint64_t size_bytes, int32_t shard, uint64_t offset, uint32_t crc32c, bool aligned) {
  Entry entry{NameFromPython(name), static_cast<DType>(dtype), std::move(shape), size_bytes, shard, offset, crc32c, {}};
  for (const py::handle slice : slices) entry.slices.push_back(SliceFromPython(py::cast<py::tuple>(slice)));
  return EntryMaker().Make(entry, aligned);
}

}  // namespace

void RegisterEntry(py::module_& module) {
  module.attr("Entry") = MakeEntryType();
  module.def("_entry", &UnpickleEntry, "An Entry from what its __reduce__ gives.");
}

}  // namespace tensorbundle::bindings
