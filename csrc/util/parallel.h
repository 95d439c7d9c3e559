// Work shared by threads that live no longer than the call.

#ifndef TENSORBUNDLE_UTIL_PARALLEL_H_
#define TENSORBUNDLE_UTIL_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "tensorbundle/status.h"

namespace tensorbundle {

// Processors that this process may use, at least 1.
int DefaultThreadCount();

// Calls work(0), ..., work(count - 1) on up to `threads` threads, the calling one among them, and returns when all of
// them are done. Indices are handed out in ascending order. `threads` <= 0 means DefaultThreadCount(); if the system
// refuses a thread, the work is done by those there are.
//
// After a failure nothing more is begun, and of the failures that then turn up, the one with the lowest index is
// returned.
//
// `poll`, where given, is called on the calling thread only, about every 50 ms: between two of its own tasks, and while
// it waits for those of others. Once it fails nothing more is begun, and its failure is what is returned.
//
// An exception from `work` or `poll`, such as an allocation failure, comes out on the calling thread, after all threads
// have ended. Signals are handled by the calling thread and never by another.
Status ParallelFor(size_t count, int threads, const std::function<Status(size_t index)>& work,
                   const std::function<Status()>& poll = nullptr);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_PARALLEL_H_
