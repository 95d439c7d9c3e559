"""NumPy's ``.npz`` files: read as NumPy does, but for pickles; written as it writes them; whatever they claim."""

from __future__ import annotations

import io
import pickle
import re
import struct
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import dtypes, values
from support.hashing import assert_same_bits
from support.strategies import shapes

from tensorbundle import errors
from tensorbundle.formats import RawBytes, TensorSpec, npz, open_source

HELD = {
    "bool",
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
}
# As members of a zip file are called.
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
SAVES = pytest.mark.parametrize("save", [np.savez, np.savez_compressed])


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of either byte order, and of any layout."""
    array = values.filled(draw(st.sampled_from(sorted(HELD))), draw(shapes), draw(st.integers(0, 300)))
    if draw(st.booleans()):
        array = array.astype(array.dtype.newbyteorder(">"))
    return np.asfortranarray(array) if draw(st.booleans()) else array


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An ``.npy`` file of any header."""
    text = header.encode()
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + data


def described(descr: object, shape: tuple[int, ...], *, fortran: bool = False) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def together(source: object, name: str, max_bytes: int) -> np.ndarray:
    """A tensor put together from its chunks."""
    spec = next(spec for spec in source.tensors() if spec.name == name)
    pieces = list(source.chunks(name, max_bytes))
    whole = np.empty(spec.shape, pieces[0][1].dtype)
    for index, array in pieces:
        assert array.dtype.hasobject or array.nbytes <= max(max_bytes, array.itemsize)
        assert array.flags.c_contiguous
        assert array.dtype.isnative
        whole[index] = array
    assert sum(array.size for _, array in pieces) == whole.size
    return whole


def native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="))


# Reading what NumPy writes, and writing what it does.


@given(st.dictionaries(names, arrays(), max_size=4), st.booleans(), st.integers(1, 40))
def test_reads_what_numpy_writes(tensors, compressed, max_bytes):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "a.npz")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
            for name, array in tensors.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        with open_source(path) as source:
            assert (source.kind, source.path, source.metadata) == ("npz", str(path), {})
            assert source.tensors() == [
                TensorSpec(name, native(array).dtype.name, array.shape, array.nbytes) for name, array in tensors.items()
            ]
            for name, array in tensors.items():
                assert_same_bits(source.read(name), native(array), name)
                assert_same_bits(together(source, name, max_bytes), native(array), name)


@given(st.dictionaries(names, arrays(), max_size=4), st.data())
def test_writes_what_numpy_does_byte_for_byte(tensors, data):
    ours, numpys = io.BytesIO(), io.BytesIO()
    with npz.Writer(ours) as writer:
        for name, array in tensors.items():
            flat = array.reshape(-1)
            cuts = sorted(data.draw(st.lists(st.integers(0, flat.size), max_size=3)))
            writer.add(name, native(array).dtype.name, array.shape, np.split(flat, cuts))
    with zipfile.ZipFile(numpys, "w", zipfile.ZIP_STORED) as archive:
        for name, array in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(native(array)).reshape(array.shape))
    assert ours.getvalue() == numpys.getvalue()
    ours.seek(0)
    with np.load(ours, allow_pickle=False) as loaded:
        assert loaded.files == list(tensors)
        for name, array in tensors.items():
            assert_same_bits(loaded[name], native(array), name)


def test_writes_the_file_of_savez(tmp_path):
    tensors = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array(7)}
    np.savez(tmp_path / "numpys.npz", **tensors)
    with open(tmp_path / "ours.npz", "wb") as file, npz.Writer(file) as writer:
        for name, array in tensors.items():
            writer.add(name, array.dtype.name, array.shape, [array])
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "numpys.npz").read_bytes()


def test_what_can_be_held():
    assert {dtype.name for dtype in dtypes.DTYPES if npz.can_hold(dtype.name)} == HELD


@SAVES
def test_strings_become_bytes_without_their_padding(tmp_path, save):
    tensors = {
        "S": np.array([[b"a\0b", b""], [b"\xff", b"cd\0"]]),
        "U": np.array(["gr\u00fc\u00df", "", "\U0001f600", "abc"]),
        "big": np.array(["\u4f60\u597d", "b"], ">U2"),
        "scalar": np.array("x"),
        "none": np.array([], "S3"),
        "columns": np.asfortranarray(np.array([["a", "bb"], ["c", "dd"]])),
    }
    save(tmp_path / "a.npz", **tensors)
    with open_source(tmp_path / "a.npz") as source:
        for spec in source.tensors():
            array = tensors[spec.name]
            assert spec == TensorSpec(spec.name, "string", array.shape, array.nbytes)
            expected = [text.encode() if isinstance(text, str) else text for text in array.reshape(-1).tolist()]
            for found in (source.read(spec.name), together(source, spec.name, 1)):
                assert found.dtype == object
                assert found.shape == array.shape
                assert found.reshape(-1).tolist() == expected
            assert source.raw(spec.name) is None


