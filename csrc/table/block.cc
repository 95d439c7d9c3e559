#include "table/block.h"

#include <limits>
#include <optional>
#include <string_view>

#include "util/checked.h"
#include "util/endian.h"
#include "util/quote.h"
#include "util/varint.h"

namespace tensorbundle {
namespace {

constexpr size_t kFixed32Size = 4;
constexpr uint64_t kNoRestart = std::numeric_limits<uint64_t>::max();

Status BadContents(size_t position, const std::string& what) {
  return Status(StatusCode::kDataLoss, "bad block contents: " + what).WithOffset(position);
}

// For messages.
std::string Count(uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

}  // namespace

Status BlockCursor::Enter(ByteView contents) {
  remaining_ = value_ = restarts_ = ByteView();
  entries_size_ = 0;
  status_ = ParseRestarts(contents);
  if (!status_.ok()) return status_;
  entries_size_ = contents.size() - kFixed32Size - restarts_.size();
  remaining_ = contents.Slice(0, entries_size_);
  return Status();
}

// Finds the restart offsets, which must begin with 0. Each of the others is compared when the entries reach it.
Status BlockCursor::ParseRestarts(ByteView contents) {
  next_restart_ = 0;
  next_restart_offset_ = kNoRestart;
  if (contents.size() < kFixed32Size) {
    return BadContents(0, Count(contents.size()) + ", where the restart count alone takes 4");
  }
  const size_t count_offset = contents.size() - kFixed32Size;
  const auto count = LoadLittleEndian<uint32_t>(contents.data() + count_offset);
  if (count > count_offset / kFixed32Size) {
    return BadContents(count_offset, "restart count " + std::to_string(count) + " after " + Count(count_offset));
  }
  const size_t entries_size = count_offset - count * kFixed32Size;
  restarts_ = contents.Slice(entries_size, count * kFixed32Size);
  if (count == 0) {
    // TensorFlow takes such a block for empty. If it holds entries, it has lost its count.
    if (entries_size == 0) return Status();
    return BadContents(count_offset, "restart count 0 after " + Count(entries_size) + " of entries");
  }
  if (RestartOffset(0) != 0) {
    return BadContents(entries_size, "the first restart offset is " + std::to_string(RestartOffset(0)) + " and not 0");
  }
  if (entries_size == 0) {
    // Written with this one restart, which no entry will reach.
    if (count == 1) return Status();
    return BadContents(count_offset, "restart count " + std::to_string(count) + " in a block without entries");
  }
  next_restart_offset_ = 0;
  return Status();
}

uint32_t BlockCursor::RestartOffset(size_t i) const {
  return LoadLittleEndian<uint32_t>(restarts_.data() + i * kFixed32Size);
}

void BlockCursor::AdvanceRestart() {
  ++next_restart_;
  const bool any_left = next_restart_ < restarts_.size() / kFixed32Size;
  next_restart_offset_ = any_left ? RestartOffset(next_restart_) : kNoRestart;
}

bool BlockCursor::Next() {
  if (remaining_.empty()) return Finish();
  entry_offset_ = entries_size_ - remaining_.size();
  EntryHeader header;
  if (!TakeHeader(&header)) return Fail("its three lengths are cut short or have more than 32 bits");
  if (!RangeFits(header.non_shared, header.value_size, remaining_.size())) {
    return Fail("a key suffix of " + Count(header.non_shared) + " and a value of " + Count(header.value_size) +
                ", where " + Count(remaining_.size()) + " are left");
  }
  if (entry_offset_ >= next_restart_offset_ && !PassRestart(header.shared)) return false;
  if (!ExtendKey(header.shared, remaining_.Slice(0, header.non_shared))) return false;
  value_ = remaining_.Slice(header.non_shared, header.value_size);
  remaining_.RemovePrefix(header.non_shared);
  remaining_.RemovePrefix(header.value_size);
  return true;
}

bool BlockCursor::TakeHeader(EntryHeader* header) {
  const uint8_t* bytes = remaining_.data();
  if (remaining_.size() >= 3 && (bytes[0] | bytes[1] | bytes[2]) < 0x80) {
    *header = {bytes[0], bytes[1], bytes[2]};
    remaining_.RemovePrefix(3);
    return true;
  }
  for (uint32_t* field : {&header->shared, &header->non_shared, &header->value_size}) {
    const std::optional<uint32_t> value = TakeVarint32(&remaining_);
    if (!value) return false;
    *field = *value;
  }
  return true;
}

// Checks the restart offset that the entry at hand has reached.
bool BlockCursor::PassRestart(uint32_t shared) {
  if (next_restart_offset_ != entry_offset_) return Fail(DescribeRestart() + ", where no entry starts");
  if (shared != 0) return Fail(DescribeRestart() + ", and the key there shares " + Count(shared) + " instead of none");
  AdvanceRestart();
  return true;
}

std::string BlockCursor::DescribeRestart() const {
  return "restart offset " + std::to_string(next_restart_) + " is " + std::to_string(next_restart_offset_);
}

// Makes key_ the key of the entry at hand. That of a block's first entry shares nothing: a restart is there.
bool BlockCursor::ExtendKey(uint32_t shared, ByteView suffix) {
  if (shared > key_.size()) {
    return Fail("its key shares " + Count(shared) + " with the one before, which has " + std::to_string(key_.size()));
  }
  // The shared bytes are equal, so the order is that of the rests.
  const std::string_view previous = std::string_view(key_).substr(shared);
  const int order = must_ascend_ ? suffix.AsText().compare(previous) : 1;
  if (order <= 0) {
    const std::string key = key_.substr(0, shared).append(suffix.AsText());
    if (order == 0) return Fail("duplicate key " + Quote(key));
    return Fail("keys are not in order: " + Quote(key) + " after " + Quote(key_));
  }
  key_.resize(shared);
  key_.append(suffix.AsText());
  must_ascend_ = true;
  return true;
}

bool BlockCursor::Finish() {
  if (!status_.ok() || next_restart_offset_ == kNoRestart) return false;
  status_ = BadContents(entries_size_, DescribeRestart() + ", where no entry starts");
  return false;
}

bool BlockCursor::Fail(const std::string& what) {
  status_ = BadContents(entry_offset_, "entry at byte " + std::to_string(entry_offset_) + ": " + what);
  remaining_ = ByteView();
  return false;
}

std::optional<OnlyEntry> FindOnlyEntry(ByteView head, ByteView tail, uint64_t contents_size) {
  const bool one_restart =
      LoadLittleEndian<uint32_t>(tail.data()) == 0 && LoadLittleEndian<uint32_t>(tail.data() + kFixed32Size) == 1;
  ByteView rest = head;
  const std::optional<uint32_t> shared = TakeVarint32(&rest);
  const std::optional<uint32_t> key_size = shared == 0u ? TakeVarint32(&rest) : std::nullopt;
  const std::optional<uint32_t> value_size = key_size ? TakeVarint32(&rest) : std::nullopt;
  if (!one_restart || !value_size) return std::nullopt;
  const size_t key_offset = head.size() - rest.size();
  const uint64_t value_offset = uint64_t{key_offset} + *key_size;  // No sum of three such numbers overflows.
  if (value_offset + *value_size + kOnlyRestartSize != contents_size) return std::nullopt;
  return OnlyEntry{key_offset, *key_size, value_offset, *value_size};
}

}  // namespace tensorbundle
