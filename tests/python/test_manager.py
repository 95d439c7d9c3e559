"""Saving again and again into one directory: numbers, the state file, and what is removed when."""

from __future__ import annotations

import errno
import inspect
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tensorbundle as tb
from tensorbundle import manager, writer

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


def tensors(number: int) -> dict[str, np.ndarray]:
    return {"step": np.array(number), "w": np.full(3, number, "<f4")}


def save(directory: Path | str, numbers: list[int], **options) -> tb.CheckpointManager:
    """A new manager that has saved these."""
    made = tb.CheckpointManager(directory, **options)
    for number in numbers:
        made.save(tensors(number), number)
    return made


def names(paths: list[str]) -> list[str]:
    return [os.path.basename(path) for path in paths]


def on_disk(directory: Path) -> list[str]:
    """Names of the checkpoints of which there is an index; data files and these belong together."""
    files = {path.name for path in directory.iterdir()} - {"checkpoint"}
    found = sorted((name.removesuffix(".index") for name in files if name.endswith(".index")), key=natural)
    assert files == {file for name in found for file in (f"{name}.index", f"{name}.data-00000-of-00001")}
    return found


def natural(name: str) -> tuple[str, int]:
    head, _, number = name.rpartition("-")
    return head, int(number)


def state_of(directory: Path) -> tb.CheckpointState:
    found = tb.CheckpointState.read(directory)
    assert found is not None
    return found


# Saving and numbering.


def test_first_save(tmp_path, clock):
    made = tb.CheckpointManager(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    assert (made.checkpoints, made.latest_checkpoint, made.directory) == ([], None, str(tmp_path / "new" / "run"))
    clock.now += 0.25
    prefix = made.save(tensors(7))
    assert prefix == str(tmp_path / "new" / "run" / "ckpt-1")
    assert (made.checkpoints, made.latest_checkpoint) == ([prefix], prefix)
    assert (tmp_path / "new" / "run" / "checkpoint").read_bytes() == (
        b'model_checkpoint_path: "ckpt-1"\n'
        b'all_model_checkpoint_paths: "ckpt-1"\n'
        b"all_model_checkpoint_timestamps: 1700000000.25\n"
        b"last_preserved_timestamp: 1699999999.0\n"
    )
    assert tb.latest_checkpoint(tmp_path / "new" / "run") == prefix
    assert tb.load(tmp_path / "new" / "run")["step"] == 7
    assert repr(made) == f"<tensorbundle.CheckpointManager {str(tmp_path / 'new' / 'run')!r}: 1 checkpoints>"


def test_relative_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for directory, prefix in [
        ("run", "run/ckpt-1"),
        (Path("run"), "run/ckpt-2"),
        ("", "ckpt-1"),
        ("run/", "run/ckpt-3"),
    ]:
        made = tb.CheckpointManager(directory)
        assert made.save(tensors(1)) == prefix
        assert made.checkpoints[-1] == tb.CheckpointManager(directory).checkpoints[-1] == prefix
        assert tb.latest_checkpoint(directory) == prefix


def test_numbers_continue_after_what_is_there(tmp_path):
    assert save(tmp_path, [3]).save(tensors(4)) == str(tmp_path / "ckpt-4")
    (tmp_path / "ckpt-20.index").touch()
    (tmp_path / "ckpt-30.data-00000-of-00002").touch()
    made = tb.CheckpointManager(tmp_path)
    assert made.save(tensors(5)) == str(tmp_path / "ckpt-31")
    (tmp_path / "ckpt-40.index.tmp").touch()
    (tmp_path / "other-50.index").touch()
    (tmp_path / "my-ckpt-60.index").touch()
    (tmp_path / "ckpt-70").mkdir()
    assert made.save(tensors(6)) == str(tmp_path / "ckpt-71")


def test_numbers_continue_after_what_the_state_file_names(tmp_path):
    tb.CheckpointState(str(tmp_path / "ckpt-8"), (str(tmp_path / "ckpt-9"),), (time.time(),)).write(tmp_path)
    assert tb.CheckpointManager(tmp_path).save(tensors(1)) == str(tmp_path / "ckpt-10")


def test_names_have_numbers_of_their_own(tmp_path):
    save(tmp_path, [5], checkpoint_name="a.b")
    save(tmp_path, [7], checkpoint_name="a+b")
    assert tb.CheckpointManager(tmp_path, checkpoint_name="a+b").save(tensors(1)) == str(tmp_path / "a+b-8")
    assert tb.CheckpointManager(tmp_path, checkpoint_name="a.b").save(tensors(1)) == str(tmp_path / "a.b-6")
    assert tb.CheckpointManager(tmp_path, checkpoint_name="axb").save(tensors(1)) == str(tmp_path / "axb-1")


def test_name_in_a_folder_of_the_directory(tmp_path):
    made = save(tmp_path, [1, 2, 3], checkpoint_name="sub/ckpt", max_to_keep=2)
    assert made.save(tensors(4)) == str(tmp_path / "sub" / "ckpt-4")
    assert on_disk(tmp_path / "sub") == ["ckpt-3", "ckpt-4"]
    assert b'model_checkpoint_path: "sub/ckpt-4"\n' in (tmp_path / "checkpoint").read_bytes()
    assert tb.load(tmp_path)["step"] == 4


def test_given_numbers(tmp_path):
    made = tb.CheckpointManager(tmp_path, max_to_keep=2)
    assert names([made.save(tensors(1), number) for number in (5, np.int64(3), 0)]) == ["ckpt-5", "ckpt-3", "ckpt-0"]
    assert names(made.checkpoints) == ["ckpt-3", "ckpt-0"]
    assert on_disk(tmp_path) == ["ckpt-0", "ckpt-3"]
    assert names([made.save(tensors(1))]) == ["ckpt-4"]


def test_saving_one_anew_makes_it_the_youngest(tmp_path):
    made = save(tmp_path, [1, 2, 1], max_to_keep=2)
    assert names(made.checkpoints) == ["ckpt-2", "ckpt-1"]
    assert tb.load(made.latest_checkpoint)["step"] == 1
    made.save(tensors(3), 3)
    assert names(made.checkpoints) == ["ckpt-1", "ckpt-3"]
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".index"} == {"ckpt-1.index", "ckpt-3.index"}
    assert not list(tmp_path.glob("ckpt-2*"))


