// Telling the caller of a long call, now and then, how far it is, and hearing whether to go on.

#ifndef TENSORBUNDLE_CHECKPOINT_REPORTER_H_
#define TENSORBUNDLE_CHECKPOINT_REPORTER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "tensorbundle/checkpoint.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Of one call. Workers count what they have done; only the thread that made this calls the caller's function, at most
// every 50 ms. Once that has failed it is not called again: everybody is told to stop, and the calling thread with the
// very error.
class Reporter {
 public:
  // `progress` may be empty, and outlives this.
  Reporter(const ProgressFunction& progress, uint64_t total_bytes)
      : progress_(progress), total_bytes_(total_bytes), calling_thread_(std::this_thread::get_id()) {}

  // From any thread. The name lives as long as this does.
  void Begin(const std::string& tensor) { tensor_.store(&tensor, std::memory_order_relaxed); }
  void Done(uint64_t bytes) { done_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Between the steps of long work, from any thread: an error once the caller has lost patience. On the calling thread
  // also asks, if it is time.
  Status KeepGoing();
  // Asks in any case. REQUIRES: this is the calling thread.
  Status Report();
  // What the call comes to, after its last report: `status`, that of its work, unless the caller said no. Then that
  // error is it, and not those of threads that were told to stop. REQUIRES: this is the calling thread.
  Status Finish(Status status);
  // For ParallelFor: Report, or nothing if there is no function to call.
  std::function<Status()> poll();

 private:
  const ProgressFunction& progress_;
  const uint64_t total_bytes_;
  const std::thread::id calling_thread_;
  // The calling thread's alone.
  std::chrono::steady_clock::time_point last_report_ = std::chrono::steady_clock::now();
  Status failure_;
  std::atomic<const std::string*> tensor_{nullptr};
  std::atomic<uint64_t> done_bytes_{0};
  std::atomic<bool> cancelled_{false};
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_REPORTER_H_
