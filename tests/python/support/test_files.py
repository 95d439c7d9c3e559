"""Golden files, corpus, publication and oracle: that what the other tests lean on stands."""

from __future__ import annotations

import hashlib
import json
import runpy
import sys

import numpy as np
import pytest
from _pytest.outcomes import Skipped

from . import corpus, dtypes, golden, paths, publish, tensorflow_oracle
from .bundle_reader import index_entries, index_header
from .bundle_writer import build_bundle, write_bundle
from .hashing import as_array, assert_same_bits, same_bits, tensor_hash

EVERY_GOLDEN = golden.checkpoints("V2") + golden.checkpoints("V1")


@pytest.mark.parametrize(
    "folder", sorted({checkpoint.folder for checkpoint in EVERY_GOLDEN}), ids=lambda path: path.name
)
def test_every_golden_file_is_in_its_manifest(folder):
    described = {file: sha256 for c in EVERY_GOLDEN if c.folder == folder for file, sha256 in c.files.items()}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in present if "__pycache__" not in name} - described.keys() == {"MANIFEST.json", "make.py"}
    for file, sha256 in described.items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256, file


def test_handmade_files_are_what_their_script_makes(tmp_path):
    runpy.run_path(str(paths.GOLDEN / "handmade" / "make.py"))["main"](tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in (paths.GOLDEN / "handmade").iterdir() if path.is_file()}
    assert made == {name: data for name, data in kept.items() if name != "make.py"}


@pytest.mark.parametrize("checkpoint", EVERY_GOLDEN, ids=lambda checkpoint: checkpoint.id)
def test_values_in_manifests_have_the_hash_beside_them(checkpoint):
    for tensor in checkpoint.tensors.values():
        if tensor.values is None or "nan" in map(str, np.ravel(tensor.values)):
            continue
        if tensor.dtype in ("string", "variant"):
            array = as_array(list(tensor.values))
        else:
            numbers = [complex(*v) if isinstance(v, tuple) else v for v in tensor.values]
            array = np.array(numbers, dtypes.BY_NAME[tensor.dtype].numpy).reshape(tensor.shape)
        assert tensor_hash(array) == tensor.sha256, tensor.name


def test_golden_files_have_every_dtype():
    stored = {tensor.dtype for tensor in golden.checkpoint("2.21.0/dtypes").tensors.values()}
    assert stored | {"string", "variant"} == set(dtypes.BY_NAME)


def test_corpus_hashes_are_those_of_the_stored_bytes(corpus_checkpoint):
    prefix = corpus_checkpoint.prefix
    index = publish.index_path(prefix).read_bytes()
    entries, shards = index_entries(index), index_header(index)["num_shards"]
    for name, expected in corpus_checkpoint.tensors.items():
        entry = entries[name.encode()]
        assert dtypes.BY_NUMBER[entry.dtype].name == expected.dtype
        assert tuple(entry.shape) == expected.shape
        if expected.sha256 is None or expected.dtype == "string" or entry.slices:
            continue
        with publish.data_path(prefix, entry.shard, shards).open("rb") as file:
            file.seek(entry.offset)
            assert hashlib.sha256(file.read(entry.size)).hexdigest() == expected.sha256


def test_corpus_may_be_named_and_must_then_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBUNDLE_CORPUS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"has no MANIFEST\.json"):
        paths.corpus_directory()
    tensor = {"dtype": "string", "shape": [], "sha256": "00", "elements_bytes": 3}
    described = {"format": "V2", "layout": {}, "prefix": "a/b", "tensors": {"t": tensor}}
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"samples": {"s": {"checkpoints": [described]}}}))
    corpus.samples.cache_clear()
    try:
        ((checkpoint,),) = (sample.checkpoints() for sample in corpus.samples())
    finally:
        corpus.samples.cache_clear()
    assert (checkpoint.id, checkpoint.prefix) == ("s/a/b", tmp_path / "s" / "a" / "b")
    assert checkpoint.tensors["t"].num_bytes == 3


