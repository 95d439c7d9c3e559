// What users give to be written: arrays, taken as they lie in memory.

#ifndef TENSORBUNDLE_BINDINGS_NUMPY_INPUT_H_
#define TENSORBUNDLE_BINDINGS_NUMPY_INPUT_H_

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensorbundle/checkpoint_writer.h"

namespace tensorbundle::bindings {

// The dtype of this name, as TensorFlow spells it. Raises TypeError if there is none.
DType DTypeFromName(const std::string& name);

// The position of the first element of a row-major object array that is no bytes object, or -1.
int64_t FirstNotBytes(pybind11::handle array);

// Arrays as tensors to be written. No element is copied; the arrays are kept for as long as this lives, in which the
// GIL is held while it is made and while it goes away.
class TensorInputs {
 public:
  // `normalize(name, value)` makes an array of what isn't one that can be taken as it is: numbers of a type that a
  // checkpoint holds, or `bytes` objects that nobody else can replace.
  explicit TensorInputs(pybind11::object normalize) : normalize_(std::move(normalize)) {}

  // `tf_dtype` is a name, or None for the one that the array's dtype stands for.
  void Add(pybind11::handle name, pybind11::handle value, pybind11::handle tf_dtype = pybind11::none());

  const std::vector<TensorToWrite>& tensors() const { return tensors_; }

 private:
  // What an array's dtype means here.
  struct ElementType {
    DType dtype = DType::kInvalid;  // kInvalid: not to be taken as it is.
    bool foreign_byte_order = false;
  };

  const ElementType& TypeOf(pybind11::handle array);
  void TakeElements(pybind11::handle array, TensorToWrite* tensor);

  const pybind11::object normalize_;
  std::unordered_map<PyObject*, ElementType> types_;  // By dtype object, which `kept_` keeps.
  std::vector<pybind11::object> kept_;
  std::vector<TensorToWrite> tensors_;
};

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_NUMPY_INPUT_H_
