// V1 files in memory, field by field, so that tests can say exactly what a record claims.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_V1_MAKER_H_
#define TENSORBUNDLE_TESTS_SUPPORT_V1_MAKER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "slices/key.h"
#include "support/bundle_maker.h"
#include "support/table_maker.h"
#include "tensorbundle/byte_source.h"
#include "tensorbundle/checkpoint.h"

namespace tensorbundle::test_support {

inline Slice WholeSlice(size_t rank) { return Slice{std::vector<Extent>(rank)}; }

// A TensorProto of one packed field.
inline std::string PackedTensor(uint32_t field, std::string_view values) {
  std::string tensor;
  AppendBytesField(field, values, &tensor);
  return tensor;
}

// Varints one after the other; negative numbers take ten bytes.
inline std::string Varints(const std::vector<int64_t>& numbers) {
  std::string bytes;
  for (const int64_t number : numbers) AppendVarint(static_cast<uint64_t>(number), &bytes);
  return bytes;
}

// A SavedTensorSlices with the values of one slice.
inline std::string EncodeV1Record(std::string_view name, const Slice& slice, std::string_view tensor) {
  std::string data;
  AppendBytesField(1, name, &data);
  AppendBytesField(2, EncodeSlice(slice), &data);
  AppendBytesField(3, tensor, &data);
  std::string record;
  AppendBytesField(2, data, &record);
  return record;
}

// A SavedSliceMeta.
inline std::string EncodeV1Meta(std::string_view name, int64_t dtype, const std::vector<int64_t>& shape,
                                const std::vector<Slice>& slices) {
  std::string dimensions;
  for (const int64_t size : shape) {
    std::string dimension;
    AppendVarintField(1, static_cast<uint64_t>(size), &dimension);
    AppendBytesField(2, dimension, &dimensions);
  }
  std::string meta;
  AppendBytesField(1, name, &meta);
  AppendBytesField(2, dimensions, &meta);
  AppendVarintField(3, static_cast<uint64_t>(dtype), &meta);
  for (const Slice& slice : slices) AppendBytesField(4, EncodeSlice(slice), &meta);
  return meta;
}

// One V1 file.
class V1Maker {
 public:
  // A tensor that is stored whole.
  void Add(const std::string& name, int64_t dtype, const std::vector<int64_t>& shape, std::string_view tensor) {
    AddPieces(name, dtype, shape, {{WholeSlice(shape.size()), std::string(tensor)}});
  }
  // Slices of a tensor, each with its TensorProto.
  void AddPieces(const std::string& name, int64_t dtype, const std::vector<int64_t>& shape,
                 const std::vector<std::pair<Slice, std::string>>& pieces) {
    std::vector<Slice> slices;
    for (const auto& [slice, tensor] : pieces) {
      slices.push_back(slice);
      records[EncodeSliceKey(name, slice)] = EncodeV1Record(name, slice, tensor);
    }
    metas[name] = EncodeV1Meta(name, dtype, shape, slices);
  }

  std::string Metadata() const {
    std::string meta;
    for (const auto& [name, tensor] : metas) AppendBytesField(1, tensor, &meta);
    AppendBytesField(2, version, &meta);
    std::string record;
    AppendBytesField(1, meta, &record);
    return record;
  }
  MadeTable Table(const TableOptions& options = {}) const {
    Entries entries = {{"", Metadata()}};
    for (const auto& [key, record] : records) entries.emplace_back(key, record);
    return MakeTable(entries, options);
  }
  std::string File(const TableOptions& options = {}) const { return Table(options).bytes; }

  // Tests overwrite what they want to damage.
  std::map<std::string, std::string> records;  // By key.
  std::map<std::string, std::string> metas;    // SavedSliceMeta, by name.
  std::string version = std::string("\x08\x01", 2);
};

// Opens a file as the checkpoint "m".
inline Result<Checkpoint> OpenV1(const std::string& file) { return Checkpoint::Open("m", ServeFiles({{"m", file}})); }

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_V1_MAKER_H_
