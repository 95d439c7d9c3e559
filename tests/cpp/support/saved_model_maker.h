// SavedModels in memory, field by field, so that tests can say exactly what a file claims.

#ifndef TENSORBUNDLE_TESTS_SUPPORT_SAVED_MODEL_MAKER_H_
#define TENSORBUNDLE_TESTS_SUPPORT_SAVED_MODEL_MAKER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensorbundle/buffer.h"
#include "wire/writer.h"

namespace tensorbundle::test_support {

// A field with a length: text, bytes or a message.
inline std::string Part(uint32_t number, std::string_view content) {
  std::string field;
  wire::AppendBytes(number, ByteView(content), &field);
  return field;
}

inline std::string Number(uint32_t number, int64_t value) {
  std::string field;
  wire::AppendInt(number, value, &field);
  return field;
}

// An entry of the map that has this number.
inline std::string MapPart(uint32_t number, std::string_view key, std::string_view value) {
  return Part(number, Part(1, key) + Part(2, value));
}

// A meta graph: its tags, and whatever else is in it.
inline std::string MetaGraphPart(const std::vector<std::string>& tags, const std::string& rest = "") {
  std::string info;
  for (const std::string& tag : tags) info += Part(4, tag);
  return Part(2, Part(1, info) + rest);
}

// Parts of a MetaGraphDef.

inline std::string SignaturePart(std::string_view key, std::string_view signature) {
  return MapPart(5, key, signature);
}
inline std::string NodeCollectionPart(std::string_view key, const std::vector<std::string>& nodes) {
  std::string list;
  for (const std::string& node : nodes) list += Part(1, node);
  return MapPart(4, key, Part(1, list));
}
// An AssetFileDef.
inline std::string AssetDef(std::string_view tensor, std::string_view filename) {
  return Part(1, Part(1, tensor)) + Part(2, filename);
}
inline std::string AssetPart(std::string_view tensor, std::string_view filename) {
  return Part(6, AssetDef(tensor, filename));
}
inline std::string AssetCollectionPart(std::string_view type, const std::vector<std::string>& assets) {
  std::string list;
  for (const std::string& asset : assets) list += Part(1, Part(1, type) + Part(2, asset));
  return MapPart(4, "saved_model_assets", Part(5, list));
}

}  // namespace tensorbundle::test_support

#endif  // TENSORBUNDLE_TESTS_SUPPORT_SAVED_MODEL_MAKER_H_
