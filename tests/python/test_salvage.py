"""What is intact of a damaged checkpoint, as a checkpoint that is sound."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from support import corpus, stored, v1_writer
from support.bundle_writer import Mutations, Typed, write_bundle
from support.hashing import assert_same_bits

import tensorbundle as tb

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
TENSORS = {
    "b": np.arange(6, dtype=np.float32),
    "a": np.arange(40, dtype=np.float64).reshape(5, 8),
    "names": np.array([b"one", b""], object),
    "step": np.array(7, np.int64),
    "empty": np.zeros((0, 2), np.int32),
}


@pytest.fixture(autouse=True)
def no_warnings(recwarn):
    """The report says what is damaged; a warning would say it twice."""
    yield
    assert [str(each.message) for each in recwarn if issubclass(each.category, tb.errors.DamageWarning)] == []


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(bytes(data))


def assert_saved(report, destination, expected, v1_strings=()):
    """The report and the checkpoint are about exactly these tensors."""
    assert report.path == str(destination)
    assert set(report.saved) == expected.keys()
    with tb.open(destination) as ckpt:
        assert tuple(ckpt) == report.saved
        assert ckpt.verify()
        for name, value in expected.items():
            assert_same_bits(ckpt[name], np.asarray(value), name)
        # V1 has no number of bytes for strings.
        assert report.nbytes == sum(entry.nbytes for entry in ckpt.entries() if entry.name not in v1_strings)


@pytest.mark.parametrize("damaged", ["a", "b", "names", "step"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_flipped_byte_costs_its_tensor(tmp_path, damaged, shards):
    bundle = write_bundle(tmp_path / "src", TENSORS, shards=shards)
    entry = bundle.image.entries[damaged.encode()]
    flip(bundle.data_path(entry.shard), entry.offset + entry.size - 1)
    before = stored.files(tmp_path)
    destination = tmp_path / "out" / "dst"
    report = tb.salvage(tmp_path / "src", destination, threads=2)
    assert not report
    assert_saved(report, destination, {k: v for k, v in TENSORS.items() if k != damaged})
    (lost,) = report.lost
    assert (lost.name, lost.shard, lost.offset) == (damaged, entry.shard, entry.offset)
    assert isinstance(lost.cause, tb.errors.DataLossError)
    stored.assert_only_checkpoint(destination)
    shutil.rmtree(destination.parent)
    assert stored.files(tmp_path) == before


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_data_file_costs_its_tensors(tmp_path, missing):
    bundle = write_bundle(tmp_path / "src", TENSORS, shards=3)
    bundle.data_path(missing).unlink()
    report = tb.salvage(tmp_path / "src", tmp_path / "dst", shards=2)
    entries = bundle.image.entries
    kept = {k: v for k, v in TENSORS.items() if entries[k.encode()].shard != missing or entries[k.encode()].size == 0}
    assert {damage.name for damage in report.lost} == TENSORS.keys() - kept.keys()
    assert all(isinstance(damage.cause, FileNotFoundError) for damage in report.lost)
    assert_saved(report, tmp_path / "dst", kept)
    assert stored.num_shards(tmp_path / "dst") == 2


def test_a_truncated_data_file_costs_what_is_beyond(tmp_path):
    bundle = write_bundle(tmp_path / "src", TENSORS)
    entry = bundle.image.entries[b"names"]
    path = bundle.data_path()
    path.write_bytes(path.read_bytes()[: entry.offset])
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert [damage.name for damage in report.lost] == ["names", "step"]
    assert_saved(report, tmp_path / "dst", {name: TENSORS[name] for name in ("a", "b", "empty")})


def test_a_record_that_cannot_be_understood_costs_its_tensor(tmp_path):
    mutate = Mutations(entries={"a": {"append": b"\xff"}})
    write_bundle(tmp_path / "src", TENSORS, mutate=mutate)
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert [damage.name for damage in report.lost] == ["a"]
    assert_saved(report, tmp_path / "dst", {k: v for k, v in TENSORS.items() if k != "a"})


@pytest.mark.parametrize("piece", [0, 1])
def test_a_tensor_in_pieces_is_lost_as_a_whole(tmp_path, piece):
    slices = {"a": ["0,2:-", "2,3:-"]}
    shard_of = {(b"a", 0): 0, (b"a", 1): 1}
    bundle = write_bundle(
        tmp_path / "src",
        TENSORS,
        slices=slices,
        shards=2,
        shard_of=lambda name, number: shard_of.get((name, number), 0),
    )
    entry = next(entry for entry in bundle.image.entries.values() if entry.size == (128, 192)[piece])
    flip(bundle.data_path(piece), entry.offset)
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert [damage.name for damage in report.lost] == ["a"]
    assert_saved(report, tmp_path / "dst", {k: v for k, v in TENSORS.items() if k != "a"})


def test_what_is_sound_is_saved_whole(tmp_path):
    write_bundle(tmp_path / "src", TENSORS, slices={"a": ["0,2:-", "2,3:-"]}, endianness="big")
    seen = []
    report = tb.salvage(tmp_path / "src", tmp_path / "dst", progress=lambda *call: seen.append(call))
    assert report
    assert (report.lost, report.missing_shards, report.object_graph) == ((), (), None)
    assert str(report) == f"5 tensors saved, 0 lost ({report.nbytes} bytes)"
    assert repr(report) == f"<SalvageReport: {report}>"
    assert pickle.loads(pickle.dumps(report)) == report
    assert_saved(report, tmp_path / "dst", TENSORS)
    assert seen[-1][0] == seen[-1][1] == 2 * report.nbytes


def test_types_that_arrays_do_not_tell_are_kept(tmp_path):
    tensors = {
        "q": Typed(np.array([1, -1], np.int8), "qint8"),
        "u": Typed(np.array([5], np.uint16), "quint16"),
        "x": np.ones(2),
    }
    bundle = write_bundle(tmp_path / "src", tensors)
    flip(bundle.data_path(), bundle.image.entries[b"x"].offset)
    assert tb.salvage(tmp_path / "src", tmp_path / "dst").saved == ("q", "u")
    with tb.open(tmp_path / "dst") as ckpt:
        assert [(entry.name, entry.tf_dtype) for entry in ckpt.entries()] == [("q", "qint8"), ("u", "quint16")]


def test_large_tensors_go_in_chunks_and_in_file_order(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {"z": rng.random(3_000_000), "m": rng.random(10), "c": rng.random((5000, 901)), "bad": rng.random(4)}
    bundle = write_bundle(tmp_path / "src", tensors)
    flip(bundle.data_path(), bundle.image.entries[b"bad"].offset)
    report = tb.salvage(tmp_path / "src", tmp_path / "dst", durable=False)
    del tensors["bad"]
    assert_saved(report, tmp_path / "dst", tensors)
    entries = stored.entries(tmp_path / "dst")
    assert sorted(entries, key=lambda key: entries[key].offset) == [b"z", b"m", b"c"]


# Objects.


def save_objects(prefix):
    tree = {"model": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}, "step": np.array(5)}
    tree["optimizer"] = {"rate": np.float32(0.1)}
    tb.save_objects(prefix, tree, slots={"optimizer": {"m": {"model/kernel": np.zeros((2, 3), np.float32)}}})


def flip_tensor(prefix, name):
    with tb.open(prefix) as ckpt:
        entry = ckpt.entry(name)
    flip(stored.data_files(prefix)[entry.shard], entry.offset + entry.nbytes - 1)


def test_objects_lose_the_values_that_are_lost(tmp_path):
    save_objects(tmp_path / "src")
    flip_tensor(tmp_path / "src", "model/bias/.ATTRIBUTES/VARIABLE_VALUE")
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert (report.object_graph, [damage.name for damage in report.lost]) == (
        "edited",
        ["model/bias/.ATTRIBUTES/VARIABLE_VALUE"],
    )
    with tb.open(tmp_path / "dst") as ckpt:
        assert ckpt.verify()
        graph = ckpt.object_graph
        assert graph.find("model/kernel").key == "model/kernel/.ATTRIBUTES/VARIABLE_VALUE"
        assert graph.find("model/bias").key is None
        np.testing.assert_array_equal(ckpt.named("path")["model/kernel"], np.ones((2, 3)))
    # The same as dropping it from a sound one.
    save_objects(tmp_path / "sound")
    tb.edit(tmp_path / "sound", drop="model/bias/")
    assert tb.diff(tmp_path / "sound", tmp_path / "dst")


def test_a_graph_of_which_nothing_is_lost_is_kept(tmp_path):
    save_objects(tmp_path / "src")
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert report
    assert report.object_graph == "kept"
    assert tb.diff(tmp_path / "src", tmp_path / "dst")
    assert str(report).endswith(f"0 lost, object graph kept ({report.nbytes} bytes)")


def test_a_damaged_graph_is_lost_and_the_tensors_are_not(tmp_path):
    save_objects(tmp_path / "src")
    flip_tensor(tmp_path / "src", GRAPH)
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert (report.object_graph, [damage.name for damage in report.lost]) == ("lost", [GRAPH])
    with tb.open(tmp_path / "dst") as ckpt:
        assert ckpt.object_graph is None
        assert ckpt.verify()


def test_a_graph_that_is_none_is_lost(tmp_path):
    write_bundle(tmp_path / "src", {"x": np.ones(2), GRAPH: np.array(b"\xff\xff\xff", object)})
    report = tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert (report.saved, report.object_graph) == (("x",), "lost")
    assert isinstance(report.lost[0].cause, tb.errors.DataLossError)


# V1.


def write_v1_shards(directory):
    rows = [[v1_writer.Row(b"x", np.arange(3.0))], [v1_writer.Row(b"y", np.arange(4.0)), v1_writer.Row(b"z", b"text")]]
    return [
        v1_writer.write(directory / f"v1-{number:05}-of-00002", shard, block_size=64)
        for number, shard in enumerate(rows)
    ]


def test_v1_becomes_v2(tmp_path):
    write_v1_shards(tmp_path)
    report = tb.salvage(tmp_path / "v1-?????-of-00002", tmp_path / "dst")
    assert report
    assert_saved(
        report, tmp_path / "dst", {"x": np.arange(3.0), "y": np.arange(4.0), "z": np.array(b"text", object)}, ["z"]
    )


def test_v1_without_a_shard(tmp_path):
    missing = write_v1_shards(tmp_path)[0]
    missing.unlink()
    report = tb.salvage(tmp_path / "v1-?????-of-00002", tmp_path / "dst")
    assert not report
    assert (report.lost, report.missing_shards) == ((), (str(missing),))
    assert_saved(report, tmp_path / "dst", {"y": np.arange(4.0), "z": np.array(b"text", object)}, ["z"])
    assert f"missing, with whatever it alone held: {str(missing)!r}" in str(report)
    assert "2 tensors saved, 0 lost, 1 shards missing" in str(report)


# Refusals.


def test_nothing_intact_and_nothing_written(tmp_path):
    bundle = write_bundle(tmp_path / "src", {"x": np.ones(3), "y": np.ones(3)})
    bundle.data_path().unlink()
    with pytest.raises(tb.errors.DataLossError, match=r"nothing of .*src' is intact, so nothing was saved"):
        tb.salvage(tmp_path / "src", tmp_path / "out" / "dst")
    assert not (tmp_path / "out").exists()


def test_a_graph_alone_is_nothing(tmp_path):
    save_objects(tmp_path / "src")
    with tb.open(tmp_path / "src") as ckpt:
        names = [name for name in ckpt if name != GRAPH]
    for name in names:
        flip_tensor(tmp_path / "src", name)
    with pytest.raises(tb.errors.DataLossError, match="nothing of"):
        tb.salvage(tmp_path / "src", tmp_path / "dst")
    assert not (tmp_path / "dst.index").exists()


@pytest.mark.parametrize("again", ["src", "./src", "link", "folder/src"])
def test_the_source_is_no_destination(tmp_path, monkeypatch, again):
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "src", TENSORS)
    (tmp_path / "link.index").symlink_to(tmp_path / "src.index")
    (tmp_path / "folder").symlink_to(tmp_path)
    before = (tmp_path / "src.index").read_bytes()
    with pytest.raises(ValueError, match="is the damaged checkpoint itself"):
        tb.salvage("src", again)
    assert (tmp_path / "src.index").read_bytes() == before


def test_a_missing_checkpoint_and_a_url(tmp_path):
    with pytest.raises(FileNotFoundError):
        tb.salvage(tmp_path / "nothing", tmp_path / "dst")
    write_bundle(tmp_path / "src", TENSORS)
    with pytest.raises(tb.errors.UnimplementedError, match="writing to a URL"):
        tb.salvage(tmp_path / "src", "gs://bucket/dst")


def test_damage_that_comes_between_looking_and_copying_is_noticed(tmp_path):
    bundle = write_bundle(tmp_path / "src", {"x": np.ones(1000), "y": np.ones(10)})

    calls = []

    def once(done, total, name):
        if done * 2 >= total and not calls:
            calls.append(name)
            with bundle.data_path().open("r+b") as file:
                file.write(b"\1")

    with pytest.raises(tb.errors.DataLossError, match='tensor "x"'):
        tb.salvage(tmp_path / "src", tmp_path / "dst", progress=once)
    assert calls
    assert not (tmp_path / "dst.index").exists()


# Published checkpoints.


@pytest.mark.skipif(not corpus.checkpoints(), reason="the open corpus is absent")
def test_corpus(tmp_path):
    for number, checkpoint in enumerate([*corpus.checkpoints("V1"), *corpus.checkpoints()]):
        intact = {name for name, tensor in checkpoint.tensors.items() if tensor.error is None}
        destination = tmp_path / str(number) / "dst"
        if not intact - {GRAPH}:
            with pytest.raises(tb.errors.DataLossError, match="nothing of"):
                tb.salvage(checkpoint.prefix, destination, durable=False)
            continue
        report = tb.salvage(checkpoint.prefix, destination, durable=False)
        assert bool(report) == checkpoint.complete
        assert set(report.saved) == intact
        assert {damage.name for damage in report.lost} == checkpoint.tensors.keys() - intact
        with tb.open(destination) as ckpt:
            assert ckpt.verify()
            assert {entry.name: entry.tf_dtype for entry in ckpt.entries()} == {
                name: checkpoint.tensors[name].dtype for name in intact
            }
        if report:
            assert tb.diff(checkpoint.prefix, destination, values=True)
