#include "checkpoint/select_strings.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tensorbundle {
namespace {

StringArray Make(const std::vector<std::string>& elements) {
  const auto text = std::make_shared<std::string>();
  auto offsets = OwnedOffsets::Allocate(elements.size(), 1000);
  for (size_t i = 0; i < elements.size(); ++i) {
    *text += elements[i];
    offsets->Set(i + 1, text->size());
  }
  return offsets->Finish(Buffer(ByteView(*text), text));
}

// With offsets of both widths, which must make no difference.
std::vector<std::string> Select(const std::vector<StringPiece>& pieces, const Region& region) {
  std::vector<std::string> selected[2];
  for (const int wide : {0, 1}) {
    const auto strings = SelectStrings(pieces, region, wide == 1 ? 0 : kMaxNarrowOffset);
    EXPECT_TRUE(strings.ok());
    for (const ByteView string : *strings) selected[wide].emplace_back(string.AsText());
  }
  EXPECT_EQ(selected[0], selected[1]);
  return selected[0];
}

using Texts = std::vector<std::string>;

TEST(SelectStrings, PutsPiecesTogetherInAnyOrder) {
  const StringPiece left{{{0, 0}, {2, 1}}, Make({"a", "dddd"})};
  const StringPiece right{{{0, 1}, {2, 2}}, Make({"bb", "", "ee", "f"})};
  const Texts expected = {"a", "bb", "", "dddd", "ee", "f"};
  EXPECT_EQ(Select({left, right}, Region::Whole({2, 3})), expected);
  EXPECT_EQ(Select({right, left}, Region::Whole({2, 3})), expected);
}

TEST(SelectStrings, TakesRegionsWithSteps) {
  const StringPiece whole{WholeBox({3, 4}), Make({"a", "bb", "", "d", "e", "f", "g", "h", "i", "jj", "k", "lll"})};
  EXPECT_EQ(Select({whole}, {{0, 1}, {2, 2}, {2, 2}}), (Texts{"bb", "d", "jj", "lll"}));
  EXPECT_EQ(Select({whole}, {{1, 0}, {2, 4}, {}}), (Texts{"e", "f", "g", "h", "i", "jj", "k", "lll"}));
  EXPECT_EQ(Select({whole}, {{0, 2}, {3, 1}, {}}), (Texts{"", "g", "k"}));
  const StringPiece top{{{0, 0}, {1, 4}}, Make({"a", "bb", "", "d"})};
  const StringPiece rest{{{1, 0}, {2, 4}}, Make({"e", "f", "g", "h", "i", "jj", "k", "lll"})};
  EXPECT_EQ(Select({rest, top}, {{0, 1}, {2, 2}, {2, 2}}), (Texts{"bb", "d", "jj", "lll"}));
}

TEST(SelectStrings, TakesNothingAndScalars) {
  EXPECT_EQ(Select({{WholeBox({2}), Make({"a", "b"})}}, {{1}, {0}, {}}), Texts());
  EXPECT_EQ(Select({{WholeBox({0, 3}), Make({})}}, Region::Whole({0, 3})), Texts());
  EXPECT_EQ(Select({{WholeBox({}), Make({"one"})}}, Region::Whole({})), Texts{"one"});
  EXPECT_EQ(Select({{WholeBox({2}), Make({"", ""})}}, Region::Whole({2})), (Texts{"", ""}));
}

TEST(SelectStrings, MakesAnArrayOfItsOwn) {
  StringPiece piece{WholeBox({3}), Make({"a", "long gone", "c"})};
  const auto selected = SelectStrings({piece}, {{0}, {2}, {2}});
  ASSERT_TRUE(selected.ok());
  EXPECT_EQ(selected->Join(0, 2).AsText(), "ac");  // Nothing of the others is kept.
  piece = StringPiece();
  EXPECT_EQ((*selected)[1].AsText(), "c");
}

}  // namespace
}  // namespace tensorbundle
