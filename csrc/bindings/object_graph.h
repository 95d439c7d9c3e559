// What Checkpoint's methods need of object graphs.

#ifndef TENSORBUNDLE_BINDINGS_OBJECT_GRAPH_H_
#define TENSORBUNDLE_BINDINGS_OBJECT_GRAPH_H_

#include <pybind11/pybind11.h>

#include <string>

#include "tensorbundle/checkpoint.h"

namespace tensorbundle::bindings {

// The graph that is stored in a checkpoint, or None.
pybind11::object ReadObjectGraphObject(const Checkpoint& checkpoint);

// "key", "path" or "full_name"; anything else is a ValueError.
NamesBy NamesByFromName(const std::string& name);

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_OBJECT_GRAPH_H_
