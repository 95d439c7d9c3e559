// Doing work without the interpreter's lock.

#ifndef TENSORBUNDLE_BINDINGS_GIL_H_
#define TENSORBUNDLE_BINDINGS_GIL_H_

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace tensorbundle::bindings {

// Takes the GIL with `take`, a call of Python's.
//
// While the interpreter ends, Python before 3.14 ends other threads that ask for the GIL, by unwinding them. Frames of
// C++ do not survive that: destructors would touch Python without the lock, and what must not throw would call
// terminate. So the thread stays here, as it does from 3.14 on, until the process is gone.
template <typename Take>
void TakeGil(const Take& take) {
  try {
    take();
  } catch (...) {
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

// Calls `work` with the GIL released. It may touch no Python object, and everything that it refers to must stay alive
// without the GIL: convert arguments before, results after. Each use says why that holds.
template <typename Work>
auto WithoutGil(const Work& work) {
  PyThreadState* const thread = PyEval_SaveThread();
  const auto take_back = [thread] { TakeGil([thread] { PyEval_RestoreThread(thread); }); };
  try {
    auto result = work();
    take_back();
    return result;
  } catch (...) {  // No memory.
    take_back();
    throw;
  }
}

// Holds the GIL for as long as it lives, in a thread that released it.
class HoldGil {
 public:
  HoldGil() {
    TakeGil([this] { state_ = PyGILState_Ensure(); });
  }
  ~HoldGil() { PyGILState_Release(state_); }
  HoldGil(const HoldGil&) = delete;
  HoldGil& operator=(const HoldGil&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_GIL_H_