def test_options_of_saving(tmp_path):
    made = tb.CheckpointManager(tmp_path, shards=2, alignment=1, durable=False, threads=1)
    with tb.open(made.save(tensors(1))) as ckpt:
        assert ckpt.num_shards == 2
    assert (tmp_path / "ckpt-1.data-00001-of-00002").exists()


def test_options_are_those_of_save():
    parameters = inspect.signature(writer.save).parameters.values()
    keyword_only = {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
    assert set(manager.SaveOptions.__annotations__) == keyword_only


@pytest.mark.parametrize("durable", [True, False])
def test_state_file_is_as_durable_as_the_checkpoint(tmp_path, monkeypatch, durable):
    asked = []
    monkeypatch.setattr(tb.CheckpointState, "write", lambda self, directory, *, durable: asked.append(durable))
    tb.CheckpointManager(tmp_path, durable=durable).save(tensors(1))
    assert asked == [durable]


def test_pairs_are_taken_as_well(tmp_path):
    made = tb.CheckpointManager(tmp_path)
    made.save((name, array) for name, array in tensors(3).items())
    assert made.load()["step"] == 3


# Reading what was saved.


def test_load_and_open_take_the_newest(tmp_path):
    made = save(tmp_path, [1, 2])
    assert made.load()["step"] == 2
    assert list(made.load(["step"], copy=True, verify=True)) == ["step"]
    assert list(made.load(include="w")) == ["w"]
    with made.open(mmap=False, threads=1) as ckpt:
        assert ckpt.path == str(tmp_path / "ckpt-2")
        assert ckpt["w"].tolist() == [2, 2, 2]


def test_arrays_outlive_their_checkpoint(tmp_path):
    made = save(tmp_path, [1], max_to_keep=1)
    arrays = made.load()
    made.save(tensors(2))
    assert on_disk(tmp_path) == ["ckpt-2"]
    assert arrays["w"].tolist() == [1, 1, 1]


def test_what_was_loaded_can_be_saved_over_itself(tmp_path):
    made = save(tmp_path, [1])
    made.save(made.load(), 1)
    assert made.load()["w"].tolist() == [1, 1, 1]


def test_nothing_to_load(tmp_path):
    made = tb.CheckpointManager(tmp_path / "run")
    for read in (made.load, made.open):
        with pytest.raises(FileNotFoundError, match="no checkpoint has been saved in this directory yet") as caught:
            read()
        assert caught.value.filename == str(tmp_path / "run")
    made.save(tensors(1))
    (tmp_path / "run" / "ckpt-1.index").unlink()
    with pytest.raises(FileNotFoundError, match=r"looked for .*ckpt-1\.index"):
        made.load()


# Rotation.


def test_keeps_the_newest(tmp_path):
    made = save(tmp_path, list(range(1, 13)), max_to_keep=3)
    assert names(made.checkpoints) == on_disk(tmp_path) == ["ckpt-10", "ckpt-11", "ckpt-12"]
    assert state_of(tmp_path).all_model_checkpoint_paths == tuple(made.checkpoints)


def test_keeps_five_unless_told(tmp_path):
    assert names(save(tmp_path, list(range(7))).checkpoints) == [f"ckpt-{number}" for number in range(2, 7)]


def test_keeps_all_if_told(tmp_path):
    made = save(tmp_path, list(range(1, 9)), max_to_keep=None, keep_checkpoint_every_n_hours=1)
    assert names(made.checkpoints) == on_disk(tmp_path) == [f"ckpt-{number}" for number in range(1, 9)]


def test_smaller_number_removes_several_at_once(tmp_path):
    save(tmp_path, [1, 2, 3, 4, 5])
    assert names(save(tmp_path, [6], max_to_keep=2).checkpoints) == on_disk(tmp_path) == ["ckpt-5", "ckpt-6"]


def test_some_stay_for_good(tmp_path, clock):
    made = tb.CheckpointManager(tmp_path, max_to_keep=1, keep_checkpoint_every_n_hours=2)
    assert made._last_preserved == START - 1
    for number in range(1, 9):
        clock.now = START + (number - 1) * HOUR
        made.save(tensors(number))
        assert names(made.checkpoints) == [f"ckpt-{number}"]
    # 1 is a second after the start; 3 is two hours and a second after it; 5 and 7 follow two hours apart each.
    assert on_disk(tmp_path) == ["ckpt-3", "ckpt-5", "ckpt-7", "ckpt-8"]
    assert state_of(tmp_path).last_preserved_timestamp == START + 6 * HOUR


@pytest.mark.parametrize(("seconds", "stays"), [(2 * HOUR - 1.001, False), (2 * HOUR - 1, True)])
def test_what_stays_is_so_much_later_or_more(tmp_path, clock, seconds, stays):
    made = tb.CheckpointManager(tmp_path, max_to_keep=1, keep_checkpoint_every_n_hours=2)
    clock.now += seconds
    made.save(tensors(1))
    made.save(tensors(2))
    assert on_disk(tmp_path) == (["ckpt-1", "ckpt-2"] if stays else ["ckpt-2"])
    assert state_of(tmp_path).last_preserved_timestamp == (clock.now if stays else START - 1)


def test_what_stays_for_good_is_forgotten(tmp_path, clock):
    made = tb.CheckpointManager(tmp_path, max_to_keep=1, keep_checkpoint_every_n_hours=1)
    for _ in range(3):
        clock.now += 2 * HOUR
        made.save(tensors(1))
    # Also by a manager that lets nothing stay.
    made = tb.CheckpointManager(tmp_path, max_to_keep=1)
    for _ in range(3):
        clock.now += 2 * HOUR
        made.save(tensors(1))
    assert on_disk(tmp_path) == ["ckpt-1", "ckpt-2", "ckpt-6"]


# What a new manager finds.


def test_new_manager_continues(tmp_path):
    first = save(tmp_path, [1, 2, 3], max_to_keep=3)
    second = tb.CheckpointManager(tmp_path, max_to_keep=3)
    assert (second.checkpoints, second.latest_checkpoint) == (first.checkpoints, first.latest_checkpoint)
    second.save(tensors(4))
    assert names(second.checkpoints) == on_disk(tmp_path) == ["ckpt-2", "ckpt-3", "ckpt-4"]


def test_directory_that_was_moved(tmp_path):
    save(tmp_path / "old", [1, 2], max_to_keep=2)
    (tmp_path / "old").rename(tmp_path / "new")
    made = save(tmp_path / "new", [3], max_to_keep=2)
    assert made.checkpoints == [str(tmp_path / "new" / name) for name in ("ckpt-2", "ckpt-3")]
    assert on_disk(tmp_path / "new") == ["ckpt-2", "ckpt-3"]


def test_without_times_what_is_there_stays(tmp_path):
    save(tmp_path, [1, 2])
    before = state_of(tmp_path)
    tb.CheckpointState(before.model_checkpoint_path, before.all_model_checkpoint_paths).write(tmp_path)
    made = tb.CheckpointManager(tmp_path, max_to_keep=1)
    assert (made.checkpoints, made.latest_checkpoint) == ([], str(tmp_path / "ckpt-2"))
    made.save(tensors(3))
    made.save(tensors(4))
    assert on_disk(tmp_path) == ["ckpt-1", "ckpt-2", "ckpt-4"]


def test_what_is_not_younger_than_the_last_that_stays(tmp_path):
    paths = tuple(str(tmp_path / f"ckpt-{number}") for number in range(4))
    tb.CheckpointState(paths[-1], paths, (1.0, 2.0, 2.5, float("nan")), 2.0).write(tmp_path)
    assert names(tb.CheckpointManager(tmp_path).checkpoints) == ["ckpt-2"]


def test_times_of_the_future_are_now(tmp_path, clock):
    paths = tuple(str(tmp_path / f"ckpt-{number}") for number in range(3))
    tb.CheckpointState(paths[-1], paths, (START - 5, START + 5, START + 9), START - 10).write(tmp_path)
    made = tb.CheckpointManager(tmp_path)
    assert made._active == dict(zip(paths, (START - 5, START, START)))


def test_clock_that_was_set_back(tmp_path, clock):
    paths = tuple(str(tmp_path / f"ckpt-{number}") for number in range(2))
    tb.CheckpointState(paths[-1], paths, (START + 200, START + 300), START + 100).write(tmp_path)
    with pytest.warns(RuntimeWarning) as caught:
        made = tb.CheckpointManager(tmp_path, max_to_keep=1)
    assert str(caught[0].message) == f"the clock is 100 s behind the checkpoints in {str(tmp_path)!r}"
    assert caught[0].filename == __file__
    assert (made.checkpoints, made._last_preserved) == ([], START)
    made.save(tensors(1))
    assert state_of(tmp_path).last_preserved_timestamp == START


def test_files_that_are_gone(tmp_path):
    save(tmp_path, [1, 2, 3])
    for name in ("ckpt-1.index", "ckpt-2.data-00000-of-00001", "ckpt-3.index", "ckpt-3.data-00000-of-00001"):
        (tmp_path / name).unlink()
    made = tb.CheckpointManager(tmp_path, max_to_keep=1)
    assert names(made.checkpoints) == ["ckpt-1", "ckpt-2", "ckpt-3"]
    assert made.latest_checkpoint == str(tmp_path / "ckpt-3")
    made.save(tensors(4))
    assert names(made.checkpoints) == on_disk(tmp_path) == ["ckpt-4"]


def test_folder_that_is_gone(tmp_path):
    save(tmp_path, [1], checkpoint_name="sub/ckpt")
    for path in (tmp_path / "sub").iterdir():
        path.unlink()
    (tmp_path / "sub").rmdir()
    made = save(tmp_path, [2], max_to_keep=1)
    assert names(made.checkpoints) == on_disk(tmp_path) == ["ckpt-2"]


def test_state_file_that_cannot_be_understood(tmp_path):
    save(tmp_path, [1, 2])
    (tmp_path / "checkpoint").write_text("damaged", encoding="ascii")
    with pytest.warns(tb.errors.DamageWarning) as caught:
        made = tb.CheckpointManager(tmp_path, max_to_keep=1)
    assert caught[0].filename == __file__
    assert (made.checkpoints, made.latest_checkpoint) == ([], None)
    made.save(tensors(3))
    assert on_disk(tmp_path) == ["ckpt-1", "ckpt-2", "ckpt-3"]
    assert names(list(state_of(tmp_path).all_model_checkpoint_paths)) == ["ckpt-3"]


def test_state_file_that_names_nothing(tmp_path):
    (tmp_path / "checkpoint").touch()
    with pytest.raises(tb.errors.DataLossError, match="names no checkpoint"):
        tb.CheckpointManager(tmp_path)


def test_prefix_that_no_file_can_have(tmp_path):
    (tmp_path / "checkpoint").write_bytes(
        b'model_checkpoint_path: "a\\000" all_model_checkpoint_paths: "a\\000" all_model_checkpoint_timestamps: 1'
    )
    made = save(tmp_path, [1], max_to_keep=1)
    assert names(made.checkpoints) == ["ckpt-1"]


# What is never removed.


@pytest.mark.parametrize(
    "bystander",
    [
        "ckpt-10.index",
        "ckpt-10.data-00000-of-00001",
        "ckpt-11.data-00000-of-00001",
        "ckpt-1.index.bak",
        "ckpt-1.data-00000-of-00001.bak",
        "ckpt-1.data-00000-of-00001.tempstate123",
        "ckpt-1.data-0000x-of-00001",
        "ckpt-1.data",
        "ckpt-1.meta",
        "ckpt-1",
        "my-ckpt-1.index",
        "my-ckpt-1.data-00000-of-00001",
    ],
)
def test_other_files_stay(tmp_path, bystander):
    (tmp_path / bystander).write_text("mine", encoding="ascii")
    save(tmp_path, [1, 2], max_to_keep=1)
    assert (tmp_path / bystander).read_text(encoding="ascii") == "mine"
    assert not (tmp_path / "ckpt-1.index").exists()
    assert not (tmp_path / "ckpt-1.data-00000-of-00001").exists()


@pytest.mark.parametrize("name", ["st*r", "wh?t", "a+b", "a.b", "(x", "new\nline", "gr\u00fc\u00df", "by\udcffte"])
def test_names_are_taken_literally(tmp_path, name):
    others = [tmp_path / f"starr-1{suffix}" for suffix in (".index", ".data-00000-of-00001")]
    others += [tmp_path / f"what-1{suffix}" for suffix in (".index", ".data-00000-of-00001")]
    for other in others:
        other.touch()
    made = save(tmp_path, [1, 2], checkpoint_name=name, max_to_keep=1)
    assert names(made.checkpoints) == [f"{name}-2"]
    assert {path for path in tmp_path.iterdir() if path.name != "checkpoint"} == {
        *others,
        tmp_path / f"{name}-2.index",
        tmp_path / f"{name}-2.data-00000-of-00001",
    }


def test_directory_with_brackets(tmp_path):
    with pytest.warns(UserWarning, match="TensorFlow will not find this checkpoint"):
        made = save(tmp_path / "[run]", [1, 2], max_to_keep=1)
    assert on_disk(tmp_path / "[run]") == ["ckpt-2"]
    assert tb.latest_checkpoint(tmp_path / "[run]") == made.latest_checkpoint


def test_what_lies_elsewhere_leaves_the_list_and_stays(tmp_path):
    original = save(tmp_path / "original", [1, 2])
    (tmp_path / "copy").mkdir()
    times = (time.time() - 2, time.time() - 1)
    outside = f"{tmp_path}/copy/../original/ckpt-1"
    copied = tb.CheckpointState(original.checkpoints[1], (outside, original.checkpoints[1]), times, 5.0)
    copied.write(tmp_path / "copy")
    made = tb.CheckpointManager(tmp_path / "copy", max_to_keep=1)
    assert made.checkpoints == [outside, original.checkpoints[1]]
    made.save(tensors(3))
    assert names(made.checkpoints) == on_disk(tmp_path / "copy") == ["ckpt-3"]
    assert on_disk(tmp_path / "original") == ["ckpt-1", "ckpt-2"]
    assert state_of(tmp_path / "copy").last_preserved_timestamp == 5.0


def test_the_same_directory_by_another_name(tmp_path):
    real = save(tmp_path / "real", [1, 2])
    (tmp_path / "link").symlink_to("real")
    # As TensorFlow's Saver writes them.
    text = (tmp_path / "real" / "checkpoint").read_text(encoding="ascii").replace('"ckpt', f'"{tmp_path}/real/ckpt')
    (tmp_path / "real" / "checkpoint").write_text(text, encoding="ascii")
    assert tb.CheckpointManager(tmp_path / "link").checkpoints == real.checkpoints
    made = save(tmp_path / "link", [3], max_to_keep=1)
    assert made.checkpoints == [str(tmp_path / "link" / "ckpt-3")]
    assert on_disk(tmp_path / "real") == ["ckpt-3"]


# When something fails.


def index_names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.suffix == ".index"}


