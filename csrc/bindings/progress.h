// What a long call does every 50 ms: let signal handlers run, and tell the caller how far it is.

#ifndef TENSORBUNDLE_BINDINGS_PROGRESS_H_
#define TENSORBUNDLE_BINDINGS_PROGRESS_H_

#include <pybind11/pybind11.h>

#include <exception>

#include "tensorbundle/checkpoint.h"
#include "tensorbundle/status.h"

namespace tensorbundle::bindings {

// Bridges to Python's callback. An exception from it, or KeyboardInterrupt, stops the call and is raised unchanged.
//
// Made and unwrapped with the GIL; the function it gives is called without, from the calling thread, and takes it.
class PythonProgress {
 public:
  explicit PythonProgress(pybind11::object callback) : callback_(std::move(callback)) {}

  ProgressFunction function();
  // Raises what Python raised, or the status' own exception; returns if it is ok.
  void Unwrap(const Status& status) const;

 private:
  Status Call(const Progress& progress);

  pybind11::object callback_;  // None: no callback, but signals are looked at.
  std::exception_ptr raised_;
};

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_PROGRESS_H_
