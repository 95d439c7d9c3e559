// A SavedModel, opened for reading: what can be asked of it (signatures), what it needs (assets), what it has learned
// (variables).
//
//   auto model = tensorbundle::SavedModel::Open("export/1", {"serve"});
//   if (!model.ok()) return model.status();
//   const tensorbundle::Signature* signature = model->FindSignature("serving_default");
//   auto kernel = model->Variable("dense/kernel");
//
// Its graphs are programs. They are handed out as bytes, and nothing here runs or parses them.

#ifndef TENSORBUNDLE_SAVED_MODEL_H_
#define TENSORBUNDLE_SAVED_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/dtype.h"
#include "tensorbundle/export.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// An input or output of a signature: what it is, and which tensors of the graph it consists of.
struct TensorInfo {
  enum class Encoding { kNone, kDense, kCooSparse, kComposite };

  Encoding encoding = Encoding::kNone;
  // May be one that no checkpoint can hold (FindDTypeInfo), or kInvalid: that of an operation.
  DType dtype = DType::kInvalid;
  // -1 where a dimension is not known, nullopt where the rank is not.
  std::optional<std::vector<int64_t>> shape = std::vector<int64_t>();

  // kDense: "node:port".
  std::string name;
  // kCooSparse: the tensors that make up a SparseTensor.
  std::string values_name;
  std::string indices_name;
  std::string dense_shape_name;
  // kComposite: the tensors that make up, for instance, a RaggedTensor, and what puts them together: a serialized
  // TypeSpecProto.
  std::vector<TensorInfo> components;
  Buffer type_spec;
};

// One function of the model. Inputs and outputs are named as callers name them.
struct Signature {
  std::map<std::string, TensorInfo, std::less<>> inputs;
  std::map<std::string, TensorInfo, std::less<>> outputs;
  std::string method_name;                              // "tensorflow/serving/predict", for instance.
  std::map<std::string, Buffer, std::less<>> defaults;  // Of inputs that may be left out: serialized TensorProtos.
};

// A file that the model reads when it is initialized.
struct Asset {
  std::string tensor_name;  // The tensor that is fed the path: "node:port".
  std::string path;         // Inside the model's assets directory. No promise that there is such a file.
};

// One meta graph of a SavedModel.
//
// A value that shares its state; copying it opens nothing again. Immutable and safe to use from many threads. Buffers
// and checkpoints made from it outlive it.
class TENSORBUNDLE_EXPORT SavedModel {
 public:
  using Tags = std::vector<std::string>;

  // Opens the first meta graph that has exactly these tags, in any order, of the model in directory `export_dir`.
  //
  // Reads saved_model.pb, whole, and opens the variables, as Checkpoint::Open does and with its options. Whatever is
  // wrong with the variables or with the name of an asset is said where these are asked for.
  //
  // kNotFound if no meta graph has these tags: the message lists the tags that there are. kUnimplemented if there is
  // only a text form (.pbtxt) or a chunked one (.cpb). kDataLoss if the file is damaged or larger than any message.
  static Result<SavedModel> Open(const std::string& export_dir, const Tags& tags, const OpenOptions& options = {});
  // Opens the only meta graph, whatever its tags are. kNotFound if there is none or more than one.
  static Result<SavedModel> OpenOnly(const std::string& export_dir, const OpenOptions& options = {});

  const std::string& export_dir() const;
  // The tags of every meta graph in the file, in its order, and those of this one.
  const std::vector<Tags>& tag_sets() const;
  const Tags& tags() const;

  // By their keys; "__saved_model_init_op" is among them if the model has it. Null if there is none of that key.
  const std::map<std::string, Signature, std::less<>>& signatures() const;
  const Signature* FindSignature(std::string_view key) const;

  // What the model's initialization is to be fed, in the order of the file.
  //
  // kDataLoss if a name is absolute or empty, has a ".." or a NUL byte, or leads out of the model's assets directory by
  // a link. (Links are looked at in local files only: not if the options have an opener.)
  Result<std::vector<Asset>> Assets() const;
  // The operation to run once variables are restored; nullopt if there is none. kDataLoss if there are several.
  Result<std::optional<std::string>> MainOp() const;

  // The checkpoint of the model's variables, which all its meta graphs share. It may be sharded, or of the V1 format,
  // as the earliest models have it. kNotFound if the model has none.
  Result<Checkpoint> Variables() const;
  // The checkpoint's key of the variable of this name, which is a key; or a path of attributes that leads to it
  // ("encoder/layer_0/kernel"; any of these, and for slots as ObjectPaths has them); or, with or without ":0", its name
  // in a graph of TensorFlow 1. What comes first here is looked for first.
  //
  // kNotFound if there is none, or several have this name.
  Result<std::string> VariableKey(std::string_view name) const;
  // Its value, as Checkpoint::Read gives it.
  Result<Tensor> Variable(std::string_view name, const ReadOptions& options = {}) const;

  // The serialized MetaGraphDef, and the GraphDef in it. Views of one buffer that holds the file.
  Buffer meta_graph() const;
  Buffer graph_def() const;

 private:
  class Rep;
  explicit SavedModel(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}
  std::shared_ptr<const Rep> rep_;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_SAVED_MODEL_H_
