"""Checkpoints that other projects published: every tensor is what TensorFlow reads, bit for bit."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
from support import corpus, dtypes, publish
from support.bundle_reader import index_entries
from support.hashing import tensor_hash

import tensorbundle as tb

CHECKPOINTS = corpus.checkpoints()
V1 = corpus.checkpoints("V1")
DAMAGED = [checkpoint for checkpoint in CHECKPOINTS if not checkpoint.complete]
MODES = pytest.mark.parametrize("mmap", [None, False], ids=["auto", "read"])

needs_corpus = pytest.mark.skipif(not CHECKPOINTS, reason="the open corpus is absent")


def in_key_order(names):
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))


def open_quietly(checkpoint, mmap):
    """Opens a sound checkpoint, which gives no warning, or one with tensors missing, which gives exactly one."""
    if checkpoint.complete:
        return tb.open(checkpoint.prefix, mmap=mmap)
    with pytest.warns(tb.errors.DamageWarning) as caught:
        opened = tb.open(checkpoint.prefix, mmap=mmap)
    assert len(caught) == 1
    return opened


def assert_is(array, expected, name):
    assert array.shape == expected.shape, name
    assert dtypes.name_of(array, like=expected.dtype) == expected.dtype, name
    assert array.dtype == (dtypes.BY_NAME[expected.dtype].numpy or np.dtype(object)), name
    assert tensor_hash(array) == expected.sha256, name


@needs_corpus
def test_corpus_has_what_these_tests_are_about():
    stored = Counter(tensor.dtype for checkpoint in CHECKPOINTS for tensor in checkpoint.tensors.values())
    assert len(CHECKPOINTS) >= 60
    assert len(DAMAGED) == 3
    assert {"float32", "int64", "int32", "string", "bool", "bfloat16"} <= stored.keys()
    assert sum(checkpoint.layout["num_shards"] > 1 for checkpoint in CHECKPOINTS) >= 4
    assert len(V1) >= 9
    assert sum("snappy" in checkpoint.layout["block_compression"] for checkpoint in CHECKPOINTS) >= 10


@MODES
def test_entries_are_those_of_the_manifest(corpus_checkpoint, mmap):
    stored = index_entries(publish.index_path(corpus_checkpoint.prefix).read_bytes())
    with open_quietly(corpus_checkpoint, mmap) as ckpt:
        assert list(ckpt) == in_key_order(corpus_checkpoint.tensors)
        assert [entry.name for entry in ckpt.entries()] == list(ckpt)
        assert ckpt.num_shards == corpus_checkpoint.layout["num_shards"]
        for entry in ckpt.entries():
            expected, record = corpus_checkpoint.tensors[entry.name], stored[entry.name.encode()]
            assert (entry.tf_dtype, entry.shape) == (expected.dtype, expected.shape)
            assert (entry.shard, entry.offset, entry.nbytes) == (record.shard, record.offset, record.size)
            assert entry == ckpt.entry(entry.name)


@MODES
@pytest.mark.parametrize("checkpoint", V1, ids=lambda checkpoint: checkpoint.id)
def test_v1_entries_are_those_of_the_manifest(checkpoint, mmap):
    with tb.open(checkpoint.prefix, mmap=mmap) as ckpt:
        assert ckpt.path == str(checkpoint.prefix)
        assert list(ckpt) == in_key_order(checkpoint.tensors)
        assert ckpt.num_shards == checkpoint.layout["files"]
        for entry in ckpt.entries():
            expected = checkpoint.tensors[entry.name]
            assert (entry.tf_dtype, entry.shape, entry.nbytes) == (expected.dtype, expected.shape, expected.num_bytes)


@MODES
@pytest.mark.parametrize("checkpoint", CHECKPOINTS + V1, ids=lambda checkpoint: checkpoint.id)
def test_every_tensor_is_what_tensorflow_reads(checkpoint, mmap):
    intact = {name: tensor for name, tensor in checkpoint.tensors.items() if tensor.error is None}
    with open_quietly(checkpoint, mmap) as ckpt:
        single = {name: ckpt[name] for name in intact}
        loaded = ckpt.load(intact)
        copies = ckpt.load(intact, copy=True)
        buffers = {name: np.empty(array.shape, array.dtype) for name, array in single.items()}
        filled = ckpt.load(intact, out=buffers)
        parts = {name: ckpt.read(name, index=...) for name in intact}
    assert list(loaded) == list(copies) == list(filled) == in_key_order(intact)
    for arrays in (single, loaded, copies, filled, parts):
        for name, expected in intact.items():
            assert_is(arrays[name], expected, name)
    assert all(filled[name] is buffers[name] for name in intact)
    assert all(array.flags.writeable and array.flags.aligned and array.flags.c_contiguous for array in copies.values())


@needs_corpus
@pytest.mark.parametrize("checkpoint", [each for each in CHECKPOINTS + V1 if each.complete], ids=lambda each: each.id)
def test_sound_checkpoints_verify(checkpoint):
    with tb.open(checkpoint.prefix) as ckpt:
        report = ckpt.verify()
        assert report
        assert report.checked == len(ckpt)
        if checkpoint.format == "V2":
            assert report.nbytes == sum(entry.nbytes for entry in ckpt.entries())
        assert report.damaged == ()
        assert ckpt.problems() == {}


@needs_corpus
@MODES
@pytest.mark.parametrize("checkpoint", DAMAGED, ids=lambda checkpoint: checkpoint.id)
def test_missing_and_short_data_is_said_at_opening_and_when_read(checkpoint, mmap):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ckpt = tb.open(checkpoint.prefix, mmap=mmap)
    lost = in_key_order(name for name, tensor in checkpoint.tensors.items() if tensor.error)
    assert [warning.category for warning in caught] == [tb.errors.DamageWarning]
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.startswith(f"{len(lost)} of {len(checkpoint.tensors)} tensors in {str(checkpoint.prefix)!r}")
    problems = ckpt.problems()
    assert list(problems) == lost
    for name in lost:
        assert_lost(ckpt, checkpoint, name, checkpoint.tensors[name].error)
        assert str(problems[name]) == str(reading_fails(ckpt, name))
    with pytest.raises(type(reading_fails(ckpt, lost[0]))):
        ckpt.load()
    report = ckpt.verify()
    assert [damage.name for damage in report.damaged] == lost
    assert report.checked == len(checkpoint.tensors)


def reading_fails(ckpt, name):
    with pytest.raises((OSError, tb.errors.DataLossError)) as caught:
        ckpt[name]
    return caught.value


def assert_lost(ckpt, checkpoint, name, tensorflow_error):
    error = reading_fails(ckpt, name)
    entry = ckpt.entry(name)
    path = publish.data_path(checkpoint.prefix, entry.shard, ckpt.num_shards)
    assert repr(name)[1:-1] in str(error)
    if "No such file" in tensorflow_error:
        assert type(error) is FileNotFoundError
        assert error.filename == str(path)
        assert not path.exists()
        return
    assert "Read less bytes" in tensorflow_error
    assert type(error) is tb.errors.DataLossError
    assert (error.tensor, error.path, error.offset) == (name, str(path), entry.offset)
    numbers = f"{entry.nbytes} bytes at {entry.offset} are expected, the file has {path.stat().st_size}"
    assert f"{path}: truncated: {numbers}" in str(error)
