"""The mean of several checkpoints: digits, what has no mean, and what is refused."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import stored
from support.bundle_writer import Mutations, Typed, write_bundle
from support.hashing import assert_same_bits

import tensorbundle as tb
from tensorbundle.inspection.averaging import rounded

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@pytest.fixture
def average(tmp_path):
    """Saves one tensor several times and gives its mean."""

    def average(arrays, **options):
        prefixes = [tb.save(tmp_path / f"c{i}", {"x": array}, durable=False) for i, array in enumerate(arrays)]
        report = tb.average(prefixes, tmp_path / "mean", durable=False, **options)
        assert report.path == str(tmp_path / "mean")
        return tb.load(tmp_path / "mean")["x"]

    return average


# Numbers.


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, "c8", "c16"])
def test_means_of_every_type(average, dtype):
    rng = np.random.default_rng(3)
    arrays = [(rng.standard_normal((40, 50)) * 4).astype(dtype) for _ in range(4)]
    wide = np.clongdouble if np.dtype(dtype).kind == "c" else np.longdouble
    mean = average(arrays)
    assert (mean.dtype, mean.shape) == (np.dtype(dtype), (40, 50))
    # Four small numbers are added up exactly, and a quarter is exact: rounding once is to be seen.
    exact = (sum(array.astype(wide) for array in arrays) / 4).astype(np.complex128 if wide is np.clongdouble else "f8")
    assert_same_bits(mean, rounded(exact, np.dtype(dtype)), dtype)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("dtype", ["f4", "f8", ml_dtypes.bfloat16])
def test_the_mean_of_equal_tensors_is_the_tensor(average, count, dtype):
    array = np.random.default_rng(count).standard_normal(1000).astype(dtype)
    assert_same_bits(average([array] * count), array, dtype)


def test_sums_have_digits_to_spare(average):
    arrays = [np.array([1e8, 2.0**24], np.float32), np.array([1, 1], np.float32), np.array([-1e8, 1], np.float32)]
    assert average(arrays).tolist() == [np.float32(1 / 3), np.float32((2**24 + 2) / 3)]
    assert (
        average([np.array([np.finfo(np.float32).max] * 2, np.float32)] * 3).tolist() == [float(np.finfo("f4").max)] * 2
    )


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="no wider type here")
def test_sums_of_doubles_are_wider(average):
    most = np.finfo(np.float64).max
    assert average([np.array([most])] * 3).tolist() == [most]
    assert average([np.array([1.0]), np.array([2.0**-53]), np.array([2.0**-53])])[0] == (1 + 2.0**-52) / 3


def test_infinities_and_nan_stay_what_they_are(average):
    mean = average([np.array([np.inf, np.inf, np.nan, 1.0]), np.array([1.0, -np.inf, 1.0, 3.0])])
    np.testing.assert_array_equal(mean, [np.inf, np.nan, np.nan, 2.0])


@pytest.mark.parametrize("weights", [None, [1, 3], [2, 0]])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16, "c8", "c16"])
def test_the_mean_of_equal_numbers_keeps_signs_of_zero_and_infinities(average, dtype, weights):
    numbers = np.array([-0.0, 0.0, np.inf, -np.inf, 2.0, -0.0]).astype(np.empty(0, dtype).real.dtype)
    array = numbers.view(dtype)  # As complex numbers: (-0, 0), (inf, -inf) and (2, -0).
    assert_same_bits(average([array, array], weights=weights), array, dtype)


def test_parts_of_complex_numbers_are_averaged_on_their_own(average):
    arrays = [np.array(number, np.complex64) for number in (complex(np.inf, 2), complex(1, 4))]
    assert average(arrays).item() == complex(np.inf, 3)
    assert average(arrays, weights=[1, 3]).item() == complex(np.inf, 3.5)


def test_scalars_empty_tensors_and_slices(tmp_path, average):
    assert_same_bits(average([np.float32(1), np.float32(2)]), np.array(1.5, np.float32), "scalar")
    assert_same_bits(average([np.zeros((0, 3))] * 2), np.zeros((0, 3)), "empty")
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    sliced = write_bundle(tmp_path / "s", {"x": array}, slices={"x": ["0,1:-", "1,3:-"]}).prefix
    swapped = write_bundle(tmp_path / "b", {"x": array + 2}, endianness="big").prefix
    tb.average([sliced, swapped], tmp_path / "m")
    assert_same_bits(tb.load(tmp_path / "m")["x"], array + 1, "x")


def test_weights(average):
    arrays = [np.array([1.0], np.float32), np.array([2.0], np.float32), np.array([np.nan], np.float32)]
    assert average(arrays[:2], weights=[1, 3]).tolist() == [1.75]
    assert average(arrays[:2], weights=(0.1, 0.1)).tolist() == [1.5]
    assert average(arrays, weights=[1e300, 1e300, 0]).tolist() == [1.5]


def test_large_tensors_go_in_chunks(tmp_path):
    rng = np.random.default_rng(1)
    saves = [{"x": rng.standard_normal((3000, 1001)).astype("f4"), "n": rng.integers(0, 9, 2_000_000)} for _ in "abc"]
    prefixes = [tb.save(tmp_path / f"c{i}", tensors, durable=False) for i, tensors in enumerate(saves)]
    seen = []
    report = tb.average(prefixes, tmp_path / "m", shards=2, durable=False, progress=lambda *call: seen.append(call))
    assert (report.averaged, report.copied, report.differing) == (("x",), ("n",), ("n",))
    means = tb.load(tmp_path / "m")
    expected = sum(tensors["x"].astype("f8") for tensors in saves) / 3
    assert_same_bits(means["x"], expected.astype("f4"), "x")
    assert_same_bits(means["n"], saves[-1]["n"], "n")
    assert seen[-1][:2] == (28_012_000, 28_012_000)
    assert stored.num_shards(tmp_path / "m") == 2


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=6),
    st.lists(st.integers(0, 50), min_size=6, max_size=6).filter(lambda weights: weights[0] > 0),
)
def test_means_are_rounded_like_exact_ones(tmp_path_factory, numbers, weights):
    directory = tmp_path_factory.mktemp("mean")
    weights = weights[: len(numbers)]
    prefixes = [
        tb.save(directory / f"c{i}", {"x": np.float32(number)}, durable=False) for i, number in enumerate(numbers)
    ]
    tb.average(prefixes, directory / "m", weights=weights, durable=False)
    exact = sum(Fraction(number) * weight for number, weight in zip(numbers, weights, strict=True)) / sum(weights)
    found = float(tb.load(directory / "m")["x"])
    # Sums of double precision may cancel; of what is left of the largest number, the last digit of float32 is right.
    size = max(abs(number) for number in numbers)
    assert (
        abs(Fraction(found) - exact)
        <= abs(exact) * Fraction(2) ** -24 + Fraction(size) * Fraction(2) ** -49 + Fraction(2) ** -150
    )


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn])
def test_rounding_happens_once(dtype):
    """Just beyond the middle of two neighbours, by less than float32 can tell."""
    dtype = np.dtype(dtype)
    neighbours = np.arange(0x38, 0x50, dtype=np.uint8) if dtype.itemsize == 1 else np.arange(0x3F80, 0x3FC0, dtype="u2")
    low = neighbours.view(dtype).astype(np.float64)
    high = (neighbours + 1).view(dtype).astype(np.float64)
    middle = (low + high) / 2
    for sign in (1.0, -1.0):
        for value, expected in ((middle * (1 - 1e-15), low), (middle * (1 + 1e-15), high)):
            assert rounded(sign * value, dtype).astype(np.float64).tolist() == (sign * expected).tolist()
    even = np.where(neighbours % 2 == 0, low, high)
    assert rounded(middle, dtype).astype(np.float64).tolist() == even.tolist()
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300])
    with np.errstate(all="ignore"):
        expected = special.astype(np.float32).astype(dtype)
    assert_same_bits(rounded(special, dtype), expected, "special")


# What has no mean.


def test_integers_bools_and_strings_are_the_last_ones(tmp_path):
    first = {"x": np.ones(2), "step": np.array(1), "same": np.array([5]), "on": np.array([True]), "s": b"a"}
    last = {"x": np.zeros(2), "step": np.array(2), "same": np.array([5]), "on": np.array([True]), "s": b"b"}
    prefixes = [tb.save(tmp_path / name, tensors) for name, tensors in (("a", first), ("b", last))]
    report = tb.average(prefixes, tmp_path / "m")
    assert report == tb.AverageReport(str(tmp_path / "m"), ("x",), ("on", "s", "same", "step"), ("s", "step"))
    assert str(report) == "1 tensors averaged, 4 copied; of the last checkpoint: 's', 'step'"
    assert pickle.loads(pickle.dumps(report)) == report
    means = tb.load(tmp_path / "m")
    assert (means["step"], means["s"], means["x"].tolist()) == (2, b"b", [0.5, 0.5])


def test_quantized_numbers_keep_their_type(tmp_path):
    tensors = {"q": Typed(np.array([1, 2], np.int8), "qint8"), "x": np.ones(1)}
    prefixes = [write_bundle(tmp_path / name, tensors).prefix for name in "ab"]
    assert tb.average(prefixes, tmp_path / "m").differing == ()
    with tb.open(tmp_path / "m") as ckpt:
        assert ckpt.entry("q").tf_dtype == "qint8"


def save_objects(prefix, value):
    tree = {"model": {"kernel": np.full((2, 3), value, np.float32)}, "step": np.array(int(value))}
    tree["optimizer"] = {"rate": np.float32(0.1)}
    return tb.save_objects(
        prefix,
        tree,
        slots={"optimizer": {"m": {"model/kernel": np.zeros((2, 3), np.float32)}}},
        save_counter=int(value),
    )


def test_the_object_graph_is_the_last_ones(tmp_path):
    prefixes = [save_objects(tmp_path / name, value) for name, value in (("a", 1.0), ("b", 3.0))]
    report = tb.average(prefixes, tmp_path / "m")
    assert set(report.differing) == {
        "step/.ATTRIBUTES/VARIABLE_VALUE",
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE",
    }
    with tb.open(tmp_path / "m") as mean, tb.open(tmp_path / "b") as last:
        assert mean[GRAPH].item() == last[GRAPH].item()
        np.testing.assert_array_equal(mean.named("path")["model/kernel"], np.full((2, 3), 2.0))


def test_objects_lose_what_is_left_out(tmp_path):
    prefixes = [save_objects(tmp_path / name, value) for name, value in (("a", 1.0), ("b", 3.0))]
    report = tb.average(prefixes, tmp_path / "m", exclude=r"\.OPTIMIZER_SLOT|^step")
    assert report.averaged == (
        "model/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "optimizer/rate/.ATTRIBUTES/VARIABLE_VALUE",
    )
    with tb.open(tmp_path / "m") as ckpt:
        graph = ckpt.object_graph
        assert graph.find("step").key is None
        assert graph.slots == ()
        assert not any("SLOT" in name for name in ckpt)


# What is refused.


def test_other_names_types_and_shapes_are_listed(tmp_path):
    a = tb.save(tmp_path / "a", {"x": np.ones(2), "y": np.ones((2, 3)), "z": np.ones(2), "only": np.ones(1)})
    b = tb.save(tmp_path / "b", {"x": np.ones(2), "y": np.ones((3, 2)), "z": np.ones(2, "f4"), "other": np.ones(1)})
    with pytest.raises(ValueError, match="don't have the same tensors") as caught:
        tb.average([a, b], tmp_path / "m")
    assert str(caught.value) == (
        f"{a!r} and {b!r} don't have the same tensors: only the first has 'only'; only the second has 'other'; "
        "other types or shapes: 'y' is float64 [2, 3] and float64 [3, 2]; 'z' is float64 [2] and float32 [2]"
    )
    assert not (tmp_path / "m.index").exists()
    assert tb.average([a, b], tmp_path / "m", include="^x$").averaged == ("x",)


def test_wrong_arguments(tmp_path):
    a = tb.save(tmp_path / "a", {"x": np.ones(2)})
    destination = tmp_path / "m"
    with pytest.raises(TypeError, match="paths must be an iterable of paths, not a single one"):
        tb.average(a, destination)
    for paths, options, message in (
        ([], {}, "there is no checkpoint to average"),
        ([a], {"include": "nothing"}, "there is no tensor to average"),
        ([a, a], {"weights": [1]}, "2 checkpoints need as many weights, not 1"),
        ([a, a], {"weights": [1, -1]}, "weights are numbers from 0 on, not all 0"),
        ([a, a], {"weights": [0, 0]}, "weights are numbers from 0 on, not all 0"),
        ([a, a], {"weights": [1, math.inf]}, "weights are numbers from 0 on, not all 0"),
    ):
        with pytest.raises(ValueError, match=message):
            tb.average(paths, destination, **options)
    with pytest.raises(ValueError, match="is one of the checkpoints to average"):
        tb.average([a, a], tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        tb.average([a, tmp_path / "nothing"], destination)
    assert not (tmp_path / "m.index").exists()


@pytest.mark.parametrize("size", [3, 3_000_000])
def test_damage_leaves_nothing_behind(tmp_path, size):
    a = tb.save(tmp_path / "a", {"w": np.ones(3), "x": np.zeros(size)}, durable=False)
    mutate = Mutations(data=lambda _, data: data.__setitem__(-1, 1))
    b = write_bundle(tmp_path / "b", {"w": np.ones(3), "x": np.zeros(size)}, mutate=mutate).prefix
    with pytest.raises(tb.errors.DataLossError, match='tensor "x"'):
        tb.average([a, b], tmp_path / "out" / "m", durable=False)
    assert not (tmp_path / "out").exists() or stored.files(tmp_path / "out") == {}
