"""What every source of tensors has in common, how one is found, and checkpoints as sources."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import dtypes, processes, v1_writer, values
from support.bundle_writer import Mutations
from support.bundle_writer import write_bundle as write_at
from support.hashing import assert_same_bits
from support.strategies import shapes
from support.tensors import Typed

import tensorbundle as tb
from tensorbundle import errors, formats
from tensorbundle.formats import RawBytes, Source, TensorSpec, open_source
from tensorbundle.formats import safetensors as safetensors_format

TENSORS = {
    "a/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array(7, np.int64),
    "c": np.zeros((0, 3), np.float64),
    "d": np.array([True, False, True]),
}


def write_checkpoint(directory, tensors):
    tb.save(directory / "ckpt", tensors)
    return directory / "ckpt"


def write_safetensors(directory, tensors):
    specs = [TensorSpec(name, dtypes.name_of(array), array.shape, array.nbytes) for name, array in tensors.items()]
    layout = safetensors_format.layout(specs)
    content = bytearray(layout.size)
    content[: len(layout.header)] = layout.header
    for name, (begin, end) in layout.offsets.items():
        content[begin:end] = tensors[name].tobytes()
    (directory / "model.safetensors").write_bytes(content)
    return directory / "model.safetensors"


def write_npz(directory, tensors):
    np.savez(directory / "a.npz", **tensors)
    return directory / "a.npz"


WRITERS = {"checkpoint": write_checkpoint, "safetensors": write_safetensors, "npz": write_npz}


@pytest.fixture(params=WRITERS)
def kind(request):
    return request.param


@pytest.fixture
def path(kind, tmp_path):
    return WRITERS[kind](tmp_path, TENSORS)


# Whatever the format.


def test_tensors(kind, path):
    with open_source(path) as source:
        assert (source.kind, source.path, source.metadata) == (kind, str(path), {})
        assert sorted(source.tensors(), key=lambda spec: spec.name) == [
            TensorSpec("a/kernel", "float32", (2, 3, 4), 96),
            TensorSpec("b", "int64", (), 8),
            TensorSpec("c", "float64", (0, 3), 0),
            TensorSpec("d", "bool", (3,), 3),
        ]
        for name, array in TENSORS.items():
            assert_same_bits(source.read(name), array)


@pytest.mark.parametrize(
    ("name", "max_bytes", "indexes"),
    [
        ("a/kernel", 96, [(slice(0, 2), slice(0, 3), slice(0, 4))]),
        ("a/kernel", 95, [(slice(i, i + 1), slice(0, 3), slice(0, 4)) for i in range(2)]),
        ("a/kernel", 1 << 40, [(slice(0, 2), slice(0, 3), slice(0, 4))]),
        (
            "a/kernel",
            32,
            [(slice(i, i + 1), slice(*rows), slice(0, 4)) for i in range(2) for rows in ((0, 2), (2, 3))],
        ),
        (
            "a/kernel",
            12,
            [
                (slice(i, i + 1), slice(j, j + 1), slice(*columns))
                for i in range(2)
                for j in range(3)
                for columns in ((0, 3), (3, 4))
            ],
        ),
        ("b", 1, [()]),
        ("c", 1, [(slice(0, 0), slice(0, 3))]),
        ("d", 2, [(slice(0, 2),), (slice(2, 3),)]),
    ],
)
def test_chunks(path, name, max_bytes, indexes):
    with open_source(path) as source:
        chunks = list(source.chunks(name, max_bytes))
    assert [index for index, _ in chunks] == [tuple(slice(*side.indices(side.stop)) for side in it) for it in indexes]
    for index, array in chunks:
        assert_same_bits(array, np.asarray(TENSORS[name][index]))


def test_chunks_of_one_element(path):
    with open_source(path) as source:
        chunks = list(source.chunks("a/kernel", 1))
    assert [array.item() for _, array in chunks] == list(range(24))


@pytest.mark.parametrize(
    ("max_bytes", "kind_of_error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_wrong_max_bytes(path, max_bytes, kind_of_error):
    with open_source(path) as source, pytest.raises(kind_of_error, match=r"^max_bytes must be "):
        source.chunks("a/kernel", max_bytes)


def test_a_name_that_is_not_there(path):
    with open_source(path) as source:
        for call in (source.read, source.chunks, source.raw):
            with pytest.raises(errors.NotFoundError) as caught:
                call("a/kernal")
            assert str(caught.value) == (
                f"Key 'a/kernal' not found in checkpoint '{path}'; the nearest names are 'a/kernel'"
            )
            assert (caught.value.path, caught.value.tensor) == (str(path), "a/kernal")


def test_closed(path):
    source = open_source(path)
    array = source.read("a/kernel")
    source.close()
    source.close()
    assert_same_bits(array, TENSORS["a/kernel"])
    assert "closed" in repr(source)
    for call in (
        source.tensors,
        lambda: source.read("b"),
        lambda: source.chunks("b"),
        lambda: source.raw("b"),
        source.__enter__,
        lambda: pickle.dumps(source),
    ):
        with pytest.raises(ValueError, match=r" is closed$"):
            call()


def test_pickles_as_what_was_opened(path):
    with open_source(path) as source:
        pickled = pickle.dumps(source)
        assert len(pickled) < 1000
    for array in TENSORS.values():
        assert array.tobytes() not in pickled or array.nbytes < 4
    with pickle.loads(pickled) as again:
        assert again.tensors() == open_source(path).tensors()
        assert_same_bits(again.read("a/kernel"), TENSORS["a/kernel"])


def test_a_pickle_of_another_file(kind, path):
    with open_source(path) as source:
        pickled = pickle.dumps(source)
    WRITERS[kind](path.parent, {**TENSORS, "b": np.array(8, np.int64), "e": np.zeros(3)})
    with pytest.raises(
        errors.DataLossError, match=r"^another (file|save) is at '.*' now than the one that was pickled$"
    ):
        pickle.loads(pickled)


def test_threads_may_share_one(path):
    failures = []
    with open_source(path) as source:

        def read():
            try:
                for _ in range(20):
                    assert_same_bits(source.read("a/kernel"), TENSORS["a/kernel"])
            except BaseException as error:  # noqa: BLE001 - shown below
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_listing_imports_no_numpy(path):
    script = (
        "import sys; from tensorbundle import formats\n"
        "with formats.open_source(sys.argv[1]) as source: print(len(source.tensors()), 'numpy' in sys.modules)"
    )
    assert processes.run_python(script, path).split() == ["4", "False"]


def test_public_names():
    assert sorted(formats.__all__) == formats.__all__
    assert set(formats.__all__) <= set(dir(formats))
    assert all(getattr(formats, name) is getattr(formats, name) for name in formats.__all__)
    with pytest.raises(AttributeError, match=r"^module 'tensorbundle.formats' has no attribute 'hdf5'$"):
        formats.hdf5  # noqa: B018
    assert Source.__doc__


# What a path means.


@pytest.mark.parametrize("kind", ["safetensors", "npz"], indirect=True)
def test_a_file_is_known_by_its_content(kind, path, tmp_path):
    other = tmp_path / "weights"
    path.rename(other)
    with open_source(other) as source:
        assert source.kind == kind


def test_paths_of_every_type(path):
    for other in (path, str(path), os.fsencode(path)):
        with open_source(other) as source:
            assert len(source.tensors()) == 4


def test_relative_paths(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with open_source(path.name) as source:
        assert source.path == str(path)


def test_kind_can_be_given(kind, path):
    with open_source(path, kind=kind) as source:
        assert source.kind == kind
    for other in set(WRITERS) - {kind}:
        with pytest.raises((errors.DataLossError, FileNotFoundError)):
            open_source(path, kind=other)


def test_a_checkpoint_comes_first(tmp_path):
    write_checkpoint(tmp_path, TENSORS)
    write_safetensors(tmp_path, TENSORS)
    assert open_source(tmp_path).kind == "safetensors"
    tb.CheckpointState("ckpt", ("ckpt",)).write(tmp_path)
    assert open_source(tmp_path).kind == "checkpoint"
    assert open_source(tmp_path, kind="safetensors").path == str(tmp_path / "model.safetensors")
    tb.save(tmp_path / "model.safetensors", TENSORS)
    assert open_source(tmp_path / "model.safetensors").kind == "checkpoint"


def test_a_saved_model_opens_as_its_variables(tmp_path):
    tb.saved_model.save_variables(tmp_path / "export", {"dense": {"kernel": np.ones((2, 3), np.float32)}})
    with open_source(tmp_path / "export") as source:
        assert (source.kind, source.path) == ("checkpoint", str(tmp_path / "export/variables/variables"))
    with open_source(tmp_path / "export", names="path") as source:
        assert TensorSpec("dense/kernel", "float32", (2, 3), 24) in source.tensors()


def test_a_directory_stands_for_its_only_file(tmp_path):
    write_safetensors(tmp_path, TENSORS).rename(tmp_path / "one.safetensors")
    assert open_source(tmp_path).path == str(tmp_path / "one.safetensors")
    (tmp_path / "two.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes())
    with pytest.raises(ValueError, match="holds several safetensors files: name one of ") as caught:
        open_source(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path}' holds several safetensors files: name one of 'one.safetensors', 'two.safetensors'"
    )
    (tmp_path / "two.safetensors").rename(tmp_path / "model.safetensors")
    assert open_source(tmp_path).path == str(tmp_path / "model.safetensors")


def test_a_directory_stands_for_its_only_index(tmp_path):
    write_safetensors(tmp_path, TENSORS)
    index = tmp_path / "fp16.safetensors.index.json"
    index.write_bytes(safetensors_format.index_json(dict.fromkeys(TENSORS, "model.safetensors"), 0))
    assert open_source(tmp_path).path == str(index)
    usual = tmp_path / "model.safetensors.index.json"
    usual.write_bytes(index.read_bytes())
    assert open_source(tmp_path).path == str(usual)


@pytest.mark.parametrize("name", ["model.safetensors", "a.npz", "model.safetensors.index.json", "ckpt"])
def test_nothing_there(tmp_path, name):
    with pytest.raises(FileNotFoundError) as caught:
        open_source(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)


def test_an_empty_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint here"):
        open_source(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no safetensors file here, and no index of some"):
        open_source(tmp_path, kind="safetensors")


def test_a_url():
    with pytest.raises(errors.UnimplementedError, match=r"reading from a URL is not supported yet: 'gs://a/b.npz'"):
        open_source("gs://a/b.npz")


def test_wrong_arguments(path, kind):
    with pytest.raises(ValueError, match=r"^kind must be None or one of checkpoint, safetensors, npz, not 'hdf5'$"):
        open_source(path, kind="hdf5")
    with pytest.raises(ValueError, match=r"^names must be one of key, path, full_name, not 'keys'$"):
        open_source(path, names="keys")
    if kind != "checkpoint":
        with pytest.raises(ValueError, match=r"is no checkpoint: its tensors have no other names, such as by 'path'$"):
            open_source(path, names="path")


# Checkpoints.


@pytest.mark.parametrize("endianness", ["little", "big"])
def test_every_dtype_of_a_checkpoint(tmp_path, endianness):
    tensors = {dtype.name: Typed(values.filled(dtype.name, (3, 5), 2), dtype.name) for dtype in dtypes.FIXED}
    bundle = write_at(tmp_path / "ckpt", tensors, endianness=endianness)
    with open_source(bundle.prefix) as source, tb.open(bundle.prefix) as ckpt:
        for spec in source.tensors():
            expected = tensors[spec.name].array
            assert (spec.dtype, spec.shape, spec.nbytes) == (spec.name, (3, 5), expected.nbytes)
            assert_same_bits(source.read(spec.name), expected)
            whole = np.empty_like(expected)
            for index, array in source.chunks(spec.name, 7):
                whole[index] = array
            assert_same_bits(whole, expected)
            raw, entry = source.raw(spec.name), ckpt.entry(spec.name)
            described = dtypes.BY_NAME[spec.name]
            if described.bits or spec.name == "bool" or (endianness == "big" and described.size > 1):
                assert raw is None
            else:
                assert raw == RawBytes(str(bundle.data_path()), entry.offset, entry.nbytes, entry.crc32c)
                content = bundle.data_path().read_bytes()[raw.offset : raw.offset + raw.nbytes]
                assert content == expected.tobytes()


def test_raw_names_the_data_file_of_many(tmp_path):
    tensors = {str(number): np.full(3, number, np.int32) for number in range(5)}
    bundle = write_at(tmp_path / "ckpt", tensors, shards=3)
    with open_source(bundle.prefix) as source:
        for name, array in tensors.items():
            raw = source.raw(name)
            with open(raw.path, "rb") as file:
                file.seek(raw.offset)
                assert file.read(raw.nbytes) == array.tobytes()
        assert {source.raw(name).path for name in tensors} == {str(bundle.data_path(shard)) for shard in range(3)}


def test_no_raw_bytes_of_strings_slices_and_what_is_missing(tmp_path):
    tensors = {"s": [b"x"], "sliced": np.arange(4.0), "whole": np.ones(2)}
    bundle = write_at(
        tmp_path / "ckpt",
        tensors,
        slices={"sliced": ["0,2", "2,2"]},
        shards=2,
        shard_of=lambda name, _: name == b"whole",
    )
    bundle.data_path(1).unlink()
    with pytest.warns(errors.DamageWarning):
        source = open_source(bundle.prefix)
    assert [source.raw(name) for name in tensors] == [None, None, None]
    with pytest.raises(FileNotFoundError):
        source.read("whole")


def test_a_v1_checkpoint(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = v1_writer.write(tmp_path / "old.ckpt", [v1_writer.Row(b"w", array)])
    with open_source(path) as source:
        assert [(spec.name, spec.dtype, spec.shape) for spec in source.tensors()] == [("w", "float32", (2, 3))]
        assert_same_bits(source.read("w"), array)
        assert [piece.tolist() for _, piece in source.chunks("w", 12)] == [[[0, 1, 2]], [[3, 4, 5]]]
        assert source.raw("w") is None


def test_strings_of_a_checkpoint(tmp_path):
    tb.save(tmp_path / "ckpt", {"s": [b"a", b"bc\0"]})
    with open_source(tmp_path / "ckpt") as source:
        assert source.read("s").tolist() == [b"a", b"bc\0"]
        assert [piece.tolist() for _, piece in source.chunks("s", 1)] == [[b"a"], [b"bc\0"]]


def test_names_of_an_object_based_checkpoint(tmp_path):
    tb.save_objects(tmp_path / "ckpt", {"model": {"kernel": np.ones(3, ml_dtypes.bfloat16)}})
    with open_source(tmp_path / "ckpt", names="path") as source:
        assert TensorSpec("model/kernel", "bfloat16", (3,), 6) in source.tensors()
        assert source.raw("model/kernel").nbytes == 6
        with pickle.loads(pickle.dumps(source)) as again:
            assert again.tensors() == source.tensors()


def test_a_flipped_bit_is_found_when_the_chunks_end(tmp_path):
    tb.save(tmp_path / "ckpt", {"w": np.arange(100)})
    data = tmp_path / "ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[8] ^= 1
    data.write_bytes(content)
    with open_source(tmp_path / "ckpt") as source, pytest.raises(errors.DataLossError):
        list(source.chunks("w", 80))
    with open_source(tmp_path / "ckpt", verify=False) as source:
        assert len(list(source.chunks("w", 80))) == 10


def test_a_list_that_would_not_be_whole_is_an_error(tmp_path):
    bundle = write_at(
        tmp_path / "ckpt", {"a": np.ones(2), "b": np.ones(2)}, mutate=Mutations(entries={b"a": {"raw": b"\xff"}})
    )
    with pytest.warns(errors.DamageWarning):
        source = open_source(bundle.prefix)
    with pytest.raises(errors.TensorBundleError, match=r'^tensor "a": the entry is not parseable: '):
        source.tensors()


@given(shapes, st.sampled_from(["int8", "float16", "float32", "complex128"]), st.integers(1, 600))
def test_pieces_of_every_source_are_those_of_a_checkpoint(shape, dtype, max_bytes):
    array = values.filled(dtype, shape)
    with tempfile.TemporaryDirectory() as directory:
        tb.save(f"{directory}/ckpt", {"a": array}, durable=False)
        np.savez(f"{directory}/a.npz", a=array)
        with open_source(f"{directory}/ckpt") as first, open_source(f"{directory}/a.npz") as second:
            pairs = zip(first.chunks("a", max_bytes), second.chunks("a", max_bytes), strict=True)
            for (index, piece), (other_index, other_piece) in pairs:
                assert index == other_index
                assert_same_bits(piece, other_piece)
