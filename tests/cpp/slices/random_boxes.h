// Small random shapes, tilings and regions, the same on every run, and the slow way to walk through them.

#ifndef TENSORBUNDLE_TESTS_CPP_SLICES_RANDOM_BOXES_H_
#define TENSORBUNDLE_TESTS_CPP_SLICES_RANDOM_BOXES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "slices/slice.h"

namespace tensorbundle {

using Shape = std::vector<int64_t>;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}

  // A number in [0, limit).
  int64_t Below(int64_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(limit));
  }

 private:
  uint64_t state_;
};

inline Shape RandomShape(Random* random, size_t max_rank, int64_t max_size) {
  Shape shape(static_cast<size_t>(random->Below(static_cast<int64_t>(max_rank) + 1)));
  for (int64_t& size : shape) size = 1 + random->Below(max_size);
  return shape;
}

// A box with elements in a tensor of this shape, which has some.
inline Box RandomBox(Random* random, const Shape& shape) {
  Box box = WholeBox(shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    box.start[d] = random->Below(shape[d]);
    box.shape[d] = 1 + random->Below(shape[d] - box.start[d]);
  }
  return box;
}

// Cuts `box` at random places into disjoint boxes that cover it.
inline void RandomTiling(Random* random, const Box& box, std::vector<Box>* tiles) {
  const auto rank = static_cast<int64_t>(box.start.size());
  const auto d = static_cast<size_t>(rank == 0 ? 0 : random->Below(rank));
  if (rank == 0 || box.shape[d] == 1 || random->Below(4) == 0) {
    tiles->push_back(box);
    return;
  }
  Box first = box;
  Box second = box;
  first.shape[d] = 1 + random->Below(box.shape[d] - 1);
  second.start[d] += first.shape[d];
  second.shape[d] -= first.shape[d];
  RandomTiling(random, first, tiles);
  RandomTiling(random, second, tiles);
}

template <typename T>
void Shuffle(Random* random, std::vector<T>* values) {
  for (size_t i = values->size(); i > 1; --i) {
    std::swap((*values)[i - 1], (*values)[static_cast<size_t>(random->Below(static_cast<int64_t>(i)))]);
  }
}

// Moves *index to the next element of this shape in row-major order; false after the last.
inline bool NextIndex(const Shape& shape, Shape* index) {
  for (size_t d = shape.size(); d-- > 0;) {
    if (++(*index)[d] < shape[d]) return true;
    (*index)[d] = 0;
  }
  return false;
}

// Calls visit(index) for every element of this shape in row-major order.
template <typename Visit>
void ForEachIndex(const Shape& shape, Visit visit) {
  for (const int64_t size : shape) {
    if (size == 0) return;
  }
  Shape index(shape.size(), 0);
  do {
    visit(index);
  } while (NextIndex(shape, &index));
}

inline bool Contains(const Box& box, const Shape& index) {
  for (size_t d = 0; d < index.size(); ++d) {
    if (index[d] < box.start[d] || index[d] >= box.start[d] + box.shape[d]) return false;
  }
  return true;
}

// The row-major position of `index` in a box of this shape that starts at `start`.
inline size_t PositionIn(const Shape& start, const Shape& shape, const Shape& index) {
  size_t position = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    position = position * static_cast<size_t>(shape[d]) + static_cast<size_t>(index[d] - start[d]);
  }
  return position;
}

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TESTS_CPP_SLICES_RANDOM_BOXES_H_
