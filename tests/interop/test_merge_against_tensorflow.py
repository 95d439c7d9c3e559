"""Merged and edited checkpoints, judged by TensorFlow: by its own merge of the same parts, and by restoring ours."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import dtypes, slices, tensorflow_oracle, values
from support.bundle_reader import index_entries, index_header
from support.bundle_writer import Entry, write_bundle
from support.hashing import assert_same_bits
from support.publish import data_path, index_path
from support.tensors import Typed

import tensorbundle as tb

pytestmark = pytest.mark.usefixtures("tensorflow")

Rows = list[tuple[Any, ...]]


def save_parts(folder: Path, parts: list[Rows]) -> list[str]:
    """Parts as a sharded save of TensorFlow's makes them; their names from ``folder`` on."""
    names = [f"model_temp/part-{number:05d}-of-{len(parts):05d}" for number in range(len(parts))]
    (folder / "model_temp").mkdir(parents=True)
    for name, rows in zip(names, parts):
        tensorflow_oracle.save(folder / name, rows)
    return names


def merge_both(tmp_path: Path, parts: list[Rows]) -> tuple[Path, Path]:
    """The prefixes of TensorFlow's merge of some parts and of ours."""
    names = save_parts(tmp_path / "theirs", parts)
    shutil.copytree(tmp_path / "theirs", tmp_path / "ours")
    tensorflow_oracle.merge([tmp_path / "theirs" / name for name in names], tmp_path / "theirs" / "model")
    tb.merge([tmp_path / "ours" / name for name in names], tmp_path / "ours" / "model")
    return tmp_path / "theirs" / "model", tmp_path / "ours" / "model"


def files_of(prefix: Path) -> dict[str, bytes]:
    return {str(path.relative_to(prefix.parent)): path.read_bytes() for path in prefix.parent.rglob("*")}


def entries_of(prefix: Path) -> dict[bytes, tuple[Entry, bytes]]:
    """What the index says of each key but the number of its data file, and the bytes there."""
    index = index_path(prefix).read_bytes()
    count = index_header(index)["num_shards"]
    entries = {}
    for key, entry in index_entries(index).items():
        data = b"" if entry.slices else data_path(prefix, entry.shard, count).read_bytes()
        entry.shard = 0
        entries[key] = (entry, data[entry.offset : entry.offset + entry.size])
    return entries


def assert_same_tensors(theirs: Path, ours: Path) -> None:
    """TensorFlow reads the same from both, to the last bit."""
    expected = tensorflow_oracle.read(theirs)
    found = tensorflow_oracle.read(ours)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert_same_bits(found[name], array, name)


def test_parts_are_merged_to_the_same_files(tmp_path):
    rows = [(dtype, Typed(values.filled(dtype, (3, 2), 1), dtype)) for dtype in dtypes.BY_NAME if dtype != "variant"]
    parts = [rows[::3], [*rows[1::3], ("z/s", [b"a", b"", b"c" * 300])], [*rows[2::3], ("empty", np.zeros((0, 3)))]]
    theirs, ours = merge_both(tmp_path, parts)
    assert files_of(ours) == files_of(theirs)
    assert sorted(files_of(ours)) == [f"model.data-0000{i}-of-00003" for i in range(3)] + ["model.index"]
    assert_same_tensors(theirs, ours)


def test_slices_across_parts(tmp_path):
    array = np.arange(63, dtype=np.float32).reshape(9, 7)
    other = values.filled("bfloat16", (4,), 1)
    cuts = slices.tile(array.shape, (2, 5), (3,))
    parts = []
    for number in range(3):
        cut = [cuts[number], cuts[number + 3]]
        rows: Rows = [("w", array[slices.indices(piece)], slices.save_spec(array.shape, piece)) for piece in cut]
        parts.append([*rows, (f"b{number}", np.int8(number))])
    parts[2] += [("v", other[:1], "4 0,1"), ("v", other[1:], "4 1,3")]
    theirs, ours = merge_both(tmp_path, parts)
    assert entries_of(ours) == entries_of(theirs)
    assert_same_tensors(theirs, ours)
    assert_same_bits(tensorflow_oracle.restore(ours, "w", "float32", "9 7 1,4:2,3"), array[1:5, 2:5])
    assert_same_bits(tb.load(ours)["w"], array)


