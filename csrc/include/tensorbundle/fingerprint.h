// What it takes to tell serialized messages apart: one order for the entries of their maps, and a hash.
//
// Protobuf's writers store a map in whatever order suits them, each in another. TensorFlow's fingerprints are of the
// order that its C++ has when it is asked for a deterministic one: keys ascending.

#ifndef TENSORBUNDLE_FINGERPRINT_H_
#define TENSORBUNDLE_FINGERPRINT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorbundle/buffer.h"
#include "tensorbundle/export.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// FarmHash's Fingerprint64: the same for the same bytes on every machine and in every version. It does not withstand
// somebody who wants two inputs to have the same one.
TENSORBUNDLE_EXPORT uint64_t Fingerprint64(ByteView bytes);

// A field that holds messages of a type with maps in it, or in what it holds in turn.
struct MessageField {
  uint32_t number = 0;
  uint32_t message = 0;       // The type, as its position among all.
  bool is_map_entry = false;  // Then key and value are the type's fields 1 and 2.
};
using MessageFields = std::vector<MessageField>;

// Puts the entries of every map in a serialized message in the order of their keys: text by its bytes, numbers as
// unsigned ones. Nothing else changes, neither sizes nor places of other fields. Entries of a map that do not follow
// each other are sorted as far as they do; entries with the same key keep their order.
//
// `types` has the fields of each type, `message` is the position of the type of the whole. kDataLoss if the bytes are
// no message, kResourceExhausted if messages nest deeper than 100 levels; `bytes` are then partly sorted.
// REQUIRES: `message` and all MessageField::message are less than types.size().
TENSORBUNDLE_EXPORT Status SortMapEntries(const std::vector<MessageFields>& types, uint32_t message, uint8_t* bytes,
                                          size_t size);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_FINGERPRINT_H_
