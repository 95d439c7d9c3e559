#include "bindings/read_call.h"

#include <utility>

#include "bindings/gil.h"
#include "bindings/numpy_view.h"
#include "bindings/progress.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

bool IsStrings(const Entry& entry) { return entry.dtype == DType::kString || entry.dtype == DType::kVariant; }

CopyMode CopyModeOf(std::optional<bool> copy) {
  if (!copy) return CopyMode::kIfNeeded;
  return *copy ? CopyMode::kAlways : CopyMode::kNever;
}

// The array that a request fills, or null if the core decides where its bytes are.
py::object TargetArray(const Checkpoint& checkpoint, const Entry& entry, CopyMode copy, const py::handle& out) {
  if (out && !out.is_none()) return py::reinterpret_borrow<py::object>(out);
  if (IsStrings(entry)) return copy == CopyMode::kNever ? py::object() : NewArray(entry.dtype, entry.shape);
  if (copy == CopyMode::kNever || checkpoint.WillView(entry, copy)) return py::object();
  return NewArray(entry.dtype, entry.shape);
}

}  // namespace

std::vector<const Entry*> FindEntries(const Checkpoint& checkpoint, const py::object& names) {
  std::vector<const Entry*> entries;
  if (names.is_none()) {
    entries.reserve(checkpoint.entries().size());
    for (const Entry& entry : checkpoint.entries()) entries.push_back(&entry);
    return entries;
  }
  for (const py::handle name : names) {
    const std::string key = NameFromPython(name);
    const Entry* const entry = checkpoint.Find(key);
    if (entry == nullptr) {
      Throw(Status(StatusCode::kNotFound, "not found in checkpoint").WithTensor(key).WithPath(checkpoint.prefix()));
    }
    entries.push_back(entry);
  }
  return entries;
}

py::list ReadArrays(const Checkpoint& checkpoint, const std::vector<const Entry*>& entries, const py::object& outs,
                    std::optional<bool> copy, bool verify, int threads, const py::object& progress) {
  const CopyMode mode = CopyModeOf(copy);
  // Before memory is asked for: a tensor whose record is a lie has a problem, and its size means nothing.
  for (const Entry* entry : entries) {
    Unwrap(checkpoint.Problem(*entry));
    Unwrap(CheckNumpyLimits(entry->dtype, entry->shape).WithTensor(entry->name));
  }
  std::vector<py::object> targets(entries.size());
  std::vector<ReadRequest> requests(entries.size());
  std::vector<bool> is_new(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const py::object out = outs.is_none() ? py::object() : py::object(outs[py::int_(i)]);
    is_new[i] = !out || out.is_none();
    targets[i] = TargetArray(checkpoint, *entries[i], mode, out);
    requests[i] = {entries[i], mode, nullptr, false};
    if (targets[i] && !IsStrings(*entries[i])) {
      requests[i] = {entries[i], CopyMode::kAlways, static_cast<uint8_t*>(ArrayData(targets[i])), !is_new[i]};
    }
  }
  PythonProgress python_progress(progress);
  const ReadOptions options{verify, threads, python_progress.function()};
  // The interpreter keeps the checkpoint alive as long as a method of it runs; `targets` keeps the arrays.
  auto tensors = WithoutGil([&] { return checkpoint.ReadMany(requests, options); });
  python_progress.Unwrap(tensors.status());

  py::list arrays(entries.size());
  ViewMaker views;
  for (size_t i = 0; i < entries.size(); ++i) {
    Tensor& tensor = (*tensors)[i];
    if (!targets[i]) targets[i] = views.Make(tensor.dtype, tensor.shape, tensor.data);
    if (IsStrings(*entries[i])) FillStrings(tensor.strings, is_new[i], targets[i]);
    PyList_SET_ITEM(arrays.ptr(), static_cast<Py_ssize_t>(i), targets[i].release().ptr());
  }
  return arrays;
}

py::object ReadRegionArray(const Checkpoint& checkpoint, const Entry& entry, const Region& region,
                           const py::object& out) {
  Unwrap(checkpoint.Problem(entry));
  // The shape is checked by the core, but must be possible before memory is asked for.
  Unwrap(checkpoint.CheckRegion(entry, region));
  Unwrap(CheckNumpyLimits(entry.dtype, region.shape).WithTensor(entry.name));
  const py::object array = out.is_none() ? NewArray(entry.dtype, region.shape) : out;
  auto* const destination = IsStrings(entry) ? nullptr : static_cast<uint8_t*>(ArrayData(array));
  PythonProgress python_progress{py::none()};
  const ReadOptions options{false, 0, python_progress.function()};
  // The interpreter keeps the checkpoint alive as long as a method of it runs; `array` keeps the memory.
  const auto tensor = WithoutGil([&] { return checkpoint.ReadRegion(entry, region, destination, options); });
  python_progress.Unwrap(tensor.status());
  if (IsStrings(entry)) FillStrings(tensor->strings, out.is_none(), array);
  return array;
}

}  // namespace tensorbundle::bindings
