// What Python's messages need to be told apart by their bytes.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "bindings/gil.h"
#include "bindings/register.h"
#include "bindings/unwrap.h"
#include "tensorbundle/fingerprint.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// A field: number, position of its type, and whether it is an entry of a map.
using FieldTuple = std::tuple<uint32_t, uint32_t, bool>;

ByteView ViewOf(const py::bytes& data) {
  return ByteView(reinterpret_cast<const uint8_t*>(PyBytes_AS_STRING(data.ptr())),
                  static_cast<size_t>(PyBytes_GET_SIZE(data.ptr())));
}

uint64_t Fingerprint(const py::bytes& data) {
  const ByteView bytes = ViewOf(data);
  // Bytes objects are immutable, and the caller's reference keeps this one.
  return WithoutGil([&] { return Fingerprint64(bytes); });
}

std::vector<MessageFields> ToTypes(const std::vector<std::vector<FieldTuple>>& given) {
  std::vector<MessageFields> types(given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    for (const auto& [number, message, is_map_entry] : given[i]) {
      if (message >= given.size())
        throw py::value_error("a field of type " + std::to_string(message) + " of " + std::to_string(given.size()));
      types[i].push_back({number, message, is_map_entry});
    }
  }
  return types;
}

py::bytes Sorted(const py::bytes& data, const std::vector<std::vector<FieldTuple>>& fields, uint32_t message) {
  const std::vector<MessageFields> types = ToTypes(fields);
  if (message >= types.size())
    throw py::value_error("a message of type " + std::to_string(message) + " of " + std::to_string(types.size()));
  const ByteView bytes = ViewOf(data);
  auto sorted =
      py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes.size())));
  if (!sorted) throw py::error_already_set();
  auto* const destination = reinterpret_cast<uint8_t*>(PyBytes_AS_STRING(sorted.ptr()));
  // Nobody else knows of the new object yet.
  Unwrap(WithoutGil([&] {
    std::memcpy(destination, bytes.data(), bytes.size());
    return SortMapEntries(types, message, destination, bytes.size());
  }));
  return sorted;
}

}  // namespace

void RegisterFingerprint(py::module_& module) {
  module.def("fingerprint64", &Fingerprint, py::arg("data"), "FarmHash's Fingerprint64.");
  module.def("sort_map_entries", &Sorted, py::arg("data"), py::arg("fields"), py::arg("message"),
             "A serialized message with the entries of its maps in the order of their keys.");
}

}  // namespace tensorbundle::bindings
