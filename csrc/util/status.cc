#include "tensorbundle/status.h"

#include <cstring>

#include "util/quote.h"

namespace tensorbundle {

struct Status::Rep {
  StatusCode code;
  std::string message;
  std::string path;
  std::string tensor;
  std::optional<uint64_t> offset;
  int system_error = 0;
};

namespace {

const std::string& EmptyString() {
  static const std::string* const empty = new std::string;  // Never destroyed: statuses outlive static objects.
  return *empty;
}

}  // namespace

const char* StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "OK";
    case StatusCode::kNotFound:
      return "NOT_FOUND";
    case StatusCode::kDataLoss:
      return "DATA_LOSS";
    case StatusCode::kUnimplemented:
      return "UNIMPLEMENTED";
    case StatusCode::kResourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case StatusCode::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case StatusCode::kIo:
      return "IO";
    case StatusCode::kExternal:
      return "EXTERNAL";
    case StatusCode::kInternal:
      return "INTERNAL";
  }
  return "UNKNOWN";
}

Status::Status(StatusCode code, std::string message) : rep_(new Rep{code, std::move(message), {}, {}, {}, 0}) {}

Status Status::FromErrno(int system_error, std::string path, const std::string& action) {
  Status status(StatusCode::kIo, action + " " + path + ": " + std::strerror(system_error));
  status.rep_->path = std::move(path);
  status.rep_->system_error = system_error;
  return status;
}

Status::Status(const Status& other) : rep_(other.rep_ == nullptr ? nullptr : new Rep(*other.rep_)) {
  other.MarkChecked();
  TakeMark(other);
}

Status& Status::operator=(const Status& other) {
  if (this != &other) *this = Status(other);
  return *this;
}

void Status::RepDeleter::operator()(Rep* rep) const { delete rep; }

StatusCode Status::code() const {
  MarkChecked();
  return rep_ == nullptr ? StatusCode::kOk : rep_->code;
}

const std::string& Status::message() const {
  MarkChecked();
  return rep_ == nullptr ? EmptyString() : rep_->message;
}

const std::string& Status::path() const {
  MarkChecked();
  return rep_ == nullptr ? EmptyString() : rep_->path;
}

const std::string& Status::tensor() const {
  MarkChecked();
  return rep_ == nullptr ? EmptyString() : rep_->tensor;
}

std::optional<uint64_t> Status::offset() const {
  MarkChecked();
  return rep_ == nullptr ? std::nullopt : rep_->offset;
}

int Status::system_error() const {
  MarkChecked();
  return rep_ == nullptr ? 0 : rep_->system_error;
}

Status Status::WithPath(const std::string& path) && {
  if (rep_ != nullptr && rep_->path.empty()) {
    rep_->path = path;
    rep_->message = path + ": " + rep_->message;
  }
  return std::move(*this);
}

Status Status::WithTensor(const std::string& name) && {
  if (rep_ != nullptr && rep_->tensor.empty()) {
    rep_->tensor = name;
    rep_->message = "tensor " + Quote(name) + ": " + rep_->message;
  }
  return std::move(*this);
}

Status Status::WithOffset(uint64_t offset) && {
  if (rep_ != nullptr && !rep_->offset) rep_->offset = offset;
  return std::move(*this);
}

}  // namespace tensorbundle
