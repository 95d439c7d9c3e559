// Prints what a SavedModel is, as JSON: tags, signatures, assets, the operation that is run first, and the CRC-32C of
// every variable and of what is kept as bytes.

#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tensorbundle/crc32c.h>
#include <tensorbundle/saved_model.h>

namespace {

using tensorbundle::ByteView;
using tensorbundle::SavedModel;
using tensorbundle::TensorInfo;

std::string Text(std::string_view text) {
  std::string json = "\"";
  for (const char character : text) {
    char escaped[7];
    std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(character) & 0xFF);
    const bool is_plain = static_cast<unsigned char>(character) >= 0x20 && character != '"' && character != '\\';
    json += is_plain ? std::string(1, character) : escaped;
  }
  return json + "\"";
}

std::string Crc(ByteView bytes) { return std::to_string(tensorbundle::crc32c::Extend(0, bytes)); }

template <typename Items, typename Show>
std::string List(const Items& items, Show show) {
  std::string json;
  for (const auto& item : items) json += (json.empty() ? "" : ", ") + show(item);
  return "[" + json + "]";
}

template <typename Items, typename Show>
std::string Object(const Items& items, Show show) {
  std::string json;
  for (const auto& [name, value] : items) json += (json.empty() ? "" : ", ") + Text(name) + ": " + show(value);
  return "{" + json + "}";
}

std::string Texts(const std::vector<std::string>& texts) { return List(texts, Text); }
std::string Bytes(const tensorbundle::Buffer& bytes) { return Crc(bytes.view()); }

std::string Encoded(const TensorInfo& info);

std::string Info(const TensorInfo& info) {
  const auto number = [](int64_t size) { return std::to_string(size); };
  return "{\"dtype\": " + std::to_string(static_cast<int>(info.dtype)) +
         ", \"shape\": " + (info.shape ? List(*info.shape, number) : "null") + Encoded(info) + "}";
}

std::string Encoded(const TensorInfo& info) {
  switch (info.encoding) {
    case TensorInfo::Encoding::kNone:
      return "";
    case TensorInfo::Encoding::kDense:
      return ", \"name\": " + Text(info.name);
    case TensorInfo::Encoding::kCooSparse:
      return ", \"coo_sparse\": " + Texts({info.values_name, info.indices_name, info.dense_shape_name});
    case TensorInfo::Encoding::kComposite:
      return ", \"components\": " + List(info.components, Info) + ", \"type_spec\": " + Bytes(info.type_spec);
  }
  return "";
}

std::string Signature(const tensorbundle::Signature& signature) {
  return "{\"method_name\": " + Text(signature.method_name) + ", \"inputs\": " + Object(signature.inputs, Info) +
         ", \"outputs\": " + Object(signature.outputs, Info) + ", \"defaults\": " + Object(signature.defaults, Bytes) +
         "}";
}

std::string Asset(const tensorbundle::Asset& asset) { return Texts({asset.tensor_name, asset.path}); }

// Each variable under its key, found by that key as it would be by any other name; null for what can't be read.
tensorbundle::Result<std::string> Variables(const SavedModel& model) {
  const auto checkpoint = model.Variables();
  if (checkpoint.status().code() == tensorbundle::StatusCode::kNotFound) return std::string("null");
  if (!checkpoint.ok()) return checkpoint.status();
  std::map<std::string, std::string> crcs;
  for (const tensorbundle::Entry& entry : checkpoint->entries()) {
    const auto tensor = model.Variable(entry.name);
    crcs[entry.name] = tensor.ok() ? Crc(tensor->data.view()) : "null";
  }
  return Object(crcs, [](const std::string& crc) { return crc; });
}

tensorbundle::Result<std::string> Show(const SavedModel& model) {
  const auto assets = model.Assets();
  if (!assets.ok()) return assets.status();
  const auto main_op = model.MainOp();
  if (!main_op.ok()) return main_op.status();
  const auto variables = Variables(model);
  if (!variables.ok()) return variables.status();
  return "{\"tag_sets\": " + List(model.tag_sets(), Texts) + ", \"tags\": " + Texts(model.tags()) +
         ", \"signatures\": " + Object(model.signatures(), Signature) + ", \"assets\": " + List(*assets, Asset) +
         ", \"main_op\": " + (*main_op ? Text(**main_op) : "null") + ", \"graph_def\": " + Bytes(model.graph_def()) +
         ", \"meta_graph\": " + Bytes(model.meta_graph()) + ", \"variables\": " + *variables + "}";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY [TAG...]\n", argv[0]);
    return 2;
  }
  const auto model = argc == 2 ? SavedModel::OpenOnly(argv[1]) : SavedModel::Open(argv[1], {argv + 2, argv + argc});
  const auto shown = model.ok() ? Show(*model) : model.status();
  if (!shown.ok()) {
    std::fprintf(stderr, "%s\n", shown.status().message().c_str());
    return 1;
  }
  std::printf("%s\n", shown->c_str());
  return 0;
}
