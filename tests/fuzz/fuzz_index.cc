// The records of an index, any bytes each, in a table that is sound; and then every tensor that they describe, read
// from shards of any bytes. fuzz_table goes for the table itself.
//
// The input is the length of the shards, and then length, key, length, value again and again. A header is put in front,
// unless there is one.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/bundle_maker.h"
#include "support/table_maker.h"
#include "tensorbundle/checkpoint.h"

namespace {

using tensorbundle::Buffer;
using tensorbundle::ByteSource;
using tensorbundle::ByteView;
using tensorbundle::Checkpoint;
using tensorbundle::Entry;
using tensorbundle::Result;

std::shared_ptr<const ByteSource> Source(const std::string& bytes) {
  const auto kept = std::make_shared<const std::string>(bytes);
  return tensorbundle::FromMemory(Buffer(ByteView(*kept), kept));
}

std::string Take(ByteView* input) {
  if (input->empty()) return {};
  const size_t length = std::min<size_t>((*input)[0], input->size() - 1);
  const std::string taken(input->Slice(1, length).AsText());
  input->RemovePrefix(1 + length);
  return taken;
}

void ReadEverything(const Checkpoint& checkpoint) {
  tensorbundle::ReadOptions unchecked;
  unchecked.verify = false;
  unchecked.threads = 1;
  for (const Entry& entry : checkpoint.entries()) {
    const auto whole = checkpoint.Read(entry.name, unchecked);
    const bool readable = checkpoint.Problem(entry).ok();
    if (whole.ok() && !readable) std::abort();
    const std::vector<int64_t> zeros(entry.shape.size(), 0);
    checkpoint.Read(entry.name, zeros, std::vector<int64_t>(entry.shape.size(), 1)).status().IgnoreError();
    checkpoint.Read(entry.name, zeros, entry.shape).status().IgnoreError();
  }
  // Damage is reported; it is never an error of the call.
  if (!checkpoint.VerifyAll(unchecked).ok()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView input(data, size);
  const std::string shard = Take(&input);
  std::map<std::string, std::string> records = {{"", tensorbundle::test_support::EncodeHeader(2)}};
  while (!input.empty()) {
    std::string key = Take(&input);
    records[std::move(key)] = Take(&input);
  }
  const std::string index = tensorbundle::test_support::MakeTable({records.begin(), records.end()}).bytes;

  tensorbundle::OpenOptions options;
  options.opener = [&](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    return Source(path == "m.index" ? index : shard);
  };
  const auto checkpoint = Checkpoint::Open("m", options);
  if (checkpoint.ok()) ReadEverything(*checkpoint);
  return 0;
}