def test_failed_save_changes_nothing(tmp_path):
    made = save(tmp_path, [1, 2], max_to_keep=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for wrong in ({}, {"w": object()}, {"w": {1, 2}}, 5):
        with pytest.raises((TypeError, ValueError)):
            made.save(wrong)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert names(made.checkpoints) == ["ckpt-1", "ckpt-2"]
    assert made.latest_checkpoint == str(tmp_path / "ckpt-2")
    assert names([made.save(tensors(3))]) == ["ckpt-3"]


class Crash(BaseException):
    """The end of the process, as far as files can tell."""


STEPS = ["record", "index 1", "data 1", "index 2", "data 2", "record again"]


@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_crash_before_any_step(tmp_path, monkeypatch, step):
    save(tmp_path, [1, 2, 3], max_to_keep=3)
    made = tb.CheckpointManager(tmp_path, max_to_keep=2)
    done = []

    def counting(call):
        def counted(*arguments, **options):
            if len(done) == step:
                raise Crash
            done.append(call)
            return call(*arguments, **options)

        return counted

    monkeypatch.setattr(tb.CheckpointState, "write", counting(tb.CheckpointState.write))
    monkeypatch.setattr(os, "unlink", counting(os.unlink))
    with pytest.raises(Crash):
        made.save(tensors(4))
    monkeypatch.undo()

    newest = 4 if step else 3
    assert tb.latest_checkpoint(tmp_path) == str(tmp_path / f"ckpt-{newest}")
    assert tb.load(tmp_path)["step"] == newest
    # Data may be left without its index, but no index without its data.
    for index in index_names(tmp_path):
        assert tb.open(tmp_path / index).verify()
    after = tb.CheckpointManager(tmp_path, max_to_keep=2)
    assert after.latest_checkpoint == str(tmp_path / f"ckpt-{newest}")
    assert after.save(tensors(5)) == str(tmp_path / "ckpt-5")
    # Of what was not recorded nobody knows whose it is: it stays.
    assert on_disk(tmp_path) == (["ckpt-4", "ckpt-5"] if step else ["ckpt-3", "ckpt-4", "ckpt-5"])


def test_index_goes_before_the_data(tmp_path, monkeypatch):
    made = save(tmp_path, [1], max_to_keep=1, shards=2)
    removed = []
    real = os.unlink

    def unlink(path):
        removed.append(os.path.basename(path))
        real(path)

    monkeypatch.setattr(os, "unlink", unlink)
    made.save(tensors(2))
    assert removed == ["ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.data-00001-of-00002"]


def test_what_could_not_be_removed_is_tried_again(tmp_path, monkeypatch):
    made = save(tmp_path, [1], max_to_keep=1)

    def refuse(path):
        raise PermissionError(errno.EACCES, "no", path)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(PermissionError):
        made.save(tensors(2))
    monkeypatch.undo()
    assert made.latest_checkpoint == tb.latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-2")
    assert made.checkpoints == list(state_of(tmp_path).all_model_checkpoint_paths)
    made.save(tensors(3))
    assert on_disk(tmp_path) == ["ckpt-3"]


def test_another_process_removes_the_same(tmp_path, monkeypatch):
    made = save(tmp_path, [1], max_to_keep=1)
    real = os.unlink

    def unlink(path):
        if path.startswith(str(tmp_path / "ckpt-1")):
            real(path)
        real(path)

    monkeypatch.setattr(os, "unlink", unlink)
    made.save(tensors(2))
    assert on_disk(tmp_path) == ["ckpt-2"]


# Wrong arguments.


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"max_to_keep": 0}, ValueError, "max_to_keep must be positive, or None to keep all, not 0"),
        ({"max_to_keep": -1}, ValueError, "max_to_keep must be positive, or None to keep all, not -1"),
        ({"max_to_keep": True}, TypeError, "max_to_keep must be an integer, not True"),
        ({"max_to_keep": 2.0}, TypeError, "max_to_keep must be an integer, not 2.0"),
        ({"keep_checkpoint_every_n_hours": -1}, ValueError, "must be None or a number of hours, not -1"),
        ({"keep_checkpoint_every_n_hours": float("nan")}, ValueError, "must be None or a number of hours, not nan"),
        ({"checkpoint_name": ""}, ValueError, "checkpoint_name must be a name inside the directory, not ''"),
        ({"checkpoint_name": "/ckpt"}, ValueError, "must be a name inside the directory, not '/ckpt'"),
        ({"checkpoint_name": "../ckpt"}, ValueError, r"must be a name inside the directory, not '\.\./ckpt'"),
        ({"checkpoint_name": "sub/"}, ValueError, "must be a name inside the directory, not 'sub/'"),
        ({"checkpoint_name": "a\0"}, ValueError, r"must be a name inside the directory, not 'a\\x00'"),
        ({"shard": 2}, TypeError, r"CheckpointManager\(\) got an unexpected keyword argument 'shard'"),
    ],
)
def test_wrong_options(tmp_path, options, kind, message):
    with pytest.raises(kind, match=message):
        tb.CheckpointManager(tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "kind"), [(-1, ValueError), (True, TypeError), (1.0, TypeError), ("1", TypeError)])
