#include "tensorbundle/saved_model.h"

#include <algorithm>
#include <cstddef>
#include <mutex>

#include "checkpoint/opener.h"
#include "io/range_check.h"
#include "saved_model/assets.h"
#include "saved_model/messages.h"
#include "saved_model/paths.h"
#include "saved_model/variable_names.h"
#include "saved_model/variables.h"
#include "util/quote.h"
#include "util/status_macros.h"

namespace tensorbundle {
namespace {

using saved_model::JoinPath;
using saved_model::TaggedGraph;
using saved_model::VariableNames;
using Tags = SavedModel::Tags;

constexpr uint64_t kMaxMessageBytes = (uint64_t{1} << 31) - 1;
constexpr size_t kMaxListed = 10;  // Tags of a set, and sets, in a message.

// The file is read, never mapped, as the index of a checkpoint is: it stays as it is whatever happens to it.
Result<std::shared_ptr<const ByteSource>> OpenFileToRead(const std::string& path, const OpenOptions& options) {
  return options.opener ? options.opener(path) : OpenFile(path, FileAccess::kRead);
}

// kUnimplemented if there is a model in another form.
Status RefuseOtherForms(const std::string& export_dir, const OpenOptions& options) {
  const std::string text = JoinPath(export_dir, saved_model::kTextFile);
  if (OpenFileToRead(text, options).ok()) {
    return Status(
               StatusCode::kUnimplemented,
               "a SavedModel in text form is not read here: load it with tensorbundle.saved_model in Python and save "
               "it with its Builder, which writes saved_model.pb")
        .WithPath(text);
  }
  const std::string chunked = JoinPath(export_dir, saved_model::kChunkedFile);
  if (OpenFileToRead(chunked, options).ok()) {
    return Status(StatusCode::kUnimplemented,
                  "a SavedModel in chunks is not read here, nor by TensorFlow: export it anew")
        .WithPath(chunked);
  }
  return Status();
}

Result<Buffer> ReadModelFile(const std::string& export_dir, const std::string& path, const OpenOptions& options) {
  auto opened = OpenFileToRead(path, options);
  if (!opened.ok() && IsMissing(opened.status())) RETURN_IF_ERROR(RefuseOtherForms(export_dir, options));
  ASSIGN_OR_RETURN(const std::shared_ptr<const ByteSource> source, std::move(opened));
  const uint64_t size = source->size_bytes();
  if (size > kMaxMessageBytes) {
    return Status(StatusCode::kDataLoss, "it has " + std::to_string(size) + " bytes, more than the " +
                                             std::to_string(kMaxMessageBytes) + " of any protobuf message")
        .WithPath(path);
  }
  ASSIGN_OR_RETURN(Buffer bytes, source->Read({0, size}));
  RETURN_IF_ERROR(CheckAnswer(*source, {0, size}, bytes.size()));
  return bytes;
}

Tags AsSet(Tags tags) {
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return tags;
}

std::string ShowTags(const Tags& tags) {
  std::string shown;
  for (size_t i = 0; i < tags.size() && i < kMaxListed; ++i) shown += (i == 0 ? "" : ", ") + Quote(tags[i]);
  return "{" + shown + (tags.size() > kMaxListed ? ", ...}" : "}");
}

std::string ShowAllTags(const std::vector<Tags>& all) {
  std::string shown = all.empty() ? "none" : "";
  for (size_t i = 0; i < all.size() && i < kMaxListed; ++i) shown += (i == 0 ? "" : ", ") + ShowTags(all[i]);
  if (all.size() > kMaxListed) shown += " and " + std::to_string(all.size() - kMaxListed) + " more";
  return shown;
}

// The position of the first meta graph that has exactly `tags`; without any, of the only one.
Result<size_t> Choose(const std::vector<Tags>& all, const Tags* tags) {
  if (tags == nullptr && all.size() == 1) return size_t{0};
  if (tags == nullptr) {
    return Status(StatusCode::kNotFound, "it has " + std::to_string(all.size()) +
                                             " MetaGraphDefs: tags must say which; available: " + ShowAllTags(all));
  }
  const Tags wanted = AsSet(*tags);
  for (size_t i = 0; i < all.size(); ++i) {
    if (AsSet(all[i]) == wanted) return i;
  }
  return Status(StatusCode::kNotFound, "MetaGraphDef associated with tags " + ShowTags(wanted) +
                                           " could not be found; available: " + ShowAllTags(all));
}

constexpr std::string_view kInitOp = "__saved_model_init_op";

Result<std::optional<std::string>> OutputOf(const Signature& signature) {
  const auto output = signature.outputs.find(kInitOp);
  if (output != signature.outputs.end()) return std::make_optional(output->second.name);
  return Status(StatusCode::kDataLoss, "the signature " + Quote(kInitOp) + " has no output of that name");
}

Result<std::optional<std::string>> OnlyNode(const std::vector<std::string>& nodes, const char* collection) {
  if (nodes.size() == 1) return std::make_optional(nodes.front());
  return Status(StatusCode::kDataLoss, "Expected exactly one SavedModel init op: the collection " + Quote(collection) +
                                           " has " + std::to_string(nodes.size()));
}

Result<std::optional<std::string>> FindMainOp(const saved_model::MetaGraph& graph) {
  const auto signature = graph.signatures.find(kInitOp);
  if (signature != graph.signatures.end()) return OutputOf(signature->second);
  if (graph.saved_model_main_op) return OnlyNode(*graph.saved_model_main_op, "saved_model_main_op");
  if (graph.legacy_init_op) return OnlyNode(*graph.legacy_init_op, "legacy_init_op");
  return std::optional<std::string>();
}

// The keys in `checkpoint` of all variables of this name. What it is a path of comes first.
std::vector<std::string> KeysOf(const VariableNames& names, std::string_view name, const Checkpoint& checkpoint) {
  const auto is_stored = [&checkpoint](const std::string& key) { return checkpoint.Find(key) != nullptr; };
  const std::optional<std::string> key = names.KeyOfPath(name);
  if (key && is_stored(*key)) return {*key};
  std::vector<std::string> keys = names.KeysOfFullName(std::string(name));
  keys.erase(std::stable_partition(keys.begin(), keys.end(), is_stored), keys.end());
  return keys;
}

// What a graph of TensorFlow 1 calls a variable, from what it calls the tensor of its value.
std::string_view WithoutPort(std::string_view name) {
  constexpr std::string_view kPort = ":0";
  const bool has_port = name.size() >= kPort.size() && name.substr(name.size() - kPort.size()) == kPort;
  return has_port ? name.substr(0, name.size() - kPort.size()) : name;
}

Status NoVariable(std::string_view name) {
  return Status(StatusCode::kNotFound, "no variable is called " + Quote(name) + ", by key, path or full name");
}

Status SeveralVariables(std::string_view name, const std::vector<std::string>& keys) {
  return Status(StatusCode::kNotFound, Quote(name) + " is what " + std::to_string(keys.size()) +
                                           " variables are called: their keys are " + Quote(keys[0]) + ", " +
                                           Quote(keys[1]) + (keys.size() > 2 ? ", ..." : ""));
}

}  // namespace

class SavedModel::Rep {
 public:
  static Result<SavedModel> Open(const std::string& export_dir, const Tags* tags, const OpenOptions& options);