def test_chunks_of_strings_count_what_python_takes_for_them(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.full(100, b"ab"))
    with open_source(tmp_path / "a.npz") as source:
        assert [array.size for _, array in source.chunks("a", 66 * 30)] == [30, 30, 30, 10]


@pytest.mark.parametrize(
    ("array", "dtype", "message"),
    [
        (
            np.array([{"a": 1}], object),
            "|O",
            "array 'a' in '{}' is of Python objects: it is a pickle, which can run any program",
        ),
        (
            np.array(["2026-01-01"], "M8[D]"),
            "<M8[D]",
            "tensor 'a' in '{}' is of type <M8[D], which TensorFlow's checkpoints don't have",
        ),
        (
            np.zeros(2, [("x", "<f4"), ("y", "i1")]),
            "[('x', '<f4'), ('y', '|i1')]",
            "tensor 'a' in '{}' is of type [('x', '<f4'), ('y', '|i1')], which TensorFlow's checkpoints don't have",
        ),
        (
            np.zeros(2, np.void(2).dtype),
            "|V2",
            "tensor 'a' in '{}' is of type |V2, which TensorFlow's checkpoints don't have",
        ),
    ],
)
def test_types_that_tensorflow_lacks_are_listed_and_not_read(tmp_path, array, dtype, message):
    path = tmp_path / "a.npz"
    np.savez(path, a=array, b=np.array([1]))
    with open_source(path, verify=False) as source:
        assert [(spec.name, spec.dtype, spec.shape) for spec in source.tensors()] == [
            ("a", dtype, array.shape),
            ("b", "int64", (1,)),
        ]
        assert source.raw("a") is None
        for call in (source.read, source.chunks):
            with pytest.raises(errors.UnimplementedError) as caught:
                call("a")
            assert str(caught.value) == message.format(path)
        assert source.read("b").tolist() == [1]


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    np.savez(tmp_path / "a.npz", a=np.array([Bomb()], object))
    with open_source(tmp_path / "a.npz") as source, pytest.raises(errors.UnimplementedError):
        source.read("a")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00"])
def test_every_version_of_the_header(tmp_path, version):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(described("<i2", (2,)), b"\x01\0\x02\0", version)})
    with open_source(path) as source:
        assert source.read("a").tolist() == [1, 2]


def test_any_byte_but_zero_is_true(tmp_path):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(described("|b1", (3,)), b"\x00\x01\x80")})
    with open_source(path) as source:
        assert source.read("a").tobytes() == b"\x00\x01\x01"


def test_members_without_a_suffix_and_directories(tmp_path):
    content = npy(described("|u1", (1,)), b"\x05")
    path = zipped(tmp_path / "a.npz", {"d/": b"", "d/a.npy": content, "b": content})
    with open_source(path) as source:
        assert [spec.name for spec in source.tensors()] == ["d/a", "b"]
        assert source.read("d/a").tolist() == [5]


def test_a_member_without_a_name(tmp_path):
    path = zipped(tmp_path / "a.npz", {".npy": npy(described("|u1", (1,)), b"\x05")})
    with open_source(path) as source:
        assert source.read("").tolist() == [5]


def test_a_file_without_arrays(tmp_path):
    np.savez(tmp_path / "a.npz")
    with open_source(tmp_path / "a.npz") as source:
        assert source.tensors() == []


# The place of the bytes.


