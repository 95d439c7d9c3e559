#include "checkpoint/reporter.h"

#include <string_view>

namespace tensorbundle {
namespace {

constexpr auto kReportEvery = std::chrono::milliseconds(50);

}  // namespace

Status Reporter::KeepGoing() {
  if (std::this_thread::get_id() != calling_thread_) {
    return cancelled() ? Status(StatusCode::kExternal, "cancelled") : Status();
  }
  if (cancelled()) return failure_;
  if (!progress_) return Status();
  return std::chrono::steady_clock::now() - last_report_ < kReportEvery ? Status() : Report();
}

Status Reporter::Report() {
  if (!progress_) return Status();
  if (cancelled()) return failure_;
  last_report_ = std::chrono::steady_clock::now();
  const std::string* const tensor = tensor_.load(std::memory_order_relaxed);
  Status status = progress_(
      {done_bytes_.load(std::memory_order_relaxed), total_bytes_, tensor == nullptr ? std::string_view() : *tensor});
  if (status.ok()) return status;
  failure_ = Status(status).AsData();
  cancelled_.store(true, std::memory_order_relaxed);
  return status;
}

Status Reporter::Finish(Status status) {
  if (status.ok() || cancelled()) return Report();
  return status;
}

std::function<Status()> Reporter::poll() {
  if (!progress_) return nullptr;
  return [this] { return Report(); };
}

}  // namespace tensorbundle
