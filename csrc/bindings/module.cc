// tensorbundle._core: the parts, registered.

#include <pybind11/pybind11.h>

#include "bindings/register.h"
#include "tensorbundle/version.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The native module: plumbing for the classes that users see.";
  module.attr("__version__") = TENSORBUNDLE_VERSION;
  tensorbundle::bindings::RegisterCrc32c(module);
  tensorbundle::bindings::RegisterEntry(module);
  tensorbundle::bindings::RegisterCheckpoint(module);
  tensorbundle::bindings::RegisterChunks(module);
  tensorbundle::bindings::RegisterWriter(module);
  tensorbundle::bindings::RegisterEdits(module);
  tensorbundle::bindings::RegisterObjectGraph(module);
  tensorbundle::bindings::RegisterFingerprint(module);
  tensorbundle::bindings::RegisterDifference(module);
  tensorbundle::bindings::RegisterMoments(module);
}
