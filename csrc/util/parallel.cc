#include "util/parallel.h"

// util is below io/os.h, and the standard library knows neither signals of threads nor the processors of a process.
#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace tensorbundle {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollEvery = std::chrono::milliseconds(50);

// While it lives, threads that this one starts receive no signal from outside. Faults of a thread's own stay its own.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// One call of ParallelFor.
class Run {
 public:
  Run(size_t count, const std::function<Status(size_t)>& work, const std::function<Status()>& poll)
      : count_(count), work_(work), poll_(poll), failed_index_(count) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  // Also reached while an exception of the calling thread's own passes by.
  ~Run() {
    StopAndJoin();
    failure_.IgnoreError();  // An exception or a failed poll goes first.
  }

  void StartHelpers(size_t helpers) {
    const SignalsBlocked signals_blocked;
    helpers_.reserve(helpers);
    try {
      for (size_t i = 0; i < helpers; ++i) {
        {
          const std::lock_guard<std::mutex> lock(mutex_);
          ++helpers_at_work_;
        }
        helpers_.emplace_back([this] { Help(); });
      }
    } catch (const std::system_error&) {  // The system's limit: go on with those there are.
      const std::lock_guard<std::mutex> lock(mutex_);
      --helpers_at_work_;
    }
  }

  Status Finish() {
    Status interruption = TakeTasksAndPoll();
    if (interruption.ok()) interruption = PollUntilHelpersAreDone();
    StopAndJoin();
    if (exception_) std::rethrow_exception(exception_);
    if (!interruption.ok()) return interruption;
    return std::move(failure_);
  }

 private:
  // The next task's index, or count_ if no more are to be begun.
  size_t NextTask() {
    if (stop_.load(std::memory_order_relaxed)) return count_;
    return std::min(next_.fetch_add(1, std::memory_order_relaxed), count_);
  }

  void RunTask(size_t index) {
    Status status = work_(index);
    if (status.ok()) return;
    stop_.store(true, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (index >= failed_index_) return;
    failed_index_ = index;
    failure_.IgnoreError();  // The one of a higher index.
    failure_ = std::move(status);
  }

  void Help() {
    std::exception_ptr exception;
    try {
      for (size_t index = NextTask(); index < count_; index = NextTask()) RunTask(index);
    } catch (...) {
      exception = std::current_exception();
      stop_.store(true, std::memory_order_relaxed);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (exception && !exception_) exception_ = std::move(exception);
    if (--helpers_at_work_ == 0) helpers_done_.notify_one();
  }

  Status TakeTasksAndPoll() {
    for (size_t index = NextTask(); index < count_; index = NextTask()) {
      RunTask(index);
      if (poll_ == nullptr || Clock::now() - last_poll_ < kPollEvery) continue;
      Status interruption = poll_();
      if (!interruption.ok()) return interruption;
      last_poll_ = Clock::now();
    }
    return Status();
  }

  Status PollUntilHelpersAreDone() {
    if (poll_ == nullptr) return Status();
    while (true) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        const auto done = [this] { return helpers_at_work_ == 0; };
        if (helpers_done_.wait_until(lock, last_poll_ + kPollEvery, done)) return Status();
      }
      Status interruption = poll_();
      if (!interruption.ok()) return interruption;
      last_poll_ = Clock::now();
    }
  }

  void StopAndJoin() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& helper : helpers_) helper.join();
    helpers_.clear();
  }

  const size_t count_;
  const std::function<Status(size_t)>& work_;
  const std::function<Status()>& poll_;
  Clock::time_point last_poll_ = Clock::now();
  std::vector<std::thread> helpers_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stop_{false};

  std::mutex mutex_;  // Guards the rest.
  std::condition_variable helpers_done_;
  size_t helpers_at_work_ = 0;
  size_t failed_index_;
  Status failure_;
  std::exception_ptr exception_;
};

}  // namespace

int DefaultThreadCount() {
#if defined(__linux__)
  // hardware_concurrency() does not know of affinity in every standard library. Machines with more processors than a
  // fixed set holds make this fail.
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Status ParallelFor(size_t count, int threads, const std::function<Status(size_t)>& work,
                   const std::function<Status()>& poll) {
  if (count == 0) return Status();
  const auto wanted = static_cast<size_t>(threads > 0 ? threads : DefaultThreadCount());
  Run run(count, work, poll);
  run.StartHelpers(std::min(wanted, count) - 1);
  return run.Finish();
}

}  // namespace tensorbundle
