"""Safetensors files: read as their own package does, laid out as it writes them, and every rule of theirs kept."""

from __future__ import annotations

import json
import os
import pickle
import platform
import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import assume, given
from hypothesis import strategies as st
from support import dtypes, values
from support.hashing import assert_same_bits
from support.strategies import shapes

from tensorbundle import errors
from tensorbundle.formats import RawBytes, TensorSpec, open_source
from tensorbundle.formats import safetensors as format_

# The format's name, TensorFlow's, and NumPy's where it has another.
HELD = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = texts.filter(lambda name: name != "__metadata__")


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    return values.filled(draw(st.sampled_from(sorted(HELD.values()))), draw(shapes), draw(st.integers(0, 300)))


def specs_of(tensors: dict[str, np.ndarray]) -> list[TensorSpec]:
    return [TensorSpec(name, dtypes.name_of(array), array.shape, array.nbytes) for name, array in tensors.items()]


def written(tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    """A file made by its layout."""
    layout = format_.layout(specs_of(tensors), metadata)
    content = bytearray(layout.size)
    content[: len(layout.header)] = layout.header
    for name, (begin, end) in layout.offsets.items():
        content[begin:end] = tensors[name].tobytes()
    return bytes(content)


def encoded(header: object, data: bytes = b"") -> bytes:
    """A file of any header: an object, or the text itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def record(begin: int, end: int, shape: list[int], dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def together(source: object, name: str, max_bytes: int) -> np.ndarray:
    """A tensor put together from its chunks."""
    spec = next(spec for spec in source.tensors() if spec.name == name)
    whole, at = None, 0
    for index, array in source.chunks(name, max_bytes):
        if whole is None:
            whole = np.empty(spec.shape, array.dtype)
        assert array.nbytes <= max(max_bytes, array.itemsize)
        assert array.flags.aligned
        assert array.flags.c_contiguous
        whole[index] = array
        assert whole.reshape(-1)[at : at + array.size].tobytes() == array.tobytes()
        at += array.size
    assert at == whole.size
    return whole


# Reading what the package writes, and writing what it does.


@given(st.dictionaries(names, arrays(), max_size=5), st.none() | st.dictionaries(texts, texts, max_size=1))
def test_layout_is_the_packages_own_byte_for_byte(tensors, metadata):
    assume(tensors or metadata != {})  # Of which the package makes what it can't read.
    assert written(tensors, metadata) == safetensors.numpy.save(tensors, metadata)


@given(st.dictionaries(names, arrays(), max_size=5), st.dictionaries(texts, texts, max_size=3), st.integers(1, 40))
def test_reads_what_the_package_writes(tensors, metadata, max_bytes):
    assume(tensors or metadata)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.safetensors")
        safetensors.numpy.save_file(tensors, path, metadata)
        with open_source(path) as source:
            assert source.metadata == metadata
            assert sorted(source.tensors(), key=lambda spec: spec.name) == sorted(
                specs_of(tensors), key=lambda spec: spec.name
            )
            for name, array in tensors.items():
                assert_same_bits(source.read(name), array, name)
                assert_same_bits(together(source, name, max_bytes), array, name)


@given(st.dictionaries(names, arrays(), max_size=5), st.dictionaries(texts, texts, max_size=3))
def test_the_package_reads_what_is_laid_out(tensors, metadata):
    found = dict(safetensors.deserialize(written(tensors, metadata)))
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert HELD[found[name]["dtype"]] == dtypes.name_of(array)
        assert tuple(found[name]["shape"]) == array.shape
        assert found[name]["data"] == array.tobytes()


def test_what_can_be_held():
    held = {dtype.name for dtype in dtypes.DTYPES if format_.can_hold(dtype.name)}
    assert held == set(HELD.values())


def test_layout_aligns_every_tensor():
    tensors = {name: np.ones(3, dtypes.BY_NAME[name].numpy) for name in HELD.values()}
    layout = format_.layout(specs_of(tensors))
    assert len(layout.header) % 8 == 0
    assert all(layout.offsets[name][0] % array.itemsize == 0 for name, array in tensors.items())
    assert [*layout.offsets][:: len(HELD) - 1] == ["uint64", "bool"]


def test_no_metadata_may_be_said(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(encoded({"__metadata__": None}))
    with open_source(path) as source:
        assert (source.metadata, source.tensors()) == ({}, [])


def test_metadata_is_sorted_and_none_is_not_empty():
    both = format_.layout([], {"b": "2", "a": "1"})
    assert both.header == b'\x28\0\0\0\0\0\0\0{"__metadata__":{"a":"1","b":"2"}}      '
    assert both == format_.layout([], {"a": "1", "b": "2"})
    assert format_.layout([]).header == b"\x08\0\0\0\0\0\0\0{}      "
    assert format_.layout([], {}).header == b'\x18\0\0\0\0\0\0\0{"__metadata__":{}}     '


@pytest.mark.parametrize(
    ("specs", "metadata", "kind", "message"),
    [
        (
            [("a", "string")],
            None,
            errors.UnimplementedError,
            "tensor 'a' is of type string, which safetensors doesn't have",
        ),
        ([("a", "int8"), ("a", "int8")], None, ValueError, "tensor 'a' is given twice"),
        (
            [("__metadata__", "int8")],
            None,
            ValueError,
            "safetensors can't hold a tensor called '__metadata__': the name is reserved",
        ),
        (
            [("a\udcff", "int8")],
            None,
            ValueError,
            "safetensors can't hold a tensor called 'a\\udcff': the name has no UTF-8",
        ),
        ([], {"a": 1}, TypeError, "metadata of safetensors is text, not 1"),
        ([], {"\ud800": "a"}, ValueError, "metadata has no UTF-8: '\\ud800'"),
    ],
)
def test_layout_refuses(specs, metadata, kind, message):
    with pytest.raises(kind) as caught:
        format_.layout([TensorSpec(name, dtype, (1,), 1) for name, dtype in specs], metadata)
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_layout_refuses_a_header_that_no_reader_takes():
    with pytest.raises(errors.LimitError) as caught:
        format_.layout([], {"a": "x" * 100_000_000})
    assert str(caught.value) == (
        "a safetensors header holds at most 100000000 bytes, that of 1 tensors would take 100000032: use more shards"
    )


# What arrays are.


def test_arrays_are_views_that_outlive_the_source_and_the_file(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = tmp_path / "model.safetensors"
    path.write_bytes(written({"a": array, "flag": np.array(True)}))
    source = open_source(path)
    view = source.read("a")
    pieces = list(source.chunks("a", 12))
    raw = source.raw("a")
    assert raw == RawBytes(str(path), path.stat().st_size - 25, 24, None)
    assert path.read_bytes()[raw.offset : raw.offset + raw.nbytes] == array.tobytes()
    assert source.raw("flag") is None
    source.close()
    path.unlink()
    assert not view.flags.writeable
    assert not view.flags.owndata
    assert_same_bits(view, array)
    assert [index for index, _ in pieces] == [(slice(0, 1, 1), slice(0, 3, 1)), (slice(1, 2, 1), slice(0, 3, 1))]
    assert [piece.tolist() for _, piece in pieces] == [[[0, 1, 2]], [[3, 4, 5]]]
    assert not any(piece.flags.owndata for _, piece in pieces)


def test_arrays_that_would_not_be_aligned_are_copies(tmp_path):
    array = np.arange(3, dtype=np.float64)
    header = {"pad": record(0, 1, [1]), "a": record(1, 25, [3], "F64")}
    (tmp_path / "model.safetensors").write_bytes(encoded(header, b"\x01" + array.tobytes()))
    with open_source(tmp_path / "model.safetensors") as source:
        assert source.read("a").flags.aligned
        assert_same_bits(source.read("a"), array)
        assert_same_bits(together(source, "a", 8), array)
        assert source.raw("a").offset % 8 != 0


def test_any_byte_but_zero_is_true(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(encoded({"a": record(0, 3, [3], "BOOL")}, b"\x00\x01\x80"))
    with open_source(tmp_path / "model.safetensors") as source:
        assert source.read("a").tobytes() == b"\x00\x01\x01"
        assert [piece.tobytes() for _, piece in source.chunks("a", 1)] == [b"\x00", b"\x01", b"\x01"]


@pytest.mark.parametrize(
    ("dtype", "shape", "nbytes"),
    [("F8_E8M0", [3], 3), ("F4", [4], 2), ("F6_E2M3", [4], 3), ("F6_E3M2", [4], 3), ("NEW_16", [4], 9)],
)
def test_types_that_tensorflow_lacks_are_listed_and_not_read(tmp_path, dtype, shape, nbytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(encoded({"a": record(0, nbytes, shape, dtype)}, bytes(nbytes)))
    with open_source(path) as source:
        assert source.tensors() == [TensorSpec("a", dtype, tuple(shape), nbytes)]
        assert source.raw("a") is None
        for call in (source.read, source.chunks):
            with pytest.raises(errors.UnimplementedError) as caught:
                call("a")
            assert str(caught.value) == (
                f"tensor 'a' in '{path}' is of type {dtype}, which TensorFlow's checkpoints don't have"
            )
            assert (caught.value.path, caught.value.tensor) == (str(path), "a")


@pytest.mark.parametrize("shape", [[1] * 65, [0, 2**63]])
def test_shapes_that_numpy_lacks_are_listed_and_not_read(tmp_path, shape):
    path = tmp_path / "model.safetensors"
    nbytes = int(0 not in shape)
    path.write_bytes(encoded({"a": record(0, nbytes, shape)}, bytes(nbytes)))
    with open_source(path) as source:
        assert source.tensors() == [TensorSpec("a", "uint8", tuple(shape), nbytes)]
        with pytest.raises(errors.UnimplementedError, match=r"^NumPy has no array of shape \[.*\] for 'a' in '"):
            source.read("a")


@pytest.mark.skipif(
    sys.platform != "linux" or tuple(map(int, platform.release().split(".")[:2])) < (5, 14),
    reason="touching the mapping would end this process",
)
def test_a_file_that_is_cut_short_while_it_is_mapped(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(written({"a": np.zeros(100_000)}))
    with open_source(path) as source:
        chunks = source.chunks("a", 1000)
        next(chunks)
        os.truncate(path, 4096)
        with pytest.raises(OSError, match="it can't be read to its end any more") as caught:
            list(chunks)
    assert caught.value.filename == str(path)


# Bad files.


def test_every_truncation_is_damage(tmp_path):
    content = written({"a": np.arange(3), "b": np.array(True)}, {"k": "v"})
    path = tmp_path / "model.safetensors"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(errors.DataLossError):
            open_source(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at 0: expected 8 bytes of the header's length, found a file of 0 bytes"),
        (b"\x02\0\0", "at 0: expected 8 bytes of the header's length, found a file of 3 bytes"),
        (bytes(8), "at 8: expected a header that begins with '{', found b''"),
        (b"\x03\0\0\0\0\0\0\0{}", "at 0: expected a header of 3 bytes after its length, found 2"),
        (
            b"\xff" * 8 + b"{}",
            "at 0: expected a header of at most 100000000 bytes, found a length of 18446744073709551615",
        ),
        (
            (100_000_001).to_bytes(8, "little") + b"{}",
            "at 0: expected a header of at most 100000000 bytes, found a length of 100000001",
        ),
        (
            b"PK\x03\x04" + bytes(60),
            "at 0: expected a header of 67324752 bytes after its length, found 56",
        ),
        (encoded(b"[]"), "at 8: expected a header that begins with '{', found b'['"),
        (encoded(b" {}"), "at 8: expected a header that begins with '{', found b' '"),
        (encoded(b'{"a":}'), "at 8: the header is no JSON: Expecting value: line 1 column 6 (char 5)"),
        (encoded(b"{}\0"), "at 8: the header is no JSON: Extra data: line 1 column 3 (char 2)"),
        (encoded(b'{"\xff":1}'), "at 8: the header is no JSON: byte 2 is no UTF-8"),
        (encoded(b'{"a":' + b"[" * 100_000), "at 8: the header is no JSON: it is nested too deeply"),
        (encoded(b'{"a":NaN}'), "at 8: the header is no JSON: NaN is no JSON"),
        (encoded(b'{"a":1,"b":2,"a":1}'), "at 8: the header is no JSON: the key 'a' is there twice"),
        (
            encoded(b'{"a":{"dtype":"U8","shape":[],"shape":[],"data_offsets":[0,1]}}', b"x"),
            "at 8: the header is no JSON: the key 'shape' is there twice",
        ),
        (encoded({"__metadata__": []}), "at 8: expected an object as __metadata__, found list"),
        (encoded({"__metadata__": {"a": 1}}), "at 8: expected text in __metadata__, found 1 as 'a'"),
        (encoded({"__metadata__": {"a": "\ud800"}}), "at 8: expected text in __metadata__, found '\\ud800' as 'a'"),
        (encoded({"\ud800": record(0, 0, [0])}), "at 8: the name '\\ud800' of a tensor has no UTF-8"),
        (
            encoded({"a": record(0, 4, [4])}, b"abc"),
            "at 71: expected 72 bytes, where the tensors end, found a file of 71 bytes",
        ),
        (
            encoded({"a": record(0, 2, [2])}, b"abc"),
            "at 71: expected 70 bytes, where the tensors end, found a file of 71 bytes",
        ),
        (encoded({}, b"abc"), "at 13: expected 10 bytes, where the tensors end, found a file of 13 bytes"),
    ],
)
def test_refuses_files(tmp_path, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == f"'{path}' is damaged or no safetensors file: {message}"
    assert (caught.value.path, caught.value.tensor) == (str(path), None)
    assert caught.value.offset == int(message.split(":", maxsplit=1)[0].removeprefix("at "))
    if content[8:9] != b" ":  # Which the format forbids, and the package allows.
        with pytest.raises(safetensors.SafetensorError):
            safetensors.numpy.load(content)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": 1}, "'a': expected an object, found int"),
        ({"a": {"dtype": "U8", "shape": [1]}}, "'a': its record has no 'data_offsets'"),
        ({"a": record(0, 8, [8], 7)}, "'a': expected the name of a dtype, found 7"),
        ({"a": record(0, 8, [8], "float32")}, "'a': expected the name of a dtype, found 'float32'"),
        ({"a": record(0, 8, "8")}, "'a': expected a shape of unsigned integers, found '8'"),
        ({"a": record(0, 8, [-8])}, "'a': expected a shape of unsigned integers, found [-8]"),
        ({"a": record(0, 8, [8.0])}, "'a': expected a shape of unsigned integers, found [8.0]"),
        ({"a": record(0, 8, [True, 8])}, "'a': expected a shape of unsigned integers, found [True, 8]"),
        (
            {"a": record(0, 8, [2**64])},
            "'a': expected a shape of unsigned integers, found [18446744073709551616]",
        ),
        (
            {"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 4, 8]}},
            "'a': expected two unsigned integers as data_offsets, found [0, 4, 8]",
        ),
        ({"a": record(-1, 8, [9])}, "'a': expected two unsigned integers as data_offsets, found [-1, 8]"),
        ({"a": record(1, 8, [7])}, "'a' at {0}: expected its bytes at {0}, where those before it end, found {1}"),
        (
            {"a": record(0, 4, [4]), "b": record(5, 8, [3])},
            "'b' at {4}: expected its bytes at {4}, where those before it end, found {5}",
        ),
        (
            {"a": record(0, 4, [4]), "b": record(3, 8, [5])},
            "'b' at {4}: expected its bytes at {4}, where those before it end, found {3}",
        ),
        (
            {"a": record(0, 8, [8]), "b": record(0, 8, [8])},
            "'b' at {8}: expected its bytes at {8}, where those before it end, found {0}",
        ),
        (
            {"a": record(0, 8, [8]), "b": record(8, 4, [4])},
            "'b' at {8}: its bytes end at {4}, before they begin",
        ),
        ({"a": record(0, 8, [3], "F32")}, "'a' at {0}: expected 12 bytes of F32 of shape [3], found 8 bytes"),
        (
            {"a": record(0, 8, [8, 2**61 + 1])},
            "'a' at {0}: expected 18446744073709551624 bytes of U8 of shape [8, 2305843009213693953], found 8 bytes",
        ),
        (
            {"a": record(0, 8, [3], "F4")},
            "'a' at {0}: expected a whole number of bytes, and not 12 bits, of F4 of shape [3], found 8 bytes",
        ),
    ],
)
def test_refuses_records(tmp_path, header, message):
    path = tmp_path / "model.safetensors"
    content = encoded(header, bytes(8))
    path.write_bytes(content)
    start = len(content) - 8
    expected = message.format(*range(start, start + 9)) if "{" in message else message
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == f"'{path}' is damaged or no safetensors file: tensor {expected}"
    assert (caught.value.path, caught.value.tensor) == (str(path), message[1])
    assert caught.value.offset == (int(expected.split(":")[0].split(" at ")[1]) if " at " in expected[:12] else 8)
    with pytest.raises(safetensors.SafetensorError):
        safetensors.numpy.load(content)


@given(st.data())
def test_refuses_what_the_package_refuses(data):
    """A header with one byte changed, removed or added."""
    content = bytearray(written({"a": np.ones((2, 2), np.float16), "b": np.ones(3, np.int8)}, {"k": "v"}))
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.sampled_from(b'0123456789{}[]":,aF\\ \x00\xff-.e') | st.integers(0, 255))
    changes = [lambda: content.__setitem__(at, byte), lambda: content.insert(at, byte), lambda: content.pop(at)]
    data.draw(st.sampled_from(changes))()
    try:
        expected = dict(safetensors.deserialize(bytes(content)))
    except safetensors.SafetensorError:
        expected = None
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.safetensors")
        path.write_bytes(content)
        try:
            with open_source(path) as source:
                found = {spec.name: (spec.shape, spec.nbytes) for spec in source.tensors()}
                unknown = [spec for spec in source.tensors() if spec.dtype.isupper()]
        except errors.DataLossError:
            found, unknown = None, []
        if expected is None:
            assert found is None or unknown
        elif found is not None:
            assert found == {name: (tuple(it["shape"]), len(it["data"])) for name, it in expected.items()}


# Several files.


@pytest.fixture
def sharded(tmp_path):
    """Tensors in two files and an index."""
    first = {"b": np.arange(4, dtype=np.int16), "a": np.array(2.5)}
    second = {"c": np.ones((2, 3), ml_dtypes.bfloat16)}
    for number, tensors in enumerate((first, second), 1):
        content = written(tensors, {"format": "np", f"of {number}": "yes"})
        (tmp_path / f"model-0000{number}-of-00002.safetensors").write_bytes(content)
    write_index(tmp_path, {"b": 1, "a": 1, "c": 2})
    return tmp_path, first | second


def write_index(directory: Path, places: dict[str, int | str]) -> Path:
    names_ = {
        name: f"model-0000{place}-of-00002.safetensors" if isinstance(place, int) else place
        for name, place in places.items()
    }
    path = directory / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names_}))
    return path


def test_an_index_or_its_directory_opens_all_files(sharded):
    directory, tensors = sharded
    index = directory / "model.safetensors.index.json"
    for path in (directory, index, str(directory) + os.sep):
        with open_source(path) as source:
            assert (source.kind, source.path) == ("safetensors", str(index))
            assert source.metadata == {"format": "np", "of 1": "yes", "of 2": "yes"}
            assert source.tensors() == [
                TensorSpec("b", "int16", (4,), 8),
                TensorSpec("a", "float64", (), 8),
                TensorSpec("c", "bfloat16", (2, 3), 12),
            ]
            for name, array in tensors.items():
                assert_same_bits(source.read(name), array)
                assert_same_bits(together(source, name, 2), array)
            assert source.raw("c").path == str(directory / "model-00002-of-00002.safetensors")
            with pickle.loads(pickle.dumps(source)) as again:
                assert_same_bits(again.read("c"), tensors["c"])


@pytest.mark.parametrize("place", ["../x.safetensors", "/etc/passwd", "a/../../x", "", "a\0b", "..", "."])
def test_an_index_may_not_name_files_elsewhere(sharded, place):
    directory, _ = sharded
    index = write_index(directory, {"b": 1, "a": 1, "c": place})
    with pytest.raises(errors.DataLossError) as caught:
        open_source(index)
    assert str(caught.value) == f"'{index}' names a file outside its directory: {place!r}"


def test_links_may_not_leave_the_directory_either(sharded):
    directory, _ = sharded
    inside = directory / "inside"
    inside.mkdir()
    for path in directory.glob("model-*"):
        (inside / path.name).symlink_to(path)
    index = write_index(inside, {"b": 1, "a": 1, "c": 2})
    with pytest.raises(errors.DataLossError) as caught:
        open_source(index)
    assert str(caught.value) == f"'{index}' names a file outside its directory: 'model-00001-of-00002.safetensors'"


def test_links_may_lead_to_where_the_index_lies_itself(sharded):
    directory, tensors = sharded
    snapshot = directory / "snapshot"
    snapshot.mkdir()
    for path in directory.glob("model*"):
        blob = path.rename(directory / f"blob-{path.name.rpartition('.')[0]}")
        (snapshot / path.name).symlink_to(blob)
    with open_source(snapshot) as source:
        assert_same_bits(source.read("c"), tensors["c"])


def test_a_missing_file_is_named(sharded):
    directory, _ = sharded
    missing = directory / "model-00002-of-00002.safetensors"
    missing.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        open_source(directory)
    assert caught.value.filename == str(missing)
    assert caught.value.strerror == "'model.safetensors.index.json' names this file, which is missing"


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"b": 1, "a": 1, "c": 2, "d": 2}, "'{2}' has no tensor 'd', which is there by '{0}'"),
        ({"b": 1, "a": 1, "c": 1}, "'{1}' has no tensor 'c', which is there by '{0}'"),
        ({"b": 1, "c": 2}, "'{1}' has tensor 'a', which isn't anywhere by '{0}'"),
    ],
)
def test_an_index_and_its_files_must_agree(sharded, places, message):
    directory, _ = sharded
    index = write_index(directory, places)
    paths = [index, *sorted(directory.glob("model-*"))]
    with pytest.raises(errors.DataLossError) as caught:
        open_source(directory)
    assert str(caught.value) == message.format(*paths)


def test_a_tensor_in_two_files_is_refused(sharded):
    directory, tensors = sharded
    second = directory / "model-00002-of-00002.safetensors"
    second.write_bytes(written({"c": tensors["c"], "a": np.array(7.5)}))
    with pytest.raises(errors.DataLossError) as caught:
        open_source(directory)
    index = directory / "model.safetensors.index.json"
    assert str(caught.value) == (
        f"'{second}' has tensor 'a', which is in 'model-00001-of-00002.safetensors' by '{index}'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "it is no JSON: expected an object, found list"),
        (b"{}", "expected an object as 'weight_map', found none"),
        (b'{"weight_map":[]}', "expected an object as 'weight_map', found list"),
        (b'{"weight_map":{"a":1}}', "expected the name of a file for tensor 'a', found 1"),
        (b'{"weight_map":{"a":"x","a":"y"}}', "it is no JSON: the key 'a' is there twice"),
    ],
)
def test_refuses_indexes(tmp_path, text, message):
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(text)
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == f"'{path}' is damaged or no index of safetensors files: {message}"


# Distributing tensors over files.


def test_split_fills_files_in_order_and_gives_large_tensors_their_own():
    sizes = [6, 6, 2, 6, 2, 2, 11, 3, 0]
    specs = [TensorSpec(str(number), "uint8", (size,), size) for number, size in enumerate(sizes)]
    assert [[spec.nbytes for spec in file] for file in format_.split(specs, 10)] == [
        [6],
        [6, 2],
        [11],
        [6, 2, 2],
        [3, 0],
    ]
    assert format_.split([], 10) == []


def test_names_of_files():
    assert format_.shard_names("model", 1) == ["model.safetensors"]
    assert format_.shard_names("m", 2) == ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"]


def test_index_is_written_as_transformers_does():
    text = format_.index_json({"b": "y", "a/\u00e9": "x"}, 12)
    assert text == (
        b'{\n  "metadata": {\n    "total_size": 12\n  },\n'
        b'  "weight_map": {\n    "a/\\u00e9": "x",\n    "b": "y"\n  }\n}\n'
    )
    assert format_.parse_index(text, "index") == {"a/\u00e9": "x", "b": "y"}