def test_raw_is_given_of_stored_row_major_little_endian_elements_that_are_not_to_be_verified(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = {
        "a": array,
        "empty": np.zeros((0, 2)),
        "one row": np.asfortranarray(array[:1]),
        "columns": np.asfortranarray(array),
        "big": array.astype(">f4"),
        "flag": np.array(True),
    }
    np.savez(tmp_path / "stored.npz", **tensors)
    np.savez_compressed(tmp_path / "deflated.npz", **tensors)
    content = (tmp_path / "stored.npz").read_bytes()
    with open_source(tmp_path / "stored.npz", verify=False) as source:
        for name in ("a", "empty", "one row"):
            raw = source.raw(name)
            assert raw == RawBytes(str(tmp_path / "stored.npz"), raw.offset, tensors[name].nbytes, None)
            assert content[raw.offset : raw.offset + raw.nbytes] == tensors[name].tobytes()
        assert [name for name in tensors if source.raw(name) is None] == ["columns", "big", "flag"]
    for path, verify in (("stored.npz", True), ("deflated.npz", False)):
        with open_source(tmp_path / path, verify=verify) as source:
            assert [source.raw(name) for name in tensors] == [None] * 6


# Bad files.


@SAVES
@pytest.mark.parametrize("fortran", [False, True])
def test_a_flipped_bit_is_found_when_the_array_ends(tmp_path, save, fortran):
    path = tmp_path / "a.npz"
    array = np.random.default_rng(0).integers(0, 255, (100, 7), np.uint8)
    save(path, a=np.asfortranarray(array) if fortran else array)
    content = bytearray(path.read_bytes())
    content[-200] ^= 0x40
    path.write_bytes(content)
    with open_source(path) as source:
        for read in (source.read, lambda name: list(source.chunks(name, 70))):
            with pytest.raises(errors.DataLossError) as caught:
                read("a")
            assert str(caught.value).startswith(f"array 'a' in '{path}' is damaged: ")
            assert (caught.value.path, caught.value.tensor) == (str(path), "a")
    if save is np.savez:
        assert str(caught.value) == f"array 'a' in '{path}' is damaged: Bad CRC-32 for file 'a.npy'"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip file at all", bytes(100)])
def test_refuses_what_is_no_zip_file(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == f"'{path}' is damaged or no zip file: File is not a zip file"
    assert caught.value.path == str(path)


def test_every_truncation_is_damage(tmp_path):
    np.savez(tmp_path / "whole.npz", a=np.arange(3), b=np.array(1))
    content = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "a.npz"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(errors.DataLossError):
            open_source(path)


GOOD = described("<f4", (2,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"expected b'\x93NUMPY', found b''"),
        (b"hello world", r"expected b'\x93NUMPY', found b'hello '"),
        (b"\x93NUMPY", "expected version 1.0, 2.0 or 3.0, found nothing"),
        (b"\x93NUMPY\x04\x00", "expected version 1.0, 2.0 or 3.0, found 4.0"),
        (b"\x93NUMPY\x01\x01", "expected version 1.0, 2.0 or 3.0, found 1.1"),
        (b"\x93NUMPY\x02\x00\x01", "expected 4 bytes of the header's length, found 1"),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
            "expected a header of at most 10000 bytes, found a length of 4294967295",
        ),
        (b"\x93NUMPY\x01\x00\x10\x00{}", "expected a header of 16 bytes, found 2"),
        (npy("{}"), "expected a header with the keys ['descr', 'fortran_order', 'shape'], found {}"),
        (npy("[1]"), "expected a header with the keys ['descr', 'fortran_order', 'shape'], found [1]"),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}"),
            (
                "expected a header with the keys ['descr', 'fortran_order', 'shape'], "
                "found {'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}"
            ),
        ),
        (npy(described("<f4", [2])), "expected a shape, found [2]"),
        (npy(described("<f4", (-2,))), "expected a shape, found (-2,)"),
        (npy(described("<f4", (True,))), "expected a shape, found (True,)"),
        (npy(described("<f4", (2**63,))), "expected a shape, found (9223372036854775808,)"),
        (npy(described("<f4", (2,), fortran=1)), "expected True or False as fortran_order, found 1"),
        (npy(GOOD, bytes(7)), "expected 8 bytes of <f4 of shape [2], found 7"),
        (npy(GOOD, bytes(9)), "expected 8 bytes of <f4 of shape [2], found 9"),
        (npy(described("<U3", (2,)), bytes(6)), "expected 24 bytes of <U3 of shape [2], found 6"),
        (
            npy(described("<f4", (2**62, 2**62))),
            (
                "expected 85070591730234615865843651857942052864 bytes of <f4 of shape "
                "[4611686018427387904, 4611686018427387904], found 0"
            ),
        ),
    ],
)
def test_refuses_arrays(tmp_path, content, message):
    path = zipped(tmp_path / "a.npz", {"a.npy": content})
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == f"array 'a' in '{path}' is damaged: {message}"
    assert (caught.value.path, caught.value.tensor) == (str(path), "a")


