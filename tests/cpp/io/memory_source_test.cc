#include "io/memory_source.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/source_conformance.h"

namespace tensorbundle::test_support {
namespace {

struct MemoryMaker {
  std::shared_ptr<const ByteSource> Open(const std::string& content) {
    const auto owner = std::make_shared<const std::string>(content);
    return FromMemory(Buffer(ByteView(*owner), owner));
  }
  std::string name() const { return "memory"; }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, SourceConformance, MemoryMaker);

TEST(MemorySource, ReadsAreViewsKeptByTheOwner) {
  auto owner = std::make_shared<const std::string>("0123456789");
  const std::weak_ptr<const std::string> watch = owner;
  auto source = FromMemory(Buffer(ByteView(*owner), owner), "bytes of mine");
  EXPECT_EQ(source->name(), "bytes of mine");
  EXPECT_TRUE(source->reads_are_views());
  EXPECT_EQ(source->identity(), "");
  Buffer part = *source->Read({4, 3});
  EXPECT_EQ(part.data(), reinterpret_cast<const uint8_t*>(owner->data()) + 4);
  owner.reset();
  source.reset();
  EXPECT_FALSE(watch.expired());
  part = Buffer();
  EXPECT_TRUE(watch.expired());
}

TEST(MemorySource, TakesBytesThatNobodyOwns) {
  static constexpr char kText[] = "forever";
  const auto source = FromMemory(Buffer(ByteView(std::string_view(kText)), nullptr));
  EXPECT_EQ(TextOf(source->Read({0, 7})), "forever");
}

}  // namespace
}  // namespace tensorbundle::test_support
