#include "util/text_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace tensorbundle {
namespace {

using Texts = std::vector<std::string>;

Texts Sorted(const Texts& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  Texts sorted;
  for (const size_t i : SortedOrder(views)) sorted.emplace_back(views[i]);
  return sorted;
}

void ExpectAsStandardSort(const Texts& texts) {
  Texts expected = texts;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(Sorted(texts), expected);
}

TEST(SortedOrder, TakesNoneAndOne) {
  EXPECT_EQ(SortedOrder({}), std::vector<size_t>());
  EXPECT_EQ(SortedOrder({"a"}), std::vector<size_t>{0});
}

TEST(SortedOrder, GivesPositions) { EXPECT_EQ(SortedOrder({"b", "c", "a"}), (std::vector<size_t>{2, 0, 1})); }

TEST(SortedOrder, ComparesBytesWithoutSign) { ExpectAsStandardSort({"\x80", "\x7F", "\xFF", "a", "\x01"}); }

// A zero in a text is not what stands for the end of another.
TEST(SortedOrder, TellsZerosFromEnds) {
  Texts texts;
  for (const size_t length : {0, 1, 2, 7, 8, 9, 15, 16, 17}) {
    texts.insert(texts.begin(), std::string(length, '\0'));
    texts.push_back(std::string(length, '\0') + "a");
    texts.push_back("a" + std::string(length, '\0'));
  }
  ExpectAsStandardSort(texts);
}

TEST(SortedOrder, SortsLongCommonBeginnings) {
  Texts texts;
  for (int i = 500; i-- > 0;) texts.push_back(std::string(1000, 'x') + std::to_string(i));
  texts.push_back(std::string(1000, 'x'));
  ExpectAsStandardSort(texts);
}

TEST(SortedOrder, KeepsEqualOnesTogether) {
  Texts texts(40, "the same text");
  texts.insert(texts.end(), 40, "the same");
  texts.insert(texts.end(), 40, "another");
  ExpectAsStandardSort(texts);
}

TEST(SortedOrder, SortsWhateverThereIs) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    Texts texts(random() % 300);
    const char letters = static_cast<char>(1 + random() % 4);
    for (std::string& text : texts) {
      text.resize(random() % 30);
      for (char& letter : text) letter = static_cast<char>(random() % letters);
    }
    ExpectAsStandardSort(texts);
  }
}

}  // namespace
}  // namespace tensorbundle
