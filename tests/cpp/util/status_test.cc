#include "tensorbundle/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "util/status_macros.h"

namespace tensorbundle {
namespace {

Status Damage() { return Status(StatusCode::kDataLoss, "checksum mismatch"); }

TEST(Status, IsSuccessByDefault) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.path(), "");
  EXPECT_EQ(status.tensor(), "");
  EXPECT_EQ(status.offset(), std::nullopt);
  EXPECT_EQ(status.system_error(), 0);
}

TEST(Status, HoldsCodeAndMessage) {
  const Status status = Damage();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "checksum mismatch");
  EXPECT_EQ(status.offset(), std::nullopt);
}

TEST(Status, HoldsTheSystemError) {
  const Status status = Status::FromErrno(ENOENT, "dir/model.index", "open");
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), ENOENT);
  EXPECT_EQ(status.path(), "dir/model.index");
  EXPECT_EQ(status.message(), "open dir/model.index: No such file or directory");
}

TEST(Status, GathersThePlaceFromInnerToOuterLayers) {
  const Status status = Damage().WithOffset(4096).WithTensor("w\n").WithPath("dir/model.index");
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.offset(), 4096u);
  EXPECT_EQ(status.tensor(), "w\n");
  EXPECT_EQ(status.path(), "dir/model.index");
  EXPECT_EQ(status.message(), R"(dir/model.index: tensor "w\x0a": checksum mismatch)");
}

TEST(Status, KeepsThePlaceThatIsAlreadyKnown) {
  const Status status =
      Damage().WithOffset(0).WithTensor("w").WithPath("a").WithOffset(9).WithTensor("v").WithPath("b");
  EXPECT_EQ(status.offset(), 0u);
  EXPECT_EQ(status.tensor(), "w");
  EXPECT_EQ(status.path(), "a");
  EXPECT_EQ(status.message(), R"(a: tensor "w": checksum mismatch)");
}

TEST(Status, AddsNoPlaceToSuccess) {
  const Status status = Status().WithOffset(9).WithTensor("v").WithPath("b");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.path(), "");
  EXPECT_EQ(status.offset(), std::nullopt);
}

TEST(Status, CopiesAreEqualAndIndependent) {
  const Status original = Damage().WithOffset(7);
  Status copy = original;
  EXPECT_EQ(copy.message(), "checksum mismatch");
  EXPECT_EQ(copy.offset(), 7u);
  copy = std::move(copy).WithPath("p");
  EXPECT_EQ(copy.path(), "p");
  EXPECT_EQ(original.path(), "");
  copy = original;
  EXPECT_EQ(copy.path(), "");
  const Status& alias = copy;
  copy = alias;
  EXPECT_EQ(copy.message(), "checksum mismatch");
  copy = Status();
  EXPECT_TRUE(copy.ok());
}

TEST(StatusCodeName, NamesEveryCode) {
  EXPECT_STREQ(StatusCodeName(StatusCode::kOk), "OK");
  EXPECT_STREQ(StatusCodeName(StatusCode::kNotFound), "NOT_FOUND");
  EXPECT_STREQ(StatusCodeName(StatusCode::kDataLoss), "DATA_LOSS");
  EXPECT_STREQ(StatusCodeName(StatusCode::kUnimplemented), "UNIMPLEMENTED");
  EXPECT_STREQ(StatusCodeName(StatusCode::kResourceExhausted), "RESOURCE_EXHAUSTED");
  EXPECT_STREQ(StatusCodeName(StatusCode::kInvalidArgument), "INVALID_ARGUMENT");
  EXPECT_STREQ(StatusCodeName(StatusCode::kIo), "IO");
  EXPECT_STREQ(StatusCodeName(StatusCode::kExternal), "EXTERNAL");
  EXPECT_STREQ(StatusCodeName(StatusCode::kInternal), "INTERNAL");
}

TEST(Result, HoldsAValue) {
  Result<std::string> result(std::string("text"));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.status().ok());
  EXPECT_EQ(*result, "text");
  EXPECT_EQ(result->size(), 4u);
  EXPECT_EQ(std::move(result).value(), "text");
}

TEST(Result, HoldsTheReasonWhyThereIsNone) {
  const Result<int> result(Damage().WithOffset(3));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(result.status().offset(), 3u);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  ASSERT_TRUE(result.ok());
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 5);
}

Result<int> Half(int number) {
  if (number % 2 != 0) return Status(StatusCode::kInvalidArgument, "odd: " + std::to_string(number));
  return number / 2;
}

Result<int> Quarter(int number) {
  ASSIGN_OR_RETURN(const int half, Half(number));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Status CheckDivisibleByFour(int number, bool* reached_end) {
  RETURN_IF_ERROR(Quarter(number).status());
  *reached_end = true;
  return Status();
}

TEST(StatusMacros, PassTheFirstFailureUp) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(7).status().message(), "odd: 7");
  EXPECT_EQ(Quarter(6).status().message(), "odd: 3");
  bool reached_end = false;
  EXPECT_EQ(CheckDivisibleByFour(6, &reached_end).message(), "odd: 3");
  EXPECT_FALSE(reached_end);
  EXPECT_TRUE(CheckDivisibleByFour(8, &reached_end).ok());
  EXPECT_TRUE(reached_end);
}

#ifdef TENSORBUNDLE_CHECK_STATUS

TEST(CheckedStatusDeathTest, AbortsWhenAFailureGoesUnseen) {
  EXPECT_DEATH({ const Status dropped = Damage(); }, "");
}

TEST(CheckedStatus, IsContentWithASeenOne) {
  {
    const Status dropped = Damage();
    dropped.IgnoreError();
  }
  Status status = Damage();
  EXPECT_FALSE(status.ok());
  status = Status();
}

#endif

}  // namespace
}  // namespace tensorbundle
