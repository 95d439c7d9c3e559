"""The tests' own encoder and golden files, judged by TensorFlow.

Every other test trusts them, so here they are compared with the one writer and reader that defines the format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import dtypes, golden, publish, slices, tensorflow_oracle, values
from support.bundle_writer import Image, Variant, build_bundle
from support.hashing import tensor_hash
from support.tensors import Typed

pytestmark = pytest.mark.usefixtures("tensorflow")

HANDMADE = [checkpoint for checkpoint in golden.checkpoints() if checkpoint.folder.name == "handmade"]
READABLE = [c for format in ("V2", "V1") for c in golden.checkpoints(format) if c.tensorflow]


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def assert_writes_the_same(tmp_path: Path, image: Image, rows: list) -> None:
    tensorflow_oracle.save(tmp_path / "x", rows)
    written = files_of(tmp_path)
    assert written.keys() == image.files("x").keys()
    for name, data in image.files("x").items():
        assert written[name] == data, name


@pytest.mark.parametrize("checkpoint", READABLE, ids=lambda checkpoint: checkpoint.id)
def test_tensorflow_reads_what_the_manifest_says(checkpoint):
    for tensor in checkpoint.tensors.values():
        if tensor.slices and not dtypes.BY_NAME[tensor.dtype].assembles:
            continue
        array = tensorflow_oracle.restore(checkpoint.prefix, tensor.name, tensor.dtype)
        assert (array.shape, tensor_hash(array)) == (tensor.shape, tensor.sha256), tensor.name


@pytest.mark.parametrize("checkpoint", HANDMADE, ids=lambda checkpoint: checkpoint.id)
def test_tensorflow_lists_what_the_manifest_says(checkpoint):
    expected = {tensor.name.decode(): tensor.dtype for tensor in checkpoint.tensors.values()}
    assert tensorflow_oracle.names(checkpoint.prefix) == expected


def test_tensorflow_refuses_what_is_marked_so(tensorflow):
    refused = [checkpoint for checkpoint in HANDMADE if not checkpoint.tensorflow]
    assert [checkpoint.id for checkpoint in refused] == ["handmade/big_endian_bytes"]
    for tensor in refused[0].tensors.values():
        with pytest.raises(tensorflow.errors.UnimplementedError):
            tensorflow_oracle.restore(refused[0].prefix, tensor.name, tensor.dtype)


@pytest.mark.parametrize("dtype", [dtype.name for dtype in dtypes.DTYPES if dtype.name != "variant"])
def test_every_dtype_is_written_the_same(tmp_path, dtype):
    shapes = [(), (0,), (0, 3), (3,), (2, 3), (1, 1, 1), (40, 25)]
    tensors = {f"{shape}": Typed(values.filled(dtype, shape, 1), dtype) for shape in shapes}
    assert_writes_the_same(tmp_path, build_bundle(tensors), list(tensors.items()))


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 2097152])
def test_strings_of_every_length_are_written_the_same(tmp_path, length):
    tensors = {"s": [b"x" * length], "t": b"y" * length, "u": [b"", b"z" * length, b""]}
    assert_writes_the_same(tmp_path, build_bundle(tensors), list(tensors.items()))


def test_variants_are_written_the_same(tmp_path, tensorflow):
    rows = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    lists = [tensorflow.raw_ops.TensorListFromTensor(tensor=row, element_shape=[2]) for row in rows]
    tensors = {"one": lists[0], "two": tensorflow.stack(lists), "none": tensorflow.stack(lists)[:0]}
    elements = {name: tensorflow_oracle.to_array(tensor) for name, tensor in tensors.items()}
    image = build_bundle({name: Variant(array.ravel().tolist(), array.shape) for name, array in elements.items()})
    assert_writes_the_same(tmp_path, image, list(tensors.items()))


def test_names_of_any_bytes_are_written_the_same(tmp_path):
    names = (
        [b"\xff" * n for n in range(1, 5)] + [bytes([byte]) + b"x" for byte in range(1, 256)] + [b"a\0b", b"k" * 3000]
    )
    tensors = {name: np.int32(number) for number, name in enumerate(reversed(names))}
    assert_writes_the_same(tmp_path, build_bundle(tensors), list(tensors.items()))


def test_many_blocks_are_written_the_same(tmp_path):
    tensors = {f"layer_{number % 97:03d}/weight_{number:06d}": np.float32(number) for number in range(12001)}
    image = build_bundle(tensors)
    assert len(image.index) > 262144
    assert_writes_the_same(tmp_path, image, list(tensors.items()))


def test_keys_longer_than_a_block_are_written_the_same(tmp_path):
    names = [b"a", b"b" * 700000, b"b" * 700000 + b"c", b"c" * 300000, b"d", b"e" * 524288, b"f"]
    tensors = {name: np.int8(number) for number, name in enumerate(names)}
    assert_writes_the_same(tmp_path, build_bundle(tensors), list(tensors.items()))


@pytest.mark.parametrize(
    ("dtype", "shape", "pieces"),
    [
        ("float32", (4, 3), ["0,2:-", "2,2:0,3"]),
        ("string", (5,), ["3,2", "0,2", "2,1"]),
        ("qint16", (2, 2, 2), ["-:-:0,1", "-:0,1:1,1", "0,2:1,1:1,1"]),
        ("int8", (20000,), ["0,63", "63,1", "64,8127", "8191,1", "8192,11808"]),
        ("int4", (2,) * 9, ["0,1" + ":-" * 8, "1,1" + ":0,2" * 8]),
        ("bfloat16", (3, 2), ["-:0,2"]),
    ],
)
def test_pieces_are_written_the_same(tmp_path, dtype, shape, pieces):
    array = values.filled(dtype, shape)
    cuts = [slices.parse_slice(piece) for piece in pieces]
    rows = [("w", Typed(array[slices.indices(cut)], dtype), slices.save_spec(shape, cut)) for cut in cuts]
    image = build_bundle({"w": Typed(array, dtype), "plain": b"p"}, slices={"w": pieces})
    assert_writes_the_same(tmp_path, image, [*rows, ("plain", b"p")])


def test_shards_are_written_the_same(tmp_path):
    parts = [{"b": np.float32(1), "z": [b"s"]}, {"a": np.zeros(0, np.int64), "y": np.arange(5)}, {"c": np.int8(3)}]
    prefixes = [tmp_path / "parts" / f"part-{number}" for number in range(3)]
    for prefix, part in zip(prefixes, parts):
        tensorflow_oracle.save(prefix, part.items())
    (tmp_path / "merged").mkdir()
    tensorflow_oracle.merge(prefixes, tmp_path / "merged" / "x")

    # A merge numbers the shards in the order in which their keys come up, part by part.
    where = {name.encode(): number for number, part in enumerate(parts) for name in part}
    tensors = {name: value for part in parts for name, value in part.items()}
    image = build_bundle(tensors, shards=3, shard_of=lambda name, _: where[name])
    assert files_of(tmp_path / "merged") == image.files("x")


def test_tensorflow_reads_more_shards_than_are_used(tmp_path):
    image = build_bundle({"a": np.arange(3), "b": b"x"}, shards=7)
    publish.publish(tmp_path / "x", image.index, image.shards, commit="protocol")
    assert tensorflow_oracle.read(tmp_path / "x")["a"].tolist() == [0, 1, 2]
