"""The files of a save: how many, how large, where in them the tensors lie; and how far it has come."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import dtypes, slices, stored, values
from support.bundle_writer import build_bundle
from support.hashing import as_array, assert_same_bits
from support.processes import run_python
from support.publish import data_path
from support.tensors import encode_tensor

import tensorbundle as tb

MIB = 1 << 20
# Those that arrays tell by themselves: not the quantized ones, whose arrays are plain integers.
OWN = [dtype for dtype in dtypes.DTYPES if not dtype.name.startswith(("qint", "quint", "variant"))]


# Options.


def test_bytes_are_tensorflows_without_alignment(tmp_path):
    tensors = {dtype.name: values.filled(dtype.name, (3, 7)) for dtype in OWN}
    tb.save(tmp_path / "x", tensors, alignment=1)
    assert stored.files(tmp_path) == build_bundle(tensors).files("x")


@pytest.mark.parametrize("alignment", [1, 2, 16, 64, 4096, MIB])
def test_alignment(tmp_path, alignment):
    tensors = {"z": np.int8(1), "none": np.zeros((0, 3)), "b": np.arange(5.0), "s": [b"abc"], "a": np.zeros(65, "u1")}
    tb.save(tmp_path / "x", tensors, alignment=alignment)
    assert stored.files(tmp_path) == build_bundle(tensors, alignment=alignment).files("x")
    offsets = [entry.offset for entry in stored.entries(tmp_path / "x").values()]
    assert all(offset % alignment == 0 for offset in offsets)
    assert stored.data_files(tmp_path / "x")[0].stat().st_size % alignment == 0
    with tb.open(tmp_path / "x") as ckpt:
        if alignment >= 16:
            assert all(entry.aligned for entry in ckpt.entries() if entry.tf_dtype != "string")
        assert ckpt.verify().checked == 5


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_are_filled_evenly_and_in_order(tmp_path, shards):
    tensors = {f"w{(37 * number) % 100:02d}": np.full(100 + number, number, "f4") for number in range(100)}
    tb.save(tmp_path / "x", tensors, shards=shards)
    stored.assert_stored(tmp_path / "x", tensors)
    stored.assert_only_checkpoint(tmp_path / "x")
    assert stored.num_shards(tmp_path / "x") == shards
    sizes = [path.stat().st_size for path in stored.data_files(tmp_path / "x")]
    assert max(sizes) - min(sizes) < 2 * 1024
    found = stored.entries(tmp_path / "x")
    places = [(found[name.encode()].shard, found[name.encode()].offset) for name in tensors]
    assert places == sorted(places)


def test_more_shards_than_tensors(tmp_path):
    tb.save(tmp_path / "x", {"a": np.arange(3), "b": np.arange(4)}, shards=5)
    assert [path.stat().st_size for path in stored.data_files(tmp_path / "x")] == [64, 64]
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.num_shards == 2
        assert ckpt["b"].tolist() == [0, 1, 2, 3]


def test_small_tensors_beside_a_large_one_leave_no_shard_empty(tmp_path):
    tensors = {"large": np.zeros(10_000), **{f"small{number}": np.int8(number) for number in range(3)}}
    tb.save(tmp_path / "x", tensors, shards=4)
    assert [stored.entries(tmp_path / "x")[name.encode()].shard for name in tensors] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shards": 0}, ValueError, "^shards must be from 1 to 2147483647, not 0$"),
        ({"shards": -1}, ValueError, "^shards must be from 1 to 2147483647, not -1$"),
        ({"shards": 2**40}, ValueError, "^shards must be from 1 to 2147483647, not 1099511627776$"),
        ({"shards": 100_001}, ValueError, "^a checkpoint has 1 to 100000 shards, not 100001$"),
        ({"shards": 1.0}, TypeError, "^shards must be an integer, not 1.0$"),
        ({"shards": True}, TypeError, "^shards must be an integer, not True$"),
        ({"shards": None}, TypeError, "^shards must be an integer, not None$"),
        ({"max_shard_bytes": 0}, ValueError, "^max_shard_bytes must be from 1 to 9223372036854775807, not 0$"),
        ({"max_shard_bytes": 2**63}, ValueError, "^max_shard_bytes must be from 1 to 9223372036854775807, not 92"),
        ({"max_shard_bytes": "1GB"}, TypeError, "^max_shard_bytes must be an integer, not '1GB'$"),
        ({"alignment": 0}, ValueError, "^alignment must be from 1 to 9223372036854775807, not 0$"),
        ({"alignment": 3}, ValueError, "^alignment is a power of two from 1 to 1048576, not 3$"),
        ({"alignment": 2**21}, ValueError, "^alignment is a power of two from 1 to 1048576, not 2097152$"),
        ({"alignment": 2.0}, TypeError, "^alignment must be an integer, not 2.0$"),
        ({"threads": 0}, ValueError, "^threads must be at least 1, not 0$"),
        ({"threads": "2"}, TypeError, "threads"),
        ({"progress": 1}, TypeError, "^progress must be True or a function"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_refused_options(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        tb.save(tmp_path / "new" / "x", {"a": 1}, **options)
    assert stored.files(tmp_path) == {}


def test_numbers_of_numpys_are_options(tmp_path):
    tensors = {"a": np.arange(9), "b": np.arange(9)}
    tb.save(tmp_path / "x", tensors, shards=np.int64(2), alignment=np.int32(16), threads=np.int8(1))
    assert stored.num_shards(tmp_path / "x") == 2


@pytest.mark.parametrize("threads", [*range(2, 9), None])
def test_number_of_threads_changes_no_byte(tmp_path, threads):
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(700, 1000))
    tensors = {
        "plain": whole,
        "transposed": whole.T,
        "swapped": whole.astype(">f8"),
        "bits": (whole * 100).astype(np.int8).view(bool),
        "text": as_array([b"x" * int(size) for size in rng.integers(0, 3000, 1000)]),
        **{f"small/{number}": whole[number, :number] for number in range(300)},
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    options: dict[str, Any] = {"shards": 3, "max_shard_bytes": 5 * MIB, "durable": False}
    tb.save(tmp_path / "one" / "x", tensors, threads=1, **options)
    tb.save(tmp_path / "many" / "x", tensors, threads=threads, **options)
    assert stored.files(tmp_path / "many") == stored.files(tmp_path / "one")


@pytest.mark.parametrize("durable", [True, False])
def test_durability_changes_no_byte(tmp_path, durable):
    tensors = {"a": np.arange(100_000), "b": [b"text"]}
    tb.save(tmp_path / "x", tensors, durable=durable)
    assert stored.files(tmp_path) == build_bundle(tensors, alignment=64).files("x")


# Limits on the size of data files.


def tiles(shape: tuple[int, ...], pieces: list[slices.Slice]) -> bool:
    count = np.zeros(shape, int)
    for piece in pieces:
        count[slices.indices(piece)] += 1
    return bool((count == 1).all())


@pytest.mark.parametrize("dtype", OWN, ids=lambda dtype: dtype.name)
def test_large_tensors_are_cut_where_tensorflow_puts_them_together(tmp_path, dtype):
    value = values.filled(dtype.name, (10, 7, 3))
    tensors = {"before": np.int8(1), "w": value, "after": np.int8(2)}
    limit = 7 * 3 * 2 * (dtype.size or 1)  # Two rows.
    if dtype.assembles:
        tb.save(tmp_path / "x", tensors, max_shard_bytes=limit, alignment=1)
    else:
        with pytest.warns(UserWarning, match=r"^tensor 'w' is larger than max_shard_bytes and stays whole"):
            tb.save(tmp_path / "x", tensors, max_shard_bytes=limit, alignment=1)
    entry = stored.entries(tmp_path / "x")[b"w"]
    sizes = [path.stat().st_size for path in stored.data_files(tmp_path / "x")]
    if dtype.assembles:
        assert entry.slices == [((start, 2), (0, 7), (0, 3)) for start in range(0, 10, 2)]
        # Behind the small one there is no room for two rows; each pair has a file, and the last tensor one more.
        assert sizes == [1, limit, limit, limit, limit, limit, 1]
    else:
        assert entry.slices == []
        assert sizes == [1, len(encode_tensor(value).data), 1]
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify()
        assert_same_bits(ckpt["w"], value)
        assert (ckpt["before"], ckpt["after"]) == (1, 2)


@pytest.mark.parametrize(
    ("shape", "limit", "expected"),
    [
        ((10,), 16, [((0, 4),), ((4, 4),), ((8, 2),)]),
        ((10,), 4, [((start, 1),) for start in range(10)]),
        ((4, 3), 12, [((row, 1), (0, 3)) for row in range(4)]),
        ((4, 3), 13, [((row, 1), (0, 3)) for row in range(4)]),
        ((4, 3), 11, [((row, 1), cut) for row in range(4) for cut in ((0, 2), (2, 1))]),
        ((1, 6), 12, [((0, 1), (0, 3)), ((0, 1), (3, 3))]),
        ((2, 1, 4), 8, [((row, 1), (0, 1), cut) for row in range(2) for cut in ((0, 2), (2, 2))]),
        ((2, 2, 2), 4, [((i, 1), (j, 1), (k, 1)) for i in range(2) for j in range(2) for k in range(2)]),
        ((3,) + (1,) * 7, 4, [((row, 1),) + ((0, 1),) * 7 for row in range(3)]),
        ((4, 3), 48, []),
        ((0, 1000), 4, []),
    ],
    ids=str,
)
def test_pieces(tmp_path, shape, limit, expected):
    value = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    tb.save(tmp_path / "x", {"w": value}, max_shard_bytes=limit, alignment=1)
    assert stored.entries(tmp_path / "x")[b"w"].slices == expected
    assert not expected or tiles(shape, expected)
    for piece in expected:
        key = slices.slice_key(b"w", piece)
        assert stored.stored_bytes(tmp_path / "x", key) == value[slices.indices(piece)].tobytes()
    assert all(path.stat().st_size <= limit for path in stored.data_files(tmp_path / "x"))
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify()
        assert_same_bits(ckpt["w"], value)


def test_pieces_are_cut_out_of_any_layout(tmp_path):
    whole = np.arange(6 * 5 * 4, dtype=">i4").reshape(6, 5, 4)
    tensors = {"t": whole.T, "n": whole[::-1, ::2], "b": np.broadcast_to(whole[:, :1], (6, 9, 4))}
    tb.save(tmp_path / "x", tensors, max_shard_bytes=40)
    with tb.open(tmp_path / "x") as ckpt:
        assert all(entry.slices for entry in ckpt.entries())
        for name, value in tensors.items():
            assert_same_bits(ckpt[name], np.ascontiguousarray(value, "<i4"))


@pytest.mark.parametrize(
    "value",
    [np.arange(3, dtype="f8")[0], np.zeros((2,) * 9, "f4"), np.zeros(3, "c16"), np.full(9, b"text", object)],
    ids=["scalar", "rank 9", "element", "strings"],
)
def test_what_can_not_be_cut_stays_whole_with_a_warning(tmp_path, value):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tb.save(tmp_path / "x", {"a": np.int8(1), "w": value}, max_shard_bytes=7)
    (warning,) = caught
    assert str(warning.message) == (
        "tensor 'w' is larger than max_shard_bytes and stays whole, in a data file of its own: there are no slices of "
        "it that TensorFlow puts together"
    )
    assert (warning.category, warning.filename) == (UserWarning, __file__)
    with open(__file__, encoding="utf-8") as source:
        assert "tb.save(tmp_path" in source.readlines()[warning.lineno - 1]
    assert [entry.shard for entry in stored.entries(tmp_path / "x").values()] == [0, 1]
    with tb.open(tmp_path / "x") as ckpt:
        assert_same_bits(ckpt["w"], value)


def test_warning_that_is_an_error_leaves_nothing(tmp_path):
    tensors = {"w": np.zeros(3, "f2")}
    with pytest.raises(UserWarning, match="stays whole") as raised:
        tb.save(tmp_path / "x", tensors, max_shard_bytes=2)
    assert raised.value is not None
    with pytest.raises(UserWarning, match="for a pattern") as raised:
        tb.save(tmp_path / "[x", tensors)
    assert raised.value is not None
    assert stored.files(tmp_path) == {}


def test_shards_and_limit_together(tmp_path):
    tensors = {f"w{number}": np.zeros(256, "u1") for number in range(8)}
    tb.save(tmp_path / "few", tensors, shards=4, max_shard_bytes=10_000)
    assert [path.stat().st_size for path in stored.data_files(tmp_path / "few")] == [512] * 4
    tb.save(tmp_path / "many", tensors, shards=4, max_shard_bytes=300)
    assert [path.stat().st_size for path in stored.data_files(tmp_path / "many")] == [256] * 8


def test_limit_that_makes_too_many_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a limit of 1 bytes a data file would make more than 100000 of them$"):
        tb.save(tmp_path / "x", {"w": np.zeros(100_001, "u1")}, max_shard_bytes=1)
    assert stored.files(tmp_path) == {}


LIMITED = r"""
import os, resource, sys
import numpy as np
import tensorbundle as tb

