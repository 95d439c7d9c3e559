#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "checkpoint/commit.h"
#include "checkpoint/relocation.h"
#include "checkpoint/stored_index.h"
#include "slices/key.h"
#include "table/table_builder.h"
#include "tensorbundle/checkpoint_edits.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

// The tensor that holds the object graph of TensorFlow 2.
constexpr std::string_view kObjectGraphKey = "_CHECKPOINTABLE_OBJECT_GRAPH";

Status Invalid(const std::string& message) { return Status(StatusCode::kInvalidArgument, message); }

// A record that stays, under its new key.
struct KeptRecord {
  std::string key;
  const IndexRecord* record;
};

// What the names of one index become.
class Renaming {
 public:
  explicit Renaming(const StoredIndex& index) : records_(index.records) {}

  // The records that stay, in the order of their new keys.
  Result<std::vector<KeptRecord>> Apply(const NameEdit& edit) {
    FindNames();
    ASSIGN_OR_RETURN(const std::vector<std::optional<std::string>> new_names, edit(Names()));
    RETURN_IF_ERROR(CheckNewNames(new_names));
    std::vector<KeptRecord> kept = Kept(new_names);
    if (kept.empty()) return Invalid("no tensor is left: a checkpoint holds at least one");
    std::sort(kept.begin(), kept.end(), [](const KeptRecord& a, const KeptRecord& b) { return a.key < b.key; });
    RETURN_IF_ERROR(CheckKeysDiffer(kept));
    return kept;
  }

 private:
  // A name, and the pieces that belong to it: records_[begin] to records_[end - 1].
  struct Name {
    const IndexRecord* record;
    size_t stem_size;  // Of the part that the keys of its pieces have in common.
    size_t begin;
    size_t end;
  };

  // Tells names from keys of pieces. A key like a piece's that belongs to no name is a name too, as for reading.
  void FindNames() {
    const auto is_piece = [](const IndexRecord& record) { return IsSliceKey(record.key); };
    const auto first_name = std::partition_point(records_.begin(), records_.end(), is_piece);
    num_pieces_ = static_cast<size_t>(first_name - records_.begin());
    std::vector<bool> owned(num_pieces_, false);
    for (size_t i = num_pieces_; i < records_.size(); ++i) {
      names_.push_back(NameOf(records_[i]));
      std::fill(owned.begin() + static_cast<std::ptrdiff_t>(names_.back().begin),
                owned.begin() + static_cast<std::ptrdiff_t>(names_.back().end), true);
    }
    std::vector<Name> alone;
    for (size_t i = 0; i < num_pieces_; ++i) {
      if (!owned[i]) alone.push_back({&records_[i], 0, 0, 0});
    }
    names_.insert(names_.begin(), alone.begin(), alone.end());
  }

  Name NameOf(const IndexRecord& record) const {
    if (num_pieces_ == 0) return {&record, 0, 0, 0};
    const std::string stem = EncodeSliceKeyStem(record.key);
    const auto pieces_end = records_.begin() + static_cast<std::ptrdiff_t>(num_pieces_);
    const auto begin =
        std::lower_bound(records_.begin(), pieces_end, stem,
                         [](const IndexRecord& piece, const std::string& key) { return piece.key < key; });
    auto end = begin;
    while (end != pieces_end && end->key.compare(0, stem.size(), stem) == 0) ++end;
    return {&record, stem.size(), static_cast<size_t>(begin - records_.begin()),
            static_cast<size_t>(end - records_.begin())};
  }

  std::vector<std::string_view> Names() const {
    std::vector<std::string_view> names;
    names.reserve(names_.size());
    for (const Name& name : names_) names.push_back(name.record->key);
    return names;
  }

