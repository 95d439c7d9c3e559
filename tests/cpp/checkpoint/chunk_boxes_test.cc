#include "checkpoint/chunk_boxes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "slices/random_boxes.h"
#include "slices/slice.h"

namespace tensorbundle {
namespace {

std::vector<std::string> Texts(const Shape& shape, uint64_t max_elements) {
  std::vector<std::string> texts;
  for (ChunkBoxes boxes(shape, max_elements); boxes.has_box(); boxes.Advance()) {
    texts.push_back(BoxText({boxes.box().start, boxes.box().shape}));
  }
  return texts;
}

using Boxes = std::vector<std::string>;

TEST(ChunkBoxes, AreWholeRowsWhereTheyFit) {
  EXPECT_EQ(Texts({5, 2, 3}, 30), Boxes({"[0:5, 0:2, 0:3]"}));
  EXPECT_EQ(Texts({5, 2, 3}, 29), Boxes({"[0:4, 0:2, 0:3]", "[4:5, 0:2, 0:3]"}));
  EXPECT_EQ(Texts({5, 2, 3}, 12), Boxes({"[0:2, 0:2, 0:3]", "[2:4, 0:2, 0:3]", "[4:5, 0:2, 0:3]"}));
}

TEST(ChunkBoxes, ArePartsOfARowThatDoesNotFit) {
  EXPECT_EQ(Texts({2, 2, 3}, 5), Boxes({"[0:1, 0:1, 0:3]", "[0:1, 1:2, 0:3]", "[1:2, 0:1, 0:3]", "[1:2, 1:2, 0:3]"}));
  EXPECT_EQ(Texts({1, 2, 3}, 2), Boxes({"[0:1, 0:1, 0:2]", "[0:1, 0:1, 2:3]", "[0:1, 1:2, 0:2]", "[0:1, 1:2, 2:3]"}));
  EXPECT_EQ(Texts({1, 1, 1'000'000'000}, 400'000'000),
            Boxes({"[0:1, 0:1, 0:400000000]", "[0:1, 0:1, 400000000:800000000]", "[0:1, 0:1, 800000000:1000000000]"}));
}

TEST(ChunkBoxes, HaveAnElementAtLeast) {
  EXPECT_EQ(Texts({2, 1}, 0), Boxes({"[0:1, 0:1]", "[1:2, 0:1]"}));
  EXPECT_EQ(Texts({2, 1}, 1), Boxes({"[0:1, 0:1]", "[1:2, 0:1]"}));
}

TEST(ChunkBoxes, AreOneOfAScalarOrNoElements) {
  EXPECT_EQ(Texts({}, 1), Boxes({"[]"}));
  EXPECT_EQ(Texts({0}, 1), Boxes({"[0:0]"}));
  EXPECT_EQ(Texts({3, 0, 2}, 1), Boxes({"[0:3, 0:0, 0:2]"}));
  EXPECT_EQ(Texts({INT64_MAX, INT64_MAX, 0}, 1).size(), 1u);
}

TEST(ChunkBoxes, FollowOneAnotherInRowMajorOrder) {
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    const Shape shape = RandomShape(&random, 5, 6);
    const auto most = static_cast<uint64_t>(1 + random.Below(40));
    uint64_t next = 0;
    for (ChunkBoxes boxes(shape, most); boxes.has_box(); boxes.Advance()) {
      const Region& box = boxes.box();
      ASSERT_EQ(boxes.first_element(), next);
      ASSERT_LE(boxes.num_elements(), most);
      ForEachIndex(box.shape, [&](Shape index) {
        for (size_t d = 0; d < index.size(); ++d) index[d] += box.start[d];
        ASSERT_EQ(PositionIn(Shape(shape.size(), 0), shape, index), next++);
      });
    }
    ASSERT_EQ(next, WholeBox(shape).NumElements());
  }
}

}  // namespace
}  // namespace tensorbundle
