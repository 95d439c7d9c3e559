// A tensor whose stored bytes, piece after piece, are its elements in row-major order: read from its first byte to its
// last in as many calls as one likes, each checksum compared once its last byte has been read.

#ifndef TENSORBUNDLE_CHECKPOINT_STORED_RUN_H_
#define TENSORBUNDLE_CHECKPOINT_STORED_RUN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "checkpoint/convert.h"
#include "checkpoint/extents.h"
#include "checkpoint/read_job.h"
#include "checkpoint/read_plan.h"
#include "tensorbundle/checkpoint.h"
#include "tensorbundle/entry.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

class StoredRun {
 public:
  // `pieces` in the order of the elements. REQUIRES: they are all of the tensor, which is of fixed width and outlives
  // this, without their boxes.
  StoredRun(const Entry& entry, std::vector<PlannedPiece> pieces, bool foreign_byte_order);

  // Reads the bytes [begin, end) of the elements to `destination`, converted; if that is null, looks at them where they
  // are, which a sum or narrow elements make necessary, and sets *noisy if they need converting. Checksums are compared
  // if the options say so; after an error the same call may be made again.
  //
  // REQUIRES: `begin` is where the last call that succeeded ended, at first 0, and all calls verify or none does.
  Status Read(uint64_t begin, uint64_t end, uint8_t* destination, const ReadOptions& options, bool* noisy);

  // Where these bytes are stored.
  std::vector<StoredExtent> ExtentsOf(uint64_t begin, uint64_t end) const;
  const Conversion& conversion() const { return conversion_; }

 private:
  // Bytes of one piece that a call reads.
  struct Part {
    size_t piece;
    uint64_t begin;  // In the piece.
    uint64_t end;
  };

  // All parts of [begin, end), those of pieces without bytes at its ends included.
  std::vector<Part> PartsOf(uint64_t begin, uint64_t end) const;
  // Adds the checksums of parts to what was summed before; an error at the first piece that is complete and wrong.
  Status CompareSums(const std::vector<Part>& parts, const std::vector<uint32_t>& sums);

  const Entry& entry_;
  const std::vector<PlannedPiece> pieces_;
  std::vector<uint64_t> begins_;  // Of each piece in the whole, and the end of the last.
  const bool foreign_byte_order_;
  const Conversion conversion_;
  uint32_t crc32c_ = 0;  // Of the piece that is read in part.
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_STORED_RUN_H_
