#include "slices/cover.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>

#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// Work allowed, in intervals looked at: for any tensor, and more for each extent of its pieces. A grid takes one for
// each extent; the first number lets a thousand pieces be compared pair by pair.
constexpr uint64_t kStepsPerTensor = 4'000'000;
constexpr uint64_t kStepsPerExtent = 64;

// What one piece covers of one dimension.
struct Interval {
  int64_t start;
  int64_t end;
  size_t piece;
};

bool StartsBefore(const Interval& a, const Interval& b) { return a.start < b.start; }

bool Overlap(const Box& a, const Box& b) {
  for (size_t d = 0; d < a.start.size(); ++d) {
    if (a.start[d] + a.shape[d] <= b.start[d] || b.start[d] + b.shape[d] <= a.start[d]) return false;
  }
  return true;
}

// Looks for two pieces that overlap.
//
// Seen along one dimension, pieces fall into groups with gaps between them, or at least borders that no piece crosses.
// Pieces of different groups don't overlap; each group is split again along the other dimensions, until it is one piece
// or no dimension splits it.
class OverlapSearch {
 public:
  OverlapSearch(const std::vector<Box>& pieces, size_t rank)
      : pieces_(pieces),
        rank_(rank),
        steps_left_(kStepsPerTensor + kStepsPerExtent * pieces.size() * rank),
        order_(pieces.size()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
  }

  // Success if there are none.
  Status Run() {
    AddGroup({0, order_.size(), 0, rank_});
    while (!groups_.empty()) {
      const Group group = groups_.back();
      groups_.pop_back();
      RETURN_IF_ERROR(group.untried == 0 ? ComparePairs(group) : Split(group));
    }
    return Status();
  }

 private:
  // Pieces order_[begin] to order_[end - 1], to be split along `dimension`, with so many dimensions not tried since the
  // group was made.
  struct Group {
    size_t begin;
    size_t end;
    size_t dimension;
    size_t untried;
  };

  void AddGroup(const Group& group) {
    if (group.end - group.begin > 1) groups_.push_back(group);
  }

  Status Spend(uint64_t steps) {
    if (steps > steps_left_) {
      return Status(StatusCode::kResourceExhausted, "the " + std::to_string(pieces_.size()) +
                                                        " pieces interlock so that a check for overlaps would take "
                                                        "too long");
    }
    steps_left_ -= steps;
    return Status();
  }

  // Fills intervals_ with the group's pieces in order of their starts.
  Status Project(const Group& group, size_t dimension) {
    RETURN_IF_ERROR(Spend(group.end - group.begin));
    intervals_.clear();
    for (size_t i = group.begin; i < group.end; ++i) {
      const Box& piece = pieces_[order_[i]];
      const int64_t start = piece.start[dimension];
      intervals_.push_back({start, start + piece.shape[dimension], order_[i]});
    }
    // Often they are in order, or all the same; looking is cheaper than sorting.
    if (!std::is_sorted(intervals_.begin(), intervals_.end(), StartsBefore)) {
      std::sort(intervals_.begin(), intervals_.end(), StartsBefore);
    }
    return Status();
  }

  Status Split(const Group& group) {
    RETURN_IF_ERROR(Project(group, group.dimension));
    const size_t next = (group.dimension + 1) % rank_;
    size_t first = 0;
    int64_t reach = intervals_[0].end;
    for (size_t i = 0; i < intervals_.size(); ++i) {
      order_[group.begin + i] = intervals_[i].piece;
      if (intervals_[i].start >= reach) {
        AddGroup({group.begin + first, group.begin + i, next, rank_ - 1});
        first = i;
      }
      reach = std::max(reach, intervals_[i].end);
    }
    AddGroup({group.begin + first, group.end, next, first == 0 ? group.untried - 1 : rank_ - 1});
    return Status();
  }

  // Pairs of intervals_ that overlap.
  uint64_t CountPairs() const {
    uint64_t pairs = 0;
    for (auto i = intervals_.begin(); i != intervals_.end(); ++i) {
      const auto beyond = std::lower_bound(i, intervals_.end(), Interval{i->end, 0, 0}, StartsBefore);
      pairs += static_cast<uint64_t>(std::distance(i, beyond)) - 1;
    }
    return pairs;
  }

  // Fills intervals_ along the dimension where the fewest pairs overlap.
  Status ProjectBest(const Group& group) {
    size_t best = 0;
    uint64_t fewest = UINT64_MAX;
    for (size_t d = 0; d < rank_; ++d) {
      RETURN_IF_ERROR(Project(group, d));
      const uint64_t pairs = CountPairs();
      if (pairs < fewest) best = d;
      fewest = std::min(fewest, pairs);
    }
    return Project(group, best);
  }