  Status CheckNewNames(const std::vector<std::optional<std::string>>& new_names) const {
    if (new_names.size() != names_.size()) {
      return Invalid(std::to_string(new_names.size()) + " new names are given for " + std::to_string(names_.size()) +
                     " tensors");
    }
    bool has_graph = false;
    bool changes = false;
    for (size_t i = 0; i < new_names.size(); ++i) {
      const std::string& old_name = names_[i].record->key;
      has_graph |= old_name == kObjectGraphKey;
      if (new_names[i] == old_name) continue;
      changes = true;
      if (new_names[i]) RETURN_IF_ERROR(CheckNewName(*new_names[i]).WithTensor(old_name));
    }
    if (!has_graph || !changes) return Status();
    return Status(StatusCode::kUnimplemented,
                  "the checkpoint has an object graph, which names its tensors too: to rename or drop one, the graph "
                  "would have to be rewritten, which is not supported yet")
        .WithTensor(std::string(kObjectGraphKey));
  }

  static Status CheckNewName(const std::string& name) {
    if (name.empty()) return Invalid("its new name is empty, and the empty one is the format's own");
    if (name[0] != '\0') return Status();
    return Invalid("its new name " + Quote(name) + " begins with a zero byte: these are the format's own");
  }

  std::vector<KeptRecord> Kept(const std::vector<std::optional<std::string>>& new_names) const {
    std::vector<KeptRecord> kept;
    kept.reserve(records_.size());
    for (size_t i = 0; i < names_.size(); ++i) {
      if (!new_names[i]) continue;
      const Name& name = names_[i];
      kept.push_back({*new_names[i], name.record});
      if (name.begin == name.end) continue;
      const std::string stem = EncodeSliceKeyStem(*new_names[i]);
      for (size_t piece = name.begin; piece < name.end; ++piece) {
        kept.push_back({stem + records_[piece].key.substr(name.stem_size), &records_[piece]});
      }
    }
    return kept;
  }

  static Status CheckKeysDiffer(const std::vector<KeptRecord>& kept) {
    const auto same = std::adjacent_find(kept.begin(), kept.end(),
                                         [](const KeptRecord& a, const KeptRecord& b) { return a.key == b.key; });
    if (same == kept.end()) return Status();
    return Invalid(Quote(same->record->key) + " and " + Quote(std::next(same)->record->key) +
                   " would both have this name")
        .WithTensor(same->key);
  }

  const std::vector<IndexRecord>& records_;
  size_t num_pieces_ = 0;  // Keys like those of pieces, which come first.
  std::vector<Name> names_;
};

Status EditInPlace(const std::string& prefix, const NameEdit& edit, const EditOptions& options) {
  CommitOptions commit{options.durable, 0, nullptr};
  if (options.progress) commit.poll = [&] { return options.progress({0, 0, {}}); };
  const auto encode_index = [&]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const StoredIndex index, ReadStoredIndex(prefix));
    ASSIGN_OR_RETURN(const std::vector<KeptRecord> kept, Renaming(index).Apply(edit));
    TableBuilder table;
    table.Add("", index.header_record);
    for (const KeptRecord& record : kept) table.Add(record.key, record.record->value);
    return std::move(table).Finish();
  };
  return CommitIndex(prefix, encode_index, commit);
}

Status EditTo(const std::string& prefix, const std::string& destination, const NameEdit& edit,
              const EditOptions& options) {
  RETURN_IF_ERROR(CheckDestination(destination));
  std::vector<StoredIndex> sources(1);
  ASSIGN_OR_RETURN(sources[0], ReadStoredIndex(prefix));
  if (IndexIdentity(destination) == sources[0].identity) {
    return Invalid("the destination is the checkpoint itself; without one it is edited where it is").WithPath(prefix);
  }
  ASSIGN_OR_RETURN(std::vector<KeptRecord> kept, Renaming(sources[0]).Apply(edit));
  std::vector<MovedRecord> records;
  records.reserve(kept.size());
  for (KeptRecord& record : kept) {
    ASSIGN_OR_RETURN(MovedRecord moved, MoveRecord(sources, 0, *record.record, std::move(record.key)));
    records.push_back(std::move(moved));
  }
  return Relocate(sources, std::move(records), destination, {options.link, options.durable, options.progress});
}

}  // namespace

Status EditIndex(const std::string& prefix, const std::string& destination, const NameEdit& edit,
                 const EditOptions& options) {
  return destination.empty() ? EditInPlace(prefix, edit, options) : EditTo(prefix, destination, edit, options);
}

}  // namespace tensorbundle
