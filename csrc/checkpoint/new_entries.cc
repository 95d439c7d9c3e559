#include "checkpoint/new_entries.h"

#include <algorithm>
#include <functional>

#include "slices/cover.h"
#include "slices/key.h"
#include "table/table_builder.h"
#include "util/status_macros.h"
#include "util/text_order.h"

namespace tensorbundle {
namespace {

Status Invalid(const std::string& message) { return Status(StatusCode::kInvalidArgument, message); }

std::string DescriptionOf(DType dtype, const std::vector<int64_t>& shape) {
  return std::string(FindDTypeInfo(dtype)->name) + " " + ShapeText(shape);
}

// As partitioned variables spell themselves: every dimension with start and length.
Slice SliceOf(const Box& box) {
  Slice slice;
  for (size_t d = 0; d < box.start.size(); ++d) slice.extents.push_back({box.start[d], box.shape[d]});
  return slice;
}

// False if names may be equal: judged by their hashes, in a table that is far quicker than a set of names.
bool AllDiffer(const TensorToWrite* tensors, size_t count) {
  size_t size = 16;
  while (size < 2 * count) size *= 2;
  std::vector<size_t> table(size);  // 0: nothing yet.
  for (size_t i = 0; i < count; ++i) {
    const size_t hash = std::hash<std::string_view>()(tensors[i].name) | 1;
    size_t place = (hash >> 1) & (size - 1);
    for (; table[place] != 0; place = (place + 1) & (size - 1)) {
      if (table[place] == hash) return false;
    }
    table[place] = hash;
  }
  return true;
}

}  // namespace

Status NewEntries::CheckNames(const TensorToWrite* tensors, size_t count) {
  if (records_.empty() && AllDiffer(tensors, count)) return Status();
  // Only now: most checkpoints are one batch, and a set of their names costs as much as all else.
  for (; num_names_ < records_.size(); ++num_names_) {
    if (!IsSliceKey(records_[num_names_].key)) names_.insert(records_[num_names_].key);
  }
  std::unordered_set<std::string_view> batch;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view name = tensors[i].name;
    if (names_.count(name) != 0 || partitions_.count(tensors[i].name) != 0 || !batch.insert(name).second) {
      return Invalid("there is a tensor of this name already").WithTensor(tensors[i].name);
    }
  }
  return Status();
}

Status NewEntries::CheckPiece(const TensorToWrite& piece, const std::vector<int64_t>& full_shape, const Box& box) {
  if (*CountElements(piece.shape) == 0) return Invalid("a slice without elements").WithTensor(piece.name);
  const auto found = partitions_.find(piece.name);
  if (found == partitions_.end()) return CheckNames(&piece, 1);
  const Partition& partition = found->second;
  if (partition.dtype != piece.dtype || partition.shape != full_shape) {
    return Invalid("its slices disagree on dtype or full shape: " + DescriptionOf(partition.dtype, partition.shape) +
                   " and " + DescriptionOf(piece.dtype, full_shape))
        .WithTensor(piece.name);
  }
  const Box* const other = partition.FindOverlap(box);
  if (other == nullptr) return Status();
  return Invalid("its slices " + BoxText(*other) + " and " + BoxText(box) + " overlap").WithTensor(piece.name);
}

Status NewEntries::CheckAllThere() const {
  for (const auto& [name, partition] : partitions_) {
    Status cover = CheckCover(partition.shape, partition.boxes);
    if (!cover.ok()) return Invalid("its slices are not all there: " + cover.message()).WithTensor(name);
  }
  return Status();
}

