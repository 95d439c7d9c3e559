"""What tensors sum up to: beside float64 NumPy, and beside exact arithmetic where digits are at stake."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from support import corpus
from support.bundle_writer import Mutations, Typed, write_bundle

import tensorbundle as tb
from tensorbundle.inspection.moments import Moments

SMALL_TYPES = ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float4_e2m1fn", "int4", "uint4", "int2", "uint2"]


def stats_of(tmp_path, array, **options):
    prefix = tmp_path / "ckpt"
    tb.save(prefix, {"x": array}, durable=False)
    return tb.stats(prefix, **options)["x"]


def assert_like_numpy(found, array):
    """Against float64 NumPy; ``array`` is finite and has elements."""
    wide = array.astype(np.float64)
    assert found.count == array.size
    assert (found.nan, found.posinf, found.neginf) == (0, 0, 0)
    assert found.zeros == int((wide == 0).sum())
    assert (found.min, found.max) == (wide.min(), wide.max())
    scale = np.abs(wide).max() or 1.0
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12, abs=1e-14 * scale)
    assert found.std == pytest.approx(wide.std(), rel=1e-12, abs=1e-14 * scale)
    assert found.norm == pytest.approx(np.linalg.norm(wide.reshape(-1)), rel=1e-12)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 2048, 2049, 100_003])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_numbers(tmp_path, dtype, size):
    array = (np.random.default_rng(size).standard_normal(size) * 20 + 30).astype(dtype)
    found = stats_of(tmp_path, array)
    assert (found.dtype, found.shape) == (tb.open(tmp_path / "ckpt").entry("x").tf_dtype, (size,))
    assert_like_numpy(found, array)
    assert isinstance(found.min, float if dtype[0] == "f" else int)


@pytest.mark.parametrize("name", SMALL_TYPES)
def test_small_types(tmp_path, name):
    array = np.random.default_rng(1).integers(0, 3, 5000).astype(np.float32).astype(getattr(ml_dtypes, name))
    found = stats_of(tmp_path, array.reshape(50, 100))
    assert (found.dtype, found.shape) == (name, (50, 100))
    assert_like_numpy(found, array)


def test_bools_count_as_numbers(tmp_path):
    found = stats_of(tmp_path, np.array([True, False, True, True]))
    assert (found.min, found.max, found.mean, found.zeros) == (0, 1, 0.75, 1)
    assert found.std == pytest.approx(math.sqrt(3) / 4, rel=1e-15)
    assert found.norm == pytest.approx(math.sqrt(3), rel=1e-15)


def test_complex_numbers_by_magnitude(tmp_path):
    nan, inf = math.nan, math.inf
    found = stats_of(tmp_path, np.array([3 + 4j, 0, -1j, complex(nan, inf), complex(inf, 1), complex(-inf, 0)]))
    assert (found.count, found.nan, found.posinf, found.neginf, found.zeros) == (6, 1, 2, 0, 1)
    assert (found.min, found.max, found.mean) == (0.0, 5.0, 2.0)
    assert found.norm == pytest.approx(math.sqrt(26), rel=1e-15)


def test_extremes_of_integers_are_exact(tmp_path):
    found = stats_of(tmp_path, np.array([-(2**63), 2**63 - 1, 2**53 + 1], np.int64))
    assert (found.min, found.max) == (-(2**63), 2**63 - 1)
    assert stats_of(tmp_path, np.array([2**64 - 1], np.uint64)).max == 2**64 - 1


def test_what_is_no_number_is_counted_and_left_out(tmp_path):
    array = np.full(70_000, 2, np.float32)
    array[[5, 40_000]] = np.nan
    array[[6, 7, 50_000]] = np.inf
    array[69_999] = -np.inf
    array[8] = -0.0
    found = stats_of(tmp_path, array)
    assert (found.nan, found.posinf, found.neginf, found.zeros) == (2, 3, 1, 1)
    assert (found.min, found.max) == (0.0, 2.0)
    assert found.mean == pytest.approx(2 * 69_993 / 69_994, rel=1e-15)


def test_nothing_finite(tmp_path):
    found = stats_of(tmp_path, np.array([np.nan, np.inf], np.float32))
    assert (found.count, found.nan, found.posinf) == (2, 1, 1)
    assert (found.min, found.max, found.mean, found.std, found.norm) == (None, None, None, None, 0.0)


def test_empty(tmp_path):
    found = stats_of(tmp_path, np.zeros((0, 3), np.float32))
    assert found == tb.TensorStats("float32", (0, 3), 0, norm=0.0)


def test_strings_have_lengths_only(tmp_path):
    found = stats_of(tmp_path, np.array([[b"a", b""], [b"long", b"er"]], object))
    assert found == tb.TensorStats("string", (2, 2), 4, string_bytes=7, shortest=0, longest=4)
    assert stats_of(tmp_path, np.zeros(0, object)) == tb.TensorStats("string", (0,), 0, string_bytes=0)


def test_quantized_numbers_are_the_integers_they_are_stored_as(tmp_path):
    prefix = write_bundle(tmp_path / "q", {"x": Typed(np.array([-3, 5], np.int8), "qint8")}).prefix
    found = tb.stats(prefix)["x"]
    assert (found.dtype, found.min, found.max, found.mean) == ("qint8", -3, 5, 1.0)


# Digits.


def test_a_small_spread_about_a_large_mean(tmp_path):
    array = (1e8 + np.arange(100_000) % 7 * 8).astype(np.float32)
    exact = [Fraction(float(element)) for element in array[:7000]]
    mean = sum(exact) / len(exact)
    variance = sum((element - mean) ** 2 for element in exact) / len(exact)
    found = stats_of(tmp_path, array[:7000])
    assert found.mean == pytest.approx(float(mean), rel=1e-15)
    assert found.std == pytest.approx(math.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("power", [-320, -200, -160, 150, 200, 307])
def test_squares_beyond_double_precision(tmp_path, power):
    numbers = np.array([3.0, -1.0, 0.0, 4.0])
    found = stats_of(tmp_path, numbers * 10.0**power)
    stored = [Fraction(float(each)) for each in numbers * 10.0**power]
    mean = sum(stored) / 4
    assert found.zeros == 1
    assert found.mean == pytest.approx(float(mean), rel=1e-14)
    # Scaled, for roots of fractions are taken in double precision. Of 1e-320 that has three digits itself.
    scale = Fraction(10) ** power
    for value, square in (
        (found.std, sum((each - mean) ** 2 for each in stored) / 4),
        (found.norm, sum(each**2 for each in stored)),
    ):
        assert float(Fraction(value) / scale) == pytest.approx(
            math.sqrt(square / scale**2), rel=max(1e-14, 10.0 ** (-323.3 - power))
        )


@pytest.mark.parametrize("value", [0.1, -7.3e11, 3.86829914e137, 1e-310, np.finfo(np.float64).max])
def test_what_is_constant_has_no_spread(tmp_path, value):
    found = stats_of(tmp_path, np.full(5001, value))
    assert (found.min, found.max, found.mean, found.std) == (value, value, value, 0.0)


def test_figures_lie_where_they_must(tmp_path):
    """Rounding could make a mean or a spread larger than any element, or infinite."""
    most = np.finfo(np.float64).max
    found = stats_of(tmp_path, np.where(np.arange(3432) % 2, most, -most))
    assert (found.mean, found.std) == (0.0, most)
    odd = stats_of(tmp_path, np.array([2**63 - 1, 2**63 - 3], np.int64))
    assert (type(odd.mean), odd.mean) == (float, 2.0**63)
    exact = stats_of(tmp_path, np.array([2**53 - 1, 2**53 - 3], np.int64))
    assert (exact.mean, exact.std) == (2.0**53 - 2, 1.0)


def test_a_norm_that_is_no_double_is_infinite(tmp_path):
    most = np.finfo(np.float64).max
    found = stats_of(tmp_path, np.array([most, most, most]))
    assert (found.mean, found.std, found.norm) == (most, 0.0, math.inf)


@given(
    st.lists(
        numpy_strategies.arrays(np.float64, st.integers(0, 20), elements=st.floats(-1e6, 1e6, width=32)), max_size=4
    )
)
def test_moments_of_runs_are_those_of_all(runs):
    moments = Moments()
    for run in runs:
        moments.add(run)
    together = [Fraction(float(element)) for run in runs for element in run]
    assert moments.finite == len(together)
    if together:
        mean = sum(together) / len(together)
        size = float(max(map(abs, together)))
        assert moments.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-15 * size)
        spread = float(sum((element - mean) ** 2 for element in together))
        assert moments.spread == pytest.approx(spread, rel=1e-12, abs=1e-28 * size * size)


# Which tensors, of what.


def test_selection_and_order(tmp_path):
    tb.save(tmp_path / "c", {name: np.ones(1) for name in "dabc"}, durable=False)
    assert list(tb.stats(tmp_path / "c")) == ["a", "b", "c", "d"]
    assert list(tb.stats(tmp_path / "c", ["d", "a"])) == ["a", "d"]
    assert list(tb.stats(tmp_path / "c", include="[ab]", exclude=["b"])) == ["a"]
    with pytest.raises(tb.errors.NotFoundError, match="Key 'e' not found"):
        tb.stats(tmp_path / "c", ["e"])
    with pytest.raises(TypeError, match="not a single one"):
        tb.stats(tmp_path / "c", "a")


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_and_progress_adds_up(tmp_path, threads):
    tensors = {f"t{i:03}": np.full(30_000, i, np.float32) for i in range(100)}
    tb.save(tmp_path / "c", tensors, durable=False)
    seen = []
    found = tb.stats(tmp_path / "c", threads=threads, progress=lambda *call: seen.append(call))
    assert {name: stats.mean for name, stats in found.items()} == {f"t{i:03}": float(i) for i in range(100)}
    assert all(total == 12_000_000 and done <= total for done, total, _ in seen)
    if threads == 1:
        assert seen[-1] == (12_000_000, 12_000_000, "t099")


def test_an_error_of_progress_ends_it(tmp_path):
    tb.save(tmp_path / "c", {f"t{i}": np.ones(2_000_000, np.float32) for i in range(8)}, durable=False)

    def refuse(*_):
        raise RuntimeError("enough")

    for threads in (1, 2):
        with pytest.raises(RuntimeError, match="enough"):
            tb.stats(tmp_path / "c", threads=threads, progress=refuse)


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_is_an_error(tmp_path, threads):
    mutate = Mutations(data=lambda _, data: data.__setitem__(3, 1))
    prefix = write_bundle(tmp_path / "c", {"x": np.zeros(9), "y": np.ones(3)}, mutate=mutate).prefix
    with pytest.raises(tb.errors.DataLossError, match='tensor "x"'):
        tb.stats(prefix, threads=threads)
    assert tb.stats(prefix, ["y"])["y"].mean == 1.0


def test_pieces_and_other_byte_orders(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    sliced = write_bundle(tmp_path / "s", {"x": array}, slices={"x": ["0,1:-", "1,3:-"]}).prefix
    swapped = write_bundle(tmp_path / "b", {"x": array}, endianness="big").prefix
    for prefix in (sliced, swapped):
        assert_like_numpy(tb.stats(prefix)["x"], array)


def test_safetensors_and_npz(tmp_path):
    numpy_file = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(10, dtype=np.float32), "b": np.array([[True], [False]])}
    numpy_file.save_file(arrays, tmp_path / "m.safetensors")
    np.savez(tmp_path / "m.npz", **arrays)
    tb.save(tmp_path / "ckpt", arrays, durable=False)
    expected = tb.stats(tmp_path / "ckpt")
    assert tb.stats(tmp_path / "m.safetensors") == tb.stats(tmp_path / "m.npz") == expected


@pytest.mark.skipif(not corpus.checkpoints(), reason="the open corpus is absent")
@pytest.mark.parametrize("format", ["V1", "V2"])
def test_corpus(format):
    for checkpoint in corpus.checkpoints(format):
        if not checkpoint.complete:
            continue
        arrays = tb.load(checkpoint.prefix)
        found = tb.stats(checkpoint.prefix)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert (found[name].shape, found[name].count) == (array.shape, array.size)
            if array.size and array.dtype.kind in "fiu" and np.isfinite(array.astype(np.float64)).all():
                with warnings.catch_warnings():
                    assert_like_numpy(found[name], array)