def test_slices_that_our_writers_have_parts_of(tmp_path):
    array = np.arange(24, dtype=np.float64).reshape(6, 4)
    for part in range(2):
        with tb.CheckpointWriter(tmp_path / f"part-{part}", partial=True) as writer:
            writer.add_slice("w", array[:, 2 * part : 2 * part + 2], array.shape, (0, 2 * part))
    tb.merge([tmp_path / "part-1", tmp_path / "part-0"], tmp_path / "m")
    assert_same_bits(tensorflow_oracle.restore(tmp_path / "m", "w", "float64"), array)


def test_merged_checkpoints_are_merged(tmp_path):
    folders = {}
    for who, merge in (("theirs", tensorflow_oracle.merge), ("ours", tb.merge)):
        folder = folders[who] = tmp_path / who
        for half in range(2):
            first = [("z", np.float32(1)), (f"s{half}", [b"x"])] if half == 0 else [("y", np.arange(5))]
            names = save_parts(folder / str(half), [first, [(f"a{half}", np.arange(4)), (f"b{half}", np.int8(3))]])
            merge([folder / str(half) / name for name in names], folder / f"half-{half}")
        merge([folder / "half-1", folder / "half-0"], folder / "model")
    theirs, ours = (folders[who] / "model" for who in ("theirs", "ours"))
    assert entries_of(ours) == entries_of(theirs)
    assert index_header(index_path(ours).read_bytes()) == index_header(index_path(theirs).read_bytes())
    assert_same_tensors(theirs, ours)


def test_a_part_without_tensors_is_no_data_file(tmp_path):
    """TensorFlow counts it in the header, and not in the names, and can't read what it has written."""
    for who in ("theirs", "ours"):
        write_bundle(tmp_path / who / "nothing", {})
        tensorflow_oracle.save(tmp_path / who / "part", [("x", np.arange(3))])
    tensorflow_oracle.merge([tmp_path / "theirs" / name for name in ("nothing", "part")], tmp_path / "theirs" / "m")
    with pytest.raises(Exception, match=r"m\.data-00000-of-00002; No such file"):
        tensorflow_oracle.restore(tmp_path / "theirs" / "m", "x", "int64")
    tb.merge([tmp_path / "ours" / name for name in ("nothing", "part")], tmp_path / "ours" / "m")
    assert tensorflow_oracle.restore(tmp_path / "ours" / "m", "x", "int64").tolist() == [0, 1, 2]


def test_a_source_is_no_destination(tmp_path):
    """TensorFlow writes the merged index there, and removes it with the source."""
    for who in ("theirs", "ours"):
        for name in ("a", "b"):
            tensorflow_oracle.save(tmp_path / who / name, [(name, np.arange(3))])
    tensorflow_oracle.merge([tmp_path / "theirs" / name for name in "ab"], tmp_path / "theirs" / "a")
    assert not index_path(tmp_path / "theirs" / "a").exists()
    before = files_of(tmp_path / "ours" / "a")
    with pytest.raises(ValueError, match="the destination is one of the checkpoints that are merged"):
        tb.merge([tmp_path / "ours" / name for name in "ab"], tmp_path / "ours" / "a")
    assert files_of(tmp_path / "ours" / "a") == before


def test_tensorflow_merges_what_was_merged_or_edited(tmp_path):
    tensors = {f"t{number}": np.arange(number + 1) for number in range(8)}
    for half in range(2):
        names = [[f"t{4 * half + 2 * part + i}" for i in range(2)] for part in range(2)]
        sources = save_parts(tmp_path / str(half), [[(name, tensors[name]) for name in part] for part in names])
        # In the place of another, so that there is one data file more.
        tb.save(tmp_path / f"half-{half}", {"old": np.int8(1), "older": np.int8(2)}, shards=2)
        tb.merge([tmp_path / str(half) / name for name in sources], tmp_path / f"half-{half}")
    tb.edit(tmp_path / "half-0", tmp_path / "renamed", rename=[("^t", "u")], drop="t0")
    tensorflow_oracle.merge([tmp_path / "renamed", tmp_path / "half-1"], tmp_path / "m")
    expected = {name.replace("t", "u") if int(name[1]) < 4 else name: value for name, value in tensors.items()}
    del expected["u0"]
    found = tensorflow_oracle.read(tmp_path / "m")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_same_bits(found[name], value, name)