folder, limit, value, options = sys.argv[1:]
old = np.arange(5)
tb.save(folder + "/x", {"old": old})
resource.setrlimit(getattr(resource, limit), (int(value), int(value)))
try:
    tb.save(folder + "/x", {"w": np.zeros((100, 1 << 14))}, **eval(options))
except OSError as error:
    print(error.errno, sorted(os.listdir(folder)))
"""


@pytest.mark.parametrize(
    ("limit", "value", "options", "error"),
    [
        ("RLIMIT_FSIZE", MIB, {}, "EFBIG"),
        ("RLIMIT_NOFILE", 60, {"max_shard_bytes": 1 << 17}, "EMFILE"),
    ],
)
def test_limits_of_the_system_leave_the_old_checkpoint(tmp_path, limit, value, options, error):
    import errno

    printed = run_python(LIMITED, tmp_path, limit, value, repr(options))
    assert printed.strip() == f"{getattr(errno, error)} ['x.data-00000-of-00001', 'x.index']"
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt["old"].tolist() == [0, 1, 2, 3, 4]


# Progress.


def test_progress_grows_to_the_total(tmp_path):
    # Large ones, ones that are written together with what lies between them, and text.
    tensors: dict[str, Any] = {f"w{number}": np.zeros((1000, 1000)) for number in range(4)}
    tensors |= {f"small{number}": np.arange(number) for number in range(200)}
    tensors |= {"text": as_array([b"x" * MIB, b"y" * 300]), "none": np.zeros(0)}
    calls: list[tuple[int, int, str]] = []
    thread = threading.get_ident()

    def progress(done: int, total: int, name: str) -> None:
        assert threading.get_ident() == thread
        calls.append((done, total, name))

    tb.save(tmp_path / "x", tensors, alignment=4096, shards=2, threads=2, progress=progress)
    total = sum(len(encode_tensor(value).data) for value in tensors.values())
    assert {call[1] for call in calls} == {total}
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert done[-1] == total
    assert {call[2] for call in calls} <= {*tensors, ""}


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("raised", [EnoughError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [True, False])
def test_exception_of_the_progress_function_stops_and_leaves_nothing(tmp_path, raised, old):
    if old:
        tb.save(tmp_path / "x", {"old": np.arange(3)})
    before = stored.files(tmp_path)
    calls = []

    def progress(*call: Any) -> None:
        calls.append(call)
        raise raised

    with pytest.raises(raised) as caught:
        tb.save(tmp_path / "x", {"w": np.zeros((3000, 1000))}, threads=2, progress=progress)
    assert caught.value is not None
    assert len(calls) == 1
    assert stored.files(tmp_path) == before


def test_progress_while_another_writer_is_waited_for(tmp_path):
    calls = []
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)

    def progress(*call: Any) -> None:
        calls.append(call)
        # All is written; what comes now is the wait.
        if len(calls) == 5:
            fcntl.flock(directory, fcntl.LOCK_UN)

    try:
        tb.save(tmp_path / "x", {"w": np.zeros(10)}, progress=progress)
    finally:
        os.close(directory)
    assert calls == [(80, 80, "w"), *[(80, 80, "")] * 4]
    stored.assert_only_checkpoint(tmp_path / "x")


def test_exception_ends_the_wait_for_another_writer(tmp_path):
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    calls = []

    def progress(*call: Any) -> None:
        calls.append(call)
        if len(calls) == 3:
            raise EnoughError

    try:
        with pytest.raises(EnoughError):
            tb.save(tmp_path / "x", {"w": np.zeros(10)}, progress=progress)
    finally:
        os.close(directory)
    assert stored.files(tmp_path) == {}


# Paths.


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_prefix_of_any_kind(tmp_path, kind):
    assert tb.save(kind(tmp_path / "x"), {"a": 1}) == str(tmp_path / "x")
    stored.assert_only_checkpoint(tmp_path / "x")


def test_relative_prefix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tb.save("x", {"a": 1}) == "x"
    assert tb.save("sub/x", {"a": 2}) == "sub/x"
    stored.assert_only_checkpoint("sub/x")
    assert sorted(os.listdir()) == ["sub", "x.data-00000-of-00001", "x.index"]


def test_missing_directories_are_made(tmp_path):
    tb.save(tmp_path / "a" / "b" / "c" / "x", {"w": 1})
    stored.assert_only_checkpoint(tmp_path / "a" / "b" / "c" / "x")


@pytest.mark.parametrize(
    "name", ["gr\u00fc\u00df \U0001f600", "a b", "*?", "x.index", "x.data-00000-of-00001", ".x", "\udcff"]
)
def test_names_of_files(tmp_path, name):
    prefix = f"{tmp_path}/{name}"
    try:
        tb.save(prefix, {"w": 1})
    except OSError:
        pytest.skip("this file system has no such names")
    tb.save(prefix, {"w": 2})
    with tb.open(prefix) as ckpt:
        assert ckpt["w"] == 2
    stored.assert_only_checkpoint(prefix)


def test_prefix_that_is_a_directory(tmp_path):
    (tmp_path / "x").mkdir()
    tb.save(tmp_path / "x", {"w": 1})
    assert sorted(os.listdir(tmp_path)) == ["x", "x.data-00000-of-00001", "x.index"]
    assert list((tmp_path / "x").iterdir()) == []


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("", "^a checkpoint needs a path, and this one is empty$"),
        ("x/", r"^x/: a checkpoint's path ends with its name, as in run/model\.ckpt-100; this names a directory$"),
        ("/", "^/: a checkpoint's path ends with its name"),
        (".", r"^\.: a checkpoint's path ends with its name"),
        ("x/.", r"^x/\.: a checkpoint's path ends with its name"),
        ("x/..", r"^x/\.\.: a checkpoint's path ends with its name"),
    ],
)
def test_prefix_without_a_name_is_refused(tmp_path, monkeypatch, prefix, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        tb.save(prefix, {"w": 1})
    assert stored.files(tmp_path) == {}


@pytest.mark.parametrize("tensors", [{}, {"": 1}, {"a": object()}], ids=["none", "bad name", "bad value"])
def test_refused_save_leaves_no_directory(tmp_path, tensors):
    (tmp_path / "there").mkdir()
    with pytest.raises((TypeError, ValueError)):
        tb.save(tmp_path / "there" / "new" / "deep" / "x", tensors)
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


MANY_FILES = r"""
import os, resource, sys
import tensorbundle as tb

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
tensors = {str(number): number for number in range(250)}
for shards in (100, 250):
    try:
        tb.save(sys.argv[1] + "/x", tensors, shards=shards, durable=False)
    except OSError as error:
        print(error.errno, error.filename, error.strerror)
    print(len(os.listdir(sys.argv[1])))