void NewEntries::Add(const std::string& name, DType dtype, const std::vector<int64_t>& shape, const Placement& place,
                     uint32_t crc) {
  Entry entry;
  entry.dtype = dtype;
  entry.size_bytes = place.end - place.begin;
  entry.shard = place.shard;
  entry.offset_in_shard = place.offset;
  entry.crc32c = crc;
  entry.shape = place.box ? place.box->shape : shape;
  const std::string_view key = texts_.Keep(place.box ? EncodeSliceKey(name, SliceOf(*place.box)) : name);
  records_.push_back({key, Encode(entry), {entry.shard, entry.offset_in_shard, entry.size_bytes}});
  if (place.box) partitions_.try_emplace(name, Partition{dtype, shape, {}, 0, {}, 0}).first->second.Add(*place.box);
}

NewEntries::Place NewEntries::FindSmallest(size_t num_shards) const {
  std::vector<size_t> in_shard(num_shards);
  for (const Record& record : records_) ++in_shard[static_cast<size_t>(record.place.shard)];
  Place smallest;
  for (const Record& record : records_) {
    if (in_shard[static_cast<size_t>(record.place.shard)] < 2) continue;
    if (smallest.shard < 0 || record.place.size_bytes < smallest.size_bytes) smallest = record.place;
  }
  return smallest;
}

Status NewEntries::Move(const Place& from, int32_t shard) {
  // Tensors without bytes lie at the same place as others, and any of these will do.
  const auto found = std::find_if(records_.begin(), records_.end(), [&](const Record& record) {
    return record.place.shard == from.shard && record.place.offset == from.offset &&
           record.place.size_bytes == from.size_bytes;
  });
  Entry entry;
  RETURN_IF_ERROR(ParseEntry(ByteView(found->key), ByteView(found->value), from.shard + 1, &entry));
  entry.shard = shard;
  entry.offset_in_shard = 0;
  found->value = Encode(entry);
  found->place = {shard, 0, from.size_bytes};
  return Status();
}

std::string NewEntries::EncodeIndex(int32_t num_shards) const {
  std::vector<std::string> partition_values;
  partition_values.reserve(partitions_.size());
  std::vector<std::string_view> keys;
  keys.reserve(records_.size() + partitions_.size());
  for (const Record& record : records_) keys.push_back(record.key);
  for (const auto& [name, partition] : partitions_) {
    Entry entry;
    entry.dtype = partition.dtype;
    entry.shape = partition.shape;
    for (const Box& box : partition.boxes) entry.slices.push_back(SliceOf(box));
    EncodeEntry(entry, &partition_values.emplace_back());
    keys.push_back(name);
  }
  Header header;
  header.num_shards = num_shards;
  TableBuilder table;
  table.Add("", EncodeHeader(header));
  for (const size_t i : SortedOrder(keys)) {
    table.Add(keys[i], i < records_.size() ? records_[i].value : partition_values[i - records_.size()]);
  }
  return std::move(table).Finish();
}

std::string_view NewEntries::Encode(const Entry& entry) {
  EncodeEntry(entry, &encoded_);
  return texts_.Keep(encoded_);
}

void NewEntries::Partition::Add(const Box& box) {
  if (boxes.size() == 1) {  // Now it shows which dimension tells them apart.
    const auto differ = std::mismatch(box.start.begin(), box.start.end(), boxes[0].start.begin());
    axis = static_cast<size_t>(differ.first - box.start.begin());
    by_start = {{boxes[0].start[axis], 0}};
    longest = boxes[0].shape[axis];
  }
  if (!boxes.empty()) {
    by_start.emplace(box.start[axis], boxes.size());
    longest = std::max(longest, box.shape[axis]);
  }
  boxes.push_back(box);
}

const Box* NewEntries::Partition::FindOverlap(const Box& box) const {
  if (boxes.size() == 1) return Intersect(boxes[0], box) ? &boxes[0] : nullptr;
  const int64_t begin = box.start[axis];
  const auto end = by_start.lower_bound(begin + box.shape[axis]);
  for (auto near = by_start.upper_bound(begin - longest); near != end; ++near) {
    if (Intersect(boxes[near->second], box)) return &boxes[near->second];
  }
  return nullptr;
}

}  // namespace tensorbundle
