// The native Checkpoint, which tensorbundle.Checkpoint wraps.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings/entry_object.h"
#include "bindings/gil.h"
#include "bindings/numpy_view.h"
#include "bindings/object_graph.h"
#include "bindings/progress.h"
#include "bindings/read_call.h"
#include "bindings/register.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"
#include "tensorbundle/checkpoint.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

FileAccess AccessFromName(const std::string& name) {
  if (name == "auto") return FileAccess::kAuto;
  if (name == "map") return FileAccess::kMap;
  if (name == "read") return FileAccess::kRead;
  throw py::value_error("access is 'auto', 'map' or 'read', not " + name);
}

Checkpoint Open(const py::object& prefix, const std::string& access) {
  const std::string path = PathFromPython(prefix);
  OpenOptions options;
  options.access = AccessFromName(access);
  // Everything it uses is C++'s.
  return Unwrap(WithoutGil([&] { return Checkpoint::Open(path, options); }));
}

py::list PathList(const std::vector<std::string>& paths) {
  py::list list;
  for (const std::string& path : paths) list.append(PathToPython(path));
  return list;
}

py::list Names(const Checkpoint& checkpoint) {
  py::list names(checkpoint.entries().size());
  Py_ssize_t i = 0;
  for (const Entry& entry : checkpoint.entries()) {
    PyList_SET_ITEM(names.ptr(), i++, NameToPython(entry.name).release().ptr());
  }
  return names;
}

py::list Entries(const Checkpoint& checkpoint) {
  py::list entries;
  EntryMaker maker;
  for (const Entry& entry : checkpoint.entries()) {
    if (entry.dtype != DType::kInvalid) entries.append(maker.Make(entry, checkpoint.Aligned(entry)));
  }
  return entries;
}

py::object EntryOf(const Checkpoint& checkpoint, const py::str& name) {
  const Entry& entry = *FindEntries(checkpoint, py::make_tuple(name)).front();
  if (entry.dtype == DType::kInvalid) Unwrap(checkpoint.Problem(entry));
  return EntryMaker().Make(entry, checkpoint.Aligned(entry));
}

Checkpoint Named(const Checkpoint& checkpoint, const std::string& by) {
  const NamesBy names_by = NamesByFromName(by);
  // The interpreter keeps the checkpoint alive as long as a method of it runs.
  return Unwrap(WithoutGil([&] { return checkpoint.Named(names_by); }));
}

py::list Problems(const Checkpoint& checkpoint) {
  py::list problems;
  for (const Entry& entry : checkpoint.entries()) {
    const Status problem = checkpoint.Problem(entry);
    if (!problem.ok()) problems.append(py::make_tuple(NameToPython(entry.name), MakeException(problem)));
  }
  return problems;
}

// One exception for all tensors that a file or directory is the problem of, and for no more than `limit` reasons: there
// may be as many problems as tensors.
py::tuple ProblemReasons(const Checkpoint& checkpoint, size_t limit) {
  struct Reason {
    Status first;
    size_t count = 0;
  };
  std::vector<Reason> reasons;
  std::unordered_map<std::string, size_t> positions;
  size_t num_problems = 0;
  for (const Entry& entry : checkpoint.entries()) {
    Status problem = checkpoint.Problem(entry);
    if (problem.ok()) continue;
    ++num_problems;
    const bool is_file = problem.system_error() != 0 && !problem.path().empty();
    const std::string key = is_file ? std::to_string(problem.system_error()) + problem.path() : problem.message();
    const auto [position, is_new] = positions.try_emplace(key, reasons.size());
    if (is_new) reasons.push_back({std::move(problem).AsData(), 0});
    ++reasons[position->second].count;
  }
  py::list shown;
  for (size_t i = 0; i < std::min(limit, reasons.size()); ++i) {
    shown.append(py::make_tuple(MakeException(reasons[i].first), reasons[i].count));
  }
  return py::make_tuple(num_problems, reasons.size(), shown);
}

py::object View(const Checkpoint& checkpoint, const py::str& name) {
  const Entry& entry = *FindEntries(checkpoint, py::make_tuple(name)).front();
  Unwrap(checkpoint.Problem(entry));
  // Where some bits of a byte do not count, the bytes would have to be looked at first.
  const bool as_stored = checkpoint.CanView(entry) && FindDTypeInfo(entry.dtype)->value_bits == 8;
  if (!as_stored || !checkpoint.Aligned(entry)) return py::none();
  Unwrap(CheckNumpyLimits(entry.dtype, entry.shape).WithTensor(entry.name));
  return ViewMaker().Make(entry.dtype, entry.shape, Unwrap(checkpoint.View(entry)));
}

