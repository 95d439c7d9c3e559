// Reading into arrays: what a Python call asks for, turned into one batch for the core, and back.

#ifndef TENSORBUNDLE_BINDINGS_READ_CALL_H_
#define TENSORBUNDLE_BINDINGS_READ_CALL_H_

#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

#include "tensorbundle/checkpoint.h"

namespace tensorbundle::bindings {

// The entries that `names`, a sequence of str, name; all of them for None. Raises NotFoundError.
std::vector<const Entry*> FindEntries(const Checkpoint& checkpoint, const pybind11::object& names);

// Arrays of the entries, in their order. `outs` is None or a sequence of None and arrays of the exact dtype and shape,
// contiguous, aligned and writable; `copy` as in NumPy.
pybind11::list ReadArrays(const Checkpoint& checkpoint, const std::vector<const Entry*>& entries,
                          const pybind11::object& outs, std::optional<bool> copy, bool verify, int threads,
                          const pybind11::object& progress);

// A copy of a part of one tensor, in a new array or in `out`.
pybind11::object ReadRegionArray(const Checkpoint& checkpoint, const Entry& entry, const Region& region,
                                 const pybind11::object& out);

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_READ_CALL_H_
