// CheckpointWriter: one checkpoint that is being written. tensorbundle.CheckpointWriter wraps it.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/dlpack.h"
#include "bindings/gil.h"
#include "bindings/numpy_input.h"
#include "bindings/progress.h"
#include "bindings/register.h"
#include "bindings/text.h"
#include "bindings/unwrap.h"
#include "tensorbundle/checkpoint_writer.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// The writer, and what it calls in between.
class Writer {
 public:
  Writer(const py::object& prefix, WriteOptions options, py::object progress)
      : progress_(std::make_unique<PythonProgress>(std::move(progress))) {
    options.progress = progress_->function();
    const std::string path = PathFromPython(prefix);
    // Everything it uses is C++'s.
    auto writer = WithoutGil([&] { return CheckpointWriter::Create(path, options); });
    writer_ = std::make_unique<CheckpointWriter>(Unwrap(std::move(writer)));
  }

  // `inputs` keeps the arrays; the interpreter keeps this object as long as a method of it runs.
  void AddMany(const TensorInputs& inputs) {
    Call([&] { return writer_->AddMany(inputs.tensors()); });
  }

  void AddSlice(const TensorInputs& inputs, const std::vector<int64_t>& full_shape, const std::vector<int64_t>& start) {
    Call([&] { return writer_->AddSlice(inputs.tensors().front(), full_shape, start); });
  }

  void BeginChunks(const py::str& name, const std::string& dtype, const std::vector<int64_t>& shape) {
    const std::string key = NameFromPython(name);
    const DType type = DTypeFromName(dtype);
    Call([&] { return writer_->BeginChunks(key, type, shape); });
  }

  void AppendChunk(const py::buffer& bytes) {
    const py::buffer_info buffer = bytes.request();  // Keeps the memory until it goes.
    const ByteView view(static_cast<const uint8_t*>(buffer.ptr), static_cast<size_t>(buffer.size * buffer.itemsize));
    Call([&] { return writer_->AppendChunk(view); });
  }

  void Finish() {
    Call([&] { return writer_->Finish(); });
  }

  void Abandon() {
    Call([&] {
      writer_->Abandon();
      return Status();
    });
  }

  // From position `first` on, so that not every call lists all.
  py::list Oversized(size_t first) const {
    const std::vector<std::string>& oversized = writer_->oversized();
    py::list names;
    for (size_t i = first; i < oversized.size(); ++i) names.append(NameToPython(oversized[i]));
    return names;
  }

 private:
  template <typename Work>
  void Call(const Work& work) {
    progress_->Unwrap(WithoutGil(work));
  }

  std::unique_ptr<PythonProgress> progress_;
  std::unique_ptr<CheckpointWriter> writer_;
};

// Items of a mapping: (name, value) pairs, in its order.
void AddItems(Writer* writer, const py::iterable& items, const py::object& normalize, const py::object& tf_dtypes) {
  TensorInputs inputs(normalize);
  for (const py::handle item : items) {
    const auto pair = py::reinterpret_borrow<py::tuple>(item);
    const py::object dtype = tf_dtypes.is_none() ? py::none() : tf_dtypes.attr("get")(pair[0]);
    inputs.Add(pair[0], pair[1], dtype);
  }
  writer->AddMany(inputs);
}

}  // namespace

void RegisterWriter(py::module_& module) {
  module.def("from_dlpack", &FromDLPack, py::arg("value"), "An array over the memory of another library's tensor.");
  module.def("first_not_bytes", &FirstNotBytes, py::arg("elements"),
             "Position of the first element of a row-major object array that is no bytes object, or -1.");
  py::class_<Writer>(module, "CheckpointWriter", py::is_final(), "One checkpoint that is being written.")
      .def(py::init([](const py::object& prefix, int32_t shards, uint64_t max_shard_bytes, uint64_t alignment,
                       bool durable, bool partial, int threads, py::object progress) {
             const WriteOptions options{shards, max_shard_bytes, alignment, durable, partial, threads, {}};
             return std::make_unique<Writer>(prefix, options, std::move(progress));
           }),
           py::arg("prefix"), py::arg("shards") = 1, py::arg("max_shard_bytes") = 0, py::arg("alignment") = 64,
           py::arg("durable") = true, py::arg("partial") = false, py::arg("threads") = 0,
           py::arg("progress") = py::none())
      .def("add_many", &AddItems, py::arg("items"), py::arg("normalize"), py::arg("tf_dtypes") = py::none(),
           "Writes (name, value) pairs, in parallel.")
      .def(
          "add_slice",
          [](Writer& self, const py::str& name, const py::object& value, const std::vector<int64_t>& full_shape,
             const std::vector<int64_t>& start, const py::object& normalize, const py::object& tf_dtype) {
            TensorInputs inputs(normalize);
            inputs.Add(name, value, tf_dtype);
            self.AddSlice(inputs, full_shape, start);
          },
          py::arg("name"), py::arg("value"), py::arg("full_shape"), py::arg("start"), py::arg("normalize"),
          py::arg("tf_dtype") = py::none(), "Writes one piece of a tensor.")
      .def("begin_chunks", &Writer::BeginChunks, py::arg("name"), py::arg("tf_dtype"), py::arg("shape"),
           "Begins a tensor that comes in parts.")
      .def("append_chunk", &Writer::AppendChunk, py::arg("chunk"), "Its next bytes.")
      .def("finish", &Writer::Finish, "Makes it the checkpoint.")
      .def("abandon", &Writer::Abandon, "Removes what was written.")
      .def("oversized", &Writer::Oversized, py::arg("first") = 0,
           "Names of tensors that are larger than a data file may be, from that one on.");
}

}  // namespace tensorbundle::bindings
