"""Checkpoints of the V1 format: everything that can be done with one of V2, and what is said where something can't."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from support import golden, table, v1_writer, values
from support.hashing import assert_same_bits, tensor_hash
from support.v1_writer import FIELDS, Row
from support.wire import bytes_field, int_field, tag, varint

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
SHAPES = [(), (0,), (3,), (0, 3), (2, 3), (1, 1, 1), (40, 25)]
GOLDEN = golden.checkpoints("V1")
LARGE = np.arange(200_000, dtype=np.float32)  # A block of its own, and more than one task.


def assert_reads(path, expected, mmap=None):
    """Name -> (dtype, array), in every way of reading."""
    with tb.open(path, mmap=mmap) as ckpt:
        assert list(ckpt) == sorted(expected, key=lambda name: name.encode("utf-8", "surrogateescape"))
        for entry in ckpt.entries():
            dtype, array = expected[entry.name]
            assert (entry.tf_dtype, entry.shape, entry.dtype) == (dtype, array.shape, array.dtype)
            assert (entry.shard, entry.offset, entry.crc32c, entry.aligned) == (None, None, None, False)
            assert entry.nbytes == (0 if dtype == "string" else array.nbytes)
            assert entry == ckpt.entry(entry.name)
        assert ckpt.problems() == {}
        assert ckpt.verify()
        loads = [
            ckpt.load(),
            ckpt.load(copy=True, threads=3),
            ckpt.load(verify=False),
            {name: ckpt[name] for name in ckpt},
            {name: ckpt.read(name, index=...) for name in ckpt},
            {name: ckpt.lazy(name)[...] for name in ckpt},
            ckpt.load(out={name: np.empty_like(array) for name, (_, array) in expected.items()}),
        ]
    for arrays in loads:
        assert list(arrays) == list(loads[0])
        for name, (_, array) in expected.items():
            assert_same_bits(arrays[name], array, name)
            assert arrays[name].flags.writeable
            assert arrays[name].flags.c_contiguous


# What there is.


@MODES
@pytest.mark.parametrize("checkpoint", GOLDEN, ids=lambda checkpoint: checkpoint.id)
def test_golden(checkpoint, mmap):
    with tb.open(checkpoint.prefix, mmap=mmap) as ckpt:
        assert ckpt.path == str(checkpoint.prefix)
        assert ckpt.num_shards == len(checkpoint.files)
        assert [name.encode() for name in ckpt] == sorted(checkpoint.tensors)
        arrays = ckpt.load()
        for name, array in arrays.items():
            expected = checkpoint.tensors[name.encode()]
            entry = ckpt.entry(name)
            assert (entry.tf_dtype, entry.shape) == (expected.dtype, expected.shape)
            assert array.shape == expected.shape
            assert tensor_hash(array) == expected.sha256, name
        assert ckpt.verify().checked == len(arrays)


@MODES
@pytest.mark.parametrize("dtype", FIELDS)
def test_every_dtype(tmp_path, dtype, mmap):
    arrays = {f"{shape}": values.filled(dtype, shape, 1) for shape in SHAPES} | {"all": values.interesting(dtype)}
    path = v1_writer.write(tmp_path / "v1", [Row(name.encode(), array, dtype) for name, array in arrays.items()])
    assert_reads(path, {name: (dtype, array) for name, array in arrays.items()}, mmap)


@MODES
@pytest.mark.parametrize("snappy", [False, "literal", "copies"])
@pytest.mark.parametrize("block_size", [1, 300, 262144])
def test_blocks(tmp_path, mmap, snappy, block_size):
    arrays = {f"{dtype}/{n}": (dtype, values.filled(dtype, (n, 3))) for dtype in FIELDS for n in (1, 5)}
    arrays["large"] = "float32", LARGE
    rows = [Row(name.encode(), array, dtype) for name, (dtype, array) in arrays.items()]
    path = v1_writer.write(tmp_path / "v1", rows, block_size=block_size, snappy=snappy)
    assert_reads(path, arrays, mmap)


@MODES
def test_one_value_a_field(tmp_path, mmap):
    arrays = {dtype: (dtype, values.filled(dtype, (2, 3))) for dtype in FIELDS}
    rows = []
    for dtype, (_, array) in arrays.items():
        row = Row(dtype.encode(), array, dtype)
        row.record = v1_writer.encode_record(row, v1_writer.encode_values(array, dtype, packed=False))
        rows.append(row)
    assert_reads(v1_writer.write(tmp_path / "v1", rows), arrays, mmap)


@MODES
@pytest.mark.parametrize("dtype", FIELDS)
def test_slices_in_two_files(tmp_path, dtype, mmap):
    array = values.filled(dtype, (5, 4))
    pieces = [["0,2:0,1", "2,3:-"], ["0,2:1,3"]]
    for shard, specs in enumerate(pieces):
        rows = [Row(b"w", array, dtype, spec) for spec in specs]
        v1_writer.write(tmp_path / f"m-0000{shard}-of-00002", rows)
    for path in (tmp_path / "m-?????-of-00002", tmp_path / "m-00001-of-00002"):
        with tb.open(path, mmap=mmap) as ckpt:
            assert ckpt.path == f"{tmp_path}/m-?????-of-00002"
            assert ckpt.num_shards == 2
            assert_same_bits(ckpt["w"], array)
            slices = ((slice(0, 2), slice(0, 1)), (slice(2, 5), slice(0, 4)), (slice(0, 2), slice(1, 4)))
            assert ckpt.entry("w").slices == slices
            for index in (np.s_[1:4], np.s_[::2, 1:3], np.s_[:, -1], np.s_[4, 3], np.s_[::-1, ::-2], np.s_[1:1]):
                assert_same_bits(ckpt.read("w", index=index), array[index])
                assert_same_bits(ckpt.read("w", index=index, verify=True), array[index])
            assert ckpt.verify()


@MODES
def test_large_slices(tmp_path, mmap):
    array = np.arange(600_000, dtype=np.float64).reshape(3, 200_000)
    rows = [Row(b"w", array, piece=spec) for spec in ("0,3:0,70000", "0,1:70000,130000", "1,2:70000,130000")]
    path = v1_writer.write(tmp_path / "v1", rows)
    with tb.open(path, mmap=mmap) as ckpt:
        for threads in (1, 2, 5):
            assert_same_bits(ckpt.load(threads=threads)["w"], array)
        for index in (np.s_[1, 69_990:70_010], np.s_[:, ::50_000], np.s_[2], np.s_[:, 100_000:]):
            assert_same_bits(ckpt.read("w", index=index), array[index])


def test_many_tensors(tmp_path):
    arrays = {f"layer/{number:05d}": ("float32", np.full(30, number, "<f4")) for number in range(3_000)}
    path = v1_writer.write(tmp_path / "v1", [Row(name.encode(), array) for name, (_, array) in arrays.items()])
    assert path.stat().st_size > table.BLOCK_SIZE
    assert_reads(path, arrays)


def test_names_of_any_bytes(tmp_path):
    names = [b"", b"\0", b"\0\xff\x01", b"\xff", "grün".encode(), b"a/b:0", b"n" * 70_000]
    path = v1_writer.write(tmp_path / "v1", [Row(name, np.float32(at)) for at, name in enumerate(names)])
    with tb.open(path) as ckpt:
        found = {name.encode("utf-8", "surrogateescape"): float(array) for name, array in ckpt.load().items()}
    assert found == dict(zip(names, range(len(names)), strict=True))


def test_scalars_and_strings_are_as_of_v2(tmp_path):
    path = v1_writer.write(tmp_path / "v1", [Row(b"s", b"text"), Row(b"n", np.int64(-5))])
    loaded = tb.load(path)
    assert (type(loaded["s"]), loaded["s"].shape, loaded["s"][()]) == (np.ndarray, (), b"text")
    assert (type(loaded["n"]), loaded["n"].shape, loaded["n"][()]) == (np.ndarray, (), -5)


# What can be done with one.


@pytest.fixture
def path(tmp_path):
    array = np.arange(12, dtype=np.int32).reshape(4, 3)
    rows = [
        Row(b"parts", array, piece="0,1:-"),
        Row(b"parts", array, piece="1,3:-"),
        Row(b"q", np.arange(-3, 3, dtype=np.int8), "qint8"),
        Row(b"large", LARGE),
        Row(b"text", [b"one", b"", b"three"]),
    ]
    return v1_writer.write(tmp_path / "v1", rows)


def test_mapping(path):
    with tb.open(path) as ckpt:
        assert len(ckpt) == 4
        assert "q" in ckpt
        assert "r" not in ckpt
        assert ckpt
        assert repr(ckpt) == f"<tensorbundle.Checkpoint {str(path)!r}: 4 tensors>"
        with pytest.raises(tb.errors.NotFoundError, match="part"):
            ckpt["part"]
    with pytest.raises(ValueError, match="is closed"):
        ckpt["q"]


def test_no_views(path):
    with tb.open(path) as ckpt:
        for name in ckpt:
            for index in (None, 0):
                with pytest.raises(ValueError, match="a view is not possible: in the V1 format values are encoded"):
                    ckpt.read(name, index=index, copy=False)
        with pytest.raises(ValueError, match="allow a copy"):
            ckpt.load(copy=False)


def test_saved_again_it_keeps_its_types(path, tmp_path):
    with tb.open(path) as ckpt:
        tb.save(tmp_path / "v2", ckpt)
        with tb.open(tmp_path / "v2") as again:
            assert [(entry.name, entry.tf_dtype, entry.shape) for entry in again.entries()] == [
                (entry.name, entry.tf_dtype, entry.shape) for entry in ckpt.entries()
            ]
            for name, array in ckpt.items():
                assert_same_bits(again[name], array, name)


def test_editing_and_merging_are_refused(path, tmp_path):
    for call in (
        lambda: tb.edit(path, rename=[("q", "r")]),
        lambda: tb.edit(path, tmp_path / "v2", drop="q"),
        lambda: tb.merge([path], tmp_path / "v2"),
    ):
        with pytest.raises(
            tb.errors.UnimplementedError, match=r"is of the V1 format, .* convert it to a V2 checkpoint before"
        ):
            call()


def test_pickling(path):
    with tb.open(path, threads=1, mmap=False) as ckpt:
        frozen = pickle.dumps(ckpt)
        entries = pickle.loads(pickle.dumps(ckpt.entries()))
        assert entries == ckpt.entries()
    with pickle.loads(frozen) as again:
        assert_same_bits(again["large"], LARGE)
    # The same names, shapes and sizes, and one other value.
    other = LARGE.copy()
    other[-1] = 7
    rows = [Row(b"large", LARGE)]
    v1_writer.write(path, rows)
    with tb.open(path) as ckpt:
        frozen = pickle.dumps(ckpt)
    v1_writer.write(path, [Row(b"large", other)])
    with pytest.raises(tb.errors.DataLossError, match="another save is at"):
        pickle.loads(frozen)


def test_stays_the_save_that_it_was(path):
    with tb.open(path) as ckpt:
        path.unlink()
        v1_writer.write(path, [Row(b"q", np.float32(1))])
        assert_same_bits(ckpt["large"], LARGE)
        assert len(ckpt) == 4


def test_progress(path):
    seen = []
    with tb.open(path, threads=1) as ckpt:
        ckpt.load(progress=lambda *call: seen.append(call))
        total = seen[-1][1]
        assert seen[-1][0] == total
        assert ckpt.verify().nbytes == total

        def stop(*_):
            raise InterruptedError

        with pytest.raises(InterruptedError):
            ckpt.load(progress=stop)
        assert len(ckpt.load()) == 4


def test_out(path):
    with tb.open(path) as ckpt:
        out = np.empty((4, 3), np.int32, order="F")
        assert ckpt.read("parts", out=out) is out
        assert (out == np.arange(12).reshape(4, 3)).all()
        part = np.empty(3, np.int32)
        assert ckpt.read("parts", index=2, out=part) is part
        assert part.tolist() == [6, 7, 8]
        with pytest.raises(TypeError, match="must be of int8"):
            ckpt.read("q", out=np.empty(6, np.uint8))


# What is wrong with one tensor.


def problem_of(rows, tmp_path, **options):
    """What opening says of the first tensor; all others read."""
    path = v1_writer.write(tmp_path / "v1", [*rows, Row(b"zzz", np.float32(1))], **options)
    name = rows[0].name.decode()
    with pytest.warns(tb.errors.DamageWarning) as caught:
        ckpt = tb.open(path)
    assert len(caught) == 1
    problems = ckpt.problems()
    assert list(problems) == [name]
    assert float(ckpt["zzz"]) == 1
    with pytest.raises(tb.errors.TensorBundleError) as raised:
        ckpt[name]
    assert str(raised.value) == str(problems[name])
    assert raised.value.tensor == name
    report = ckpt.verify()
    assert [damage.name for damage in report.damaged] == [name]
    return problems[name]


W = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_hole(tmp_path):
    problem = problem_of([Row(b"w", W, piece="0,1:-"), Row(b"w", W, piece="2,2:-")], tmp_path)
    assert type(problem) is tb.errors.DataLossError
    assert "[1:2, 0:3]" in str(problem)


def test_overlap(tmp_path):
    problem = problem_of([Row(b"w", W, piece="0,3:-"), Row(b"w", W, piece="2,2:-")], tmp_path)
    assert "overlap" in str(problem)


def test_slice_beyond_the_tensor(tmp_path):
    rows = [Row(b"w", W, piece="0,4:-", meta={"shape": (3, 3)})]
    assert "start 0, length 4; the dimension has 3 elements" in str(problem_of(rows, tmp_path))


def test_negative_dimension(tmp_path):
    problem = problem_of([Row(b"w", W, meta={"shape": (-4, 3)})], tmp_path)
    assert str(problem) == 'tensor "w": Invalid tensor shape: dimension -4'


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (14, tb.errors.UnimplementedError, "bfloat16 is not a dtype of the V1 format"),
        (77, tb.errors.UnimplementedError, "unknown dtype number 77 is not a dtype of the V1 format"),
        (0, tb.errors.DataLossError, "the entry has no dtype"),
        (20, tb.errors.DataLossError, "dtype resource cannot be stored"),
        (101, tb.errors.DataLossError, "invalid dtype number 101"),
    ],
)
def test_dtype_that_the_format_does_not_have(tmp_path, number, kind, message):
    problem = problem_of([Row(b"w", W, meta={"dtype": number})], tmp_path)
    assert type(problem) is kind
    assert str(problem) == f'tensor "w": {message}'


def test_shape_of_more_than_the_file(tmp_path):
    problem = problem_of([Row(b"w", W, meta={"shape": (1 << 40, 3)})], tmp_path)
    assert type(problem) is tb.errors.DataLossError
    assert "its record of 3298534883328 elements of float32 does not fit the data block at 0 of" in str(problem)


def reading_fails(rows, tmp_path, **options):
    """What reading says of a tensor of which opening knows nothing bad; all others read."""
    path = v1_writer.write(tmp_path / "v1", [*rows, Row(b"zzz", np.float32(1))], **options)
    name = rows[0].name.decode()
    with tb.open(path) as ckpt:
        assert ckpt.problems() == {}
        assert float(ckpt["zzz"]) == 1
        with pytest.raises(tb.errors.DataLossError) as raised:
            ckpt[name]
        assert (raised.value.tensor, raised.value.path) == (name, str(path))
        with pytest.raises(tb.errors.DataLossError):
            ckpt.load()
        report = ckpt.verify()
        assert [damage.name for damage in report.damaged] == [name]
        assert str(report.damaged[0].cause) == str(raised.value)
    return str(raised.value)


def test_record_that_is_missing(tmp_path):
    message = reading_fails([Row(b"w", W, record=b"")], tmp_path)
    assert "Error copying slice data: the metadata lists [0:4, 0:3], and there is no record of it" in message


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize("length", [2, 4])
def test_wrong_number_of_values(tmp_path, dtype, length):
    row = Row(b"w", values.filled(dtype, (3,)), dtype)
    row.record = v1_writer.encode_record(row, v1_writer.encode_values(values.filled(dtype, (length,)), dtype))
    message = reading_fails([row], tmp_path)
    assert "Error copying slice data: the record holds " in message
    assert message.endswith(" elements, the slice has 3")


def test_values_of_another_dtype(tmp_path):
    row = Row(b"w", np.arange(3, dtype=np.int32))
    row.record = v1_writer.encode_record(row, v1_writer.encode_values(np.arange(3, dtype=np.float32), "float32"))
    assert reading_fails([row], tmp_path).endswith("the record holds 0 elements, the slice has 3")


def test_tensor_content(tmp_path):
    row = Row(b"w", np.arange(3, dtype=np.float32))
    row.record = v1_writer.encode_record(row, bytes_field(4, row.value.tobytes()))
    message = reading_fails([row], tmp_path)
    assert "Error copying slice data: it is stored as tensor_content, which this format does not have" in message


def test_malformed_record(tmp_path):
    row = Row(b"w", np.arange(3, dtype=np.int32))
    row.record = v1_writer.encode_record(row)[:-1]
    assert "malformed protobuf message: byte " in reading_fails([row], tmp_path)


def test_fields_that_mean_nothing_are_passed_over(tmp_path):
    row = Row(b"w", np.arange(3, dtype=np.float32))
    # A dtype, a shape and a version as in other TensorProtos, an empty tensor_content, a field of the future.
    tensor = int_field(1, 3) + bytes_field(2, b"") + int_field(3, 9) + bytes_field(4, b"") + bytes_field(99, b"new")
    row.record = v1_writer.encode_record(row, tensor + v1_writer.encode_values(row.value, row.dtype))
    row.record += bytes_field(77, b"new")
    assert_reads(v1_writer.write(tmp_path / "v1", [row]), {"w": ("float32", row.value)})


def test_bits_beyond_a_dtype_are_dropped(tmp_path):
    row = Row(b"w", np.zeros(2, np.uint8))
    row.record = v1_writer.encode_record(row, bytes_field(7, varint(0x101) + varint(-1)))
    assert tb.load(v1_writer.write(tmp_path / "v1", [row]))["w"].tolist() == [1, 255]


def test_numbers_written_with_more_bytes_than_they_need(tmp_path):
    row = Row(b"w", np.array([5, 0], np.int64))
    row.record = v1_writer.encode_record(row, bytes_field(10, b"\x85\x80\x00" + b"\x80" * 9 + b"\x00"))
    assert_reads(v1_writer.write(tmp_path / "v1", [row]), {"w": ("int64", row.value)})


# What is wrong with a file.


def opening_fails(path, kind=tb.errors.DataLossError):
    with pytest.raises(kind) as raised:
        tb.open(path)
    return str(raised.value)


NO_METADATA = "Failed to find the saved tensor slices at the beginning of the checkpoint file: "


def test_no_metadata(tmp_path):
    path = tmp_path / "v1"
    path.write_bytes(table.build_table([]))
    assert opening_fails(path) == f"{path}: {NO_METADATA}the table has no entries"
    path.write_bytes(table.build_table([(b"w", b"x")]))
    assert opening_fails(path) == f'{path}: {NO_METADATA}its first key is "w"'
    v1_writer.write(path, [], metadata=b"")
    assert opening_fails(path) == f"{path}: {NO_METADATA}its first record holds none"
    v1_writer.write(path, [], metadata=bytes_field(1, b"\x0a\x05"))
    assert opening_fails(path).startswith(f"{path}: {NO_METADATA}malformed protobuf message")


@pytest.mark.parametrize("version", [int_field(2, 2), tag(3, 0) + b"\x01", bytes_field(3, b"\x05\x01")])
def test_version_of_another_reader(tmp_path, version):
    path = v1_writer.write(tmp_path / "v1", [], metadata=v1_writer.encode_metadata([], version))
    assert "metadata: the checkpoint asks for a reader of another version" in opening_fails(
        path, tb.errors.UnimplementedError
    )


@pytest.mark.parametrize("version", [None, b"", int_field(1, 99), int_field(2, 1)])
def test_version_of_this_reader(tmp_path, version):
    row = Row(b"w", W)
    path = v1_writer.write(tmp_path / "v1", [row], metadata=v1_writer.encode_metadata([row], version))
    assert_reads(path, {"w": ("float32", W)})


def test_files_that_disagree(tmp_path):
    rows = [Row(b"w", W, piece="0,2:-"), Row(b"w", W, piece="2,2:-", meta={"shape": (5, 3)})]
    for shard, row in enumerate(rows):
        v1_writer.write(tmp_path / f"m-0000{shard}-of-00002", [row])
    with pytest.warns(tb.errors.DamageWarning, match="the files disagree on its dtype or shape: .*m-00001-of-00002"):
        tb.open(tmp_path / "m-?????-of-00002")


# A shard that is missing.


@pytest.fixture
def shards(tmp_path):
    """Three: a tensor of its own in each, and a variable with a row in the first and one in the last."""
    for shard in range(3):
        rows = [Row(b"t%d" % shard, np.float32(shard))]
        if shard != 1:
            rows.append(Row(b"w", W, piece=f"{shard},2:-"))
        v1_writer.write(tmp_path / f"m-0000{shard}-of-00003", rows)
    return [tmp_path / f"m-0000{shard}-of-00003" for shard in range(3)]


def opened_in_part(path, **options):
    """The checkpoint and the one warning that it gives."""
    with pytest.warns(tb.errors.DamageWarning) as caught:
        ckpt = tb.open(path, **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return ckpt, str(caught[0].message)


@MODES
def test_missing_shard_is_one_warning_and_the_rest_reads(shards, mmap):
    shards[1].unlink()
    pattern = f"{shards[0].parent}/m-?????-of-00003"
    for path in (pattern, shards[0], shards[2]):
        ckpt, warning = opened_in_part(path, mmap=mmap)
        assert warning == (
            f"1 of the 3 shards of '{pattern}' are missing: '{shards[1]}'; what they alone hold can't be listed"
        )
        assert ckpt.path == pattern
        assert ckpt.num_shards == 3
        assert ckpt.missing_shards == (str(shards[1]),)
        assert ckpt.problems() == {}
        assert list(ckpt) == ["t0", "t2", "w"]
        arrays = ckpt.load()
        assert_same_bits(arrays["w"], W)
        assert (float(arrays["t0"]), float(ckpt["t2"])) == (0, 2)


def test_variable_with_a_piece_in_a_missing_shard(shards):
    shards[0].unlink()
    shards[1].unlink()
    ckpt, warning = opened_in_part(shards[2])
    problem = (
        'tensor "w": 6 of 12 elements are in no piece, first [0:2, 0:3]; they may be in a missing shard: '
        f"{shards[0]}, {shards[1]}"
    )
    assert warning == (
        f"2 of the 3 shards of '{ckpt.path}' are missing: '{shards[0]}', '{shards[1]}'; what they alone hold can't be "
        f"listed; 1 of 2 tensors in '{ckpt.path}' can't be read, the others can: {problem}"
    )
    assert list(ckpt) == ["t2", "w"]
    assert ckpt.entry("w").shape == (4, 3)
    assert {name: str(error) for name, error in ckpt.problems().items()} == {"w": problem}
    with pytest.raises(tb.errors.DataLossError) as raised:
        ckpt["w"]
    assert str(raised.value) == problem
    assert float(ckpt["t2"]) == 2


def test_name_that_may_be_in_a_missing_shard(shards):
    shards[1].unlink()
    ckpt, _ = opened_in_part(shards[0])
    for ask in (lambda: ckpt["t1"], lambda: ckpt.entry("t1"), lambda: ckpt.load(["t1"]), lambda: ckpt.verify(["t1"])):
        with pytest.raises(tb.errors.NotFoundError) as raised:
            ask()
        assert str(raised.value) == (
            f"Key 't1' not found in checkpoint '{ckpt.path}'; it has 3 tensors, none of a like name; "
            f"it may be in a missing shard: '{shards[1]}'"
        )
    assert "t1" not in ckpt
    assert ckpt.get("t1") is None


@MODES
def test_verifying_without_a_shard(shards, mmap):
    shards[1].unlink()
    ckpt, _ = opened_in_part(shards[0], mmap=mmap)
    report = ckpt.verify()
    assert not report
    assert (report.checked, report.damaged, report.missing_shards) == (3, (), (str(shards[1]),))
    assert repr(report) == f"<VerifyReport: 3 tensors, {report.nbytes} bytes, 1 of the shards missing>"
    assert str(report) == (
        f"all 3 tensors that could be listed are sound ({report.nbytes} bytes)\n"
        f"  '{shards[1]}': the shard is missing, with whatever it alone holds"
    )
    # Of these, nothing is missing.
    named = ckpt.verify(["w", "t0"])
    assert named
    assert named.missing_shards == ()


def test_damage_beside_a_missing_shard(shards):
    shards[0].unlink()
    v1_writer.write(shards[2], [Row(b"large", LARGE)])
    content = bytearray(shards[2].read_bytes())
    content[len(content) // 2] ^= 1
    shards[2].write_bytes(content)
    ckpt, _ = opened_in_part(shards[1])
    report = ckpt.verify()
    assert [(damage.name, damage.shard) for damage in report.damaged] == [("large", 2)]
    assert repr(report).endswith("bytes, 1 damaged, 1 of the shards missing>")
    assert str(report).splitlines()[0] == f"1 of 2 tensors are damaged ({report.nbytes} bytes)"
    assert len(str(report).splitlines()) == 3


def test_many_missing_shards_are_counted(tmp_path):
    path = v1_writer.write(tmp_path / "m-00007-of-00900", [Row(b"w", W)])
    ckpt, warning = opened_in_part(path)
    named = ", ".join(f"'{tmp_path}/m-0000{shard}-of-00900'" for shard in range(5))
    assert warning.startswith(f"899 of the 900 shards of '{ckpt.path}' are missing: {named} and 894 more; ")
    with pytest.raises(tb.errors.NotFoundError, match=r"00004-of-00900' and 894 more$"):
        ckpt["x"]
    assert len(ckpt.missing_shards) == len(ckpt.verify().missing_shards) == 899


def test_shard_that_appears_later_makes_another_save(shards):
    away = shards[1].with_name("away")
    shards[1].rename(away)
    ckpt, _ = opened_in_part(shards[0])
    frozen = pickle.dumps(ckpt)
    with pytest.warns(tb.errors.DamageWarning):
        again = pickle.loads(frozen)
    assert again.missing_shards == ckpt.missing_shards
    away.rename(shards[1])
    assert list(ckpt) == ["t0", "t2", "w"]
    with pytest.raises(tb.errors.DataLossError, match="another save is at"):
        pickle.loads(frozen)


def test_all_shards_missing(shards):
    for shard in shards:
        shard.unlink()
    opening_fails(shards[0].with_name("m-?????-of-00003"), FileNotFoundError)
    opening_fails(shards[0], FileNotFoundError)


def test_damaged_shard(shards):
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[:3] + bytes([content[3] ^ 1]) + content[4:])
    assert f"{shards[1]}: data block at 0 of" in opening_fails(shards[0])
    shards[2].unlink()
    assert f"{shards[1]}: data block at 0 of" in opening_fails(shards[0])


def test_sound_ones_have_no_missing_shards(shards):
    with tb.open(shards[0]) as ckpt:
        assert ckpt.missing_shards == ()
        assert ckpt.verify().missing_shards == ()


# Damage.


def assert_sound_or_said(path, expected):
    """Every tensor is right, or reading it is an error of ours; whatever is wrong, verifying finds it too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tb.errors.DamageWarning)
        try:
            ckpt = tb.open(path, threads=1)
        except (tb.errors.TensorBundleError, FileNotFoundError):
            return
    bad = {damage.name for damage in ckpt.verify(threads=1).damaged}
    for name in ckpt:
        try:
            array = ckpt[name]
        except tb.errors.TensorBundleError:
            assert name in bad
            continue
        assert name not in bad
        if name in expected:
            assert_same_bits(array, expected[name], name)


