#include "checkpoint/reporter.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace tensorbundle {
namespace {

using Clock = std::chrono::steady_clock;

// A caller's function, and what it was told.
struct Listener {
  struct Call {
    uint64_t done_bytes;
    uint64_t total_bytes;
    std::string tensor;
    std::thread::id thread;
  };

  ProgressFunction function() {
    return [this](const Progress& progress) {
      calls.push_back(
          {progress.done_bytes, progress.total_bytes, std::string(progress.tensor), std::this_thread::get_id()});
      return answer;
    };
  }

  std::vector<Call> calls;
  Status answer;
};

Status Enough() { return Status(StatusCode::kExternal, "enough").AsData(); }

// Runs `work` on another thread to its end.
template <typename Work>
void OnAnotherThread(const Work& work) {
  std::thread(work).join();
}

TEST(Reporter, TellsWhatWasDoneAndOfWhich) {
  Listener listener;
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 100);
  ASSERT_TRUE(reporter.Report().ok());
  const std::string name = "kernel";
  reporter.Begin(name);
  reporter.Done(30);
  OnAnotherThread([&reporter] { reporter.Done(12); });
  ASSERT_TRUE(reporter.Report().ok());
  ASSERT_EQ(listener.calls.size(), 2u);
  EXPECT_EQ(listener.calls[0].done_bytes, 0u);
  EXPECT_EQ(listener.calls[0].tensor, "");
  EXPECT_EQ(listener.calls[1].done_bytes, 42u);
  EXPECT_EQ(listener.calls[1].total_bytes, 100u);
  EXPECT_EQ(listener.calls[1].tensor, "kernel");
}

TEST(Reporter, HasNothingToDoWithoutAFunction) {
  const ProgressFunction none;
  Reporter reporter(none, 100);
  EXPECT_EQ(reporter.poll(), nullptr);
  EXPECT_TRUE(reporter.Report().ok());
  EXPECT_TRUE(reporter.KeepGoing().ok());
  EXPECT_FALSE(reporter.cancelled());
}

TEST(Reporter, PollsInAnyCase) {
  Listener listener;
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 1);
  const std::function<Status()> poll = reporter.poll();
  EXPECT_TRUE(poll().ok());
  EXPECT_TRUE(poll().ok());
  EXPECT_EQ(listener.calls.size(), 2u);
}

TEST(Reporter, AsksBetweenStepsEvery50Milliseconds) {
  Listener listener;
  const ProgressFunction progress = listener.function();
  const Clock::time_point before = Clock::now();
  Reporter reporter(progress, 1);
  for (size_t calls = 1; calls <= 2; ++calls) {
    while (listener.calls.size() < calls) ASSERT_TRUE(reporter.KeepGoing().ok());
    EXPECT_GE(Clock::now() - before, calls * std::chrono::milliseconds(50));
  }
}

TEST(Reporter, CountsTheTimeFromAnyCall) {
  Listener listener;
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 1);
  while (listener.calls.empty()) ASSERT_TRUE(reporter.KeepGoing().ok());
  const Clock::time_point before = Clock::now();
  ASSERT_TRUE(reporter.Report().ok());
  while (listener.calls.size() < 3) ASSERT_TRUE(reporter.KeepGoing().ok());
  EXPECT_GE(Clock::now() - before, std::chrono::milliseconds(50));
}

TEST(Reporter, CallsFromNoOtherThread) {
  Listener listener;
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 1);
  const Clock::time_point start = Clock::now();
  OnAnotherThread([&] {
    while (Clock::now() - start < std::chrono::milliseconds(60)) ASSERT_TRUE(reporter.KeepGoing().ok());
  });
  EXPECT_TRUE(listener.calls.empty());
  ASSERT_TRUE(reporter.KeepGoing().ok());
  ASSERT_EQ(listener.calls.size(), 1u);
  EXPECT_EQ(listener.calls[0].thread, std::this_thread::get_id());
}

TEST(Reporter, AsksNoMoreOnceItWasToldToStop) {
  Listener listener;
  listener.answer = Enough();
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 1);
  EXPECT_FALSE(reporter.cancelled());
  EXPECT_EQ(reporter.Report().message(), "enough");
  EXPECT_TRUE(reporter.cancelled());
  // The answer stays what it was, whoever comes to hear it.
  EXPECT_EQ(reporter.Report().message(), "enough");
  EXPECT_EQ(reporter.KeepGoing().message(), "enough");
  EXPECT_EQ(reporter.poll()().message(), "enough");
  EXPECT_EQ(listener.calls.size(), 1u);
}

TEST(Reporter, FinishesWithALastReport) {
  Listener listener;
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 7);
  reporter.Done(7);
  EXPECT_TRUE(reporter.Finish(Status()).ok());
  ASSERT_EQ(listener.calls.size(), 1u);
  EXPECT_EQ(listener.calls[0].done_bytes, 7u);
  EXPECT_EQ(reporter.Finish(Status(StatusCode::kDataLoss, "damaged")).message(), "damaged");
  EXPECT_EQ(listener.calls.size(), 1u);
  listener.answer = Enough();
  EXPECT_EQ(reporter.Finish(Status()).message(), "enough");
}

TEST(Reporter, FinishesWithTheCallersOwnErrorRatherThanWhatCameOfIt) {
  Listener listener;
  listener.answer = Enough();
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 1);
  EXPECT_FALSE(reporter.Report().ok());
  EXPECT_EQ(reporter.Finish(Status(StatusCode::kExternal, "cancelled")).message(), "enough");
  EXPECT_EQ(reporter.Finish(Status()).message(), "enough");
  EXPECT_EQ(listener.calls.size(), 1u);
}

TEST(Reporter, TellsOtherThreadsToStop) {
  Listener listener;
  listener.answer = Enough();
  const ProgressFunction progress = listener.function();
  Reporter reporter(progress, 1);
  EXPECT_EQ(reporter.Report().code(), StatusCode::kExternal);
  OnAnotherThread([&reporter] { EXPECT_EQ(reporter.KeepGoing().code(), StatusCode::kExternal); });
  EXPECT_EQ(listener.calls.size(), 1u);
}

}  // namespace
}  // namespace tensorbundle