@pytest.mark.parametrize("text", ["{", "{'a': b}", "__import__('os')", "(" * 5000, "1 +", "\0"])
def test_headers_are_never_evaluated(tmp_path, text):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(text)})
    expected = r"^array 'a' in '.*' is damaged: the header b.* is no dictionary of Python's: "
    with pytest.raises(errors.DataLossError, match=expected):
        open_source(path)


@pytest.mark.parametrize("shape", [(1,) * 65, (0, 2**62, 2**62)])
def test_shapes_that_numpy_lacks_are_listed_and_not_read(tmp_path, shape):
    nbytes = int(0 not in shape)
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(described("|u1", shape), bytes(nbytes))})
    with open_source(path) as source:
        assert source.tensors() == [TensorSpec("a", "uint8", shape, nbytes)]
        with pytest.raises(errors.UnimplementedError, match=r"^NumPy has no array of shape \[.*\] for 'a' in '"):
            source.read("a")


def test_strings_of_no_width_are_not_read(tmp_path):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(described("|S0", (10**18,)))})
    with open_source(path) as source, pytest.raises(errors.UnimplementedError, match=r"is of type \|S0, which"):
        source.read("a")


def test_code_points_that_are_none(tmp_path):
    bad = {
        "a.npy": npy(described("<U1", (1,)), b"\xff\xff\xff\x7f"),
        "b.npy": npy(described("<U1", (1,)), b"\0\xd8\0\0"),
    }
    with open_source(zipped(tmp_path / "a.npz", bad)) as source:
        for name in "ab":
            with pytest.raises(errors.DataLossError, match=rf"^array '{name}' in '.*' is damaged: "):
                source.read(name)


def test_an_array_that_is_there_twice(tmp_path):
    content = npy(described("|u1", (1,)), b"\x05")
    path = zipped(tmp_path / "a.npz", {"a": content, "a.npy": content})
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == f"'{path}' is damaged: array 'a' is there twice"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_numpy_does_not_use(tmp_path, method):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(GOOD, bytes(8))}, method)
    with pytest.raises(errors.UnimplementedError) as caught:
        open_source(path)
    assert str(caught.value) == (
        f"array 'a' in '{path}': it is compressed by method {method} of zip files, which NumPy doesn't use"
    )


def patched(path: Path, change: dict[int, bytes]) -> Path:
    """Changes fields of the only record in a zip file's directory."""
    content = bytearray(path.read_bytes())
    record = content.index(b"PK\x01\x02")
    for offset, value in change.items():
        content[record + offset : record + offset + len(value)] = value
    path.write_bytes(content)
    return path


def test_an_encrypted_member(tmp_path):
    path = patched(zipped(tmp_path / "a.npz", {"a.npy": npy(GOOD, bytes(8))}), {8: b"\x01\x00"})
    with pytest.raises(errors.UnimplementedError) as caught:
        open_source(path)
    assert str(caught.value) == f"array 'a' in '{path}': it is encrypted"


def test_sizes_that_are_not_there(tmp_path):
    huge = struct.pack("<I", 0x7FFFFFFF)
    path = patched(zipped(tmp_path / "a.npz", {"a.npy": npy(GOOD, bytes(8))}), {20: huge, 24: huge})
    size = path.stat().st_size
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == (
        f"array 'a' in '{path}' is damaged: expected at most the file's {size} bytes, found a size of 2147483647"
    )


def test_a_claim_that_no_compression_meets(tmp_path):
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(GOOD, bytes(8))}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        packed = archive.infolist()[0].compress_size
    patched(path, {24: struct.pack("<I", 1 << 30)})
    with pytest.raises(errors.DataLossError) as caught:
        open_source(path)
    assert str(caught.value) == (
        f"array 'a' in '{path}' is damaged: {packed} stored bytes can't be 1073741824: expected at most {packed * 1032}"
    )


