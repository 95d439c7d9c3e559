#include "io/owned_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace tensorbundle {
namespace {

TEST(AllocateMemory, GivesAlignedWritableMemoryOfTheSize) {
  for (const uint64_t size : {uint64_t{1}, uint64_t{63}, uint64_t{4096}, uint64_t{4194303}, uint64_t{4194304},
                              uint64_t{4194305}, uint64_t{6291457}}) {
    auto memory = AllocateMemory(size);
    ASSERT_TRUE(memory.ok());
    EXPECT_EQ(memory->buffer.size(), size);
    EXPECT_EQ(memory->buffer.data(), memory->data);
    const uintptr_t alignment = size >= 4194304 ? 2 << 20 : 64;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data) % alignment, 0u) << size;
    std::memset(memory->data, 0xA5, size);
    EXPECT_EQ(memory->buffer.view()[size - 1], 0xA5);
  }
}

TEST(AllocateMemory, MemoryLivesAsLongAsTheBuffer) {
  Buffer part;
  {
    const auto memory = AllocateMemory(100);
    ASSERT_TRUE(memory.ok());
    std::memset(memory->data, 7, 100);
    part = memory->buffer.Slice(90, 10);
  }
  EXPECT_EQ(part.view()[9], 7);
}

TEST(AllocateMemory, NothingNeedsNoMemory) {
  const auto memory = AllocateMemory(0);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->buffer.size(), 0u);
}

TEST(AllocateMemory, SaysHowMuchThereWasNoMemoryFor) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers stop the program instead of refusing";
#else
  const Status status = AllocateMemory(uint64_t{1} << 62).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "no memory for 4611686018427387904 bytes");
#endif
}

}  // namespace
}  // namespace tensorbundle
