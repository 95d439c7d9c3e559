// How the library says that something went wrong: a value, never an exception.
//
// A damaged file is an expected outcome. Every function that can fail returns a Status or a Result<T>; allocation
// failure aside, nothing in the library throws, aborts, prints, or asserts on the contents of a file.

#ifndef TENSORBUNDLE_STATUS_H_
#define TENSORBUNDLE_STATUS_H_

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "tensorbundle/export.h"

namespace tensorbundle {

enum class StatusCode {
  kOk = 0,
  kNotFound,           // No such tensor.
  kDataLoss,           // The bytes contradict the format or a checksum.
  kUnimplemented,      // Valid, but this library does not do it.
  kResourceExhausted,  // Larger than a stated limit.
  kInvalidArgument,    // The caller's mistake, found before any I/O.
  kIo,                 // The system said no; system_error() holds errno, path() the file.
  kExternal,           // A function that the caller supplied failed; the caller knows why.
  kInternal,           // A bug of this library.
};

// The name of a code as TensorFlow and Abseil write it: "DATA_LOSS".
TENSORBUNDLE_EXPORT const char* StatusCodeName(StatusCode code);

// Success, or a code with a message and what is known of the place: file, tensor, byte offset, errno.
//
// One pointer, null when fine. A value; safe to copy between threads. In builds with TENSORBUNDLE_CHECK_STATUS a failed
// Status that nobody looked at aborts the program when it goes away.
class [[nodiscard]] TENSORBUNDLE_EXPORT Status {
 public:
  Status() = default;  // Success.
  Status(StatusCode code, std::string message);
  // The failure of a system call on `path`, with the errno it left. The code is kIo.
  static Status FromErrno(int system_error, std::string path, const std::string& action);

  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&& other) noexcept : rep_(std::move(other.rep_)) { TakeMark(other); }
  Status& operator=(Status&& other) noexcept {
    AbortIfUnchecked();
    rep_ = std::move(other.rep_);
    TakeMark(other);
    return *this;
  }
  ~Status() { AbortIfUnchecked(); }

  bool ok() const {
    MarkChecked();
    return rep_ == nullptr;
  }
  StatusCode code() const;
  // What happened, where, and the numbers, in one line. Empty when ok.
  const std::string& message() const;

  // The place, as far as it is known. Empty, or nullopt, where it isn't.
  const std::string& path() const;
  const std::string& tensor() const;
  std::optional<uint64_t> offset() const;
  int system_error() const;  // errno, or 0.

  // Adds what an outer layer knows. Each is set once, by the layer that knows it first: a place that is already known
  // stays. Without effect on success. WithTensor and WithPath also put the name into the message.
  Status WithPath(const std::string& path) &&;
  Status WithTensor(const std::string& name) &&;
  Status WithOffset(uint64_t offset) &&;

  // Declares that this status may be dropped.
  void IgnoreError() const { MarkChecked(); }
  // Declares that this status, and what it is moved or copied to, is data: part of a report that nobody may ever ask
  // for.
  Status AsData() && {
    MarkData();
    return std::move(*this);
  }

 private:
  struct Rep;
  struct TENSORBUNDLE_EXPORT RepDeleter {
    void operator()(Rep* rep) const;
  };

#ifdef TENSORBUNDLE_CHECK_STATUS
  enum class Mark { kUnseen, kSeen, kData };
  void MarkChecked() const {
    if (mark_ == Mark::kUnseen) mark_ = Mark::kSeen;
  }
  void MarkData() { mark_ = Mark::kData; }
  // Whoever receives a status has to look at it, whether or not the giver did.
  void TakeMark(const Status& other) { mark_ = other.mark_ == Mark::kData ? Mark::kData : Mark::kUnseen; }
  void AbortIfUnchecked() const {
    if (rep_ != nullptr && mark_ == Mark::kUnseen) std::abort();
  }
  mutable Mark mark_ = Mark::kUnseen;
#else
  void MarkChecked() const {}
  void MarkData() {}
  void TakeMark(const Status&) {}
  void AbortIfUnchecked() const {}
#endif

  std::unique_ptr<Rep, RepDeleter> rep_;
};

// A T, or the reason why there is none.
//
// REQUIRES, for value(), operator* and operator->: ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}         // NOLINT(google-explicit-constructor): return value;
  Result(Status status) : state_(std::move(status)) {}  // NOLINT(google-explicit-constructor): return status;

  bool ok() const {
    if (const Status* failure = std::get_if<Status>(&state_)) return failure->ok();
    return true;
  }
  // Success, or why there is no value.
  Status status() const& {
    const Status* failure = std::get_if<Status>(&state_);
    return failure != nullptr ? *failure : Status();
  }
  Status status() && {
    Status* failure = std::get_if<Status>(&state_);
    return failure != nullptr ? std::move(*failure) : Status();
  }

  T& value() & { return *std::get_if<T>(&state_); }
  const T& value() const& { return *std::get_if<T>(&state_); }
  T&& value() && { return std::move(*std::get_if<T>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_STATUS_H_
