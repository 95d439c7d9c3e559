#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "bundle/naming.h"
#include "checkpoint/commit.h"
#include "checkpoint/relocation.h"
#include "checkpoint/stored_index.h"
#include "slices/key.h"
#include "table/table_builder.h"
#include "tensorbundle/checkpoint_edits.h"
#include "tensorbundle/object_graph.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

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
    ASSIGN_OR_RETURN(std::vector<std::optional<std::string>> new_names, edit(Names()));
    RETURN_IF_ERROR(CheckNewNames(new_names));
    std::vector<KeptRecord> kept = Kept(new_names);
    if (kept.empty()) return Invalid("no tensor is left: a checkpoint holds at least one");
    std::sort(kept.begin(), kept.end(), [](const KeptRecord& a, const KeptRecord& b) { return a.key < b.key; });
    RETURN_IF_ERROR(CheckKeysDiffer(kept));
    if (concerns_graph()) {
      for (size_t i = 0; i < names_.size(); ++i) changes_.push_back({names_[i].record->key, std::move(new_names[i])});
    }
    return kept;
  }

  // After Apply: whether an object graph that stays may have to follow, and then what became of each name, in order.
  bool concerns_graph() const { return graph_stays_ && changes_any_; }
  const std::vector<KeyChange>& changes() const { return changes_; }

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

  Status CheckNewNames(const std::vector<std::optional<std::string>>& new_names) {
    if (new_names.size() != names_.size()) {
      return Invalid(std::to_string(new_names.size()) + " new names are given for " + std::to_string(names_.size()) +
                     " tensors");
    }
    for (size_t i = 0; i < new_names.size(); ++i) {
      const std::string& old_name = names_[i].record->key;
      graph_stays_ |= old_name == kObjectGraphKey && new_names[i];
      if (new_names[i] == old_name) continue;
      changes_any_ = true;
      if (new_names[i]) RETURN_IF_ERROR(CheckNewName(old_name, *new_names[i]).WithTensor(old_name));
    }
    return Status();
  }

  static Status CheckNewName(const std::string& old_name, const std::string& name) {
    if (old_name == kObjectGraphKey) {
      return Invalid("the object graph can be dropped and not renamed: TensorFlow looks for it by this name");
    }
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
  std::vector<KeyChange> changes_;
  bool graph_stays_ = false;
  bool changes_any_ = false;
};

// A graph as `changes` make it; nullopt if it stays as it is.
Result<std::optional<std::string>> EditStoredGraph(const StoredIndex& index, const std::vector<KeyChange>& changes) {
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(IndexPath(index.prefix)));
  // Read once more, and decoded where it is edited: what is wrong with it is said as for any reader.
  RETURN_IF_ERROR(checkpoint.ReadObjectGraph().status());
  ASSIGN_OR_RETURN(const Tensor graph, checkpoint.Read(kObjectGraphKey));
  ASSIGN_OR_RETURN(std::optional<std::string> edited, EditObjectGraph(graph.strings[0], changes));
  if (!edited || !index.header.foreign_byte_order) return edited;
  return Status(StatusCode::kUnimplemented,
                "its object graph would have to be rewritten, which is not supported in the other byte order")
      .WithPath(index.prefix);
}

// An index and what is to become of it.
struct Edited {
  StoredIndex index;
  std::vector<KeptRecord> kept;  // Of `index`.
  std::optional<NewString> graph;

  // The records that stay, apart from a graph that is written anew.
  Result<std::vector<MovedRecord>> MoveRecords(const std::vector<StoredIndex>& sources) const {
    std::vector<MovedRecord> records;
    records.reserve(kept.size());
    for (const KeptRecord& record : kept) {
      if (graph && record.key == graph->key) continue;
      ASSIGN_OR_RETURN(MovedRecord moved, MoveRecord(sources, 0, *record.record, record.key));
      records.push_back(std::move(moved));
    }
    return records;
  }
};

// On the heap: `kept` refers to `index`.
Result<std::shared_ptr<const Edited>> ReadAndEdit(const std::string& prefix, const NameEdit& edit) {
  const auto edited = std::make_shared<Edited>();
  ASSIGN_OR_RETURN(edited->index, ReadStoredIndex(prefix));
  Renaming renaming(edited->index);
  ASSIGN_OR_RETURN(edited->kept, renaming.Apply(edit));
  if (renaming.concerns_graph()) {
    ASSIGN_OR_RETURN(std::optional<std::string> graph, EditStoredGraph(edited->index, renaming.changes()));
    if (graph) edited->graph = NewString{std::string(kObjectGraphKey), *std::move(graph)};
  }
  return std::shared_ptr<const Edited>(edited);
}

NewBundle IndexAlone(std::shared_ptr<const Edited> edited) {
  NewBundle bundle;
  bundle.encode_index = [edited = std::move(edited)](int32_t) -> Result<std::string> {
    TableBuilder table;
    table.Add("", edited->index.header_record);
    for (const KeptRecord& record : edited->kept) table.Add(record.key, record.record->value);
    return std::move(table).Finish();
  };
  return bundle;
}

Status EditInPlace(const std::string& prefix, const NameEdit& edit, const EditOptions& options) {
  CommitOptions commit{options.durable, 0, nullptr};
  if (options.progress) commit.poll = [&] { return options.progress({0, 0, {}}); };
  const auto make = [&]() -> Result<NewBundle> {
    ASSIGN_OR_RETURN(std::shared_ptr<const Edited> edited, ReadAndEdit(prefix, edit));
    if (!edited->graph) return IndexAlone(std::move(edited));
    ASSIGN_OR_RETURN(std::vector<MovedRecord> records, edited->MoveRecords({edited->index}));
    return RelocateInPlace(edited->index, std::move(records), *edited->graph,
                           {/*link=*/true, options.durable, options.progress});
  };
  return CommitUpdate(prefix, make, commit);
}

Status EditTo(const std::string& prefix, const std::string& destination, const NameEdit& edit,
              const EditOptions& options) {
  RETURN_IF_ERROR(CheckPrefix(destination));
  const std::string identity = IndexIdentity(prefix);
  if (!identity.empty() && IndexIdentity(destination) == identity) {
    return Invalid("the destination is the checkpoint itself; without one it is edited where it is").WithPath(prefix);
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const Edited> edited, ReadAndEdit(prefix, edit));
  const std::vector<StoredIndex> sources{edited->index};
  ASSIGN_OR_RETURN(std::vector<MovedRecord> records, edited->MoveRecords(sources));
  return Relocate(sources, std::move(records), destination, {options.link, options.durable, options.progress},
                  edited->graph);
}

}  // namespace

Status EditIndex(const std::string& prefix, const std::string& destination, const NameEdit& edit,
                 const EditOptions& options) {
  return destination.empty() ? EditInPlace(prefix, edit, options) : EditTo(prefix, destination, edit, options);
}

}  // namespace tensorbundle
