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

// Arrays as tensors to be written. No element is copied; the arrays, and the `bytes` objects in them, are kept for as
// long as this lives, in which the GIL is held while it is made and while it goes away.
class TensorInputs {
 public:
  // `normalize(name, value)` makes an array of what isn't one that can be taken as it is: numbers of a type that a
  // checkpoint holds, or `bytes` objects in row-major order.
  explicit TensorInputs(pybind11::object normalize) : normalize_(std::move(normalize)) {}
  TensorInputs(const TensorInputs&) = delete;
  TensorInputs& operator=(const TensorInputs&) = delete;
  ~TensorInputs();

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
  bool IsTakenAsItIs(pybind11::handle value);
  void TakeNumbers(pybind11::handle array, TensorToWrite* tensor);
  // Takes a reference to each element too: another thread may replace them in the array. False, and nothing is taken,
  // if the array is not row-major or holds anything but `bytes`.
  static bool TakeStrings(pybind11::handle array, TensorToWrite* tensor);

  const pybind11::object normalize_;
  std::unordered_map<PyObject*, ElementType> types_;  // By dtype object, which `kept_` keeps.
  std::vector<pybind11::object> kept_;
  std::vector<TensorToWrite> tensors_;  // With a reference to each object that `strings` are of.
};

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_NUMPY_INPUT_H_