def test_hash_rule():
    assert tensor_hash(np.float32(1)) == hashlib.sha256(b"\x00\x00\x80\x3f").hexdigest()
    assert (
        tensor_hash(np.arange(6, dtype=">i2").reshape(2, 3).T)
        == hashlib.sha256(bytes.fromhex("000003000100040002000500")).hexdigest()
    )
    length = b"\x02\0\0\0\0\0\0\0"
    for strings in (["ab", b"cd"], np.array([b"ab", b"cd"]), np.array(["ab", "cd"], object)):
        assert tensor_hash(strings) == hashlib.sha256(length + b"ab" + length + b"cd").hexdigest()
    assert tensor_hash(np.array(b"ab", object)) == tensor_hash(b"ab") == hashlib.sha256(length + b"ab").hexdigest()


def test_same_bits_sees_zeros_payloads_dtypes_and_shapes():
    nan, payload = np.array([0x7FC00000, 0x7FC00001], "<u4").view("<f4")
    assert same_bits(nan, nan)
    assert not same_bits(nan, payload)
    assert not same_bits(np.float32(0.0), np.float32(-0.0))
    assert not same_bits(np.zeros(2, "i4"), np.zeros(2, "u4"))
    assert not same_bits(np.zeros((2, 1)), np.zeros(2))
    with pytest.raises(AssertionError, match="w: shape"):
        assert_same_bits(np.zeros((2, 1)), np.zeros(2), "w")


def test_protocol_never_touches_the_data_of_the_old_save(tmp_path):
    old = write_bundle(tmp_path / "x", {"a": np.int8(1)})
    new = build_bundle({"a": np.int8(2)}, shards=publish.free_shard_count(old.prefix, 1))
    assert len(new.shards) == 2
    seen = []
    for step in publish.publish_steps(old.prefix, new.index, new.shards, commit="protocol"):
        index = old.index_path.read_bytes()
        seen.append((step, index == new.index, old.data_path().exists() and old.data_path().read_bytes() == b"\x01"))
    assert seen == [("data", False, True), ("data", False, True), ("index", True, True), ("removed", True, False)]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == new.files("x")


def test_protocol_refuses_names_in_use(tmp_path):
    image = write_bundle(tmp_path / "x", {"a": np.int8(1)}).image
    with pytest.raises(ValueError, match="1 shards are in use"):
        publish.publish(tmp_path / "x", image.index, image.shards, commit="protocol")


def test_tensorflow_order_overwrites_the_data_first(tmp_path):
    old = write_bundle(tmp_path / "x", {"a": np.int8(1)})
    new = build_bundle({"a": np.int8(2)})
    steps = publish.publish_steps(old.prefix, new.index, new.shards, commit="tensorflow")
    assert next(steps) == "data"
    assert (old.data_path().read_bytes(), old.index_path.read_bytes()) == (b"\x02", old.image.index)
    assert list(steps) == ["index"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == new.files("x")


def test_other_prefixes_are_left_alone(tmp_path):
    write_bundle(tmp_path / "x", {"a": np.int8(1)})
    write_bundle(tmp_path / "x.y", {"a": np.int8(1)}, shards=2)
    write_bundle(tmp_path / "x", {"a": np.int8(1)}, shards=2)
    names = {f"x.{name}" for name in ("index", "data-00000-of-00002", "data-00001-of-00002")}
    assert {path.name for path in tmp_path.iterdir()} == names | {name.replace("x.", "x.y.") for name in names}


def test_missing_tensorflow_skips_unless_it_is_required(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(tensorflow_oracle, "load", tensorflow_oracle.load.__wrapped__)
    monkeypatch.delenv("TENSORBUNDLE_REQUIRE_TENSORFLOW", raising=False)
    with pytest.raises(Skipped):
        tensorflow_oracle.require()
    monkeypatch.setenv("TENSORBUNDLE_REQUIRE_TENSORFLOW", "1")
    with pytest.raises(ModuleNotFoundError):
        tensorflow_oracle.require()