  // Names beside keys; nullptr if the checkpoint has no object graph. REQUIRES: `variables` is ok.
  Result<const VariableNames*> Names() const;

  std::string export_dir;
  std::string path;
  bool is_local = false;
  std::vector<Tags> tag_sets;
  size_t chosen = 0;
  Buffer bytes;  // Of the meta graph.
  saved_model::MetaGraph graph;
  Result<Checkpoint> variables = Status(StatusCode::kInternal, "not opened yet").AsData();

 private:
  Status Parse(const Buffer& file, const Tags* tags);
  Result<std::optional<VariableNames>> MakeNames() const;

  mutable std::once_flag names_once_;
  mutable Result<std::optional<VariableNames>> names_ = std::optional<VariableNames>();
};

Result<SavedModel> SavedModel::Rep::Open(const std::string& export_dir, const Tags* tags, const OpenOptions& options) {
  auto rep = std::make_shared<Rep>();
  rep->export_dir = export_dir;
  rep->path = JoinPath(export_dir, saved_model::kBinaryFile);
  rep->is_local = !options.opener;
  ASSIGN_OR_RETURN(const Buffer file, ReadModelFile(export_dir, rep->path, options));
  RETURN_IF_ERROR(rep->Parse(file, tags).WithPath(rep->path));
  rep->variables = saved_model::OpenVariables(export_dir, options);
  if (!rep->variables.ok()) rep->variables = std::move(rep->variables).status().AsData();
  return SavedModel(std::move(rep));
}

Status SavedModel::Rep::Parse(const Buffer& file, const Tags* tags) {
  ASSIGN_OR_RETURN(std::vector<TaggedGraph> graphs, saved_model::ParseSavedModel(file.view()));
  for (TaggedGraph& each : graphs) tag_sets.push_back(std::move(each.tags));
  ASSIGN_OR_RETURN(chosen, Choose(tag_sets, tags));
  const wire::Field& message = graphs[chosen].message;
  ASSIGN_OR_RETURN(graph, saved_model::ParseMetaGraph(file, message));
  bytes = file.Slice(message.offset, message.bytes.size());
  return Status();
}

Result<std::optional<VariableNames>> SavedModel::Rep::MakeNames() const {
  ASSIGN_OR_RETURN(std::optional<ObjectGraph> stored, variables->ReadObjectGraph());
  if (!stored) return std::optional<VariableNames>();
  auto objects = saved_model::ParseSavedObjects(graph.object_graph_def.view());
  if (!objects.ok()) return std::move(objects).status().WithPath(path);
  return std::make_optional<VariableNames>(*std::move(stored), *objects);
}

Result<const VariableNames*> SavedModel::Rep::Names() const {
  std::call_once(names_once_, [this] {
    names_ = MakeNames();
    if (!names_.ok()) names_ = std::move(names_).status().AsData();
  });
  if (!names_.ok()) return names_.status();
  return names_->has_value() ? &**names_ : nullptr;
}

Result<SavedModel> SavedModel::Open(const std::string& export_dir, const Tags& tags, const OpenOptions& options) {
  return Rep::Open(export_dir, &tags, options);
}

Result<SavedModel> SavedModel::OpenOnly(const std::string& export_dir, const OpenOptions& options) {
  return Rep::Open(export_dir, nullptr, options);
}

const std::string& SavedModel::export_dir() const { return rep_->export_dir; }
const std::vector<Tags>& SavedModel::tag_sets() const { return rep_->tag_sets; }
const Tags& SavedModel::tags() const { return rep_->tag_sets[rep_->chosen]; }
const std::map<std::string, Signature, std::less<>>& SavedModel::signatures() const { return rep_->graph.signatures; }
Buffer SavedModel::meta_graph() const { return rep_->bytes; }
Buffer SavedModel::graph_def() const { return rep_->graph.graph_def; }

const Signature* SavedModel::FindSignature(std::string_view key) const {
  const auto found = signatures().find(key);
  return found == signatures().end() ? nullptr : &found->second;
}

Result<std::vector<Asset>> SavedModel::Assets() const {
  const bool in_graph = !rep_->graph.asset_files.empty() || !rep_->graph.saved_model_assets;
  const auto& files = in_graph ? rep_->graph.asset_files : *rep_->graph.saved_model_assets;
  const std::string directory = JoinPath(export_dir(), saved_model::kAssets);
  std::vector<Asset> assets;
  for (const saved_model::AssetFile& file : files) {
    Status status = saved_model::CheckAssetName(file.filename);
    if (status.ok() && rep_->is_local) status = saved_model::CheckAssetLinks(export_dir(), file.filename);
    if (!status.ok()) return std::move(status).WithPath(rep_->path);
    assets.push_back({file.tensor_name, JoinPath(directory, file.filename)});
  }
  return assets;
}

Result<std::optional<std::string>> SavedModel::MainOp() const {
  auto op = FindMainOp(rep_->graph);
  return op.ok() ? op : std::move(op).status().WithPath(rep_->path);
}

Result<Checkpoint> SavedModel::Variables() const { return rep_->variables; }

Result<std::string> SavedModel::VariableKey(std::string_view name) const {
  if (!rep_->variables.ok()) return rep_->variables.status();
  const Checkpoint& checkpoint = *rep_->variables;
  std::vector<std::string> keys;
  for (const std::string_view candidate : {name, WithoutPort(name)}) {
    if (checkpoint.Find(candidate) != nullptr) return std::string(candidate);
    ASSIGN_OR_RETURN(const VariableNames* const names, rep_->Names());
    if (names != nullptr) keys = KeysOf(*names, candidate, checkpoint);
    if (!keys.empty()) break;
  }
  if (keys.size() == 1) return keys.front();
  return (keys.empty() ? NoVariable(name) : SeveralVariables(name, keys)).WithPath(checkpoint.prefix());
}

Result<Tensor> SavedModel::Variable(std::string_view name, const ReadOptions& options) const {
  ASSIGN_OR_RETURN(const std::string key, VariableKey(name));
  return rep_->variables->Read(key, options);
}

}  // namespace tensorbundle
