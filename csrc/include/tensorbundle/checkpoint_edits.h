// A checkpoint made of others without looking at their tensors' bytes: several merged into one, or one with other
// names. Only indexes are written; data files are linked, or copied where that can't be.
//
//   Status status = tensorbundle::MergeCheckpoints({"run/m_temp/part-0", "run/m_temp/part-1"}, "run/m");

#ifndef TENSORBUNDLE_CHECKPOINT_EDITS_H_
#define TENSORBUNDLE_CHECKPOINT_EDITS_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorbundle/checkpoint.h"
#include "tensorbundle/export.h"
#include "tensorbundle/status.h"

namespace tensorbundle {

struct MergeOptions {
  // True: once the call has returned, the checkpoint survives a power cut. False: it survives the end of the process.
  bool durable = true;
  // Leave the sources where they are. Their data files are then further names of the new ones.
  bool keep_sources = false;
  // Slices of a tensor may still be missing: another merge brings them.
  bool partial = false;
  // Called as ReadOptions' is, with the bytes of the data files.
  ProgressFunction progress;
};

// Makes the checkpoints at `prefixes` one, at `destination`, and removes them.
//
// Every tensor keeps its record but for the number of its data file. A tensor whose slices are spread over several
// sources becomes one. Data files that no tensor is in are left out, so the new checkpoint has exactly the data files
// that its index counts, unless an old one at `destination` makes one more necessary, as in CheckpointWriter.
//
// kInvalidArgument: no source, one given twice or as the destination; sources that disagree on byte order or version; a
// tensor that two of them have; slices of one tensor that disagree on dtype or shape, overlap, or leave a part out; no
// tensor at all. kIo with ENOENT: a source is missing. kDataLoss: a source is damaged, or a data file too short. All of
// that is found before anything is written. What is damaged inside a tensor is not looked for.
//
// Any error leaves the sources, and an old checkpoint at `destination`, as they were, with two exceptions that the
// message states: the directory could not be synced after the new index got its name, or a source could not be removed.
// The new checkpoint is in its place then.
//
// A source is removed index first, and only if it is still what was merged. A directory that TensorFlow made for the
// parts of one save ("<prefix>_temp", or with 32 hexadecimal digits more) goes with the last file in it.
TENSORBUNDLE_EXPORT Status MergeCheckpoints(const std::vector<std::string>& prefixes, const std::string& destination,
                                            const MergeOptions& options = {});

struct EditOptions {
  // At another prefix, make the data files further names of the old ones and not copies.
  bool link = false;
  bool durable = true;        // As in MergeOptions.
  ProgressFunction progress;  // As in MergeOptions.
};

// What becomes of the tensors of a checkpoint: the new name of each, in the order of `names`, or nullopt to drop it.
// All at once, so that rules can be refused that apply to none. An error, which should be kExternal, ends the edit.
//
// Called once, on the calling thread. It may not write a checkpoint to the same directory, which waits for the edit.
using NameEdit =
    std::function<Result<std::vector<std::optional<std::string>>>(const std::vector<std::string_view>& names)>;

// Renames and drops tensors of the checkpoint at `prefix`: in its index, and in its object graph. What data files hold
// of dropped tensors stays in them.
//
// With an empty `destination` the index is replaced where it is, and nothing can come between its reading and that. If
// an object graph has to follow, it is written to a data file of its own; their number then changes, and with it the
// names of the others, which become further names of the old ones first (where that can't be, copies).
// Otherwise there is a new checkpoint at `destination`, with data files of its own: those that a tensor is in, copied
// (sharing the blocks on the disk where the file system can do that) or linked.
//
// An object keeps its place in the graph when the key of its value changes, and loses a value that is dropped; a slot
// that is dropped goes as a whole. The graph itself can be dropped and not renamed.
//
// Slices follow their tensor. Records stay as they are but for the number of the data file, which may change at another
// prefix.
//
// kInvalidArgument: a name that is empty or begins with a zero byte, or that two tensors would have; no tensor is left;
// the destination is the checkpoint itself; a value of an object whose new name does not end as the old one, from
// "/.ATTRIBUTES/" on, which is how TensorFlow finds it; tensors that are one value and would be parted. kDataLoss: the
// index is damaged, or the object graph where it would have to be rewritten. kUnimplemented: the same in the other byte
// order. Any error leaves everything as it was, with the exception that CheckpointWriter::Finish has.
TENSORBUNDLE_EXPORT Status EditIndex(const std::string& prefix, const std::string& destination, const NameEdit& edit,
                                     const EditOptions& options = {});

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_CHECKPOINT_EDITS_H_
