#include "checkpoint/layout.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// TensorFlow's limit where it puts slices together.
constexpr size_t kMaxSlicedRank = 8;

// More files than this in one folder are a mistake of the caller's.
constexpr uint64_t kMaxPieces = 100000;

uint64_t SizeOf(const Placement& placement) { return placement.end - placement.begin; }

// How a tensor is cut into pieces that are runs of its bytes.
struct Cutting {
  size_t dimension = 0;       // Rows of it are kept together; those before it have one index a piece.
  uint64_t row_bytes = 0;     // One row.
  uint64_t rows = 0;          // At most, in a piece.
  uint64_t outer_pieces = 1;  // Indices of the dimensions before, together.
};

// REQUIRES: the tensor has elements, and one is not larger than the limit.
Cutting ChooseCutting(const std::vector<int64_t>& shape, uint64_t element_bytes, uint64_t limit) {
  Cutting cutting;
  cutting.row_bytes = std::accumulate(shape.begin(), shape.end(), element_bytes,
                                      [](uint64_t a, int64_t b) { return a * static_cast<uint64_t>(b); });
  for (; cutting.dimension < shape.size(); ++cutting.dimension) {
    const auto length = static_cast<uint64_t>(shape[cutting.dimension]);
    cutting.row_bytes /= length;
    if (cutting.row_bytes <= limit) break;
    cutting.outer_pieces *= length;
  }
  cutting.rows = limit / cutting.row_bytes;
  return cutting;
}

// The index of `position` in the dimensions of `shape` before `dimension`, in row-major order.
std::vector<int64_t> OuterIndex(const std::vector<int64_t>& shape, size_t dimension, uint64_t position) {
  std::vector<int64_t> index(dimension);
  for (size_t d = dimension; d-- > 0;) {
    index[d] = static_cast<int64_t>(position % static_cast<uint64_t>(shape[d]));
    position /= static_cast<uint64_t>(shape[d]);
  }
  return index;
}

Box PieceBox(const std::vector<int64_t>& shape, const Cutting& cutting, uint64_t outer, uint64_t first_row,
             uint64_t rows) {
  Box box = WholeBox(shape);
  const std::vector<int64_t> index = OuterIndex(shape, cutting.dimension, outer);
  for (size_t d = 0; d < cutting.dimension; ++d) {
    box.start[d] = index[d];
    box.shape[d] = 1;
  }
  box.start[cutting.dimension] = static_cast<int64_t>(first_row);
  box.shape[cutting.dimension] = static_cast<int64_t>(rows);
  return box;
}

Status TooManyPieces(uint64_t limit) {
  return Status(StatusCode::kInvalidArgument, "a limit of " + std::to_string(limit) +
                                                  " bytes a data file would make more than " +
                                                  std::to_string(kMaxPieces) + " of them");
}

Status CutTensor(const TensorExtent& tensor, size_t position, uint64_t limit, std::vector<Placement>* placements) {
  const std::vector<int64_t>& shape = *tensor.shape;
  const Cutting cutting = ChooseCutting(shape, FindDTypeInfo(tensor.dtype)->size_bytes, limit);
  const auto length = static_cast<uint64_t>(shape[cutting.dimension]);
  const uint64_t pieces_per_outer = (length + cutting.rows - 1) / cutting.rows;
  if (cutting.outer_pieces > kMaxPieces || cutting.outer_pieces * pieces_per_outer > kMaxPieces) {
    return TooManyPieces(limit);
  }
  uint64_t begin = 0;
  for (uint64_t outer = 0; outer < cutting.outer_pieces; ++outer) {
    for (uint64_t row = 0; row < length; row += cutting.rows) {
      const uint64_t rows = std::min(cutting.rows, length - row);
      Placement placement{position, PieceBox(shape, cutting, outer, row, rows), begin, begin, 0, 0};
      placement.end += rows * cutting.row_bytes;
      begin = placement.end;
      placements->push_back(std::move(placement));
    }
  }
  return Status();
}

bool CanCut(const TensorExtent& tensor, uint64_t limit) {
  return tensor.may_be_sliced && TensorFlowAssembles(tensor.dtype, tensor.shape->size()) &&
         FindDTypeInfo(tensor.dtype)->size_bytes <= limit;
}

}  // namespace

bool TensorFlowAssembles(DType dtype, size_t rank) {
  if (rank == 0 || rank > kMaxSlicedRank) return false;
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat64:
    case DType::kInt32:
    case DType::kUint8:
    case DType::kInt16:
    case DType::kInt8:
    case DType::kComplex64:
    case DType::kInt64:
    case DType::kBool:
    case DType::kQint8:
    case DType::kQuint8:
    case DType::kQint32:
    case DType::kBfloat16:
    case DType::kComplex128:
    case DType::kInt4:
    case DType::kUint4:
      return true;
    default:
      return false;
  }
}

