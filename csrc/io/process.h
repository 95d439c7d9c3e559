// What the operating system knows of this process.

#ifndef TENSORBUNDLE_IO_PROCESS_H_
#define TENSORBUNDLE_IO_PROCESS_H_

namespace tensorbundle::os {

// Its number. A forked child has another, and copies of all objects.
int CurrentProcess();

}  // namespace tensorbundle::os

#endif  // TENSORBUNDLE_IO_PROCESS_H_