def test_wrong_numbers(tmp_path, number, kind):
    with pytest.raises(kind, match="checkpoint_number must"):
        tb.CheckpointManager(tmp_path).save(tensors(1), number)
    assert list(tmp_path.iterdir()) == []


# Any course of events.

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "save", "again", "new manager"]),
        st.sampled_from([0.0, 60.0, HOUR, 3 * HOUR, -HOUR]),
        st.sampled_from([1, 2, 3, None]),
        st.sampled_from([None, 1, 2.5]),
    ),
    max_size=12,
)


@given(EVENTS)
@pytest.mark.filterwarnings("ignore:the clock is:RuntimeWarning")
def test_list_file_and_disk_agree(tmp_path_factory, events):
    directory = tmp_path_factory.mktemp("run")
    clock = Clock()
    patch = pytest.MonkeyPatch()
    patch.setattr(time, "time", clock.time)
    try:
        made = tb.CheckpointManager(directory)
        for what, seconds, keep, hours in events:
            clock.now += seconds
            if what == "new manager":
                made = tb.CheckpointManager(directory, keep, hours, durable=False)
                continue
            again = made.checkpoints[0] if what == "again" and made.checkpoints else None
            latest = made.save(tensors(1), None if again is None else natural(os.path.basename(again))[1])
            assert latest == made.latest_checkpoint == made.checkpoints[-1] == tb.latest_checkpoint(directory)
            assert list(state_of(directory).all_model_checkpoint_paths) == made.checkpoints
            assert made._max_to_keep is None or len(made.checkpoints) <= made._max_to_keep
            there = {os.path.basename(path).partition(".index")[0] for path in index_names(directory)}
            assert set(names(made.checkpoints)) <= there
    finally:
        patch.undo()
