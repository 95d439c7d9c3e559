"""A checkpoint that a writer replaces again and again while others open and read it: each finds one save, whole.

Every tensor of every save holds the save's number, so that a mix of two gives itself away.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import publish
from support.bundle_writer import Image, build_bundle
from support.hashing import assert_same_bits
from support.processes import start_python

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
SAVES = 24
PUBLICATIONS = 1000
OPENED = 300
DIFFERENT = 5

WRITER = r"""
import pickle, select, sys
from pathlib import Path
from support import publish

prefix, commit, least = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
images = pickle.loads(Path(sys.argv[4]).read_bytes())
published = 0
print("ready", flush=True)
while published < least or not select.select([sys.stdin], [], [], 0)[0]:
    published += 1
    index, shards = images[published % len(images)]
    publish.publish(prefix, index, shards, commit=commit)
print(published)
"""


def tensors_of(save: int) -> dict[str, np.ndarray]:
    """Names, shapes, dtypes and where the data lies vary with the number, which is in every one of them."""
    number = np.int32(save)
    tensors = {
        "large": np.full((3 + save % 5, 500), number, "<i4"),
        "step": np.array(save, "<i8"),
        "strings": np.array([b"save %d" % save] * (1 + save % 3), object),
    }
    if save % 2:
        tensors["bytes"] = np.full(5 + save % 7, save, np.uint8)
    if save % 3 == 0:
        tensors["a/sliced"] = np.full((4, 50), save, "<f4")
    return dict(sorted(tensors.items(), reverse=bool(save % 2)))


def image_of(save: int, shards: int) -> Image:
    tensors = tensors_of(save)
    slices = {"a/sliced": ["0,1:-", "1,3:-"]} if "a/sliced" in tensors else {}
    return build_bundle(tensors, shards=shards, slices=slices, alignment=(1, 64)[save % 2])


def save_of(arrays: dict[str, np.ndarray]) -> int:
    """The number of the save that these tensors are, all of them and to the last bit."""
    save = int(arrays["step"])
    expected = tensors_of(save)
    assert list(arrays) == sorted(expected)
    for name, value in expected.items():
        assert_same_bits(arrays[name], value, (save, name))
    return save


@contextlib.contextmanager
def replaced(folder: Path, commit: str) -> Iterator[Path]:
    """The prefix of a checkpoint that a process replaces all the time, at least ``PUBLICATIONS`` times."""
    prefix = folder / "run" / "ckpt"
    # Neighbours in the cycle have different shard counts: the protocol needs free names. TensorFlow reuses them.
    counts = [1 + save % 3 if commit == "protocol" else 1 + save % 8 // 4 for save in range(SAVES)]
    images = [image_of(save, shards) for save, shards in enumerate(counts)]
    publish.publish(prefix, images[0].index, images[0].shards, commit=commit)
    pickled = folder / "images"
    pickled.write_bytes(pickle.dumps([(image.index, image.shards) for image in images]))
    writer = start_python(WRITER, prefix, commit, PUBLICATIONS, pickled)
    try:
        assert writer.stdout.readline() == "ready\n"
        yield prefix
        stdout, stderr = writer.communicate("stop\n")
        assert (writer.returncode, stderr) == (0, "")
        assert int(stdout) >= PUBLICATIONS
    finally:
        writer.kill()
        writer.communicate()


def until_enough(seen: Counter[int]) -> Iterator[int]:
    """Counts openings: so many, and until several saves were seen, which on a busy machine takes longer."""
    patience = time.monotonic() + 60
    for number in itertools.count():
        if number >= OPENED and len(seen) >= DIFFERENT:
            return
        assert time.monotonic() < patience, f"{number} openings found {seen}"
        yield number


@MODES
@pytest.mark.parametrize("verify", [True, False])
def test_each_opening_finds_one_save_whole(tmp_path, mmap, verify):
    seen: Counter[int] = Counter()
    with replaced(tmp_path, "protocol") as prefix:
        for _ in until_enough(seen):
            # A warning would be an error here: nothing is ever missing.
            with tb.open(prefix, mmap=mmap, verify=verify) as ckpt:
                seen[save_of(ckpt.load())] += 1
    assert seen.total() >= OPENED


@MODES
def test_each_opening_stays_the_save_that_it_was(tmp_path, mmap):
    kept = []
    seen: Counter[int] = Counter()
    with replaced(tmp_path, "protocol") as prefix:
        for _ in until_enough(seen):
            with tb.open(prefix, mmap=mmap) as ckpt:
                first = save_of(ckpt.load())
                arrays = ckpt.load(verify=False)
                parts = {name: ckpt.read(name, index=...) for name in ckpt}
                # By now there may be several other saves.
                assert save_of(ckpt.load(copy=True)) == save_of(arrays) == save_of(parts) == first
                assert ckpt.verify()
                kept.append((first, arrays))
                seen[first] += 1
    assert len(kept) >= OPENED
    for save, arrays in kept:
        assert save_of(arrays) == save


@MODES
def test_no_mix_of_two_saves_where_data_is_renamed_before_its_index(tmp_path, mmap):
    """TensorFlow replaces the data first. In between the old index describes new data: checksums tell."""
    seen: Counter[int] = Counter()
    damaged = 0
    with replaced(tmp_path, "tensorflow") as prefix, warnings.catch_warnings():
        warnings.simplefilter("ignore", tb.errors.DamageWarning)
        for _ in until_enough(seen):
            with tb.open(prefix, mmap=mmap, verify=True) as ckpt:
                try:
                    arrays = ckpt.load()
                except tb.errors.DataLossError:
                    damaged += 1
                else:
                    seen[save_of(arrays)] += 1
    assert seen.total() + damaged >= OPENED


# Step by step, without chance.


@MODES
@pytest.mark.parametrize("commit", ["protocol", "tensorflow"])
def test_what_was_opened_before_stays_at_every_step(tmp_path, mmap, commit):
    prefix = tmp_path / "ckpt"
    old = image_of(0, 2)
    publish.publish(prefix, old.index, old.shards, commit=commit)
    ckpt = tb.open(prefix, mmap=mmap)
    arrays = ckpt.load()
    pickled = pickle.dumps(ckpt)
    new = image_of(1, 3 if commit == "protocol" else 2)
    steps = list(check_steps(prefix, new, commit, ckpt, arrays))
    removed = ["removed"] * 2 if commit == "protocol" else []
    assert steps == ["data"] * len(new.shards) + ["index"] + removed
    assert save_of(tb.load(prefix, mmap=mmap)) == 1
    with pytest.raises(tb.errors.DataLossError, match="another save"):
        pickle.loads(pickled)
    ckpt.close()
    assert save_of(arrays) == 0


def check_steps(prefix, new, commit, ckpt, arrays):
    for step in publish.publish_steps(prefix, new.index, new.shards, commit=commit):
        assert save_of(arrays) == 0
        assert save_of(ckpt.load()) == 0
        assert save_of(ckpt.load(copy=True)) == 0
        assert ckpt.verify()
        yield step


@MODES
def test_what_is_opened_at_every_step_of_the_protocol(tmp_path, mmap):
    prefix = tmp_path / "ckpt"
    old, new = image_of(0, 2), image_of(1, 3)
    publish.publish(prefix, old.index, old.shards, commit="protocol")
    found = [
        (step, save_of(tb.load(prefix, mmap=mmap)))
        for step in publish.publish_steps(prefix, new.index, new.shards, commit="protocol")
    ]
    assert found == [("data", 0)] * 3 + [("index", 1)] + [("removed", 1)] * 2


@MODES
def test_what_is_opened_between_new_data_and_its_index(tmp_path, mmap):
    prefix = tmp_path / "ckpt"
    old, new = image_of(2, 1), image_of(4, 1)
    publish.publish(prefix, old.index, old.shards, commit="tensorflow")
    steps = publish.publish_steps(prefix, new.index, new.shards, commit="tensorflow")
    assert next(steps) == "data"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tb.errors.DamageWarning)
        ckpt = tb.open(prefix, mmap=mmap)
    assert [damage.name for damage in ckpt.verify().damaged] == list(ckpt)
    for name in ckpt:
        with pytest.raises(tb.errors.DataLossError):
            ckpt[name]
    assert list(steps) == ["index"]
    assert save_of(tb.load(prefix, mmap=mmap)) == 4
