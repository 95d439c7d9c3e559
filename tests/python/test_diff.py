"""Two files of tensors compared: by their indexes alone, and element by element."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import corpus, v1_writer
from support.bundle_writer import Mutations, Typed, write_bundle

import tensorbundle as tb
from tensorbundle.inspection.value_comparison import Tolerance, compare

TENSORS = {
    "kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "names": np.array([b"one", b"two"], object),
    "step": np.array(7, np.int64),
}
KERNEL_ROWS = {"kernel": ["0,1:-", "1,2:-"]}
NAN, INF = math.nan, math.inf


@pytest.fixture
def save(tmp_path):
    """Saves tensors, TENSORS with changes, under a name; a change to None drops one."""

    def save(name, changes=None):
        tensors = {key: value for key, value in {**TENSORS, **(changes or {})}.items() if value is not None}
        return tb.save(tmp_path / name, tensors, durable=False)

    return save


@pytest.fixture
def difference(tmp_path):
    """The one TensorDifference of two tensors, or None if they are equal."""

    def difference(a, b, **options):
        prefixes = [tb.save(tmp_path / name, {"x": value}, durable=False) for name, value in (("a", a), ("b", b))]
        report = tb.diff(*prefixes, values=True, **options)
        assert (report.only_a, report.only_b) == ((), ())
        assert len(report.different) <= 1
        return report.different[0] if report.different else None

    return difference


def changed_kernel():
    kernel = TENSORS["kernel"].copy()
    kernel[1, 2] = -6
    return kernel


# By the index.


def test_equal(save):
    report = tb.diff(save("a"), save("b"))
    assert report
    assert (report.only_a, report.only_b, report.changed, report.different, report.equal) == ((), (), (), (), 3)
    assert (str(report), repr(report)) == ("3 equal", "<Difference: 3 equal>")


def test_each_kind_of_difference(save):
    a = save("a", {"old": np.ones(1), "wide": np.ones(2), "flat": np.zeros((2, 3), np.int8)})
    b = save(
        "b",
        {"kernel": changed_kernel(), "new": np.ones(1), "wide": np.ones(2, "f4"), "flat": np.zeros((3, 2), np.int8)},
    )
    report = tb.diff(a, b)
    assert not report
    assert (report.path_a, report.path_b) == (a, b)
    assert (report.only_a, report.only_b, report.equal) == (("old",), ("new",), 2)
    assert report.changed == (
        tb.TensorChange("flat", "int8", "int8", (2, 3), (3, 2)),
        tb.TensorChange("wide", "float64", "float32", (2,), (2,)),
    )
    assert report.different == (tb.TensorDifference("kernel", 12),)
    assert str(report).splitlines() == [
        "only in the first: old",
        "only in the second: new",
        "changed: flat: int8 [2, 3] -> int8 [3, 2]",
        "changed: wide: float64 [2] -> float32 [2]",
        "different: kernel: other checksum",
        "1 only in the first, 1 only in the second, 2 changed, 1 different, 2 equal",
    ]
    assert pickle.loads(pickle.dumps(report)) == report


def test_strings_of_another_size(save):
    report = tb.diff(save("a"), save("b", {"names": np.array([b"one", b"second"], object)}))
    assert report.different == (tb.TensorDifference("names", 2),)


def test_nothing_is_read(tmp_path):
    """The data of the second file is damaged, and nobody notices; with values it is noticed."""
    a = write_bundle(tmp_path / "a", TENSORS).prefix
    mutate = Mutations(data=lambda _, data: data.__setitem__(3, 1))
    b = write_bundle(tmp_path / "b", TENSORS, mutate=mutate).prefix
    assert tb.diff(a, b)
    with pytest.raises(tb.errors.DataLossError, match='tensor "kernel"'):
        tb.diff(a, b, values=True)


def test_a_missing_data_file_does_not_matter_to_the_index(tmp_path):
    a, b = (write_bundle(tmp_path / name, TENSORS) for name in "ab")
    b.data_path().unlink()
    with pytest.warns(tb.errors.DamageWarning):
        assert tb.diff(a.prefix, b.prefix)
    with pytest.warns(tb.errors.DamageWarning), pytest.raises(FileNotFoundError):
        tb.diff(a.prefix, b.prefix, values=True)


def test_selection(save):
    a, b = save("a"), save("b", {"kernel": changed_kernel(), "new": np.ones(1)})
    assert tb.diff(a, b, include="^(step|names)$").equal == 2
    assert tb.diff(a, b, exclude=["kernel", "new"]).equal == 2


@pytest.mark.parametrize("values", [False, True])
def test_tensors_in_pieces_are_read(tmp_path, values):
    changed = {**TENSORS, "kernel": changed_kernel()}
    whole = write_bundle(tmp_path / "whole", TENSORS).prefix
    sliced = write_bundle(tmp_path / "sliced", TENSORS, slices=KERNEL_ROWS).prefix
    other = write_bundle(tmp_path / "other", changed, slices=KERNEL_ROWS).prefix
    assert tb.diff(whole, sliced, values=values)
    assert tb.diff(sliced, sliced, values=values)
    (found,) = tb.diff(sliced, other, values=values).different
    assert found == tb.TensorDifference("kernel", 12, 1, 12.0, 2.0, (1, 2), 6.0, -6.0)


def test_v1_is_read(tmp_path, save):
    v1 = v1_writer.write(tmp_path / "v1", [v1_writer.Row(name.encode(), value) for name, value in TENSORS.items()])
    assert tb.diff(v1, save("a"))
    assert tb.diff(v1, v1)
    (found,) = tb.diff(v1, save("b", {"kernel": changed_kernel()})).different
    assert (found.count, found.max_abs, found.index) == (1, 12.0, (1, 2))


def test_safetensors_and_npz_are_read(tmp_path, save):
    numpy_file = pytest.importorskip("safetensors.numpy")
    numbers = {name: TENSORS[name] for name in ("kernel", "step")}
    numpy_file.save_file(numbers, tmp_path / "m.safetensors")
    np.savez(tmp_path / "m.npz", **{**numbers, "kernel": changed_kernel()})
    report = tb.diff(save("a"), tmp_path / "m.safetensors")
    assert (report.only_a, report.equal, report.different) == (("names",), 2, ())
    (found,) = tb.diff(tmp_path / "m.safetensors", tmp_path / "m.npz").different
    assert found == tb.TensorDifference("kernel", 12, 1, 12.0, 2.0, (1, 2), 6.0, -6.0)


def test_what_cannot_be_listed_is_an_error(tmp_path, save):
    unknown = Mutations(entries={"step": {"append": b"\xff"}})
    bad = write_bundle(tmp_path / "bad", TENSORS, mutate=unknown).prefix
    with pytest.warns(tb.errors.DamageWarning), pytest.raises(tb.errors.DataLossError, match="step"):
        tb.diff(save("a"), bad)
    rows = [v1_writer.Row(b"x", np.ones(3))]
    v1_writer.write(tmp_path / "v1-00000-of-00002", rows)
    with pytest.warns(tb.errors.DamageWarning), pytest.raises(FileNotFoundError, match="can't be listed"):
        tb.diff(tmp_path / "v1-?????-of-00002", save("a"))


def test_wrong_arguments(save):
    a = save("a")
    with pytest.raises(ValueError, match=r"^rtol is about values, which are only compared with values=True$"):
        tb.diff(a, a, rtol=1.0)
    for wrong in (-1.0, NAN, INF):
        with pytest.raises(ValueError, match=r"^atol must be a number from 0 on"):
            tb.diff(a, a, values=True, atol=wrong)
    with pytest.raises(FileNotFoundError):
        tb.diff(a, "nothing/there")


def test_by_the_index_without_numpy(save):
    call = f"tb.diff({save('a')!r}, {save('b')!r})"
    program = f"import sys, tensorbundle as tb; print(bool({call})); print('numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "False"]


# By the values.


def test_largest_differences_first(save):
    a = save("a", {"small": np.zeros(3), "large": np.zeros(3)})
    b = save("b", {"small": np.full(3, 0.5), "large": np.full(3, 2.0), "names": np.array([b"one", b"2"], object)})
    report = tb.diff(a, b, values=True)
    assert [each.name for each in report.different] == ["large", "small", "names"]
    assert report.different[2] == tb.TensorDifference("names", 2, 1, None, None, (1,), b"two", b"2")
    assert "different: names: 1 of 2 elements, first at [1]: b'two' -> b'2'" in str(report)
    assert "different: large: 3 of 3 elements, at most by 2 (relative 1) at [0]: 0.0 -> 2.0" in str(report)


@pytest.mark.parametrize(
    ("a", "b", "count", "max_abs", "max_rel"),
    [
        ([1.0, 2.0], [1.0, 4.0], 1, 2.0, 0.5),
        ([1.0, 2.0], [0.0, 2.0], 1, 1.0, INF),
        ([0.0, NAN], [-0.0, NAN], 0, None, None),
        ([1.0, NAN], [1.0, 1.0], 1, INF, INF),
        ([1.0, 1.0], [1.0, NAN], 1, INF, INF),
        ([INF, 1.0], [INF, 1.0], 0, None, None),
        ([INF, 1.0], [-INF, 1.0], 1, INF, INF),
        ([INF, 1.0], [1.0, 1.0], 1, INF, INF),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.complex64])
def test_floats(difference, a, b, count, max_abs, max_rel, dtype):
    found = difference(np.array(a).astype(dtype), np.array(b).astype(dtype))
    assert (found is None) == (count == 0)
    if found is not None:
        assert (found.count, found.max_abs, found.max_rel) == (count, max_abs, max_rel)


@pytest.mark.parametrize(
    ("dtype", "a", "b", "max_abs"),
    [
        (np.int64, -(2**63), 2**63 - 1, 2**64 - 1),
        (np.uint64, 2**64 - 1, 2**64 - 2, 1),
        (np.int8, -128, 127, 255),
        (np.bool_, True, False, 1),
        (ml_dtypes.int4, -8, 7, 15),
        (np.int64, 2**60 + 1, 2**60, 1),
    ],
)
def test_integers_are_exact(difference, dtype, a, b, max_abs):
    found = difference(np.array([0, a], dtype), np.array([0, b], dtype))
    assert (found.count, found.max_abs, found.index, found.a, found.b) == (1, max_abs, (1,), a, b)
    assert type(found.max_abs) is int


def test_tolerance_is_that_of_allclose(difference):
    a, b = np.array([1.0, 100.0, 0.0, NAN]), np.array([1.05, 105.0, 0.05, NAN])
    assert difference(a, b, rtol=0.05) is not None
    assert difference(a, b, rtol=0.05, atol=0.05) is None
    assert difference(a, b, atol=0.06).count == 1
    assert difference(np.array([INF]), np.array([1.0]), rtol=1.0) is not None
    assert difference(np.array([1.0]), np.array([INF]), rtol=1.0) is not None


def test_another_dtype_is_compared_too(save):
    a, b = save("a"), save("b", {"kernel": TENSORS["kernel"].astype(np.float64), "step": np.array(8, np.int32)})
    report = tb.diff(a, b, values=True)
    assert [each.name for each in report.changed] == ["kernel", "step"]
    assert report.different == (tb.TensorDifference("step", 1, 1, 1, 0.125, (), 7, 8),)
    assert report.equal == 1
    report = tb.diff(a, save("c", {"names": np.zeros(2), "step": np.array([7])}), values=True)
    assert [each.name for each in report.changed] == ["names", "step"]
    assert report.different == ()


def test_variants_and_quantized_numbers(tmp_path):
    a = write_bundle(tmp_path / "a", {"q": Typed(np.array([1, -1], np.int8), "qint8")}).prefix
    b = write_bundle(tmp_path / "b", {"q": Typed(np.array([1, 3], np.int8), "qint8")}).prefix
    assert tb.diff(a, b, values=True).different == (tb.TensorDifference("q", 2, 1, 4, 4 / 3, (1,), -1, 3),)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_tensor_differs_in_one_place(tmp_path, threads):
    a = np.random.default_rng(0).standard_normal((700, 1003)).astype(np.float32)
    b = a.copy()
    b[500, 77] += 1
    seen = []
    for name, value in (("a", a), ("b", b)):
        tb.save(tmp_path / name, {"x": value, "y": value[0]}, durable=False)
    report = tb.diff(
        tmp_path / "a", tmp_path / "b", values=True, threads=threads, progress=lambda *call: seen.append(call)
    )
    (found,) = report.different
    assert (found.name, found.size, found.count, found.index) == ("x", 702_100, 1, (500, 77))
    assert found.max_abs == float(b[500, 77]) - float(a[500, 77])
    assert (found.a, found.b) == (float(a[500, 77]), float(b[500, 77]))
    assert all(total == a.nbytes + a[0].nbytes for _, total, _ in seen)


def test_pieces_that_lie_otherwise(tmp_path):
    array = np.arange(600_000, dtype=np.float32).reshape(600, 1000)
    whole = write_bundle(tmp_path / "a", {"x": array}).prefix
    columns = write_bundle(tmp_path / "b", {"x": array}, slices={"x": ["-:0,301", "-:301,699"]}).prefix
    swapped = write_bundle(tmp_path / "c", {"x": array}, endianness="big").prefix
    assert tb.diff(whole, columns, values=True)
    assert tb.diff(columns, swapped, values=True)


numbers = st.lists(st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, 1e30, NAN, INF, -INF]), min_size=1, max_size=12)


@given(st.data(), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.0, 0.5]))
def test_counts_are_those_of_isclose(data, rtol, atol):
    a = np.array(data.draw(numbers))
    b = np.array(data.draw(st.lists(st.sampled_from(a.tolist()), min_size=a.size, max_size=a.size)))
    tally = compare(iter([a[:5], a[5:]]), iter([b]), Tolerance(rtol, atol))
    with np.errstate(all="ignore"):
        assert tally.count == int((~np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)).sum())


@pytest.mark.skipif(not corpus.checkpoints(), reason="the open corpus is absent")
def test_corpus_is_equal_to_itself():
    for checkpoint in [*corpus.checkpoints("V1"), *corpus.checkpoints()]:
        if checkpoint.complete:
            assert tb.diff(checkpoint.prefix, checkpoint.prefix)
            assert tb.diff(checkpoint.prefix, checkpoint.prefix, values=True).equal == len(checkpoint.tensors)
