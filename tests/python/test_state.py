"""The ``checkpoint`` state file: its text, and where it points."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
import pickle
import stat
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import corpus, tensorflow_oracle

import tensorbundle as tb
from tensorbundle import errors, state

USUAL = b"""model_checkpoint_path: "ckpt-2"
all_model_checkpoint_paths: "ckpt-1"
all_model_checkpoint_paths: "ckpt-2"
all_model_checkpoint_timestamps: 1546300800.25
all_model_checkpoint_timestamps: 1546300801.0
last_preserved_timestamp: 1546300799.5
"""


def latest(text: bytes) -> str:
    return state.parse(b"model_checkpoint_path: " + text).model_checkpoint_path


def error_of(text: bytes) -> errors.DataLossError:
    with pytest.raises(errors.DataLossError) as caught:
        state.parse(text, "dir/checkpoint")
    assert caught.value.path == "dir/checkpoint"
    return caught.value


def test_usual_file():
    parsed = state.parse(USUAL)
    assert parsed == state.CheckpointState("ckpt-2", ("ckpt-1", "ckpt-2"), (1546300800.25, 1546300801.0), 1546300799.5)


def test_empty_file_names_nothing():
    assert state.parse(b"") == state.CheckpointState("")
    assert state.parse(b" \n# nothing\n") == state.CheckpointState("")


def test_last_of_a_repeated_singular_field_counts():
    assert state.parse(b'model_checkpoint_path: "a" model_checkpoint_path: "b"').model_checkpoint_path == "b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'"plain"', "plain"),
        (b"'single'", "single"),
        (b"'with \"other\" quotes'", 'with "other" quotes'),
        (b'"adjacent" \'strings\'\n"join"', "adjacentstringsjoin"),
        (rb'"\a\b\f\n\r\t\v\\\'\"\?"', "\a\b\f\n\r\t\v\\'\"?"),
        (rb'"\101\0\7z\1234"', "A\0\x07zS4"),
        (rb'"\x41\X4a\x4g"', "AJ\x04g"),
        (rb'"\303\251"', "\u00e9"),
        (rb'"\u00e9\U0001F600"', "\u00e9\U0001f600"),
        ('"gr\u00fc\u00df"'.encode(), "gr\u00fc\u00df"),
        (rb'"\377"', "\udcff"),
        (b'"a # no comment"', "a # no comment"),
        (b'""', ""),
    ],
)
def test_strings(text, expected):
    assert latest(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1", 1.0),
        (b"-1.5e3", -1500.0),
        (b"- 2", -2.0),
        (b".5f", 0.5),
        (b"7F", 7.0),
        (b"0x10", 16.0),
        (b"inf", float("inf")),
        (b"-Infinity", float("-inf")),
        (b"2.", 2.0),
    ],
)
def test_numbers(text, expected):
    assert state.parse(b"last_preserved_timestamp: " + text).last_preserved_timestamp == expected


def test_not_a_number_is_one():
    value = state.parse(b"last_preserved_timestamp: nan").last_preserved_timestamp
    assert math.isnan(value)


def test_lists_separators_and_comments():
    parsed = state.parse(
        b'# head\nall_model_checkpoint_paths: ["a", \'b\' "c"] ; # tail\nall_model_checkpoint_paths:"d",'
        b"all_model_checkpoint_timestamps: [ ]\nall_model_checkpoint_timestamps: [1, 2.5]"
    )
    assert parsed.all_model_checkpoint_paths == ("a", "bc", "d")
    assert parsed.all_model_checkpoint_timestamps == (1.0, 2.5)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (b'a: "b"', 1, "a state file has no field 'a'"),
        (b'model_checkpoint_path: "b"\n\nfoo { }', 3, "a state file has no field 'foo'"),
        (b'model_checkpoint_path "b"', 1, "expected ':' after 'model_checkpoint_path'"),
        (b"model_checkpoint_path: b", 1, "expected a string in quotes, found 'b'"),
        (b"model_checkpoint_path:\n", 2, "expected a string in quotes, found the end"),
        (b'model_checkpoint_path: "b\n"', 1, "expected a string in quotes, found '\"b\\n\"'"),
        (b'model_checkpoint_path: ["b"]', 1, "expected a string in quotes, found '[\"b\"]'"),
        (b'\nmodel_checkpoint_path: "\\q"', 2, "unknown escape '\\\\q' in a string"),
        (b'model_checkpoint_path: "\\ud800"', 1, "unknown escape '\\\\ud800' in a string"),
        (b'model_checkpoint_path: "\\U00110000"', 1, "unknown escape '\\\\U00110000' in a string"),
        (b'model_checkpoint_path: "\\x"', 1, "unknown escape '\\\\x' in a string"),
        (b"last_preserved_timestamp: x", 1, "expected a number, found 'x'"),
        (b"last_preserved_timestamp: 1x", 1, "expected a number, found '1x'"),
        (b"\nlast_preserved_timestamp: 0x" + b"f" * 400, 2, "a number too large"),
        (b'all_model_checkpoint_paths: ["a" "b"', 1, "expected ',' or ']' in a list"),
        (b'all_model_checkpoint_paths: ["a",]', 1, "expected a string in quotes, found ']'"),
        (b"\x84\xaa_optimizer", 1, "expected a field name, found '\\x84\u00aa_optimizer'"),
        (b"\x00", 1, "expected a field name, found '\\x00'"),
        (b"version https://git-lfs", 1, "a state file has no field 'version'"),
    ],
)
def test_what_is_no_state_file_is_an_error_with_its_line(text, line, what):
    message = str(error_of(text))
    assert message == f"'dir/checkpoint' is not a state file of TensorFlow's, or is damaged: line {line}: {what}"


def test_error_is_a_value_error_with_the_offset():
    error = error_of(b'model_checkpoint_path: "a"\nfoo: 1')
    assert isinstance(error, ValueError)
    assert error.offset == 27


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_an_error(content):
    with contextlib.suppress(errors.DataLossError):
        state.parse(content)


@given(st.lists(st.sampled_from([b"model_checkpoint_path", b":", b'"', b"\\", b"x", b"1", b"[", b"]", b"#", b"\n"])))
def test_any_tokens_parse_or_are_an_error(tokens):
    with contextlib.suppress(errors.DataLossError):
        state.parse(b"".join(tokens))


@pytest.mark.parametrize("filling", [b"#\n", b" \n", b'"a" ', b"'\\n' "])
def test_long_texts_take_memory_in_proportion(filling):
    count = 200_000
    text = b'model_checkpoint_path: "x" ' + filling * count
    tracemalloc.start()
    name = state.parse(text).model_checkpoint_path
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(name) == (1 + count if filling.strip()[:1] in b"'\"" and filling.strip() else 1)
    assert peak < 100 * len(text)


def test_long_string_of_escapes():
    assert latest(b'"' + rb"\101" * 200_000 + b'"') == "A" * 200_000


def test_larger_files_are_refused(tmp_path):
    path = tmp_path / "checkpoint"
    with path.open("wb") as file:
        file.truncate(state.MAX_SIZE_BYTES + 1)
    with pytest.raises(errors.LimitError) as caught:
        state.read(path)
    assert str(caught.value) == f"{str(path)!r} has more than the 16777216 bytes that a state file may have"


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_reads_what_protobuf_writes(name):
    text_format = pytest.importorskip("google.protobuf.text_format")
    for as_utf8 in (False, True):
        quoted = text_format.text_encoding.CEscape(name, as_utf8)
        assert latest(b'"' + quoted.encode() + b'"') == name


@pytest.mark.parametrize("text", [USUAL, b"model_checkpoint_path: \"\\303\\251\\x41\\u00e9\" 'b' # comment\n"])
def test_reads_what_tensorflow_reads(text, tmp_path):
    tf = tensorflow_oracle.require()
    (tmp_path / "checkpoint").write_bytes(text)
    proto = tf.train.get_checkpoint_state(str(tmp_path))
    assert tb.CheckpointState.read(tmp_path) == tb.CheckpointState(
        proto.model_checkpoint_path,
        tuple(proto.all_model_checkpoint_paths),
        tuple(proto.all_model_checkpoint_timestamps),
        proto.last_preserved_timestamp,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ckpt-1", ["/d/ckpt-1"]),
        ("./sub/ckpt-1", ["/d/sub/ckpt-1"]),
        ("sub/../ckpt-1", ["/d/ckpt-1"]),
        ("..ckpt", ["/d/..ckpt"]),
        ("/old/place/ckpt-1", ["/old/place/ckpt-1", "/d/ckpt-1"]),
        ("gs://bucket/run/ckpt-1", ["gs://bucket/run/ckpt-1", "/d/ckpt-1"]),
    ],
)
def test_candidates(name, expected):
    assert state.candidates(state.CheckpointState(name), "/d/checkpoint") == expected


@pytest.mark.parametrize("name", ["..", "../ckpt", "sub/../../ckpt", "./../d/ckpt"])
def test_relative_prefix_may_not_leave_the_directory(name):
    with pytest.raises(errors.DataLossError) as caught:
        state.candidates(state.CheckpointState(name), "/d/checkpoint")
    assert str(caught.value) == f"'/d/checkpoint' names {name!r}, which is outside its directory"


@pytest.mark.parametrize("name", ["a\0/b*", "/a\0/ckpt", "gs://a\0/ckpt"])
def test_prefix_may_not_have_a_nul(name):
    with pytest.raises(errors.DataLossError) as caught:
        state.candidates(state.CheckpointState(name), "/d/checkpoint")
    assert str(caught.value) == f"'/d/checkpoint' names {name!r}, which no file can be named"


def test_empty_prefix_is_an_error():
    with pytest.raises(errors.DataLossError) as caught:
        state.candidates(state.CheckpointState(""), "/d/checkpoint")
    assert str(caught.value) == "'/d/checkpoint' names no checkpoint: its model_checkpoint_path is empty"


@pytest.mark.parametrize("sample", corpus.samples(), ids=lambda sample: sample.name)
def test_corpus_state_files_read_as_tensorflow_reads_them(sample):
    for described in sample.manifest["checkpoint_states"]:
        path = sample.directory / described["file"]
        if "error" in described:
            with pytest.raises(errors.DataLossError):
                state.read(path)
            continue
        parsed = state.read(path)
        assert parsed.model_checkpoint_path == described["model_checkpoint_path"]
        assert list(parsed.all_model_checkpoint_paths) == described["all_model_checkpoint_paths"]


# Reading as TensorFlow does.


def write_text(directory: Path, text: bytes, name: str = "checkpoint") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(text)
    return directory / name


def test_read_joins_prefixes_to_the_directory(tmp_path, monkeypatch):
    file = write_text(tmp_path / "run", USUAL)
    expected = tb.CheckpointState(
        f"{tmp_path}/run/ckpt-2",
        (f"{tmp_path}/run/ckpt-1", f"{tmp_path}/run/ckpt-2"),
        (1546300800.25, 1546300801.0),
        1546300799.5,
    )
    assert tb.CheckpointState.read(file.parent) == expected
    assert tb.CheckpointState.read(str(file)) == expected
    monkeypatch.chdir(file.parent)
    assert tb.CheckpointState.read(".").model_checkpoint_path == "./ckpt-2"
    assert tb.CheckpointState.read("checkpoint").model_checkpoint_path == "ckpt-2"
    assert tb.CheckpointState.read("").model_checkpoint_path == "ckpt-2"


@pytest.mark.parametrize(
    ("written", "joined"),
    [
        ("/elsewhere/ckpt-1", "/elsewhere/ckpt-1"),
        ("gs://bucket/ckpt-1", "gs://bucket/ckpt-1"),
        ("sub/./ckpt-1", "{}/sub/./ckpt-1"),
        ("../other/ckpt-1", "{}/../other/ckpt-1"),
    ],
)
def test_read_takes_prefixes_as_they_are(tmp_path, written, joined):
    write_text(tmp_path, f'model_checkpoint_path: "{written}"'.encode())
    assert tb.CheckpointState.read(tmp_path) == tb.CheckpointState(joined.format(tmp_path))


def test_read_without_a_file(tmp_path):
    (tmp_path / "has a directory" / "checkpoint").mkdir(parents=True)
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "has a directory", tmp_path / "file" / "x", "x" * 300):
        assert tb.CheckpointState.read(path) is None
        assert tb.latest_checkpoint(path) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_read_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "checkpoint")
    assert tb.CheckpointState.read(tmp_path) is None


@pytest.mark.parametrize("read", [tb.CheckpointState.read, tb.latest_checkpoint])
def test_what_is_no_state_file_is_ignored_with_a_warning(tmp_path, read):
    file = write_text(tmp_path, b"\nversion 1")
    with pytest.warns(errors.DamageWarning) as caught:
        assert read(tmp_path) is None
    (warning,) = caught
    assert str(warning.message) == (
        f"{str(file)!r} is not a state file of TensorFlow's, or is damaged: line 2: "
        "a state file has no field 'version'; the file is ignored"
    )
    assert warning.filename == __file__


@pytest.mark.parametrize("read", [tb.CheckpointState.read, tb.latest_checkpoint])
def test_file_that_names_nothing_is_a_value_error(tmp_path, read):
    file = write_text(tmp_path, b'all_model_checkpoint_paths: "a"')
    with pytest.raises(ValueError, match="names no checkpoint: its model_checkpoint_path is empty") as caught:
        read(tmp_path)
    assert caught.value.path == str(file)


# The latest checkpoint.


def make_checkpoint(prefix: Path, suffix: str = ".index") -> str:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{prefix}{suffix}").touch()
    return str(prefix)


def test_latest_checkpoint(tmp_path):
    prefix = make_checkpoint(tmp_path / "ckpt-2")
    write_text(tmp_path, USUAL)
    assert tb.latest_checkpoint(tmp_path) == prefix
    assert tb.latest_checkpoint(str(tmp_path), "checkpoint") == prefix
    assert tb.latest_checkpoint(tmp_path, "other") is None


def test_latest_checkpoint_of_a_relative_directory(tmp_path, monkeypatch):
    make_checkpoint(tmp_path / "run" / "ckpt-2")
    write_text(tmp_path / "run", USUAL)
    monkeypatch.chdir(tmp_path)
    assert tb.latest_checkpoint("run") == "run/ckpt-2"
    monkeypatch.chdir("run")
    assert tb.latest_checkpoint("") == "ckpt-2"


def test_latest_checkpoint_does_not_fall_back_to_older_ones(tmp_path):
    make_checkpoint(tmp_path / "ckpt-1")
    make_checkpoint(tmp_path / "ckpt-2", ".data-00000-of-00001")
    make_checkpoint(tmp_path / "ckpt-20")
    write_text(tmp_path, USUAL)
    assert tb.latest_checkpoint(tmp_path) is None


def test_latest_checkpoint_of_a_directory_that_was_moved(tmp_path):
    write_text(tmp_path / "new", b'model_checkpoint_path: "/old/place/ckpt-2"')
    assert tb.latest_checkpoint(tmp_path / "new") is None
    prefix = make_checkpoint(tmp_path / "new" / "ckpt-2")
    assert tb.latest_checkpoint(tmp_path / "new") == prefix


def test_latest_checkpoint_may_not_leave_the_directory(tmp_path):
    make_checkpoint(tmp_path / "ckpt-2")
    file = write_text(tmp_path / "run", b'model_checkpoint_path: "../ckpt-2"')
    with pytest.raises(errors.DataLossError) as caught:
        tb.latest_checkpoint(tmp_path / "run")
    assert str(caught.value) == f"{str(file)!r} names '../ckpt-2', which is outside its directory"


@pytest.mark.parametrize(
    "name", ["ckpt [1]-2", "back\\slash-2", "what?-2", "st*r-2", "gr\u00fc\u00df-2", "by\udcffte-2"]
)
def test_names_are_taken_literally(tmp_path, name):
    prefix = make_checkpoint(tmp_path / name / name)
    tb.CheckpointState(prefix).write(tmp_path / name)
    assert tb.latest_checkpoint(tmp_path / name) == prefix


@pytest.mark.parametrize(
    ("name", "there", "found"),
    [
        ("old-1", "old-1", True),
        ("old-1-?????-of-00002", "old-1-00001-of-00002", True),
        ("old-1-?????-of-00002", "old-1-00001-of-00003", False),
        ("old-1-?????-of-00002", "old-11-00001-of-00002", False),
        ("old-1-*", "old-1-00001-of-00002", False),
        ("gone/old-1-?????-of-00002", "old-1-00001-of-00002", False),
    ],
)
def test_latest_checkpoint_of_the_v1_format(tmp_path, name, there, found):
    make_checkpoint(tmp_path / there, "")
    write_text(tmp_path, f'model_checkpoint_path: "{name}"'.encode())
    assert tb.latest_checkpoint(tmp_path) == (str(tmp_path / name) if found else None)


# Writing.


def test_value_is_immutable():
    value = tb.CheckpointState("a", ("a",), (1.0,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.model_checkpoint_path = "b"
    assert len({value, tb.CheckpointState("a", ("a",), (1.0,), 0.0)}) == 1
    assert pickle.loads(pickle.dumps(value)) == value


def test_write_gives_the_usual_file(tmp_path):
    state_of_run = tb.CheckpointState(
        str(tmp_path / "ckpt-2"),
        (str(tmp_path / "ckpt-1"), str(tmp_path / "ckpt-2")),
        (1546300800.25, 1546300801.0),
        1546300799.5,
    )
    assert state_of_run.write(tmp_path) is None
    assert (tmp_path / "checkpoint").read_bytes() == USUAL
    assert tb.CheckpointState.read(tmp_path) == state_of_run
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_write_under_another_name(tmp_path):
    tb.CheckpointState(str(tmp_path / "a")).write(str(tmp_path), "best", durable=False)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert tb.CheckpointState.read(tmp_path / "best") == tb.CheckpointState(str(tmp_path / "a"))


def test_zero_is_left_out_and_minus_zero_is_not():
    assert state.encode(state.CheckpointState("")) == b""
    assert state.encode(state.CheckpointState("", (), (0.0,), -0.0)) == (
        b"all_model_checkpoint_timestamps: 0.0\nlast_preserved_timestamp: -0.0\n"
    )


@pytest.mark.parametrize(
    ("directory", "prefix", "written"),
    [
        ("run", "run/ckpt-1", "ckpt-1"),
        ("run", "{cwd}/run/ckpt-1", "ckpt-1"),
        ("{cwd}/run", "run/sub/ckpt-1", "sub/ckpt-1"),
        ("run/", "run//ckpt-1", "ckpt-1"),
        ("./run/.", "run/ckpt-1", "ckpt-1"),
        ("../here/run", "../here/run/ckpt-1", "ckpt-1"),
        (".", "ckpt-1", "ckpt-1"),
        ("", "ckpt-1", "ckpt-1"),
        ("run", "run-2/ckpt-1", "{cwd}/run-2/ckpt-1"),
        ("run", "ckpt-1", "{cwd}/ckpt-1"),
        ("run", "/elsewhere/ckpt-1", "/elsewhere/ckpt-1"),
        ("run", "run", "{cwd}/run"),
        # Where this is depends on what `sub` is.
        ("run", "run/sub/../ckpt-1", "{cwd}/run/sub/../ckpt-1"),
        ("run", "gs://bucket/ckpt-1", "gs://bucket/ckpt-1"),
    ],
)
def test_prefixes_inside_the_directory_are_written_relative_to_it(tmp_path, monkeypatch, directory, prefix, written):
    here = tmp_path / "here"
    (here / "run").mkdir(parents=True)
    monkeypatch.chdir(here)
    directory, prefix, written = (text.format(cwd=here) for text in (directory, prefix, written))
    tb.CheckpointState(prefix, (prefix,)).write(directory)
    parsed = state.read(os.path.join(directory, "checkpoint"))
    assert parsed == state.CheckpointState(written, (written,))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tb.CheckpointState(""), "model_checkpoint_path is empty"),
        (tb.CheckpointState("a\0b"), r"no file can be named 'a\\x00b'"),
        (tb.CheckpointState("a", ("a\0", "a")), r"no file can be named 'a\\x00'"),
        (tb.CheckpointState("a", ("a", "b"), (1.0,)), "1 timestamps for 2 checkpoints"),
    ],
)
def test_what_could_not_be_used_is_not_written(tmp_path, value, message):
    with pytest.raises(ValueError, match=message):
        value.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_file_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        tb.CheckpointState("a").write(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "checkpoint").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    write_text(tmp_path, USUAL)

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="full"):
        tb.CheckpointState("a").write(tmp_path)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert (tmp_path / "checkpoint").read_bytes() == USUAL


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    tb.CheckpointState("a" * 100).write(tmp_path)
    monkeypatch.undo()
    assert state.read(tmp_path / "checkpoint").model_checkpoint_path.endswith("/" + "a" * 100)


def test_write_into_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        tb.CheckpointState("a").write(tmp_path / "none")


@pytest.mark.parametrize("durable", [True, False])
def test_durable_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, durable):
    done = []

    def record(call):
        real = getattr(os, call)

        def recorded(first, *rest):
            named = first if isinstance(first, str) else os.readlink(f"/proc/self/fd/{first}")
            done.append((call, os.path.basename(named).partition(".tmp")[0]))
            return real(first, *rest)

        return recorded

    for call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, record(call))
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    tb.CheckpointState("a").write(tmp_path, durable=durable)
    assert done == (
        [("fsync", "checkpoint"), ("replace", "checkpoint"), ("fsync", tmp_path.name)]
        if durable
        else [("replace", "checkpoint")]
    )


def test_file_system_without_directories_to_sync(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no such thing")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    tb.CheckpointState("a").write(tmp_path)
    assert (tmp_path / "checkpoint").exists()


PREFIXES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=20)
TIMES = st.floats() | st.floats(1.5e9, 2e9)


def same_floats(a: Iterable[float], b: Iterable[float]) -> bool:
    return list(map(repr, a)) == list(map(repr, b))


@given(st.lists(st.tuples(PREFIXES, TIMES), min_size=1, max_size=4), TIMES, st.booleans())
def test_what_is_written_is_read(checkpoints, preserved, with_times):
    prefixes, times = zip(*checkpoints)
    value = state.CheckpointState(prefixes[-1], prefixes, times if with_times else (), preserved)
    parsed = state.parse(state.encode(value))
    assert parsed.model_checkpoint_path == value.model_checkpoint_path
    assert parsed.all_model_checkpoint_paths == value.all_model_checkpoint_paths
    assert same_floats(parsed.all_model_checkpoint_timestamps, value.all_model_checkpoint_timestamps)
    assert same_floats([parsed.last_preserved_timestamp], [value.last_preserved_timestamp])


def test_names_of_any_bytes_are_written_and_read():
    name = os.fsdecode(bytes(range(1, 256)))
    assert state.parse(state.encode(state.CheckpointState(name))).model_checkpoint_path == name
