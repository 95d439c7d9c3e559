// A whole table file in memory: bytes -> sorted entries, everything verified on the way.

#ifndef TENSORBUNDLE_TABLE_TABLE_READER_H_
#define TENSORBUNDLE_TABLE_TABLE_READER_H_

#include <functional>

#include "tensorbundle/buffer.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

// Receives one entry. Both views are valid during the call only.
using EntryVisitor = std::function<Status(ByteView key, ByteView value)>;

// Calls `visit` for each entry of the table `file`, in key order: bytes compare unsigned, and shorter sorts first. Keys
// ascend strictly. A table without entries is sound, and nothing is visited.
//
// What visit returns, if it is not ok, ends the walk and is returned as it is. Damage is kDataLoss with the offset in
// the file; of what lies inside a compressed block, that of the block. A compressed block above kMaxSnappyBlockSize is
// kResourceExhausted.
//
// Verified: the footer; that each block lies inside the file; its checksum and its compression kind, in the metaindex
// block too; every entry and restart offset; the order of all keys; and that each key of the index separates the blocks
// on its two sides. A data block is verified as the walk comes to it, so visit sees entries before the damage is found.
//
// Memory: a buffer of the size of the longest key, and two of that of the largest compressed block. Work and memory are
// linear in the file, but the visited keys may add up to much more: each can share all but a byte with the one before.
Status VisitTable(ByteView file, const EntryVisitor& visit);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_TABLE_TABLE_READER_H_
