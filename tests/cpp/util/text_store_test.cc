#include "util/text_store.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace tensorbundle {
namespace {

TEST(TextStore, KeepsCopiesWhereTheyAre) {
  TextStore store;
  std::vector<std::string_view> kept;
  for (int i = 0; i < 20000; ++i) kept.push_back(store.Keep("text " + std::to_string(i)));
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(kept[static_cast<size_t>(i)], "text " + std::to_string(i));
}

TEST(TextStore, KeepsTextsLargerThanItsBlocks) {
  TextStore store;
  const std::string large(1 << 20, 'x');
  const std::string_view before = store.Keep("before");
  EXPECT_EQ(store.Keep(large), large);
  EXPECT_EQ(store.Keep("after"), "after");
  EXPECT_EQ(store.Keep(""), "");
  EXPECT_EQ(before, "before");
}

}  // namespace
}  // namespace tensorbundle
