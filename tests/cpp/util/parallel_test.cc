#include "util/parallel.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace tensorbundle {
namespace {

using Clock = std::chrono::steady_clock;

Status Failure(const std::string& message) { return Status(StatusCode::kDataLoss, message); }

// Waits for another thread to make `condition` true; false, so that a test fails instead of hanging, after ten seconds.
template <typename Condition>
bool WaitFor(const Condition& condition) {
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(ParallelFor, RunsEveryIndexOnce) {
  for (const size_t count : {0u, 1u, 2u, 7u, 1000u}) {
    for (const int threads : {-1, 0, 1, 2, 3, 16}) {
      std::vector<std::atomic<int>> runs(count);
      const Status status = ParallelFor(count, threads, [&](size_t index) {
        ++runs.at(index);
        return Status();
      });
      EXPECT_TRUE(status.ok());
      EXPECT_TRUE(std::all_of(runs.begin(), runs.end(), [](const auto& n) { return n == 1; }))
          << count << " " << threads;
    }
  }
}

TEST(ParallelFor, OneThreadIsTheCallersAndTakesTasksInOrder) {
  std::vector<size_t> order;
  std::vector<std::thread::id> threads;
  ASSERT_TRUE(ParallelFor(5, 1, [&](size_t index) {
                order.push_back(index);
                threads.push_back(std::this_thread::get_id());
                return Status();
              }).ok());
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(threads, std::vector<std::thread::id>(5, std::this_thread::get_id()));
}

TEST(ParallelFor, OneTaskStartsNoThread) {
  std::thread::id thread;
  ASSERT_TRUE(ParallelFor(1, 8, [&](size_t) {
                thread = std::this_thread::get_id();
                return Status();
              }).ok());
  EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST(ParallelFor, ThreadsWorkAtTheSameTimeAndTheCallerIsOneOfThem) {
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  std::atomic<int> begun{0};
  ASSERT_TRUE(ParallelFor(3, 3, [&](size_t) {
                {
                  const std::lock_guard<std::mutex> lock(mutex);
                  threads.push_back(std::this_thread::get_id());
                }
                ++begun;
                return WaitFor([&] { return begun == 3; }) ? Status() : Failure("alone");
              }).ok());
  EXPECT_EQ(std::count(threads.begin(), threads.end(), std::this_thread::get_id()), 1);
  std::sort(threads.begin(), threads.end());
  EXPECT_EQ(std::unique(threads.begin(), threads.end()), threads.end());
}

TEST(ParallelFor, EveryThreadTakesTasksInAscendingOrder) {
  std::mutex mutex;
  std::vector<std::pair<std::thread::id, size_t>> taken;
  ASSERT_TRUE(ParallelFor(500, 4, [&](size_t index) {
                const std::lock_guard<std::mutex> lock(mutex);
                taken.emplace_back(std::this_thread::get_id(), index);
                return Status();
              }).ok());
  std::stable_sort(taken.begin(), taken.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
}

TEST(ParallelFor, BeginsNothingAfterAFailure) {
  std::vector<size_t> order;
  const Status status = ParallelFor(100, 1, [&](size_t index) {
    order.push_back(index);
    return index == 3 ? Failure("three") : Status();
  });
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "three");
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 3}));
}

TEST(ParallelFor, AFailureStopsTheOtherThreadsToo) {
  std::atomic<size_t> runs{0};
  constexpr size_t kMany = 2000000000;
  const Status status = ParallelFor(kMany, 4, [&](size_t index) {
    ++runs;
    return index == 1000 ? Failure("a thousand") : Status();
  });
  EXPECT_EQ(status.message(), "a thousand");
  EXPECT_LT(runs, kMany);
}

TEST(ParallelFor, TheLowestOfSeveralFailuresWins) {
  for (size_t first_to_fail = 0; first_to_fail < 3; ++first_to_fail) {
    std::atomic<int> begun{0};
    std::atomic<int> failed{0};
    const Status status = ParallelFor(3, 3, [&](size_t index) {
      ++begun;
      WaitFor([&] { return begun == 3; });  // Otherwise a later one would not be begun.
      if (index != first_to_fail) WaitFor([&] { return failed > 0; });
      ++failed;
      return Failure("task " + std::to_string(index));
    });
    EXPECT_EQ(status.message(), "task 0");
  }
}

TEST(ParallelFor, PollsOnTheCallingThreadWhileItWaitsForOthers) {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> begun{0};
  std::atomic<int> polls{0};
  std::atomic<bool> polled_elsewhere{false};
  const auto work = [&](size_t) {
    ++begun;
    if (!WaitFor([&] { return begun == 2; })) return Failure("alone");
    if (std::this_thread::get_id() == caller) return Status();
    return WaitFor([&] { return polls >= 3; }) ? Status() : Failure("not polled");
  };
  const auto poll = [&] {
    if (std::this_thread::get_id() != caller) polled_elsewhere = true;
    ++polls;
    return Status();
  };
  const Status status = ParallelFor(2, 2, work, poll);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(polled_elsewhere);
}