def test_a_claim_of_more_than_there_is_takes_no_memory(tmp_path):
    """A member that says it is a thousand times its bytes, and ends early."""
    claimed = 1_000_000_000
    header = npy(described("|u1", (claimed,)))
    noise = np.random.default_rng(0).integers(0, 255, 1 << 20, np.uint8).tobytes()
    path = zipped(tmp_path / "a.npz", {"a.npy": header + noise}, zipfile.ZIP_DEFLATED)
    patched(path, {24: struct.pack("<I", len(header) + claimed)})
    with open_source(path) as source:
        tracemalloc.start()
        with pytest.raises(errors.DataLossError) as caught:
            list(source.chunks("a", 4 << 20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert re.fullmatch(r"array 'a' in '.*' is damaged: (it ends \d+ bytes early|Bad CRC-32 for .*)", str(caught.value))
    assert peak < 16 << 20


@SAVES
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_is_that_of_a_chunk(tmp_path, save, order):
    array = np.zeros((4096, 2048), np.float32, order=order)
    array[:, 5] = np.arange(4096)
    save(tmp_path / "a.npz", a=array)
    with open_source(tmp_path / "a.npz") as source:
        tracemalloc.start()
        total = sum(float(piece.sum()) for _, piece in source.chunks("a", 1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == 4096 * 4095 / 2
    assert peak < 6 << 20


@given(st.data())
def test_a_changed_byte_is_found_or_changes_nothing(data):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(["x", "yz"])}
    file = io.BytesIO()
    (np.savez_compressed if data.draw(st.booleans()) else np.savez)(file, **tensors)
    content = bytearray(file.getvalue())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "a.npz")
        path.write_bytes(content)
        try:
            with open_source(path) as source:
                for position, spec in enumerate(source.tensors()):  # Whose names no checksum is of.
                    assert_same_bits(source.read(spec.name), [*tensors.values()][position])
        except (errors.DataLossError, errors.UnimplementedError):
            pass


# Its life.


def test_a_pickle_opens_the_same_file(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(3))
    with open_source(tmp_path / "a.npz", verify=False) as source:
        pickled = pickle.dumps(source)
        with pickle.loads(pickled) as again:
            assert again.read("a").tolist() == [0, 1, 2]
            assert again.raw("a") == source.raw("a")
    np.savez(tmp_path / "a.npz", a=np.arange(4))
    with pytest.raises(errors.DataLossError, match=r"^another file is at '.*' now than the one that was pickled$"):
        pickle.loads(pickled)


def test_arrays_and_iterators_outlive_the_source_and_the_file(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(6))
    source = open_source(tmp_path / "a.npz")
    pieces = source.chunks("a", 16)
    first = next(pieces)[1]
    source.close()
    (tmp_path / "a.npz").unlink()
    assert [array.tolist() for _, array in pieces] == [[2, 3], [4, 5]]
    assert first.tolist() == [0, 1]


# Writing.


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "chunks", "kind", "message"),
    [
        (
            "a",
            "bfloat16",
            (1,),
            [],
            errors.UnimplementedError,
            "tensor 'a' is of type bfloat16, which .npz files can't hold",
        ),
        (
            "a",
            "string",
            (1,),
            [],
            errors.UnimplementedError,
            "tensor 'a' is of type string, which .npz files can't hold",
        ),
        ("a\0", "int8", (0,), [], ValueError, r".npz files can't hold a tensor called 'a\x00': it has a zero in it"),
        ("\udcff", "int8", (0,), [], ValueError, r".npz files can't hold a tensor called '\udcff': it has no UTF-8"),
        (
            "x" * 65532,
            "int8",
            (0,),
            [],
            ValueError,
            f".npz files can't hold a tensor called {'x' * 200!r}: it is too long",
        ),
        ("there", "int8", (0,), [], ValueError, ".npz files can't hold a tensor called 'there': it is given twice"),
        ("a", "int8", (3,), [np.zeros(2, np.int8)], ValueError, "tensor 'a': chunks of 2 elements for shape [3]"),
        ("a", "int8", (3,), [np.zeros(4, np.int8)], ValueError, "tensor 'a': chunks of 4 elements for shape [3]"),
        ("a", "int8", (3,), [np.zeros(3, np.uint8)], TypeError, "tensor 'a': expected a chunk of int8, found uint8"),
    ],
)
def test_writer_refuses(name, dtype, shape, chunks, kind, message):
    file = io.BytesIO()

    def write():
        with npz.Writer(file) as writer:
            writer.add("there", "int8", (1,), [np.ones(1, np.int8)])
            writer.add(name, dtype, shape, chunks)

    with pytest.raises(kind) as caught:
        write()
    assert str(caught.value) == message
    with pytest.raises(zipfile.BadZipFile):  # Without the end, which would make it whole.
        zipfile.ZipFile(file)


def test_writer_closes_once_and_leaves_the_file_open():
    file = io.BytesIO()
    writer = npz.Writer(file)
    writer.add("a", "int8", (), [np.array(3, np.int8)])
    writer.close()
    writer.close()
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        assert loaded["a"] == 3