  // Compares each piece with those that it overlaps along one dimension.
  Status ComparePairs(const Group& group) {
    // Without dimensions every piece is the whole tensor.
    if (rank_ == 0) return OverlapError(order_[group.begin], order_[group.begin + 1]);
    RETURN_IF_ERROR(ProjectBest(group));
    for (auto a = intervals_.begin(); a != intervals_.end(); ++a) {
      for (auto b = std::next(a); b != intervals_.end() && b->start < a->end; ++b) {
        RETURN_IF_ERROR(Spend(rank_));
        if (Overlap(pieces_[a->piece], pieces_[b->piece])) return OverlapError(a->piece, b->piece);
      }
    }
    return Status();
  }

  Status OverlapError(size_t a, size_t b) const {
    if (a > b) std::swap(a, b);
    return Status(StatusCode::kDataLoss, "pieces " + std::to_string(a) + " " + BoxText(pieces_[a]) + " and " +
                                             std::to_string(b) + " " + BoxText(pieces_[b]) + " overlap");
  }

  const std::vector<Box>& pieces_;
  const size_t rank_;
  uint64_t steps_left_;
  std::vector<size_t> order_;
  std::vector<Group> groups_;
  std::vector<Interval> intervals_;
};

// A piece that reaches into the box in which a hole is sought, and its elements there for each index of the dimensions
// before the one looked at.
struct Candidate {
  size_t piece;
  uint64_t elements;
};

// The first stretch of dimension `d` over which the candidates, which do not overlap, have fewer than `needed` elements
// at each index, as start and end. REQUIRES: there is one in [0, size).
std::pair<int64_t, int64_t> FirstShortage(const std::vector<Box>& pieces, const std::vector<Candidate>& candidates,
                                          size_t d, int64_t size, uint64_t needed) {
  std::vector<std::pair<int64_t, int64_t>> changes = {{0, 0}, {size, 0}};  // Where, and by how many elements.
  int64_t present = 0;
  for (const Candidate& candidate : candidates) {
    const Box& piece = pieces[candidate.piece];
    const auto elements = static_cast<int64_t>(candidate.elements / static_cast<uint64_t>(piece.shape[d]));
    if (piece.shape[d] == size) {
      present += elements;
      continue;
    }
    changes.emplace_back(piece.start[d], elements);
    changes.emplace_back(piece.start[d] + piece.shape[d], -elements);
  }
  std::sort(changes.begin(), changes.end());
  // Losses at an index sort before gains there, so the sum is right, and looked at, only once the index changes.
  for (size_t i = 0; i + 1 < changes.size(); ++i) {
    present += changes[i].second;
    const bool complete = changes[i].first != changes[i + 1].first;
    if (complete && static_cast<uint64_t>(present) < needed) return {changes[i].first, changes[i + 1].first};
  }
  return {size, size};
}

// The first box in row-major order that no piece reaches into. REQUIRES: the pieces don't overlap and leave some out.
Box FirstHole(const std::vector<int64_t>& shape, const std::vector<Box>& pieces) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < pieces.size(); ++i) candidates.push_back({i, pieces[i].NumElements()});
  Box hole = WholeBox(shape);
  uint64_t needed = *CountElements(shape);
  for (size_t d = 0; d < shape.size() && !candidates.empty(); ++d) {
    needed /= static_cast<uint64_t>(shape[d]);
    const auto [start, end] = FirstShortage(pieces, candidates, d, shape[d], needed);
    hole.start[d] = start;
    hole.shape[d] = end - start;
    std::vector<Candidate> within;
    for (const Candidate& candidate : candidates) {
      const Box& piece = pieces[candidate.piece];
      if (piece.start[d] > start || piece.start[d] + piece.shape[d] < end) continue;
      within.push_back({candidate.piece, candidate.elements / static_cast<uint64_t>(piece.shape[d])});
    }
    candidates = std::move(within);
  }
  return hole;
}

}  // namespace

Status CheckCover(const std::vector<int64_t>& shape, const std::vector<Box>& pieces, const std::string& about_holes) {
  const uint64_t total = *CountElements(shape);
  if (total == 0) return Status();
  RETURN_IF_ERROR(OverlapSearch(pieces, shape.size()).Run());
  uint64_t present = 0;  // Can't overflow: without overlaps it is at most `total`.
  for (const Box& piece : pieces) present += piece.NumElements();
  if (present == total) return Status();
  return Status(StatusCode::kDataLoss, std::to_string(total - present) + " of " + std::to_string(total) +
                                           " elements are in no piece, first " + BoxText(FirstHole(shape, pieces)) +
                                           about_holes);
}

}  // namespace tensorbundle
