#include "checkpoint/stored_index.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "bundle/naming.h"
#include "table/table_reader.h"
#include "tensorbundle/byte_source.h"
#include "util/key_budget.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

class RecordTaker {
 public:
  RecordTaker(uint64_t file_bytes, StoredIndex* index) : index_(index), keys_(file_bytes) {}

  Status Take(ByteView key, ByteView value) {
    if (!has_header_) return TakeHeader(key, value);
    if (!keys_.Take(key.size())) {
      return Status(StatusCode::kResourceExhausted, "the keys take more than " + std::to_string(keys_.limit()) +
                                                        " bytes, which is out of proportion to the index");
    }
    index_->records.push_back({std::string(key.AsText()), std::string(value.AsText())});
    return Status();
  }

  bool has_header() const { return has_header_; }

 private:
  Status TakeHeader(ByteView key, ByteView value) {
    if (!key.empty()) {
      return Status(StatusCode::kDataLoss, "not a checkpoint index: its first key is " + Quote(key.AsText()) +
                                               " and not the header's, which is empty");
    }
    ASSIGN_OR_RETURN(index_->header, ParseHeader(value));
    index_->header_record = std::string(value.AsText());
    has_header_ = true;
    return Status();
  }

  StoredIndex* const index_;
  KeyBudget keys_;
  bool has_header_ = false;
};

Status ReadRecords(const ByteSource& file, StoredIndex* index) {
  ASSIGN_OR_RETURN(const Buffer bytes, file.Read({0, file.size_bytes()}));
  RecordTaker taker(bytes.size(), index);
  RETURN_IF_ERROR(VisitTable(bytes.view(), [&](ByteView key, ByteView value) { return taker.Take(key, value); }));
  if (taker.has_header()) return Status();
  return Status(StatusCode::kDataLoss, "not a checkpoint index: the table has no entries");
}

}  // namespace

Result<StoredIndex> ReadStoredIndex(const std::string& prefix) {
  const std::string path = IndexPath(prefix);
  ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> file, OpenFile(path, FileAccess::kRead));
  StoredIndex index;
  index.prefix = prefix;
  index.identity = file->identity();
  RETURN_IF_ERROR(ReadRecords(*file, &index).WithPath(path));
  return index;
}

std::string IndexIdentity(const std::string& prefix) {
  const auto file = OpenFile(IndexPath(prefix), FileAccess::kRead);
  return file.ok() ? (*file)->identity() : std::string();
}

}  // namespace tensorbundle
