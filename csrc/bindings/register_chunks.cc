// Reading in bounded memory: the chunks of one tensor, and what streaming many needs to know of them.

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bindings/gil.h"
#include "bindings/numpy_view.h"
#include "bindings/progress.h"
#include "bindings/read_call.h"
#include "bindings/register.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/chunk_reader.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

std::vector<const Entry*> FindReadable(const Checkpoint& checkpoint, const py::object& names) {
  std::vector<const Entry*> entries = FindEntries(checkpoint, names);
  for (const Entry* entry : entries) Unwrap(checkpoint.Problem(*entry));
  return entries;
}

ChunkReader Chunks(const Checkpoint& checkpoint, const py::str& name, uint64_t max_bytes, bool verify, int threads) {
  const Entry& entry = *FindReadable(checkpoint, py::make_tuple(name)).front();
  Unwrap(CheckNumpyLimits(entry.dtype, entry.shape).WithTensor(entry.name));
  return Unwrap(ChunkReader::Create(checkpoint, entry, {max_bytes, verify, threads}));
}

py::tuple IndexOf(const Region& region) {
  py::tuple index(region.start.size());
  for (size_t d = 0; d < region.start.size(); ++d) {
    index[d] = py::slice(static_cast<py::ssize_t>(region.start[d]),
                         static_cast<py::ssize_t>(region.start[d] + region.shape[d]), 1);
  }
  return index;
}

py::tuple NextChunk(ChunkReader& chunks) {
  const Region* const next = chunks.next();
  if (next == nullptr) throw py::stop_iteration("there are no more chunks");
  const py::tuple index = IndexOf(*next);
  const DType dtype = chunks.entry().dtype;
  const bool has_strings = dtype == DType::kString || dtype == DType::kVariant;
  py::object array = chunks.gives_views() ? py::object() : NewArray(dtype, next->shape);
  auto* const destination = !array || has_strings ? nullptr : static_cast<uint8_t*>(ArrayData(array));
  PythonProgress python_progress{py::none()};
  const ProgressFunction progress = python_progress.function();
  // The interpreter keeps the reader alive as long as a method of it runs; `array` keeps the memory.
  const auto tensor = WithoutGil([&] { return chunks.Read(destination, progress); });
  python_progress.Unwrap(tensor.status());
  if (has_strings) FillStrings(tensor->strings, true, array);
  if (!array) array = ViewMaker().Make(dtype, tensor->shape, tensor->data);
  return py::make_tuple(index, array);
}

py::list InFileOrder(const Checkpoint& checkpoint, const py::object& names) {
  py::list ordered;
  for (const Entry* entry : checkpoint.InFileOrder(FindReadable(checkpoint, names))) {
    ordered.append(py::make_tuple(NameToPython(entry->name), checkpoint.EstimateMemory(*entry)));
  }
  return ordered;
}

void DropCache(const Checkpoint& checkpoint, const py::object& names) {
  const std::vector<const Entry*> entries = FindReadable(checkpoint, names);
  // The interpreter keeps the checkpoint alive as long as a method of it runs.
  WithoutGil([&] {
    checkpoint.DropCache(entries);
    return 0;
  });
}

}  // namespace

void RegisterChunks(py::module_& module) {
  py::class_<ChunkReader>(module, "ChunkReader", py::is_final(), "The chunks of one tensor.")
      .def("has_next", [](const ChunkReader& self) { return self.next() != nullptr; })
      .def("next", &NextChunk, "(index, array) of the next chunk.")
      .def("drop_cache", &ChunkReader::DropCache, "Lets go of the page cache of the last.");
  py::class_<Checkpoint> checkpoint = module.attr("Checkpoint");
  checkpoint
      .def("chunks", &Chunks, py::arg("name"), py::arg("max_bytes"), py::arg("verify") = true, py::arg("threads") = 0,
           "The chunks of one tensor.")
      .def("in_file_order", &InFileOrder, py::arg("names"), "(name, bytes in memory) by where they are in the files.")
      .def("drop_cache", &DropCache, py::arg("names"), "Lets go of the page cache of tensors.");
}

}  // namespace tensorbundle::bindings