TEST(ParallelFor, AFailingPollEndsTheWorkOfAllThreads) {
  for (const int threads : {1, 4}) {
    std::atomic<size_t> runs{0};
    int polls = 0;
    constexpr size_t kMany = 2000000000;
    const auto work = [&](size_t) {
      ++runs;
      return Status();
    };
    const auto poll = [&] { return ++polls == 2 ? Status(StatusCode::kExternal, "enough") : Status(); };
    const Status status = ParallelFor(kMany, threads, work, poll);
    EXPECT_EQ(status.code(), StatusCode::kExternal);
    EXPECT_EQ(status.message(), "enough");
    EXPECT_EQ(polls, 2);
    EXPECT_LT(runs, kMany);
  }
}

TEST(ParallelFor, AFailingPollGoesBeforeAFailingTask) {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> begun{0};
  std::atomic<bool> polled{false};
  const auto work = [&](size_t) {
    ++begun;
    if (!WaitFor([&] { return begun == 2; })) return Failure("alone");
    if (std::this_thread::get_id() == caller) return Status();
    WaitFor([&] { return polled.load(); });
    return Failure("task");
  };
  const auto poll = [&] {
    polled = true;
    return Status(StatusCode::kExternal, "enough");
  };
  EXPECT_EQ(ParallelFor(2, 2, work, poll).message(), "enough");
}

TEST(ParallelFor, PollsNoMoreOftenThanEveryFiftyMilliseconds) {
  int polls = 0;
  const auto begin = Clock::now();
  const auto until = begin + std::chrono::milliseconds(220);
  const auto work = [&](size_t) { return Clock::now() < until ? Status() : Failure("time is up"); };
  const auto poll = [&] {
    ++polls;
    return Status();
  };
  EXPECT_EQ(ParallelFor(size_t{1} << 40, 1, work, poll).message(), "time is up");
  const auto periods = (Clock::now() - begin) / std::chrono::milliseconds(50);
  EXPECT_GE(polls, 1);
  EXPECT_LE(polls, periods);
}

TEST(ParallelFor, NothingToDoIsNotPolled) {
  const auto poll = [] { return Failure("polled"); };
  EXPECT_TRUE(ParallelFor(0, 4, [](size_t) { return Failure("run"); }, poll).ok());
  EXPECT_TRUE(ParallelFor(10, 1, [](size_t) { return Status(); }, poll).ok());
}

TEST(ParallelFor, ExceptionsComeOutOnTheCallingThread) {
  const std::thread::id caller = std::this_thread::get_id();
  for (const bool from_caller : {false, true}) {
    std::atomic<int> begun{0};
    const auto work = [&](size_t) {
      ++begun;
      WaitFor([&] { return begun == 2; });
      if ((std::this_thread::get_id() == caller) == from_caller) throw std::bad_alloc();
      return Status();
    };
    EXPECT_THROW(ParallelFor(2, 2, work).IgnoreError(), std::bad_alloc) << from_caller;
  }
  const auto poll = []() -> Status { throw 5; };
  EXPECT_THROW(ParallelFor(2000000000, 2, [](size_t) { return Status(); }, poll).IgnoreError(), int);
}

TEST(ParallelFor, HelpersLeaveSignalsToTheCaller) {
  const std::thread::id caller = std::this_thread::get_id();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  sigset_t seen;
  sigemptyset(&seen);
  std::atomic<int> begun{0};
  ASSERT_TRUE(ParallelFor(2, 2, [&](size_t) {
                ++begun;
                if (!WaitFor([&] { return begun == 2; })) return Failure("alone");
                if (std::this_thread::get_id() != caller) pthread_sigmask(SIG_BLOCK, nullptr, &seen);
                return Status();
              }).ok());
  for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGCHLD})
    EXPECT_EQ(sigismember(&seen, signal), 1) << signal;
  // A fault in a blocked signal would end the process without its handler.
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE}) EXPECT_EQ(sigismember(&seen, fault), 0) << fault;
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, nullptr, &after);
  for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGCHLD}) {
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
}

#if defined(__linux__)
// Leaves no room for another thread's stack, and says by the exit status whether the work was done nevertheless.
[[noreturn]] void WorkWithoutRoomForThreads() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlimit limit{pages * 4096 + (1 << 20), pages * 4096 + (1 << 20)};
  if (setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(2);
  bool refused = false;
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    refused = true;
  }
  size_t runs = 0;  // Not atomic: there is one thread.
  const Status status = ParallelFor(100, 8, [&](size_t) {
    ++runs;
    return Status();
  });
  std::_Exit(!refused ? 3 : status.ok() && runs == 100 ? 0 : 1);
}

TEST(ParallelForDeathTest, GoesOnWithTheThreadsThereAre) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need the address space";
#endif
  EXPECT_EXIT(WorkWithoutRoomForThreads(), ::testing::ExitedWithCode(0), "");
}

TEST(DefaultThreadCount, RespectsAffinity) {
  int count = 0;
  std::thread([&count] {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    const int all = CPU_COUNT(&allowed);
    EXPECT_EQ(DefaultThreadCount(), all);
    int first = 0;
    while (!CPU_ISSET(first, &allowed)) ++first;
    CPU_ZERO(&allowed);
    CPU_SET(first, &allowed);
    ASSERT_EQ(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
    count = DefaultThreadCount();
  }).join();
  EXPECT_EQ(count, 1);
}
#endif

TEST(DefaultThreadCount, IsAtLeastOne) { EXPECT_GE(DefaultThreadCount(), 1); }

}  // namespace
}  // namespace tensorbundle