Result<std::vector<Placement>> Layout::Place(const std::vector<TensorExtent>& tensors, int32_t avoid) {
  if (tensors.empty()) return std::vector<Placement>();  // No batch, so that the next may still be the first.
  const bool is_first = shard_bytes_.empty();
  const size_t shards_before = shard_bytes_.size();
  const uint64_t last_before = is_first ? 0 : shard_bytes_.back();
  ASSIGN_OR_RETURN(std::vector<Placement> placements, Cut(tensors));
  if (options_.max_shard_bytes != 0) {
    Fill(options_.max_shard_bytes, &placements);
  } else if (is_first) {
    Spread(&placements);
  } else {
    for (Placement& placement : placements) PutWhereFewestBytesAre(&placement);
  }
  if (shard_bytes_.size() > kMaxPieces) {  // By filling them one after the other.
    shard_bytes_.resize(shards_before);
    if (!is_first) shard_bytes_.back() = last_before;
    return TooManyPieces(options_.max_shard_bytes);
  }
  if (is_first && avoid != 0) Avoid(avoid, &placements);
  return placements;
}

Result<std::vector<Placement>> Layout::Cut(const std::vector<TensorExtent>& tensors) const {
  const uint64_t limit = options_.max_shard_bytes;
  std::vector<Placement> placements;
  placements.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (limit != 0 && tensors[i].size_bytes > limit && CanCut(tensors[i], limit)) {
      RETURN_IF_ERROR(CutTensor(tensors[i], i, limit, &placements));
    } else {
      placements.push_back({i, std::nullopt, 0, tensors[i].size_bytes, 0, 0});
    }
  }
  return placements;
}

// Each piece goes to the shard that its middle falls into if the bytes of all are cut into equal parts; but no shard
// stays empty, since TensorFlow's merging miscounts shards without a tensor: of more shards than pieces, the rest are
// left to later batches.
void Layout::Spread(std::vector<Placement>* placements) {
  const uint64_t num_shards = std::min<uint64_t>(static_cast<uint64_t>(options_.num_shards), placements->size());
  shard_bytes_.resize(num_shards);
  double total = 0;
  for (const Placement& placement : *placements) total += static_cast<double>(SizeOf(placement));
  double before = 0;
  uint64_t shard = 0;
  for (size_t i = 0; i < placements->size(); ++i) {
    Placement& placement = (*placements)[i];
    const double middle = before + static_cast<double>(SizeOf(placement)) / 2;
    before += static_cast<double>(SizeOf(placement));
    const auto wanted =
        total == 0 ? uint64_t{0} : static_cast<uint64_t>(middle / total * static_cast<double>(num_shards));
    const uint64_t left = placements->size() - i;  // This one included.
    const uint64_t least = num_shards > left ? num_shards - left : 0;
    const uint64_t most = i == 0 ? 0 : shard + 1;
    shard = std::min({std::max({wanted, least, shard}), most, num_shards - 1});
    Put(static_cast<int32_t>(shard), &placement);
  }
}

void Layout::Fill(uint64_t limit, std::vector<Placement>* placements) {
  // Several shards were asked for as well: then none should be fuller than its share.
  uint64_t total = 0;
  for (const Placement& placement : *placements) total += SizeOf(placement);
  if (shard_bytes_.empty() && options_.num_shards > 1) {
    const auto num_shards = static_cast<uint64_t>(options_.num_shards);
    limit = std::min(limit, std::max<uint64_t>(total / num_shards + (total % num_shards != 0), 1));
  }
  for (Placement& placement : *placements) {
    const bool fits =
        !shard_bytes_.empty() && shard_bytes_.back() <= limit && SizeOf(placement) <= limit - shard_bytes_.back();
    if (!fits && (shard_bytes_.empty() || shard_bytes_.back() != 0)) shard_bytes_.push_back(0);
    Put(static_cast<int32_t>(shard_bytes_.size() - 1), &placement);
  }
}

void Layout::PutWhereFewestBytesAre(Placement* placement) {
  auto fewest = std::min_element(shard_bytes_.begin(), shard_bytes_.end());
  // One more only for this piece to go into: where another has no bytes either, the new one might stay without a
  // tensor.
  if (*fewest != 0 && shard_bytes_.size() < static_cast<size_t>(options_.num_shards)) {
    fewest = shard_bytes_.insert(shard_bytes_.end(), 0);
  }
  Put(static_cast<int32_t>(fewest - shard_bytes_.begin()), placement);
}

void Layout::Put(int32_t shard, Placement* placement) {
  uint64_t& end = shard_bytes_[static_cast<size_t>(shard)];
  placement->shard = shard;
  placement->offset = end;
  end += SizeOf(*placement);
  // After every tensor, also the last: TensorFlow's writer pads in the same way.
  end = (end + options_.alignment - 1) / options_.alignment * options_.alignment;
}

void Layout::Avoid(int32_t num_shards, std::vector<Placement>* placements) {
  if (shard_bytes_.size() != static_cast<size_t>(num_shards)) return;
  std::vector<size_t> pieces(shard_bytes_.size());
  for (const Placement& placement : *placements) ++pieces[static_cast<size_t>(placement.shard)];
  // Each is the last of its shard when met first from behind, so that nothing comes to lie after a gap.
  for (auto placement = placements->rbegin(); placement != placements->rend(); ++placement) {
    if (pieces[static_cast<size_t>(placement->shard)] < 2) continue;
    shard_bytes_[static_cast<size_t>(placement->shard)] = placement->offset;
    shard_bytes_.push_back(0);
    Put(num_shards, &*placement);
    return;
  }
}

}  // namespace tensorbundle
