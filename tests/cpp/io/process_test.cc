#include "io/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tensorbundle::os {
namespace {

TEST(CurrentProcess, IsAnotherInAForkedChild) {
  const int parent = CurrentProcess();
  EXPECT_EQ(parent, getpid());
  const pid_t child = fork();
  if (child == 0) _exit(CurrentProcess() == getpid() && CurrentProcess() != parent ? 0 : 1);
  int outcome = -1;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  EXPECT_EQ(outcome, 0);
}

}  // namespace
}  // namespace tensorbundle::os
