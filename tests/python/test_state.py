"""The ``checkpoint`` state file: its text, and where it points."""

from __future__ import annotations

import contextlib
import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import corpus, tensorflow_oracle

from tensorbundle import errors, state

USUAL = b"""model_checkpoint_path: "ckpt-2"
all_model_checkpoint_paths: "ckpt-1"
all_model_checkpoint_paths: "ckpt-2"
all_model_checkpoint_timestamps: 1546300800.25
all_model_checkpoint_timestamps: 1546300801.0
last_preserved_timestamp: 1546300799.5
"""


def latest(text: bytes) -> str:
    return state.parse(b"model_checkpoint_path: " + text).latest


def error_of(text: bytes) -> errors.DataLossError:
    with pytest.raises(errors.DataLossError) as caught:
        state.parse(text, "dir/checkpoint")
    assert caught.value.path == "dir/checkpoint"
    return caught.value


def test_usual_file():
    parsed = state.parse(USUAL)
    assert parsed.latest == "ckpt-2"
    assert parsed.all == ("ckpt-1", "ckpt-2")
    assert parsed.timestamps == (1546300800.25, 1546300801.0)
    assert parsed.last_preserved == 1546300799.5


def test_empty_file_names_nothing():
    assert state.parse(b"") == state.CheckpointState("")
    assert state.parse(b" \n# nothing\n") == state.CheckpointState("")


def test_last_of_a_repeated_singular_field_counts():
    assert state.parse(b'model_checkpoint_path: "a" model_checkpoint_path: "b"').latest == "b"


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
    assert state.parse(b"last_preserved_timestamp: " + text).last_preserved == expected


def test_not_a_number_is_one():
    value = state.parse(b"last_preserved_timestamp: nan").last_preserved
    assert math.isnan(value)


def test_lists_separators_and_comments():
    parsed = state.parse(
        b'# head\nall_model_checkpoint_paths: ["a", \'b\' "c"] ; # tail\nall_model_checkpoint_paths:"d",'
        b"all_model_checkpoint_timestamps: [ ]\nall_model_checkpoint_timestamps: [1, 2.5]"
    )
    assert parsed.all == ("a", "bc", "d")
    assert parsed.timestamps == (1.0, 2.5)


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
    parsed = state.parse(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(parsed.latest) == (1 + count if filling.strip()[:1] in b"'\"" and filling.strip() else 1)
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
    parsed = state.read(tmp_path / "checkpoint")
    assert parsed.candidates(tmp_path) == [proto.model_checkpoint_path]
    assert [str(tmp_path / name) for name in parsed.all] == list(proto.all_model_checkpoint_paths)
    assert parsed.timestamps == tuple(proto.all_model_checkpoint_timestamps)


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
    assert state.CheckpointState(name).candidates("/d") == expected


@pytest.mark.parametrize("name", ["..", "../ckpt", "sub/../../ckpt", "./../d/ckpt"])
def test_relative_prefix_may_not_leave_the_directory(name):
    with pytest.raises(errors.DataLossError) as caught:
        state.CheckpointState(name).candidates("/d")
    assert str(caught.value) == f"'/d/checkpoint' names {name!r}, which is outside its directory"


@pytest.mark.parametrize("name", ["a\0/b*", "/a\0/ckpt", "gs://a\0/ckpt"])
def test_prefix_may_not_have_a_nul(name):
    with pytest.raises(errors.DataLossError) as caught:
        state.CheckpointState(name).candidates("/d")
    assert str(caught.value) == f"'/d/checkpoint' names {name!r}, which no file can be named"


def test_empty_prefix_is_an_error():
    with pytest.raises(errors.DataLossError) as caught:
        state.CheckpointState("").candidates("/d")
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
        assert parsed.latest == described["model_checkpoint_path"]
        assert list(parsed.all) == described["all_model_checkpoint_paths"]
