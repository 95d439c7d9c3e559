// Any bytes as a table file. The first byte chooses: even, the rest is the file; odd, its magic number and the
// checksums of its blocks are made right first, so that the fuzzer gets behind them.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "table/block.h"
#include "table/format.h"
#include "table/snappy.h"
#include "table/table_reader.h"
#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"
#include "util/crc32c.h"
#include "util/endian.h"

namespace {

using tensorbundle::BlockCursor;
using tensorbundle::BlockHandle;
using tensorbundle::ByteView;
using tensorbundle::Result;
using tensorbundle::Status;
using tensorbundle::StatusCode;

// Enough to reach everything; more would only make the fuzzer slow.
constexpr int kMaxRepairedBlocks = 64;

using File = std::vector<uint8_t>;

volatile uint64_t sink;  // So that what is read is read.

ByteView ViewOf(const File& file) { return ByteView(file.data(), file.size()); }

void Require(bool condition) {
  if (!condition) std::abort();
}

void RepairBlock(BlockHandle handle, File* file) {
  const size_t size = file->size();
  if (size < tensorbundle::kBlockTrailerSize || handle.size > size - tensorbundle::kBlockTrailerSize ||
      handle.offset > size - tensorbundle::kBlockTrailerSize - handle.size) {
    return;
  }
  const uint32_t crc = tensorbundle::crc32c::Extend(0, ViewOf(*file).Slice(handle.offset, handle.size + 1));
  uint8_t* const stored = file->data() + handle.offset + handle.size + 1;
  tensorbundle::StoreLittleEndian(tensorbundle::crc32c::Mask(crc), stored);
}

// The handles in the index block, as far as it can be read.
std::vector<BlockHandle> DataBlocks(const File& file, BlockHandle index) {
  std::vector<BlockHandle> handles;
  const auto stored = tensorbundle::ParseStoredBlock(ViewOf(file), index, "index block");
  if (!stored.ok()) return handles;
  std::vector<uint8_t> scratch;
  ByteView contents = stored->bytes;
  if (stored->compression == tensorbundle::Compression::kSnappy) {
    const Result<ByteView> decoded = tensorbundle::DecodeSnappy(stored->bytes, &scratch);
    if (!decoded.ok()) return handles;
    contents = *decoded;
  }
  BlockCursor cursor;
  if (!cursor.Enter(contents).ok()) return handles;
  while (handles.size() < kMaxRepairedBlocks && cursor.Next()) {
    ByteView value = cursor.value();
    if (const std::optional<BlockHandle> handle = tensorbundle::TakeBlockHandle(&value)) handles.push_back(*handle);
  }
  cursor.status().IgnoreError();
  return handles;
}

void Repair(File* file) {
  if (file->size() < tensorbundle::kFooterSize) return;
  uint8_t* const magic = file->data() + file->size() - tensorbundle::kTableMagicSize;
  tensorbundle::StoreLittleEndian(tensorbundle::kTableMagic, magic);
  const Result<tensorbundle::Footer> footer = tensorbundle::ParseFooter(ViewOf(*file));
  if (!footer.ok()) return;
  RepairBlock(footer->index, file);
  for (const BlockHandle handle : DataBlocks(*file, footer->index)) RepairBlock(handle, file);
  RepairBlock(footer->metaindex, file);
  RepairBlock(footer->index, file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  File file(data + 1, data + size);
  if (data[0] % 2 == 1) Repair(&file);

  bool first = true;
  std::string last_key;
  uint64_t sum = 0;
  const Status status = tensorbundle::VisitTable(ViewOf(file), [&](ByteView key, ByteView value) {
    Require(first || std::string_view(last_key) < key.AsText());
    first = false;
    last_key = key.AsText();
    for (const uint8_t byte : value) sum += byte;
    return Status();
  });
  sink = sum;
  if (status.ok()) return 0;
  Require(status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kResourceExhausted);
  Require(status.offset().has_value() && *status.offset() <= file.size() && !status.message().empty());
  return 0;
}
