"""Conversions carried out: what is in the target, to the last bit, whatever the source and whatever the target."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from support import golden
from support.corpus import checkpoints as corpus_checkpoints
from support.dtypes import FIXED
from support.hashing import assert_same_bits, tensor_hash
from support.tensors import Typed
from support.values import filled

import tensorbundle as tb
from tensorbundle import formats
from tensorbundle.conversion import transposing
from tensorbundle.renaming import GRAPH_KEY

# Small ones, one in parts, empty ones, a scalar; of types that all targets hold.
PLAIN = {
    "big": np.arange(600_000, dtype=np.float32).reshape(300, 2000),
    "empty": np.zeros((0, 3), np.float64),
    "flags": np.array([True, False, True]),
    "layer/bias": np.linspace(0, 1, 5, dtype=np.float16),
    "layer/kernel": np.arange(12, dtype=np.int32).reshape(3, 4),
    "phase": np.array([1 + 2j], np.complex64),
    "step": np.array(7, np.int64),
}
TARGETS = ["out", "out.safetensors", "out.npz", "set.safetensors.index.json"]


def read_all(path: Path) -> dict[str, np.ndarray]:
    with formats.open_source(path) as source:
        return {spec.name: source.read(spec.name) for spec in source.tensors()}


def halved(value: np.ndarray) -> np.ndarray:
    """What a cast to float16 makes of a tensor."""
    with np.errstate(over="ignore"):
        return value.astype(np.float16) if value.dtype.kind == "f" else value


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert_same_bits(found[name], value, name)


@pytest.fixture
def prefix(tmp_path):
    tb.save(tmp_path / "source" / "ckpt", PLAIN, durable=False)
    return tmp_path / "source" / "ckpt"


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


# Round trips.


@pytest.mark.parametrize("first", TARGETS)
@pytest.mark.parametrize("second", TARGETS)
def test_from_everything_to_everything(prefix, out, first, second):
    tb.convert(prefix, out / "1" / first)
    report = tb.convert(out / "1" / first, out / "2" / second)
    assert_same(read_all(out / "2" / second), PLAIN)
    assert report.path == str(out / "2" / second)
    assert (len(report.tensors), report.left_out, report.durable) == (len(PLAIN), (), False)
    assert report.nbytes == sum(value.nbytes for value in PLAIN.values())
    assert report.seconds > 0


@pytest.mark.parametrize("target", ["out", "out.safetensors", "out.npz"])
def test_every_type_that_the_target_holds_comes_back(tmp_path, out, write_bundle, target):
    tensors = {}
    for dtype in FIXED:
        values = filled(dtype.name, (3, 41))
        tensors[f"t/{dtype.name}"] = Typed(values, dtype.name)
        tensors[f"scalar/{dtype.name}"] = Typed(filled(dtype.name, (), 1), dtype.name)
        tensors[f"empty/{dtype.name}"] = Typed(filled(dtype.name, (2, 0)), dtype.name)
    tensors["words"] = np.array([b"", b"a\0b", b"\xff" * 300], object)
    bundle = write_bundle(tensors)
    report = tb.convert(bundle.prefix, out / target, skip_unsupported=True)
    left = {left.name for left in report.left_out}
    with tb.open(bundle.prefix) as source, formats.open_source(out / target) as made:
        found = {spec.name: spec for spec in made.tensors()}
        assert found.keys() | left == tensors.keys()
        assert not found.keys() & left
        for name, spec in found.items():
            assert (spec.dtype, spec.shape) == (source.entry(name).tf_dtype, source.entry(name).shape)
            assert_same_bits(made.read(name), source[name], name)
    kinds = {"out": 0, "out.safetensors": 13, "out.npz": 17}
    assert len({name.partition("/")[2] or name for name in left}) == kinds[target]


@pytest.mark.parametrize("checkpoint", golden.checkpoints() + golden.checkpoints("V1"), ids=lambda each: each.id)
def test_golden_checkpoints_are_rewritten_whole(checkpoint, out):
    """Both formats, both byte orders, slices, compressed blocks, strings, variants."""
    tb.convert(checkpoint.prefix, out / "ckpt", alignment=128)
    with tb.open(checkpoint.prefix) as old, tb.open(out / "ckpt") as new:
        assert new.verify()
        assert list(new) == list(old)
        for name in old:
            assert_same_bits(new[name], old[name], name)
            assert new.entry(name).tf_dtype == old.entry(name).tf_dtype
            assert new.entry(name).slices == ()


@pytest.mark.parametrize("checkpoint", corpus_checkpoints(), ids=lambda each: each.id)
def test_corpus_checkpoints_come_back_from_safetensors(checkpoint, out):
    if not checkpoint.complete or all(tensor.dtype == "string" for tensor in checkpoint.tensors.values()):
        pytest.skip("TensorFlow does not read all of it, or there are only strings")
    report = tb.convert(checkpoint.prefix, out / "model.safetensors", skip_unsupported=True)
    back = tb.convert(out / "model.safetensors", out / "ckpt")
    assert len(back.tensors) + len(report.left_out) == len(checkpoint.tensors)
    with tb.open(out / "ckpt") as made:
        for name in made:
            assert tensor_hash(made[name]) == checkpoint.tensors[name].sha256


# Names, types, axes.


def test_all_rules_at_once(prefix, out):
    tb.convert(
        prefix,
        out / "m.safetensors",
        include="layer|big",
        rename=[(r"^layer/(\w+)$", r"\1_0"), ("^big$", "embeddings")],
        cast={"big": "bfloat16", "kernel": "int8"},
        transpose={"kernel": (1, 0), "big": None},
    )
    big = PLAIN["big"].T.astype(ml_dtypes.bfloat16)
    kernel = PLAIN["layer/kernel"].T.astype(np.int8)
    expected = {"embeddings": big, "kernel_0": kernel, "bias_0": PLAIN["layer/bias"]}
    assert_same(read_all(out / "m.safetensors"), expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", ["safetensors", "checkpoint"])
def test_casts_of_any_size_are_the_same_in_every_target(prefix, out, target, source):
    if source == "safetensors":
        tb.convert(prefix, out / "s.safetensors")
        prefix = out / "s.safetensors"
    tb.convert(prefix, out / "to" / target, cast="float16")
    expected = {name: halved(value) for name, value in PLAIN.items()}
    assert_same(read_all(out / "to" / target), expected)


def test_integer_that_does_not_fit_is_said_with_its_tensor(out):
    tb.save(out / "a", {"ids": np.array([1, 300], np.int32)}, durable=False)
    for target in ("b", "b.safetensors", "b.npz"):
        with pytest.raises(ValueError, match=r"^cast: tensor 'ids' has 300, and int8 holds -128 to 127$"):
            tb.convert(out / "a", out / target, cast={"ids": "int8"})
    assert sorted(os.listdir(out)) == ["a.data-00000-of-00001", "a.index"]


@pytest.mark.parametrize("alignment", [1, 64])
@pytest.mark.parametrize("axes", [(2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1)])
def test_axes_of_tensors_that_are_larger_than_what_is_held(out, monkeypatch, axes, alignment):
    monkeypatch.setattr(transposing, "_PART_BYTES", 1000)
    monkeypatch.setattr(transposing, "_TILE_ROWS", 3)
    values = np.arange(10 * 11 * 12, dtype=np.int32).reshape(10, 11, 12)
    small = np.arange(3, dtype=np.int8)
    tb.save(out / "a", {"a": small, "w": values}, durable=False, alignment=alignment)
    tb.convert(out / "a", out / "b", transpose={"w": axes}, cast={"w": "float64"})
    assert_same(read_all(out / "b"), {"a": small, "w": values.transpose(axes).astype(np.float64)})
    tb.convert(out / "a", out / "c.safetensors", transpose={"w": axes})
    assert_same(read_all(out / "c.safetensors"), {"a": small, "w": values.transpose(axes)})


def test_axes_of_tensors_that_do_not_lie_in_a_file_as_they_are(out, monkeypatch):
    monkeypatch.setattr(transposing, "_PART_BYTES", 1000)
    values = np.arange(3000, dtype=np.float32).reshape(30, 100)
    with tb.CheckpointWriter(out / "a", durable=False) as writer:
        writer.add_slice("w", values[:10], (30, 100), (0, 0))
        writer.add_slice("w", values[10:], (30, 100), (10, 0))
    tb.convert(out / "a", out / "b.safetensors", transpose="w")
    assert_same(read_all(out / "b.safetensors"), {"w": values.T})
    assert sorted(os.listdir(out)) == ["a.data-00000-of-00001", "a.index", "b.safetensors"]


def test_strings_have_axes_too(out):
    words = np.array([[b"a", b"bb"], [b"", b"c"]], object)
    tb.save(out / "a", {"words": words}, durable=False)
    tb.convert(out / "a", out / "b", transpose="words")
    assert_same(read_all(out / "b"), {"words": words.T})


# Files.


def test_shards_of_a_checkpoint(prefix, out):
    report = tb.convert(prefix, out / "ckpt", shards=3, alignment=4096)
    assert report.files == (str(out / "ckpt"),)
    with tb.open(out / "ckpt") as made:
        assert (made.num_shards, bool(made.verify())) == (3, True)
        assert_same(made, PLAIN)
        assert all(entry.offset % 4096 == 0 for entry in made.entries() if entry.nbytes)
    assert sorted(os.listdir(out)) == [*(f"ckpt.data-0000{i}-of-00003" for i in range(3)), "ckpt.index"]


def test_shards_of_safetensors(prefix, out):
    report = tb.convert(prefix, out / "model.safetensors", exclude="big", max_shard_bytes=50, metadata={"format": "pt"})
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert report.files == tuple(str(out / name) for name in ("model.safetensors.index.json", *names))
    assert sorted(os.listdir(out)) == [*names, "model.safetensors.index.json"]
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": report.nbytes}
    assert index["weight_map"] == {tensor.name: names[tensor.file] for tensor in report.tensors}
    with formats.open_source(out / "model.safetensors.index.json") as source:
        assert source.metadata == {"format": "pt"}
    assert_same(read_all(out), {name: value for name, value in PLAIN.items() if name != "big"})


def test_note_about_a_large_tensor_is_a_warning(prefix, out):
    with pytest.warns(UserWarning, match=r"^larger than max_shard_bytes and alone in a file: 'big'$") as caught:
        tb.convert(prefix, out / "ckpt", max_shard_bytes=100)
    assert caught[0].filename == __file__
    with tb.open(out / "ckpt") as made:
        assert [made.entry(name).shard for name in made] == [0, 1, 1, 1, 1, 1, 1]


def test_metadata_of_safetensors_is_kept_and_added_to(prefix, out):
    tb.convert(prefix, out / "a.safetensors", metadata={"format": "pt", "from": "a"})
    tb.convert(out / "a.safetensors", out / "b.safetensors", metadata={"from": "b"})
    with formats.open_source(out / "b.safetensors") as source:
        assert source.metadata == {"format": "pt", "from": "b"}
    with pytest.warns(UserWarning, match=r"^checkpoint has no place for the source's metadata: format, from$"):
        report = tb.convert(out / "b.safetensors", out / "c")
    assert report.notes == ("checkpoint has no place for the source's metadata: format, from",)


def test_same_input_gives_the_same_bytes(prefix, out):
    for target in ("a", "a.safetensors", "a.npz"):
        tb.convert(prefix, out / "1" / target, threads=1, cast="bfloat16" if target != "a.npz" else None)
        tb.convert(prefix, out / "2" / target, threads=4, cast="bfloat16" if target != "a.npz" else None)
    assert sorted(os.listdir(out / "1")) == sorted(os.listdir(out / "2"))
    for name in os.listdir(out / "1"):
        assert (out / "1" / name).read_bytes() == (out / "2" / name).read_bytes()


# Replacing.


@pytest.mark.parametrize("target", TARGETS)
def test_target_takes_the_place_of_an_old_one(prefix, out, target):
    tb.convert(prefix, out / target, exclude="big")
    arrays = read_all(out / target)
    report = tb.convert(prefix, out / target)
    assert report.durable
    assert_same(read_all(out / target), PLAIN)
    assert_same(arrays, {name: value for name, value in PLAIN.items() if name != "big"})  # What was mapped stays.
    assert not [name for name in os.listdir(out) if name.startswith(".")]
    assert not tb.convert(prefix, out / target, durable=False).durable


def test_set_of_files_never_shares_names_with_the_old_one(prefix, out):
    index = "model.safetensors.index.json"
    plain = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", index]
    marked = ["model-r1-00001-of-00002.safetensors", "model-r1-00002-of-00002.safetensors", index]
    for expected in (plain, marked, plain):
        tb.convert(prefix, f"{out}/", shards=2, durable=False)
        assert sorted(os.listdir(out)) == sorted(expected)
        assert_same(read_all(out / index), PLAIN)


def test_sets_of_models_whose_names_begin_alike_live_side_by_side(prefix, out):
    (out / "model-r7-00001-of-00002.safetensors").write_bytes(b"of a set that has no index yet")
    tb.convert(prefix, out / "model-r8.safetensors.index.json", shards=2)
    for _ in range(2):
        tb.convert(prefix, out / "model.safetensors.index.json", shards=2, durable=False)
        assert_same(read_all(out / "model-r8.safetensors.index.json"), PLAIN)
        assert (out / "model-r7-00001-of-00002.safetensors").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_target_may_have_a_name_as_long_as_the_system_allows(prefix, out, suffix):
    name = "é" * 121 + suffix
    tb.convert(prefix, out / name)
    assert_same(read_all(out / name), PLAIN)
    assert os.listdir(out) == [name]


def test_target_whose_name_is_too_long_leaves_nothing(prefix, out):
    with pytest.raises(OSError, match="File name too long"):
        tb.convert(prefix, out / ("n" * 230))
    assert os.listdir(out) == []


@pytest.mark.parametrize("target", TARGETS)
def test_source_may_be_its_own_target(prefix, out, target):
    tb.convert(prefix, out / target)
    tb.convert(out / target, out / target, cast="float16", shards=None)
    expected = {name: halved(value) for name, value in PLAIN.items()}
    assert_same(read_all(out / target), expected)


def test_file_that_readers_would_take_for_the_target_is_in_the_way(prefix, out):
    tb.convert(prefix, out / "model.safetensors")
    with pytest.raises(FileExistsError) as caught:
        tb.convert(prefix, f"{out}/")
    assert caught.value.filename == str(out / "model.safetensors")
    os.rename(out / "model.safetensors", out / "model.safetensors.index.json")
    with pytest.raises(FileExistsError) as caught:
        tb.convert(prefix, out / "model.safetensors")
    assert caught.value.filename == str(out / "model.safetensors.index.json")
    assert os.listdir(out) == ["model.safetensors.index.json"]


# Only names change.


def test_data_files_are_linked_where_only_names_change(prefix, out):
    tb.convert(prefix, out / "ckpt", rename=[("^layer", "block")], link=True)
    assert os.path.samefile(f"{prefix}.data-00000-of-00001", out / "ckpt.data-00000-of-00001")
    assert_same(tb.load(out / "ckpt"), {name.replace("layer", "block"): value for name, value in PLAIN.items()})


def test_linked_data_files_keep_what_is_left_out(prefix, out):
    tb.convert(prefix, out / "ckpt", exclude="big", link=True)
    assert os.path.samefile(f"{prefix}.data-00000-of-00001", out / "ckpt.data-00000-of-00001")
    assert "big" not in tb.open(out / "ckpt")
    tb.convert(prefix, out / "small", exclude="big")
    assert os.path.getsize(out / "small.data-00000-of-00001") < 2000


def test_data_files_stay_as_they_are_where_only_names_change(out):
    tb.save(out / "a", PLAIN, shards=2, durable=False)
    tb.convert(out / "a", out / "b", rename=[("^layer", "block")])
    for shard in range(2):
        name = f".data-0000{shard}-of-00002"
        assert (out / f"a{name}").read_bytes() == (out / f"b{name}").read_bytes()
        assert not os.path.samefile(out / f"a{name}", out / f"b{name}")


@pytest.mark.parametrize("left_out", ["big", "^layer"])
def test_what_a_link_had_left_out_does_not_come_along_any_further(prefix, out, left_out):
    tb.convert(prefix, out / "less", exclude=left_out, link=True)
    tb.convert(out / "less", out / "copy")
    with tb.open(out / "copy") as made:
        assert made.verify()
        stored = sum(-(-entry.nbytes // 64) * 64 for entry in made.entries())
    assert os.path.getsize(out / "copy.data-00000-of-00001") == stored


# Object graphs.


def test_object_graph_follows_names_casts_and_what_is_left_out(out):
    tree = {"model": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}, "step": 3}
    tb.save_objects(out / "a", tree, durable=False)
    tb.convert(out / "a", out / "b", rename=[("^model/", "net/")], exclude="bias", cast="float16", shards=2)
    with tb.open(out / "b") as made:
        assert made.verify()
        named = made.named(by="path")
        assert named.key("model/kernel") == "net/kernel/.ATTRIBUTES/VARIABLE_VALUE"
        assert_same_bits(named["model/kernel"], np.ones((2, 3), np.float16))
        assert [name for name in named if "bias" in name] == []
    tb.edit(out / "a", out / "c", rename=[("^model/", "net/")], drop="bias", durable=False)
    with tb.open(out / "b") as made, tb.open(out / "c") as edited:
        assert made[GRAPH_KEY].item() == edited[GRAPH_KEY].item()


def test_name_by_which_an_object_does_not_find_its_value_is_refused(out):
    tb.save_objects(out / "a", {"kernel": np.ones(2)}, durable=False)
    for options in ({}, {"cast": "float16"}):
        with pytest.raises(ValueError, match="by which TensorFlow finds the value of an object"):
            tb.convert(out / "a", out / "b", rename=[("^kernel/.*", "kernel")], **options)
    assert sorted(os.listdir(out)) == ["a.data-00000-of-00001", "a.index"]


def test_paths_become_names(out):
    tb.save_objects(out / "a", {"model": {"kernel": np.ones(2)}}, durable=False)
    tb.convert(out / "a", out / "b.safetensors", names="path", include="^model/")
    assert_same(read_all(out / "b.safetensors"), {"model/kernel": np.ones(2)})
    tb.convert(out / "a", out / "c", names="path")
    with tb.open(out / "c") as made:
        assert made.object_graph is None
        assert sorted(made) == ["model/kernel", "save_counter"]


# How it goes.


@pytest.mark.parametrize("target", ["out", "out.safetensors", "out.npz"])
@pytest.mark.parametrize("cast", [None, "float16"])
def test_progress_ends_with_all_bytes(prefix, out, target, cast):
    calls = []
    report = tb.convert(prefix, out / target, cast=cast, progress=lambda *call: calls.append(call))
    assert calls[-1] == (report.nbytes, report.nbytes, "")
    done = [call[0] for call in calls]
    assert done == sorted(done)


def test_what_progress_raises_ends_the_conversion(prefix, out):
    def stop(*_):
        raise RuntimeError("enough")

    for target in ("out", "out.safetensors", "out.npz"):
        with pytest.raises(RuntimeError, match=r"^enough$"):
            tb.convert(prefix, out / target, progress=stop, cast="float64", alignment=128)
    assert os.listdir(out) == []


def test_directories_are_made_and_go_again(prefix, out):
    tb.convert(prefix, out / "a" / "b" / "c.safetensors")
    assert os.listdir(out / "a" / "b") == ["c.safetensors"]
    tb.save(out / "large", {"step": np.array(300)}, durable=False)
    with pytest.raises(ValueError, match="int8 holds"):
        tb.convert(out / "large", out / "d" / "e" / "f", cast={"step": "int8"})
    assert not (out / "d").exists()


def test_report_pickles(prefix, out):
    report = tb.convert(prefix, out / "a.npz")
    assert pickle.loads(pickle.dumps(report)) == report