@pytest.mark.parametrize("dst", [None, "other"])
def test_edits_are_read_back(tmp_path, dst):
    array = np.arange(20, dtype=np.float32).reshape(5, 4)
    cuts = slices.tile(array.shape, (1, 3), ())
    rows = [("model/w", array[slices.indices(piece)], slices.save_spec(array.shape, piece)) for piece in cuts]
    rows += [("model/s", [b"a", b"bc"]), ("model/half", values.filled("float16", (3,), 1)), ("slot/w", np.zeros(2))]
    tensorflow_oracle.save(tmp_path / "ckpt", rows)
    target = tb.edit(tmp_path / "ckpt", dst and tmp_path / dst, rename=[("^model/(.*)", r"\1/value")], drop="^slot/")
    assert tensorflow_oracle.names(target) == {"w/value": "float32", "s/value": "string", "half/value": "float16"}
    found = tensorflow_oracle.read(target)
    assert_same_bits(found["w/value"], array)
    assert_same_bits(found["s/value"], [b"a", b"bc"])
    assert_same_bits(found["half/value"], values.filled("float16", (3,), 1))
    assert_same_bits(tensorflow_oracle.restore(target, "w/value", "float32", "5 4 2,2:1,2"), array[2:4, 1:3])


def test_graph_mode_saver_restores_what_was_merged_and_renamed(tmp_path, tensorflow):
    tf = tensorflow.compat.v1
    with tf.Graph().as_default(), tf.Session() as session:
        kept = [tf.get_variable(name, initializer=np.arange(6.0, dtype=np.float32) + i) for i, name in enumerate("ab")]
        partitioned = tf.get_variable(
            "p",
            shape=[6, 2],
            initializer=lambda shape, partition_info, **_: np.arange(12.0, dtype=np.float32).reshape(6, 2)[
                partition_info.var_offset[0] :
            ][: shape[0]],
            partitioner=tf.fixed_size_partitioner(3),
        )
        session.run(tf.global_variables_initializer())
        tf.train.Saver(sharded=True).save(session, str(tmp_path / "model"), write_meta_graph=False)
        expected = session.run([*kept, partitioned.as_tensor()])
    tb.merge([tmp_path / "model"], tmp_path / "moved")
    tb.edit(tmp_path / "moved", rename=[("^", "scope/")])
    with tf.Graph().as_default(), tf.Session() as session, tf.variable_scope("scope"):
        kept = [tf.get_variable(name, shape=[6]) for name in "ab"]
        partitioned = tf.get_variable("p", shape=[6, 2], partitioner=tf.fixed_size_partitioner(2))
        tf.train.Saver().restore(session, str(tmp_path / "moved"))
        found = session.run([*kept, partitioned.as_tensor()])
    assert expected[2].tolist() == np.arange(12.0).reshape(6, 2).tolist()
    for number in range(3):
        assert_same_bits(found[number], expected[number])


def test_object_based_checkpoints_are_moved(tmp_path, tensorflow):
    tf = tensorflow
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    prefix = tf.train.Checkpoint(v=tf.Variable(value), n=tf.Variable(b"text")).save(str(tmp_path / "run" / "ckpt"))
    tb.edit(prefix, tmp_path / "copy")
    tb.merge([prefix], tmp_path / "moved")
    for place in ("copy", "moved"):
        variable, text = tf.Variable(np.zeros((2, 3), np.float32)), tf.Variable(b"")
        tf.train.Checkpoint(v=variable, n=text).restore(str(tmp_path / place)).assert_existing_objects_matched()
        assert_same_bits(variable.numpy(), value)
        assert text.numpy() == b"text"
