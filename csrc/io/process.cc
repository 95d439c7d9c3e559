#include "io/process.h"

#include <unistd.h>

namespace tensorbundle::os {

int CurrentProcess() { return static_cast<int>(getpid()); }

}  // namespace tensorbundle::os
