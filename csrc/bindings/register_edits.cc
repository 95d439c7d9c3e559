// Merging checkpoints and changing names: tensorbundle.merge and tensorbundle.edit.

#include <pybind11/pybind11.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/gil.h"
#include "bindings/progress.h"
#include "bindings/register.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"
#include "tensorbundle/checkpoint_edits.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using NewNames = std::vector<std::optional<std::string>>;

// A function of Python's from names to new names. Called without the GIL, from the calling thread.
class PythonNameEdit {
 public:
  explicit PythonNameEdit(py::object function) : function_(std::move(function)) {}

  Result<NewNames> operator()(const std::vector<std::string_view>& names) {
    const HoldGil gil;
    try {
      return Call(names);
    } catch (...) {
      raised_ = std::current_exception();
      return Status(StatusCode::kExternal, "the function that gives new names raised an exception");
    }
  }

  // Raises what the function raised.
  void Rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  NewNames Call(const std::vector<std::string_view>& names) const {
    py::list old_names(names.size());
    for (size_t i = 0; i < names.size(); ++i) old_names[i] = NameToPython(names[i]);
    NewNames new_names;
    new_names.reserve(names.size());
    for (const py::handle name : function_(old_names)) {
      new_names.push_back(name.is_none() ? std::nullopt : std::make_optional(NameFromPython(name)));
    }
    return new_names;
  }

  py::object function_;
  std::exception_ptr raised_;
};

void Merge(const py::iterable& prefixes, const py::object& destination, bool durable, bool keep_sources, bool partial) {
  std::vector<std::string> paths;
  for (const py::handle prefix : prefixes) paths.push_back(PathFromPython(prefix));
  const std::string path = PathFromPython(destination);
  PythonProgress signals{py::none()};
  const MergeOptions options{durable, keep_sources, partial, signals.function()};
  // Everything it uses is C++'s.
  signals.Unwrap(WithoutGil([&] { return MergeCheckpoints(paths, path, options); }));
}

void Edit(const py::object& prefix, const py::object& destination, py::object new_names, bool link, bool durable) {
  const std::string source = PathFromPython(prefix);
  const std::string path = destination.is_none() ? std::string() : PathFromPython(destination);
  PythonProgress signals{py::none()};
  PythonNameEdit edit(std::move(new_names));
  const NameEdit function = [&edit](const std::vector<std::string_view>& names) { return edit(names); };
  const EditOptions options{link, durable, signals.function()};
  // `edit` takes the GIL for its own work, and outlives the call.
  const Status status = WithoutGil([&] { return EditIndex(source, path, function, options); });
  if (status.code() == StatusCode::kExternal) edit.Rethrow();
  signals.Unwrap(status);
}

}  // namespace

void RegisterEdits(py::module_& module) {
  module.def("merge", &Merge, py::arg("prefixes"), py::arg("destination"), py::arg("durable") = true,
             py::arg("keep_sources") = false, py::arg("partial") = false, "Makes several checkpoints one.");
  module.def("edit", &Edit, py::arg("prefix"), py::arg("destination"), py::arg("new_names"), py::arg("link") = false,
             py::arg("durable") = true, "Renames and drops tensors of a checkpoint.");
}

}  // namespace tensorbundle::bindings
