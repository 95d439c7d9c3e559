"""``tensorbundle cat``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle
from support.cli import bytes_of, invoke, run_on_a_terminal

import tensorbundle as tb
from tensorbundle.cli import index_text

KERNEL = np.arange(2400, dtype=np.float32).reshape(40, 60) / 7
TENSORS = {
    "kernel": KERNEL,
    "a[0]": np.arange(3),
    "big": np.arange(5000),
    "scalar": np.float64(0.1),
    "empty": np.zeros((0, 3), np.int32),
    "flags": np.array([True, False]),
    "odd": np.array([np.nan, np.inf, -np.inf, 1.5]),
    "complex": np.array([1 + 2j, complex(np.nan, 0)]),
    "strings": [b"plain", b"\x1b[31m\xff", b""],
    "text": [b"alone\n\x00"],
}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    import ml_dtypes

    tensors = {**TENSORS, "half": np.array([1.5, -2.0], ml_dtypes.bfloat16)}
    return write_bundle(tmp_path_factory.mktemp("cat") / "ckpt", tensors).prefix


def printed(prefix: Path, *arguments: object) -> str:
    result = invoke("cat", prefix, *arguments)
    assert (result.code, result.err) == (0, ""), result
    return result.out


def piped(prefix: Path, *arguments: str) -> bytes:
    return bytes_of("cat", prefix, *arguments)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("kernel", ()),
        ("kernel[3]", 3),
        ("kernel[-1, 2]", (-1, 2)),
        ("kernel[10:16, :]", np.s_[10:16, :]),
        ("kernel[ ::-2 , 5: ]", np.s_[::-2, 5:]),
        ("kernel[..., 0]", np.s_[..., 0]),
        ("kernel[None, 1:2, -3:]", np.s_[None, 1:2, -3:]),
        ("kernel[]", ()),
        ("a[0]", ()),
        ("a[0][1:]", np.s_[1:]),
        ("scalar", ()),
        ("scalar[...]", ...),
        ("empty", ()),
        ("flags", ()),
        ("big", ()),
        ("half", ()),
        ("odd", ()),
    ],
)
def test_prints_as_numpy_does(prefix, text, index):
    with tb.open(prefix) as ckpt:
        name = text if text in ckpt else text.rpartition("[")[0]
        expected = str(ckpt[name][index])
    if text == "kernel[]":
        assert invoke("cat", prefix, text).code == 2
    else:
        assert printed(prefix, text) == f"{expected}\n"


def test_full_and_precision(prefix):
    assert "..." in printed(prefix, "big")
    assert (
        printed(prefix, "big", "--full").split()
        == str(TENSORS["big"].tolist()).replace(",", "").replace("[0", "[   0").split()
    )
    assert printed(prefix, "kernel[0, :3]", "--precision", 2) == "[0.   0.14 0.29]\n"


def test_strings_are_shown_safely(prefix):
    assert printed(prefix, "strings") == "[b'plain' b'\\x1b[31m\\xff' b'']\n"
    assert printed(prefix, "strings[1:]") == "[b'\\x1b[31m\\xff' b'']\n"


def test_only_the_part_is_read(tmp_path):
    """What is damaged elsewhere does not matter."""

    def damage(_: int, data: bytearray) -> None:
        data[9000] ^= 1

    prefix = write_bundle(tmp_path / "ckpt", {"kernel": KERNEL}, mutate=Mutations(data=damage)).prefix
    assert printed(prefix, "kernel[0, :3]") == f"{KERNEL[0, :3]}\n"
    result = invoke("cat", prefix, "kernel")
    assert (result.code, result.out) == (3, "")
    assert "Checksum does not match" in result.err


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("kernel[0, :2]", [0.0, float(KERNEL[0, 1])]),
        ("scalar", 0.1),
        ("empty", []),
        ("flags", [True, False]),
        ("odd", ["NaN", "Infinity", "-Infinity", 1.5]),
        ("complex", [[1.0, 2.0], ["NaN", 0.0]]),
        ("strings", ["plain", "\x1b[31m\\xff", ""]),
        ("half", [1.5, -2.0]),
    ],
)
def test_as_json(prefix, name, values):
    described = json.loads(printed(prefix, name, "--json"))
    assert described["values"] == values
    assert described == json.loads(printed(prefix, name, "--format", "json"))
    with tb.open(prefix) as ckpt:
        bare = name if name in ckpt else name.partition("[")[0]
        assert (described["name"], described["dtype"]) == (bare, ckpt.entry(bare).tf_dtype)
    assert described["index"] == (None if bare == name else "0, :2")


@pytest.mark.parametrize("name", ["kernel", "kernel[::-3, 1]", "scalar", "empty", "flags", "complex"])
def test_npy_and_raw(prefix, name):
    with tb.open(prefix) as ckpt:
        array = ckpt["kernel"][::-3, 1] if name.endswith("]") else ckpt[name]
    loaded = np.load(io.BytesIO(piped(prefix, name, "--format", "npy")), allow_pickle=False)
    assert (loaded.dtype, loaded.shape, loaded.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert piped(prefix, name, "--format", "raw") == array.tobytes()


def test_raw_forms_of_what_npy_cannot_hold(prefix):
    assert piped(prefix, "half", "--format", "raw") == b"\xc0\x3f\x00\xc0"
    assert piped(prefix, "text", "--format", "raw") == b"alone\n\x00"
    for arguments, text in (
        (["half", "--format", "npy"], "'half' is of bfloat16, which .npy files can't hold"),
        (["strings", "--format", "npy"], "'strings' is of string, which .npy files can't hold"),
        (["strings", "--format", "raw"], "'strings' has 3 strings, which raw bytes could not tell apart"),
    ):
        result = invoke("cat", prefix, *arguments)
        assert (result.code, result.out) == (2, "")
        assert text in result.err


def test_binary_is_not_for_a_terminal(prefix):
    for form in ("npy", "raw"):
        code, written = run_on_a_terminal("cat", prefix, "kernel", "--format", form)
        assert code == 2
        assert f"--format {form} is not for a terminal" in written


def test_big_endian_is_little_endian_when_raw(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.array([1, 2], np.int32)}, endianness="big").prefix
    assert piped(prefix, "w", "--format", "raw") == b"\x01\0\0\0\x02\0\0\0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel[a]", "'a' is no integer, slice, '...' or 'None'"),
        ("kernel[__import__('os')]", "is no integer, slice"),
        ("kernel[1e3]", "'1e3' is no integer"),
        ("kernel[1:2:3:4]", "'1:2:3:4' is no slice: START:STOP:STEP"),
        ("kernel[::0]", "zero"),
        ("kernel[40]", "index 40 is out of bounds for axis 0 with size 40"),
        ("kernel[1, 2, 3]", "too many indices for array"),
        ("kernel[..., ...]", "an index can only have a single ellipsis"),
        ("kernel[99999999999999999999]", "is no integer"),
        ("kernel[[1, 2]]", "'2]' is no integer"),
        ("kernels", "the nearest names are 'kernel'"),
    ],
)
def test_wrong_index(prefix, text, message):
    result = invoke("cat", prefix, text)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_by_path(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", {"model": {"w": np.arange(3)}})
    assert printed(Path(prefix), "model/w[1:]", "--names", "path") == "[1 2]\n"


@pytest.mark.parametrize(
    ("text", "index"),
    [("1", (1,)), ("+1,", (1,)), ("1:None", (slice(1, None),)), (" ... ", (...,)), ("np.newaxis,-1", (None, -1))],
)
def test_index_text(text, index):
    assert index_text.parse(text) == index


@pytest.mark.parametrize("text", ["", ",", "1,,2", "1 2", "0x1", "\u0661", "1:2:x", "True"])
def test_what_is_no_index(text):
    with pytest.raises(ValueError, match="is no integer"):
        index_text.parse(text)
