#include "checkpoint/stored_run.h"

#include <algorithm>
#include <utility>

#include "tensorbundle/crc32c.h"
#include "util/status_macros.h"

namespace tensorbundle {

StoredRun::StoredRun(const Entry& entry, std::vector<PlannedPiece> pieces, bool foreign_byte_order)
    : entry_(entry),
      pieces_(std::move(pieces)),
      begins_{0},
      foreign_byte_order_(foreign_byte_order),
      conversion_(ConversionFor(*FindDTypeInfo(entry.dtype), foreign_byte_order)) {
  for (const PlannedPiece& piece : pieces_) begins_.push_back(begins_.back() + piece.bytes.size_bytes);
}

Status StoredRun::Read(uint64_t begin, uint64_t end, uint8_t* destination, const ReadOptions& options, bool* noisy) {
  if (destination == nullptr && !options.verify && !conversion_.has_noise()) return Status();
  const std::vector<Part> parts = PartsOf(begin, end);
  std::vector<JobRequest> requests;
  std::vector<PlannedPiece> pieces;
  for (const Part& part : parts) {
    PlannedPiece piece = pieces_[part.piece];
    piece.request = requests.size();
    piece.bytes.offset += part.begin;
    piece.bytes.size_bytes = part.end - part.begin;
    pieces.push_back(piece);
    uint8_t* const target = destination == nullptr ? nullptr : destination + (begins_[part.piece] + part.begin - begin);
    const ReadAction action = destination == nullptr ? ReadAction::kView : ReadAction::kCopy;
    requests.push_back({&entry_, action, options.verify, conversion_, target, false});
  }
  ReadJob job(std::move(requests), std::move(pieces), foreign_byte_order_);
  ASSIGN_OR_RETURN(const std::vector<uint32_t> sums, job.RunForSums(options));
  for (size_t i = 0; i < parts.size(); ++i) *noisy = *noisy || job.noisy(i);
  return options.verify ? CompareSums(parts, sums) : Status();
}

std::vector<StoredExtent> StoredRun::ExtentsOf(uint64_t begin, uint64_t end) const {
  std::vector<StoredExtent> extents;
  for (const Part& part : PartsOf(begin, end)) {
    const PlannedPiece& piece = pieces_[part.piece];
    extents.push_back({static_cast<size_t>(piece.bytes.shard),
                       {piece.bytes.offset + part.begin, part.end - part.begin},
                       piece.source});
  }
  return extents;
}

std::vector<StoredRun::Part> StoredRun::PartsOf(uint64_t begin, uint64_t end) const {
  // The first piece that ends behind `begin`, or that is empty and there.
  const auto first = std::lower_bound(begins_.begin() + 1, begins_.end(), begin == end ? begin : begin + 1);
  std::vector<Part> parts;
  for (auto i = static_cast<size_t>(first - begins_.begin() - 1); i < pieces_.size() && begins_[i] <= end; ++i) {
    const uint64_t part_begin = std::max(begin, begins_[i]) - begins_[i];
    const uint64_t part_end = std::min(end, begins_[i + 1]) - begins_[i];
    if (part_begin < part_end || begin == end) parts.push_back({i, part_begin, part_end});
  }
  return parts;
}

Status StoredRun::CompareSums(const std::vector<Part>& parts, const std::vector<uint32_t>& sums) {
  uint32_t crc = crc32c_;
  for (size_t i = 0; i < parts.size(); ++i) {
    const PlannedPiece& piece = pieces_[parts[i].piece];
    crc = crc32c::Combine(crc, sums[i], parts[i].end - parts[i].begin);
    if (parts[i].end < piece.bytes.size_bytes) continue;
    if (crc != piece.bytes.crc32c) return ChecksumMismatch(piece, crc).WithTensor(entry_.name);
    crc = 0;
  }
  crc32c_ = crc;
  return Status();
}

}  // namespace tensorbundle
