// The records of one or two V1 files, any bytes each, in tables that are sound; and then every tensor that they
// describe, read in every way. fuzz_table goes for the table itself.
//
// The input is a byte of options, and then length, key, length, value again and again, lengths of two bytes. The second
// record of an empty key begins the second file.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/table_maker.h"
#include "table/block.h"
#include "tensorbundle/checkpoint.h"
#include "v1/records.h"

namespace {

using tensorbundle::Buffer;
using tensorbundle::ByteSource;
using tensorbundle::ByteView;
using tensorbundle::Checkpoint;
using tensorbundle::DType;
using tensorbundle::Entry;
using tensorbundle::Result;
using tensorbundle::Status;
using tensorbundle::StatusCode;
using tensorbundle::Tensor;
using tensorbundle::test_support::TableOptions;

using Records = std::map<std::string, std::string>;

void Require(bool condition) {
  if (!condition) std::abort();
}

std::shared_ptr<const ByteSource> Source(const std::string& bytes, const std::string& name) {
  const auto kept = std::make_shared<const std::string>(bytes);
  return tensorbundle::FromMemory(Buffer(ByteView(*kept), kept), name);
}

std::string Take(ByteView* input) {
  if (input->size() < 2) {
    input->RemovePrefix(input->size());
    return {};
  }
  const size_t wanted = (*input)[0] | (*input)[1] << 8;
  const size_t length = std::min(wanted, input->size() - 2);
  const std::string taken(input->Slice(2, length).AsText());
  input->RemovePrefix(2 + length);
  return taken;
}

// The strings or the bytes of a tensor, for comparison.
std::string ContentOf(const Tensor& tensor) {
  std::string content(tensor.data.view().AsText());
  for (const ByteView string : tensor.strings) content.append(string.AsText()).push_back('\n');
  return content;
}

// What is wrong with a file or a tensor, and never anything else.
void RequireDamage(const Status& status) {
  Require(!status.message().empty());
  Require(status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kUnimplemented ||
          status.code() == StatusCode::kResourceExhausted);
}

void ReadEverything(const Checkpoint& checkpoint) {
  tensorbundle::ReadOptions options;
  options.threads = 1;
  std::set<std::string> damaged;
  const auto report = checkpoint.VerifyAll(options);
  Require(report.ok());
  for (const auto& damage : report->damaged) damaged.insert(damage.name);
  for (const Entry& entry : checkpoint.entries()) {
    const auto whole = checkpoint.Read(entry.name, options);
    Require(whole.ok() == (damaged.count(entry.name) == 0));
    if (!whole.ok()) RequireDamage(whole.status());
    const std::vector<int64_t> zeros(entry.shape.size(), 0);
    const auto region = checkpoint.Read(entry.name, zeros, entry.shape);
    Require(region.ok() == whole.ok());
    if (whole.ok()) Require(ContentOf(*whole) == ContentOf(*region));
    checkpoint.Read(entry.name, zeros, std::vector<int64_t>(entry.shape.size(), 1)).status().IgnoreError();
  }
}

// A shortcut to a record's elements leads to those that decoding gives.
void CompareShortcuts(const std::string& record) {
  for (const DType dtype : {DType::kFloat32, DType::kComplex128}) {
    const uint64_t width = tensorbundle::FindDTypeInfo(dtype)->size_bytes;
    for (uint64_t count = 1; count <= std::min<uint64_t>(record.size() / width, 16); ++count) {
      const auto offset = tensorbundle::v1::FindPackedValues(ByteView(record), record.size(), dtype, count);
      if (!offset) continue;
      Require(*offset + count * width == record.size());
      std::vector<double> values(count * width / sizeof(double) + 1);
      auto* const bytes = reinterpret_cast<uint8_t*>(values.data());
      const Status status =
          tensorbundle::v1::DecodeValues(ByteView(record), dtype, count, bytes, [] { return Status(); });
      if (!status.ok()) continue;  // What is before the elements may be no message.
      Require(record.compare(*offset, count * width, std::string(bytes, bytes + count * width)) == 0);
    }
  }
}

// So it is with a block's only entry.
void CompareOnlyEntry(const std::string& contents) {
  if (contents.size() < tensorbundle::kOnlyRestartSize) return;
  const ByteView block(contents);
  const ByteView tail = block.Slice(block.size() - tensorbundle::kOnlyRestartSize, tensorbundle::kOnlyRestartSize);
  const auto entry = tensorbundle::FindOnlyEntry(block, tail, block.size());
  if (!entry) return;
  tensorbundle::BlockCursor cursor;
  Require(cursor.Enter(block).ok() && cursor.Next());
  Require(cursor.key().AsText() == block.Slice(entry->key_offset, entry->key_size).AsText());
  Require(cursor.value().AsText() == block.Slice(entry->value_offset, entry->value_size).AsText());
  Require(!cursor.Next() && cursor.status().ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  TableOptions table;
  if (data[0] & 1) table.compression = tensorbundle::Compression::kSnappy;
  if (data[0] & 2) table.block_size = 32;
  ByteView input(data + 1, size - 1);
  std::vector<Records> files(1);
  while (!input.empty()) {
    std::string key = Take(&input);
    std::string value = Take(&input);
    CompareShortcuts(value);
    CompareOnlyEntry(value);
    if (key.empty() && files.size() == 1 && files[0].count(key) == 1) files.emplace_back();
    files.back()[std::move(key)] = std::move(value);
  }

  // In two pieces: together they would have a trigraph.
  const std::string path = files.size() == 1 ? "m" : std::string("m-") + "?????" + "-of-00002";
  tensorbundle::OpenOptions options;
  options.opener = [&](const std::string& name) -> Result<std::shared_ptr<const ByteSource>> {
    const bool is_shard = name == "m-00000-of-00002" || name == "m-00001-of-00002";
    if (name != "m" && !is_shard) return Status::FromErrno(2, name, "cannot open");
    const Records& records = files[name == "m-00001-of-00002" ? 1 : 0];
    return Source(tensorbundle::test_support::MakeTable({records.begin(), records.end()}, table).bytes, name);
  };
  const auto checkpoint = Checkpoint::Open(path, options);
  if (checkpoint.ok()) {
    ReadEverything(*checkpoint);
  } else {
    RequireDamage(checkpoint.status());
  }
  return 0;
}
