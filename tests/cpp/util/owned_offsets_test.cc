#include "util/owned_offsets.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace tensorbundle {
namespace {

TEST(OwnedOffsets, BecomeAnArrayOfTheBytes) {
  const std::string text = "abxyz";
  for (const uint64_t max_narrow : {uint64_t{0}, kMaxNarrowOffset}) {
    auto offsets = OwnedOffsets::Allocate(3, text.size(), max_narrow);
    ASSERT_TRUE(offsets.ok());
    offsets->Set(1, 2);
    offsets->Set(2, 2);
    offsets->Set(3, 5);
    EXPECT_EQ(offsets->Get(0), 0u);
    EXPECT_EQ(offsets->Get(2), 2u);
    const StringArray strings = offsets->Finish(Buffer(ByteView(text), nullptr));
    ASSERT_EQ(strings.size(), 3u);
    EXPECT_EQ(strings[0].AsText(), "ab");
    EXPECT_EQ(strings[1].AsText(), "");
    EXPECT_EQ(strings[2].AsText(), "xyz");
  }
}

TEST(OwnedOffsets, AreAsWideAsTheLargestNeeds) {
  for (const auto& [max_offset, kept] : {std::pair<uint64_t, uint64_t>{UINT32_MAX, 5},
                                         std::pair<uint64_t, uint64_t>{uint64_t{1} << 32, (uint64_t{1} << 32) + 5}}) {
    auto offsets = OwnedOffsets::Allocate(1, max_offset);
    ASSERT_TRUE(offsets.ok());
    offsets->Set(1, (uint64_t{1} << 32) + 5);
    EXPECT_EQ(offsets->Get(1), kept);
  }
}

TEST(OwnedOffsets, OfNothing) {
  const auto offsets = OwnedOffsets::Allocate(0, 0);
  ASSERT_TRUE(offsets.ok());
  EXPECT_TRUE(offsets->Finish(Buffer()).empty());
}

TEST(OwnedOffsets, SayWhatThereIsNoMemoryFor) {
  for (const uint64_t size : {UINT64_MAX, UINT64_MAX / 4}) {
    const Status status = OwnedOffsets::Allocate(size, 1).status();
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(status.message(), "no memory for " + std::to_string(size) + " strings");
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // They stop the program instead of refusing.
  const Status status = OwnedOffsets::Allocate(uint64_t{1} << 60, 1).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "no memory for 1152921504606846976 strings");
#endif
}

}  // namespace
}  // namespace tensorbundle