@pytest.fixture
def small(tmp_path):
    array = np.arange(6, dtype=np.int16).reshape(3, 2)
    rows = [
        Row(b"f", np.array([1.5, -2], np.float32)),
        Row(b"p", array, piece="0,1:-"),
        Row(b"p", array, piece="1,2:-"),
        Row(b"s", [b"ab", b""]),
    ]
    return v1_writer.write(tmp_path / "v1", rows, block_size=60), {row.name.decode(): row.value for row in rows}


def test_every_byte_flipped(small):
    path, expected = small
    content = path.read_bytes()
    for at in range(len(content)):
        for bits in (0x01, 0x80, 0xFF):
            path.write_bytes(content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :])
            assert_sound_or_said(path, expected)


def test_every_byte_flipped_under_right_checksums(tmp_path, small):
    # No checksum tells: shapes, values and names may be others then, but nothing is read that is not there.
    _, expected = small
    array = expected["p"]
    rows = [Row(b"f", expected["f"]), Row(b"p", array, piece="0,1:-"), Row(b"p", array, piece="1,2:-")]
    length = len(v1_writer.encode_metadata(rows))
    for at in range(length):
        for bits in (0x01, 0x08, 0x80):
            metadata = bytearray(v1_writer.encode_metadata(rows))
            metadata[at] ^= bits
            assert_sound_or_said(v1_writer.write(tmp_path / "damaged", rows, metadata=bytes(metadata)), {})
    for row in rows:
        record = v1_writer.encode_record(row)
        for at in range(len(record)):
            row.record = record[:at] + bytes([record[at] ^ 0x08]) + record[at + 1 :]
            assert_sound_or_said(v1_writer.write(tmp_path / "damaged", rows), {})
        row.record = None