py::object ReadRegion(const Checkpoint& checkpoint, const py::str& name, std::vector<int64_t> start,
                      std::vector<int64_t> shape, std::vector<int64_t> step, const py::object& out) {
  const Entry& entry = *FindEntries(checkpoint, py::make_tuple(name)).front();
  return ReadRegionArray(checkpoint, entry, {std::move(start), std::move(shape), std::move(step)}, out);
}

py::object OptionalNumber(bool present, uint64_t number) {
  return present ? py::object(py::int_(number)) : py::object(py::none());
}

py::tuple Verify(const Checkpoint& checkpoint, const py::object& names, int threads, const py::object& progress) {
  const std::vector<const Entry*> entries = FindEntries(checkpoint, names);
  PythonProgress python_progress(progress);
  const ReadOptions options{true, threads, python_progress.function()};
  // The interpreter keeps the checkpoint alive as long as a method of it runs; its entries are C++'s.
  const bool all = names.is_none();
  const auto report =
      WithoutGil([&] { return all ? checkpoint.VerifyAll(options) : checkpoint.Verify(entries, options); });
  python_progress.Unwrap(report.status());
  py::list damaged;
  for (const Damage& damage : report->damaged) {
    const bool placed = damage.shard >= 0;
    damaged.append(py::make_tuple(
        NameToPython(damage.name), OptionalNumber(placed, damage.shard), OptionalNumber(placed, damage.offset_in_shard),
        OptionalNumber(damage.expected_crc32c.has_value(), damage.expected_crc32c.value_or(0)),
        OptionalNumber(damage.found_crc32c.has_value(), damage.found_crc32c.value_or(0)), MakeException(damage.why)));
  }
  return py::make_tuple(report->num_tensors, report->num_bytes, damaged, PathList(report->missing_shards));
}

}  // namespace

void RegisterCheckpoint(py::module_& module) {
  py::class_<Checkpoint>(module, "Checkpoint", py::is_final(), "One opened checkpoint.")
      .def_static("open", &Open, py::arg("prefix"), py::arg("access") = "auto", "Opens a checkpoint.")
      .def_property_readonly("prefix", [](const Checkpoint& self) { return PathToPython(self.prefix()); })
      .def_property_readonly("num_shards", &Checkpoint::num_shards)
      .def_property_readonly("missing_shards", [](const Checkpoint& self) { return PathList(self.missing_shards()); })
      .def_property_readonly(
          "identity",
          [](const Checkpoint& self) { return py::make_tuple(self.index_size_bytes(), self.index_crc32c()); })
      .def("__len__", [](const Checkpoint& self) { return self.entries().size(); })
      .def("__contains__",
           [](const Checkpoint& self, const py::str& name) { return self.Find(NameFromPython(name)) != nullptr; })
      .def("names", &Names, "Names of all tensors, in key order.")
      .def("entries", &Entries, "Entries in key order.")
      .def("entry", &EntryOf, py::arg("name"), "The entry of one tensor.")
      .def(
          "key",
          [](const Checkpoint& self, const py::str& name) {
            return NameToPython(self.Key(*FindEntries(self, py::make_tuple(name)).front()));
          },
          py::arg("name"), "The key that a tensor is stored under.")
      .def("named", &Named, py::arg("by"), "The same checkpoint under other names.")
      .def("object_graph", &ReadObjectGraphObject, "The object graph, or None.")
      .def("problems", &Problems, "What opening found: (name, why it cannot be read).")
      .def("problem_reasons", &ProblemReasons, py::arg("limit"),
           "Number of tensors with problems, number of reasons, and the first reasons: (exception, number of tensors).")
      .def(
          "read",
          [](const Checkpoint& self, const py::object& names, const py::object& outs, std::optional<bool> copy,
             bool verify, int threads, const py::object& progress) {
            return ReadArrays(self, FindEntries(self, names), outs, copy, verify, threads, progress);
          },
          py::arg("names") = py::none(), py::arg("outs") = py::none(), py::arg("copy") = py::none(),
          py::arg("verify") = true, py::arg("threads") = 0, py::arg("progress") = py::none(), "Arrays, in parallel.")
      .def("view", &View, py::arg("name"), "A view, unchecked, or None.")
      .def("read_region", &ReadRegion, py::arg("name"), py::arg("start"), py::arg("shape"), py::arg("step"),
           py::arg("out") = py::none(), "A copy of a part.")
      .def("verify", &Verify, py::arg("names") = py::none(), py::arg("threads") = 0, py::arg("progress") = py::none(),
           "Compares every checksum.");
}

}  // namespace tensorbundle::bindings
