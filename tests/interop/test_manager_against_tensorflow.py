"""Managers of this package and of TensorFlow, taking turns at one directory as if there were only one of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tensorflow_oracle

import tensorbundle as tb

pytestmark = pytest.mark.usefixtures("tensorflow")

HOUR = 3600.0
START = 1_700_000_000.0


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock.time)
    return clock


class TensorFlows:
    """TensorFlow's manager in the shape of ours; a new process, as far as it can tell."""

    def __init__(
        self, directory: str, max_to_keep: int | None = 5, hours: float | None = None, checkpoint_name: str = "ckpt"
    ) -> None:
        tf = tensorflow_oracle.load()
        self._step = tf.Variable(0, dtype=tf.int64)
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(step=self._step), directory, max_to_keep, hours, checkpoint_name
        )

    def save(self, number: int) -> str:
        self._step.assign(number)
        return self._manager.save(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


class Ours(tb.CheckpointManager):
    """This package's."""

    def save(self, number: int) -> str:
        return super().save({"step": np.array(number)}, number)


BOTH = {"tensorflow": TensorFlows, "ours": Ours}


def step_of(prefix: str) -> int:
    name = "step" if "step" in tb.open(prefix) else "step/.ATTRIBUTES/VARIABLE_VALUE"
    mine, theirs = tb.load(prefix)[name], tensorflow_oracle.read(prefix)[name]
    assert mine == theirs
    return int(mine)


def contents(directory: Path) -> tuple[bytes, set[str]]:
    """The state file, and the names of all files; those of data without numbers, which overwriting may change."""
    return (directory / "checkpoint").read_bytes(), {path.name.partition("-0")[0] for path in directory.iterdir()}


def assert_all_agree(directory: Path, options: tuple[Any, ...] = ()) -> None:
    """New managers of both kinds, and both functions, see the same."""
    tf = tensorflow_oracle.load()
    ours, theirs = Ours(str(directory), *options), TensorFlows(str(directory), *options)
    assert ours.checkpoints == theirs.checkpoints
    assert ours.latest_checkpoint == theirs.latest_checkpoint
    assert ours._last_preserved == theirs._last_preserved_timestamp
    assert tb.latest_checkpoint(directory) == tf.train.latest_checkpoint(str(directory)) == ours.latest_checkpoint


@pytest.mark.parametrize("order", ["to", "ot", "tto", "oot", "toot"])
@pytest.mark.parametrize("relative", [False, True])
def test_taking_turns(tmp_path, monkeypatch, clock, order, relative):
    monkeypatch.chdir(tmp_path)
    directory = "run" if relative else str(tmp_path / "run")
    kinds = {"t": TensorFlows, "o": Ours}
    for number in range(1, 13):
        clock.now += 60
        saver = kinds[order[number % len(order)]](directory, 3)
        prefix = saver.save(number)
        assert prefix == os.path.join(directory, f"ckpt-{number}")
        expected = [os.path.join(directory, f"ckpt-{kept}") for kept in range(max(1, number - 2), number + 1)]
        assert saver.checkpoints == expected
        assert step_of(tb.latest_checkpoint(directory)) == number
        assert_all_agree(Path(directory), (3,))
    assert sorted(path.name for path in Path("run").glob("*.index")) == [f"ckpt-{kept}.index" for kept in (10, 11, 12)]
    assert len(list(Path("run").iterdir())) == 7


def test_numbers_continue_after_tensorflows(tmp_path, tensorflow):
    theirs = TensorFlows(str(tmp_path))
    theirs._manager.save()
    theirs._manager.save()
    ours = tb.CheckpointManager(tmp_path)
    assert ours.save({"step": np.array(3)}) == str(tmp_path / "ckpt-3")
    tensorflow.train.Checkpoint(step=tensorflow.Variable(1)).save(str(tmp_path / "ckpt"))
    assert tb.CheckpointManager(tmp_path).save({"step": np.array(4)}) == str(tmp_path / "ckpt-4")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(BOTH)),
        st.booleans(),
        st.sampled_from([0.0, 0.5, 60.0, HOUR, 3 * HOUR]) | st.sampled_from([-60.0, -2 * HOUR]),
        st.integers(1, 6),
        st.sampled_from([1, 2, 3, None]),
        st.sampled_from([None, None, 0, 1, 2.5]),
    ),
    min_size=1,
    max_size=10,
)


