// What the operating system knows of this process.

#ifndef TENSORBUNDLE_IO_PROCESS_H_
#define TENSORBUNDLE_IO_PROCESS_H_

#include <cstdint>
#include <string>

#include "tensorbundle/status.h"

namespace tensorbundle::os {

// Its number. A forked child has another, and copies of all objects.
int CurrentProcess();

// `path` from the root on, so that it means the same whatever becomes of the working directory. A relative path as it
// is where that can't be reached from the root: what lies above it may be forbidden to this process.
std::string AbsolutePath(const std::string& path);

// EMFILE, about `path`, if the process may not have `count` data files open beside what it has open now. Few are not
// counted: the system says so itself.
Status CheckCanOpen(uint64_t count, const std::string& path);

}  // namespace tensorbundle::os

#endif  // TENSORBUNDLE_IO_PROCESS_H_
