// What module.cc puts together: one function a topic.

#ifndef TENSORBUNDLE_BINDINGS_REGISTER_H_
#define TENSORBUNDLE_BINDINGS_REGISTER_H_

#include <pybind11/pybind11.h>

namespace tensorbundle::bindings {

void RegisterCrc32c(pybind11::module_& module);
void RegisterEntry(pybind11::module_& module);
void RegisterCheckpoint(pybind11::module_& module);
// After RegisterCheckpoint: adds to its class.
void RegisterChunks(pybind11::module_& module);
void RegisterWriter(pybind11::module_& module);
void RegisterEdits(pybind11::module_& module);
void RegisterDifference(pybind11::module_& module);
void RegisterMoments(pybind11::module_& module);
void RegisterObjectGraph(pybind11::module_& module);
void RegisterFingerprint(pybind11::module_& module);

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_REGISTER_H_