"""


def test_more_data_files_than_may_be_open_are_refused(tmp_path):
    done, refused, after = run_python(MANY_FILES, tmp_path).splitlines()
    assert (done, after) == ("101", "101")
    number, filename, message = refused.split(" ", 2)
    assert (int(number), filename) == (errno.EMFILE, str(tmp_path / "x"))
    assert re.match(r"249 data files are to be open at once, and of the 200 files that this process may have", message)
    assert "raise the limit (ulimit -n) or make fewer data files" in message


def test_prefix_that_is_no_path_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"^expected str, bytes or os\.PathLike object, not NoneType$"):
        tb.save(None, {"w": 1})
    with pytest.raises(ValueError, match="embedded null byte"):
        tb.save(f"{tmp_path}/a\0b", {"w": 1})


def test_index_that_is_a_directory(tmp_path):
    (tmp_path / "x.index").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        tb.save(tmp_path / "x", {"w": 1})
    assert raised.value.filename == str(tmp_path / "x.index")
    assert list(tmp_path.iterdir()) == [tmp_path / "x.index"]


def test_data_file_that_is_a_directory(tmp_path):
    data_path(tmp_path / "x", 1, 2).mkdir()
    with pytest.raises(OSError, match="data-00001-of-00002"):
        tb.save(tmp_path / "x", {"v": 1, "w": 1}, shards=2)
    assert list(tmp_path.iterdir()) == [data_path(tmp_path / "x", 1, 2)]


def test_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file") as raised:
        tb.save(tmp_path / "file" / "x", {"w": 1})
    assert isinstance(raised.value, (NotADirectoryError, FileExistsError))
    assert stored.files(tmp_path) == {"file": b""}


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is forbidden to root")
def test_directory_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        tb.save(tmp_path / "x", {"w": 1})
    tmp_path.chmod(0o700)
    assert stored.files(tmp_path) == {}


@pytest.mark.parametrize("character", ["[", "\\"])
def test_warning_where_tensorflow_will_not_find_it(tmp_path, character, monkeypatch):
    prefix = tmp_path / f"a{character}b" / "x"
    message = f"TensorFlow will not find this checkpoint: it takes {character!r} in {str(prefix)!r} for a pattern"
    with pytest.warns(UserWarning, match="for a pattern") as caught:
        tb.save(prefix, {"w": 1})
    (warning,) = caught
    assert (str(warning.message), warning.filename) == (message, __file__)
    with tb.open(prefix) as ckpt:
        assert ckpt["w"] == 1
    # It is the whole path that counts.
    monkeypatch.chdir(prefix.parent)
    with pytest.warns(UserWarning, match="for a pattern") as caught:
        tb.save("x", {"w": 2})
    assert str(caught[0].message) == message
