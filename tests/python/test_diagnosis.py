"""What happened to the files of a damaged checkpoint, told from which of its tensors fail."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import corpus
from support.bundle_writer import Mutations, write_bundle
from support.v1_writer import Row
from support.v1_writer import write as write_v1

import tensorbundle as tb

pytestmark = pytest.mark.filterwarnings("ignore::tensorbundle.errors.DamageWarning")


def tensors(seed: int, count: int = 12) -> dict[str, np.ndarray]:
    """Of different sizes, so that files end at different places."""
    rng = np.random.default_rng(seed)
    return {f"layer_{number:02}": rng.random(20 + number, dtype=np.float32) for number in range(count)}


def save(directory: Path, seed: int = 1, *, shards: int = 3, name: str = "ckpt", **options: object) -> Path:
    directory.mkdir(exist_ok=True)
    return write_bundle(directory / name, tensors(seed), shards=shards, **options).prefix


def data(prefix: Path, shard: int, shards: int = 3) -> Path:
    return Path(f"{prefix}.data-{shard:05}-of-{shards:05}")


def flip(path: Path, *offsets: int) -> None:
    content = bytearray(path.read_bytes())
    for offset in offsets:
        content[offset] ^= 0x40
    path.write_bytes(content)


def causes(found: tb.Diagnosis) -> dict[str, str]:
    return {os.path.basename(file.path): file.cause for file in found.files}


def in_shard(prefix: Path, shard: int) -> list[str]:
    with tb.open(prefix) as ckpt:
        return [entry.name for entry in ckpt.entries() if entry.shard == shard]


def rows(values: dict[str, np.ndarray]) -> list[Row]:
    return [Row(name.encode(), value) for name, value in values.items()]


@pytest.fixture
def prefix(tmp_path) -> Path:
    return save(tmp_path / "run")


def test_sound(prefix):
    found = tb.diagnose(prefix)
    assert found
    assert (found.files, found.report.checked) == ((), 12)
    assert str(found) == str(found.report)


def test_missing(prefix):
    lost = in_shard(prefix, 1)
    data(prefix, 1).unlink()
    (file,) = tb.diagnose(prefix).files
    assert (file.path, file.cause, file.tensors, file.damaged) == (str(data(prefix, 1)), "missing", 4, tuple(lost))
    assert file.evidence == "No such file or directory, so 4 of its 4 tensors can't be read"
    assert file.advice.startswith("copy the file here")


def test_truncated(prefix):
    lost = in_shard(prefix, 1)[-2:]
    size = data(prefix, 1).stat().st_size
    os.truncate(data(prefix, 1), size - 31 * 4)
    (file,) = tb.diagnose(prefix).files
    assert (file.path, file.cause, file.tensors, file.damaged) == (str(data(prefix, 1)), "truncated", 4, tuple(lost))
    assert file.evidence == f"it ends at {size - 124}, the index goes on to {size}, which 2 of its 4 tensors need"


def test_empty_is_truncated(prefix):
    os.truncate(data(prefix, 0), 0)
    (file,) = tb.diagnose(prefix).files
    assert (file.cause, len(file.damaged)) == ("truncated", 4)


def test_pointer_of_git_lfs(prefix):
    data(prefix, 2).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    (file,) = tb.diagnose(prefix).files
    assert (file.path, file.cause, len(file.damaged)) == (str(data(prefix, 2)), "placeholder", 4)
    assert file.evidence == "it is a Git LFS pointer of 64 bytes, so 4 of its 4 tensors can't be read"
    assert "git lfs pull" in file.advice


def test_flipped(prefix):
    name = in_shard(prefix, 2)[1]
    with tb.open(prefix) as ckpt:
        offset = ckpt.entry(name).offset
    flip(data(prefix, 2), offset + 5)
    (file,) = tb.diagnose(prefix).files
    assert (file.path, file.cause, file.tensors, file.damaged) == (str(data(prefix, 2)), "flipped", 4, (name,))
    assert file.evidence == f"1 of its 4 tensors fail their checksums: {name!r}"


def test_flipped_in_a_file_of_one_tensor(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.ones(100)}).prefix
    flip(data(prefix, 0, 1), 5)
    (file,) = tb.diagnose(prefix).files
    assert (file.cause, file.tensors, file.damaged) == ("flipped", 1, ("w",))


def test_zeroed(prefix):
    name = in_shard(prefix, 1)[2]
    with tb.open(prefix) as ckpt:
        entry = ckpt.entry(name)
    content = bytearray(data(prefix, 1).read_bytes())
    content[entry.offset : entry.offset + entry.nbytes] = bytes(entry.nbytes)
    data(prefix, 1).write_bytes(content)
    (file,) = tb.diagnose(prefix).files
    assert (file.cause, file.damaged) == ("zeroed", (name,))
    assert file.evidence == "1 of its 4 tensors fail, and all their bytes are zero"


def test_swapped(prefix):
    names = [in_shard(prefix, shard) for shard in (0, 2)]
    shutil.move(data(prefix, 0), prefix.parent / "other")
    shutil.move(data(prefix, 2), data(prefix, 0))
    shutil.move(prefix.parent / "other", data(prefix, 2))
    found = tb.diagnose(prefix)
    assert causes(found) == {"ckpt.data-00000-of-00003": "swapped", "ckpt.data-00002-of-00003": "swapped"}
    assert [list(file.damaged) for file in found.files] == names
    assert found.files[0].evidence == "4 of its 4 damaged tensors are sound in ckpt.data-00002-of-00003"
    assert found.files[1].evidence == "4 of its 4 damaged tensors are sound in ckpt.data-00000-of-00003"


def test_three_files_in_a_ring(prefix):
    paths = [data(prefix, shard) for shard in range(3)]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1]):
        path.write_bytes(content)
    found = tb.diagnose(prefix)
    assert [file.cause for file in found.files] == ["swapped"] * 3
    assert [file.evidence.split()[-1] for file in found.files] == [
        "ckpt.data-00002-of-00003",
        "ckpt.data-00000-of-00003",
        "ckpt.data-00001-of-00003",
    ]


def test_swapped_with_strings_and_slices(tmp_path):
    values = {"a": [b"one", b"two"], "b": np.arange(64.0), "c": np.arange(10.0), "d": [b"three"], "e": np.ones(7)}
    prefix = write_bundle(
        tmp_path / "ckpt",
        values,
        shards=2,
        slices={"b": ["0,32", "32,32"]},
        shard_of=lambda name, part: name in (b"a", b"c") or part,
    ).prefix
    one, two = (data(prefix, shard, 2) for shard in range(2))
    contents = one.read_bytes(), two.read_bytes()
    one.write_bytes(contents[1])
    two.write_bytes(contents[0])
    found = tb.diagnose(prefix)
    assert [file.cause for file in found.files] == ["swapped", "swapped"]


def test_foreign_file(tmp_path, prefix):
    other = save(tmp_path / "other", seed=2)
    shutil.copy(data(other, 1), data(prefix, 1))
    (file,) = tb.diagnose(prefix).files
    assert (file.path, file.cause, file.tensors, len(file.damaged)) == (str(data(prefix, 1)), "foreign", 4, 4)
    assert file.evidence == "4 of its 4 tensors fail, while those of other files are sound"


def test_foreign_file_with_a_tensor_that_did_not_change(tmp_path):
    same = {"step": np.zeros(4, np.float32)}
    prefixes = [
        write_bundle(
            tmp_path / f"{seed}", {**tensors(seed, 30), **same}, shards=2, shard_of=lambda name, _: name > b"layer_15"
        ).prefix
        for seed in (1, 2)
    ]
    shutil.copy(data(prefixes[1], 1, 2), data(prefixes[0], 1, 2))
    (file,) = tb.diagnose(prefixes[0]).files
    assert (file.cause, file.tensors, len(file.damaged)) == ("foreign", 15, 14)


def test_copy_of_another_file(prefix):
    shutil.copy(data(prefix, 0), data(prefix, 1))
    (file,) = tb.diagnose(prefix).files
    assert file.cause == "foreign"
    assert file.evidence.endswith("; it is a copy of ckpt.data-00000-of-00003")


@pytest.mark.parametrize("shards", [1, 3])
def test_index_of_another_save(tmp_path, shards):
    prefix = save(tmp_path / "run", shards=shards)
    other = save(tmp_path / "other", seed=2, shards=shards)
    shutil.copy(f"{other}.index", f"{prefix}.index")
    found = tb.diagnose(prefix)
    assert [file.cause for file in found.files] == ["mixed"] * shards
    assert sum(len(file.damaged) for file in found.files) == 12
    others = ", and as many of every other file" if shards > 1 else ""
    assert {file.evidence for file in found.files} == {f"{12 // shards} of its {12 // shards} tensors fail{others}"}


def test_several_causes_at_once(prefix):
    data(prefix, 0).unlink()
    os.truncate(data(prefix, 1), 4)
    flip(data(prefix, 2), 3)
    found = tb.diagnose(prefix)
    assert [file.cause for file in found.files] == ["missing", "truncated", "flipped"]
    assert {damage.name: found.cause(damage) for damage in found.report.damaged} == {
        name: file.cause for file in found.files for name in file.damaged
    }


def test_record_that_cannot_be_understood(tmp_path):
    mutate = Mutations(entries={"layer_03": {"dtype": 99}})
    prefix = write_bundle(tmp_path / "ckpt", tensors(1), mutate=mutate).prefix
    (file,) = tb.diagnose(prefix).files
    assert (file.path, file.cause, file.damaged) == (f"{prefix}.index", "record", ("layer_03",))


def test_some_names(prefix):
    data(prefix, 1).unlink()
    lost = in_shard(prefix, 1)
    found = tb.diagnose(prefix, lost[:1])
    assert [(file.cause, file.damaged) for file in found.files] == [("missing", (lost[0],))]
    assert tb.diagnose(prefix, in_shard(prefix, 0))


def test_report_that_is_there_is_not_made_again(prefix, monkeypatch):
    flip(data(prefix, 2), 3)
    with tb.open(prefix) as ckpt:
        report = ckpt.verify()
        monkeypatch.setattr(tb.Checkpoint, "verify", None)
        assert [file.cause for file in tb.diagnose(ckpt, report=report).files] == ["flipped"]


def test_checkpoint_under_other_names(prefix):
    shutil.move(data(prefix, 0), prefix.parent / "other")
    shutil.move(data(prefix, 2), data(prefix, 0))
    shutil.move(prefix.parent / "other", data(prefix, 2))
    with tb.open(prefix) as ckpt:
        assert [file.cause for file in tb.diagnose(ckpt.named("path")).files] == ["swapped", "swapped"]


def test_v1(tmp_path):
    path = write_v1(tmp_path / "old.ckpt", rows(tensors(1)), block_size=200)
    flip(path, path.stat().st_size // 2)
    found = tb.diagnose(path)
    assert not found
    (file,) = found.files
    assert (file.path, file.cause) == (str(path), "flipped")


def test_missing_shard_of_v1(tmp_path):
    write_v1(tmp_path / "old-00000-of-00002", rows(tensors(1)))
    found = tb.diagnose(tmp_path / "old-?????-of-00002")
    assert [(file.path, file.cause) for file in found.files] == [(str(tmp_path / "old-00001-of-00002"), "missing")]


def test_pickles(prefix):
    data(prefix, 1).unlink()
    found = tb.diagnose(prefix)
    assert pickle.loads(pickle.dumps(found)).files == found.files


EXPECTED = {
    "sonnet-resnet50-no-data/checkpoint-1": "missing",
    "sustainabite-recipe-model-lfs-pointer/variables/variables": "placeholder",
    "t5x-mtf-tiny-t5-missing-shard/model.ckpt-0": "missing",
}


@pytest.mark.skipif(not corpus.checkpoints(), reason="the open corpus is absent")
def test_broken_samples_of_the_corpus():
    broken = [each for each in corpus.checkpoints() if not each.complete]
    assert {each.id: [file.cause for file in tb.diagnose(each.prefix).files] for each in broken} == {
        name: [cause] for name, cause in EXPECTED.items()
    }
