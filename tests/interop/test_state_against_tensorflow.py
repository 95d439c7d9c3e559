"""The ``checkpoint`` file, written by this package and by TensorFlow: the same bytes, and the same meaning."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import tensorflow_oracle

import tensorbundle as tb
from tensorbundle import state

pytestmark = pytest.mark.usefixtures("tensorflow")

PREFIXES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
TIMES = st.floats() | st.floats(1.5e9, 2e9) | st.sampled_from([0.0, -0.0, 1e16, 1e22, 0.1, 5e-324])


def protobuf_text(value: tb.CheckpointState) -> bytes:
    from google.protobuf import text_format
    from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

    fields = {name: getattr(value, name) for name in tb.CheckpointState.__dataclass_fields__}
    return text_format.MessageToString(CheckpointState(**fields)).encode()


@given(PREFIXES, st.lists(PREFIXES, max_size=4), st.lists(TIMES, max_size=4), TIMES)
def test_text_is_that_of_protobuf(latest, prefixes, times, preserved):
    value = tb.CheckpointState(latest, tuple(prefixes), tuple(times), preserved)
    assert state.encode(value) == protobuf_text(value)


def test_every_character_is_printed_as_protobuf_prints_it():
    value = tb.CheckpointState("".join(map(chr, (*range(0xD800), *range(0xE000, 0x10400)))))
    assert state.encode(value) == protobuf_text(value)


def by_tensorflow(directory: str, paths: Iterable[str], times: Iterable[float], preserved: float) -> bytes:
    from tensorflow.python.checkpoint import checkpoint_management

    paths = list(paths)
    checkpoint_management.update_checkpoint_state_internal(
        directory, paths[-1], paths, None, True, list(times), preserved
    )
    return Path(directory, "checkpoint").read_bytes()


@pytest.mark.parametrize("directory", ["{}/run", "run", "run/", "."])
def test_file_is_that_of_tensorflows_manager(tmp_path, monkeypatch, directory):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    directory = directory.format(tmp_path)
    paths = tuple(os.path.join(directory, name) for name in ("ckpt-1", "sub/ckpt-2", 'it\'s "gr\u00fc\u00df"\\-3'))
    times = (1700000000.123456, 1700000001.0, 1.7e9)
    expected = by_tensorflow(directory, paths, times, 1699999999.5)
    tb.CheckpointState(paths[-1], paths, times, 1699999999.5).write(directory)
    assert Path(directory, "checkpoint").read_bytes() == expected


@pytest.mark.parametrize("directory", ["{}/run", "run", "run/", "run//"])
@pytest.mark.parametrize("name", ["ckpt-1", "sub/ckpt-1", "with space", "gr\u00fc\u00df", "st*r", "wh?t"])
def test_latest_checkpoint_is_that_of_tensorflow(tmp_path, monkeypatch, tensorflow, directory, name):
    monkeypatch.chdir(tmp_path)
    directory = directory.format(tmp_path)
    prefix = os.path.join(directory, name)
    Path(prefix).parent.mkdir(parents=True)
    tb.CheckpointState(prefix, (prefix,)).write(directory)
    proto = tensorflow.train.get_checkpoint_state(directory)
    assert tb.CheckpointState.read(directory).model_checkpoint_path == proto.model_checkpoint_path
    assert tb.latest_checkpoint(directory) is None
    assert tensorflow.train.latest_checkpoint(directory) is None
    tensorflow_oracle.save(prefix, [("w", b"")])
    assert os.path.samefile(tb.latest_checkpoint(directory) + ".index", prefix + ".index")
    if directory != "run//":
        assert tb.latest_checkpoint(directory) == tensorflow.train.latest_checkpoint(directory) == prefix


@pytest.mark.parametrize(
    "text", [b"x", b"unknown: 1", b'model_checkpoint_path: "a', b"last_preserved_timestamp: {}", b"\0", b"\xff"]
)
def test_what_tensorflow_ignores_is_ignored(tmp_path, tensorflow, text):
    (tmp_path / "checkpoint").write_bytes(text)
    try:
        assert tensorflow.train.get_checkpoint_state(str(tmp_path)) is None
    except UnicodeDecodeError:
        assert text == b"\xff"
    with pytest.warns(tb.errors.DamageWarning):
        assert tb.CheckpointState.read(tmp_path) is None


@pytest.mark.parametrize("text", [b"", b'all_model_checkpoint_paths: "a"', b"# nothing"])
def test_empty_path_is_a_value_error_of_both(tmp_path, tensorflow, text):
    (tmp_path / "checkpoint").write_bytes(text)
    with pytest.raises(ValueError, match="Invalid checkpoint state"):
        tensorflow.train.get_checkpoint_state(str(tmp_path))
    with pytest.raises(ValueError, match="names no checkpoint"):
        tb.CheckpointState.read(tmp_path)