def test_every_truncation(small):
    path, expected = small
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert_sound_or_said(path, expected)


@MODES
def test_damage_names_tensor_file_block_and_checksums(path, mmap):
    content = path.read_bytes()
    at = content.index(LARGE[:10].tobytes()) + 1000
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with tb.open(path, mmap=mmap) as ckpt:
        with pytest.raises(
            tb.errors.DataLossError, match=r"data block at \d+ of \d+ bytes: block checksum mismatch"
        ) as caught:
            ckpt["large"]
        (damage,) = ckpt.verify().damaged
        error = caught.value
        assert (error.tensor, error.path, error.offset) == ("large", str(path), damage.offset)
        assert (damage.name, damage.shard, str(damage.cause)) == ("large", 0, str(error))
        assert f"stored 0x{damage.expected:08x}, computed 0x{damage.found:08x}" in str(error).lower()
        assert ckpt["q"].tolist() == [-3, -2, -1, 0, 1, 2]
        assert not (ckpt.read("large", verify=False) == LARGE).all()
        assert_same_bits(ckpt.read("large", index=np.s_[-5:]), LARGE[-5:])
        with pytest.raises(tb.errors.DataLossError):
            ckpt.read("large", index=np.s_[-5:], verify=True)


# The command line.


def run(*arguments):
    command = [sys.executable, "-m", "tensorbundle.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_ls_and_verify(path):
    pytest.importorskip("click")
    listed = run("ls", path)
    assert listed[1].split() == ["large", "float32", "[200000]", "800", "kB", "-"]
    assert listed[-1].endswith(f"1 data file: {path}")
    assert run("verify", path)[-1].endswith(", sound")


def fails(*arguments):
    command = [sys.executable, "-m", "tensorbundle.cli", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 3
    return result


def test_ls_and_verify_without_a_shard(shards):
    pytest.importorskip("click")
    shards[1].unlink()
    pattern = f"{shards[0].parent}/m-?????-of-00003"
    listed = fails("ls", pattern)
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:4]] == ["t0", "t2", "w"]
    assert listed.stdout.splitlines()[-1].endswith(f"3 data files, 1 of them missing: {pattern}")
    assert listed.stderr == f"missing, with whatever it alone holds: {shards[1]}\n"
    as_json = json.loads(fails("ls", pattern, "--json").stdout)
    assert (as_json["num_shards"], as_json["missing_shards"]) == (3, [str(shards[1])])
    verified = fails("verify", pattern).stdout.splitlines()
    assert verified[0] == f"missing, with whatever it alone holds: {shards[1]}"
    assert verified[-1].endswith(", 1 of 3 shards missing")
    as_json = json.loads(fails("verify", pattern, "--json").stdout)
    assert (as_json["sound"], as_json["missing_shards"], as_json["damaged"]) == (False, [str(shards[1])], [])