def run(directory: Path, events: list[tuple[Any, ...]], clock: Clock, kinds: dict[str, Any]) -> list[Any]:
    """What there is after each event; a new manager is made where an event says so, or its kind changes."""
    clock.now = START
    seen = []
    manager, last = None, None
    for kind, new, seconds, number, keep, hours in events:
        clock.now += seconds
        if manager is None or new or kinds[kind] is not last:
            manager, last = kinds[kind](str(directory), keep, hours), kinds[kind]
        manager.save(number)
        clock.now += 0.125
        relative = [os.path.relpath(path, directory) for path in (*manager.checkpoints, manager.latest_checkpoint)]
        seen.append((relative, *contents(directory)))
    return seen


@given(EVENTS)
@settings(max_examples=40)
@pytest.mark.filterwarnings("ignore:the clock is:RuntimeWarning")
def test_any_course_of_events_is_that_of_tensorflow(tmp_path_factory, events):
    # Where kinds change, all three make a new manager.
    events = [
        (kind, new or index == 0 or events[index - 1][0] != kind, *rest)
        for index, (kind, new, *rest) in enumerate(events)
    ]
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", clock.time)
        theirs, ours, mixed = (
            run(tmp_path_factory.mktemp("run"), events, clock, kinds)
            for kinds in (dict.fromkeys(BOTH, TensorFlows), dict.fromkeys(BOTH, Ours), BOTH)
        )
    assert ours == theirs
    assert mixed == theirs


def state_text(latest: str, paths: list[str], times: list[float], preserved: float = 0) -> str:
    """A state file as somebody may have edited it."""
    lines = [f"model_checkpoint_path: '{latest}'", f"last_preserved_timestamp: {preserved}"]
    lines += [f"all_model_checkpoint_paths: '{path}'" for path in paths]
    return "\n".join(lines + [f"all_model_checkpoint_timestamps: {when}" for when in times])


@pytest.mark.parametrize(
    "text",
    [
        state_text("ckpt-2", [], []),
        state_text("ckpt-2", ["ckpt-1", "ckpt-2"], []),
        state_text("ckpt-2", ["ckpt-1", "ckpt-2"], [1, 2], 1),
        state_text("ckpt-1", ["ckpt-1", "ckpt-2"], [1]),
        state_text("ckpt-2", ["ckpt-2", "ckpt-1", "ckpt-2"], [5, 4, 3, 2]),
        state_text("{}/ckpt-2", ["{}/ckpt-1", "{}/ckpt-2"], [1, 2]),
        state_text("ckpt-2", ["ckpt-2"], [1e300], 1e300),
        state_text("gone-1", ["gone-1", "ckpt-1"], [1, 2]),
    ],
)
@pytest.mark.filterwarnings("ignore:the clock is:RuntimeWarning")
def test_state_files_of_all_kinds_are_continued_as_tensorflow_does(tmp_path, clock, text):
    after = []
    for kind in (TensorFlows, Ours):
        directory = tmp_path / kind.__name__
        for number in (1, 2):
            kind(str(directory)).save(number)
        (directory / "checkpoint").write_text(text.replace("{}", str(directory)), encoding="utf-8")
        made = kind(str(directory), 2, 1)
        before = [os.path.relpath(path, directory) for path in (*made.checkpoints, made.latest_checkpoint)]
        clock.now = START + 5 * HOUR
        made.save(3)
        after.append((before, *contents(directory)))
        clock.now = START
    assert after[0] == after[1]


def test_state_file_of_tensorflows_saver(tmp_path, tensorflow, clock):
    v1 = tensorflow.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        v1.get_variable("step", initializer=1)
        session.run(v1.global_variables_initializer())
        for number in (1, 2):
            v1.train.Saver().save(session, str(tmp_path / "ckpt"), number)
    assert_all_agree(tmp_path)
    clock.now += 60
    assert Ours(str(tmp_path)).save(3) == str(tmp_path / "ckpt-3")
    assert_all_agree(tmp_path)
    assert step_of(tb.latest_checkpoint(tmp_path)) == 3
