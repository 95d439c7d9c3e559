"""Where ``tensorbundle.train`` differs from TensorFlow on purpose: the list for tests and documentation."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One of them, in words.

    Attributes:
        what: The call and the circumstances.
        theirs: What TensorFlow does.
        ours: What this package does.
        why: The reason.
    """

    what: str
    theirs: str
    ours: str
    why: str


#: By a short name.
DIFFERENCES = {
    "error of a damaged index": Difference(
        "opening a checkpoint whose index is damaged",
        "`OpError`",
        "`DataLossError`, which is an `OpError`",
        "the class says what happened",
    ),
    "error of a damaged tensor": Difference(
        "`get_tensor`, `load_variable`: a checksum doesn't match",
        "`OpError`",
        "`DataLossError`, which is an `OpError`; it names the tensor",
        "the class says what happened",
    ),
    "error of a truncated file": Difference(
        "`get_tensor`, `load_variable`: the data file ends too early",
        "`IndexError`",
        "`OutOfRangeError`: an `IndexError`, a `DataLossError` and an `OpError`; it names the tensor",
        "`except tf.errors.OpError` should catch it as well",
    ),
    "missing data file": Difference(
        "opening a checkpoint of which a data file is missing",
        "nothing",
        "a `DamageWarning` that counts the tensors; reading one of them is the same `OpError` as TensorFlow's",
        "better before the training than in the middle of it",
    ),
    "empty tensor of a missing file": Difference(
        "`get_tensor` of a tensor without elements, its data file missing",
        "`OpError`",
        "an empty array",
        "nothing of it is missing",
    ),
    "name of an index": Difference(
        "`x.index` as path",
        "a reader without tensors",
        "the checkpoint `x`",
        "that is what the caller means",
    ),
    "name of a data file": Difference(
        "`x.data-00000-of-00001` as path",
        "`DataLossError`",
        "the checkpoint `x`",
        "that is what the caller means",
    ),
    "state file": Difference(
        "the file `checkpoint` as path",
        "`DataLossError`",
        "the latest checkpoint that it names",
        "that is what the caller means",
    ),
    "directory of a SavedModel": Difference(
        "a SavedModel's directory as path",
        "`ValueError`",
        "its variables",
        "that is what the caller means",
    ),
    "directory as file": Difference(
        "`NewCheckpointReader` of a directory with a `checkpoint` file",
        "`DataLossError`",
        "the latest checkpoint in it",
        "that is what the caller means",
    ),
    "path objects": Difference(
        "`os.PathLike` where TensorFlow wants a `str`: `NewCheckpointReader`, `checkpoint_exists`",
        "`TypeError`",
        "taken",
        "as everywhere in Python",
    ),
    "name of nothing": Difference(
        '`has_tensor("")`, `get_tensor("")`',
        "the index's header is taken for a tensor",
        "`False`, and `NotFoundError`",
        "the header is no tensor",
    ),
    "names as bytes": Difference(
        "`load_variable` with a name of `bytes`",
        "`TypeError`, though `get_tensor` takes it",
        "taken",
        "the same everywhere",
    ),
    "slices in debug_string": Difference(
        "`debug_string` of a checkpoint with partitioned variables",
        "lists the pieces as well, under keys that are no text",
        "lists the variables",
        "the keys of pieces are no names",
    ),
    "names that are no UTF-8": Difference(
        "listing a checkpoint in which a name is no UTF-8",
        "`UnicodeDecodeError`",
        "such bytes come as lone surrogates (`surrogateescape`)",
        "one name should not hide the others",
    ),
    "quantized types": Difference(
        "`as_numpy_dtype` of `qint8` and its like",
        "a structured type",
        "the plain integer, which the arrays have in both",
        "it should be the arrays' type",
    ),
    "types of V1": Difference(
        "reading `half`, `uint16`, `qint8` and its like, and complex numbers from a checkpoint of format V1",
        "`UnimplementedError`",
        "arrays, as from format V2",
        "they are there",
    ),
    "damaged metadata of V1": Difference(
        "opening a file of format V1 whose first block is damaged",
        "`InternalError`",
        "`DataLossError`",
        "the class says what happened; an `InternalError` is a bug here",
    ),
    "slices of V1": Difference(
        "`get_tensor` of a variable that a checkpoint of format V1 stores in slices",
        "`UnimplementedError`, or memory that nobody wrote to where a slice is missing",
        "the array, put together; a `DataLossError` where a slice is missing",
        "they are there",
    ),
    "missing shard of V1": Difference(
        "a pattern of shards of format V1 of which one is missing",
        "a reader of the others, which says nothing",
        "the same, and a `DamageWarning` that names those that are missing, as does the `NotFoundError` of a name",
        "better before the training than in the middle of it",
    ),
    "name of a shard of V1": Difference(
        "`x-00000-of-00002` of format V1 as path",
        "a reader of that file alone",
        "the checkpoint `x-?????-of-00002`, with a `DamageWarning` if the other is missing",
        "that is what the caller means",
    ),
    "state as an object": Difference(
        "what `get_checkpoint_state` and `generate_checkpoint_state_proto` give",
        "a protobuf message, which can be changed",
        "a `tensorbundle.CheckpointState`: the same attributes, tuples for lists, immutable (`dataclasses.replace`)",
        "protobuf isn't needed",
    ),
    "unreadable state file": Difference(
        "a `checkpoint` file that can't be understood",
        "a line in TensorFlow's log",
        "a `DamageWarning`",
        "warnings can be caught",
    ),
    "paths in the state file": Difference(
        "`update_checkpoint_state` with absolute paths inside the directory, or relative ones outside it",
        "written as they are given",
        "written relative inside the directory, absolute outside it",
        "the directory can then be moved, and a path that leaves it is refused when it is read",
    ),
    "brackets": Difference(
        "`[` in a path: `latest_checkpoint`, `checkpoint_exists`, `load_checkpoint`",
        "a pattern, which doesn't match itself",
        "itself",
        "such directories exist",
    ),
    "wildcards in remove_checkpoint": Difference(
        "`*` in what `remove_checkpoint` gets",
        "removes whatever matches",
        "itself; of format V1 `-?????-of-` and a number means the shards",
        "nothing should be removed by mistake",
    ),
    "hidden files": Difference(
        "`tf.io.gfile.glob`, inside `as_tensorflow()`",
        "`*` and `?` match a dot at the start of a name, and `./` comes before names without a directory",
        "as Python's `glob.glob`",
        "as everywhere in Python",
    ),
    "one prefix for several": Difference(
        "`get_checkpoint_mtimes` of a single `str`",
        "takes its letters for prefixes",
        "`TypeError`",
        "no caller means that",
    ),
    "variables of a SavedModel": Difference(
        "`tf.saved_model.load(directory).variables`, inside `as_tensorflow()`",
        "what the model lists as `variables`, under the names of its graph; an `AttributeError` if it lists none",
        "the same where the objects are stored with such a list; else every variable, under its full name where the "
        "checkpoint has it, else under its key",
        "the graph isn't read",
    ),
    "warnings about deprecation": Difference(
        "the functions that TensorFlow deprecates",
        "a line in its log",
        "nothing",
        "they stay here",
    ),
}


def table() -> str:
    """The list as a table in Markdown."""
    rows = [("Call", "TensorFlow", "tensorbundle", "Why"), ("---",) * 4, *DIFFERENCES.values()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
