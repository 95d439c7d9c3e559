"""Casts: each element is rounded once, to the nearest, ties to even. Checked against exact arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from tensorbundle.conversion.casting import BLOCK_ELEMENTS, Cast

NARROW = [
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e4m3b11fnuz",
    "float4_e2m1fn",
]


def cast(source: str, target: str, values: np.ndarray) -> np.ndarray:
    conversion = Cast(source, target, "w")
    out = np.empty(values.size, conversion.target)
    conversion.into(out, values)
    return out


def numpy_type(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def finite_values(target: str) -> list[Fraction]:
    """Every finite number of a type, ascending; of bfloat16, whose numbers differ in scale alone, those near 1."""
    dtype = numpy_type(target)
    bits = 4 if target == "float4_e2m1fn" else 8 * dtype.itemsize
    codes = np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8)
    with np.errstate(invalid="ignore"):
        values = codes.view(dtype).astype(np.float64)
    values = values[np.isfinite(values)]
    if bits == 16:
        values = values[(np.abs(values) < 4) & (np.abs(values) >= 0.25)]
    return [Fraction(value) for value in np.unique(values)]


def nearest(value: Fraction, below: Fraction, above: Fraction, even: Fraction) -> Fraction:
    if value - below == above - value:
        return even
    return below if value - below < above - value else above


def is_even(value: Fraction, target: str) -> bool:
    dtype = numpy_type(target)
    stored = np.array([float(value)]).astype(dtype)
    return not int(stored.view(np.uint16 if dtype.itemsize == 2 else np.uint8)[0]) & 1


@pytest.mark.parametrize("target", NARROW)
def test_float64_is_rounded_once(target):
    """Midpoints, and numbers so close to them that float32 does not know the difference."""
    numbers = finite_values(target)
    values, expected = [], []
    for below, above in itertools.pairwise(numbers):
        if below <= 0 <= above:  # The sign of zero is another test's, and of 16 bits small numbers are left out.
            continue
        middle = (below + above) / 2
        even = below if is_even(below, target) else above
        for shift in (Fraction(0), Fraction(1, 1 << 45), Fraction(-1, 1 << 45), Fraction(1, 1 << 20)):
            value = Fraction(float(middle * (1 + shift)))  # What a float64 holds of it.
            values.append(float(value))
            expected.append(float(nearest(value, below, above, even)))
    found = cast("float64", target, np.array(values)).astype(np.float64)
    np.testing.assert_array_equal(found, np.array(expected))


@pytest.mark.parametrize("target", NARROW)
def test_float32_is_rounded_as_ml_dtypes_and_numpy_round_it(target):
    codes = np.random.default_rng(1).integers(0, 1 << 32, 3 * BLOCK_ELEMENTS + 7, dtype=np.uint32)
    values = codes.view(np.float32)
    with np.errstate(all="ignore"):
        expected = values.astype(numpy_type(target))
    found = cast("float32", target, values)
    same = found.view(np.uint8) == expected.view(np.uint8)
    assert same.all()


@pytest.mark.parametrize("source", ["float64", "float32"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("bfloat16", [np.inf, -np.inf, np.inf]),
        ("float16", [np.inf, -np.inf, np.inf]),
        ("float8_e5m2", [np.inf, -np.inf, np.inf]),
        ("float8_e4m3fn", [np.nan, np.nan, np.nan]),
        ("float8_e4m3fnuz", [np.nan, np.nan, np.nan]),
        ("float4_e2m1fn", [6.0, -6.0, 6.0]),
    ],
)
def test_what_is_too_large_becomes_what_the_type_has_for_it(source, target, expected):
    values = np.array([3.4e38, -3.4e38, np.inf], source)
    np.testing.assert_array_equal(cast(source, target, values).astype(np.float64), expected)


@pytest.mark.parametrize("target", [name for name in NARROW if name != "float4_e2m1fn"])
def test_not_a_number_and_zeros_stay(target):
    found = cast("float64", target, np.array([np.nan, 0.0, -0.0, 5e-324, -5e-324]))
    assert np.isnan(found[0].astype(np.float64))
    np.testing.assert_array_equal(found[1:].astype(np.float64), [0.0, 0.0, 0.0, 0.0])
    if not target.endswith("uz"):  # Which have one zero.
        assert np.signbit(found[1:].astype(np.float32)).tolist() == [False, True, False, True]


@pytest.mark.parametrize("target", ["bfloat16", "float16", "float8_e5m2", "float32", "float64"])
@pytest.mark.parametrize("source", ["int64", "uint64", "int32", "int8"])
def test_integers_are_rounded_once(source, target):
    limits = np.iinfo(source)
    rng = np.random.default_rng(2)
    values = rng.integers(limits.min, limits.max, 2000, dtype=source, endpoint=True)
    near = [1 << shift for shift in range(limits.bits - 1)]
    values = np.concatenate([values, np.array([v + d for v in near for d in (-1, 0, 1)], source)])
    if limits.bits == 64:  # Beside the midpoints of bfloat16, in the last bits.
        ties = [(1 << k) + (1 << (k - 8)) + d for k in range(54, 63) for d in (-1, 0, 1)]
        values = np.concatenate([values, np.array(ties, source)])
    found = cast(source, target, values)
    dtype = numpy_type(target)
    for value, result in zip(values.tolist(), found.astype(np.float64).tolist(), strict=True):
        if np.isinf(result):
            largest = float(ml_dtypes.finfo(dtype).max)
            assert abs(value) > largest
            continue
        neighbours = [np.nextafter(np.array(result, dtype), np.array(sign * np.inf, dtype)) for sign in (-1, 1)]
        error = abs(Fraction(value) - Fraction(result))
        for neighbour in neighbours:
            if np.isfinite(neighbour.astype(np.float64)):
                assert error <= abs(Fraction(value) - Fraction(float(neighbour)))


def test_integers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        cast("int64", "int32", np.array([1, 1 << 31, 5]))
    assert str(caught.value) == "cast: tensor 'w' has 2147483648, and int32 holds -2147483648 to 2147483647"
    with pytest.raises(ValueError, match="has -1, and uint8 holds 0 to 255"):
        cast("int16", "uint8", np.array([3, -1], np.int16))
    with pytest.raises(ValueError, match="has 9, and int4 holds -8 to 7"):
        cast("int8", "int4", np.array([7, 9], np.int8))
    assert cast("int4", "int8", np.array([7, -8]).astype(ml_dtypes.int4)).tolist() == [7, -8]
    assert cast("int64", "uint64", np.array([0, (1 << 63) - 1])).tolist() == [0, (1 << 63) - 1]


@pytest.mark.parametrize("wide", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("narrow", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float4_e2m1fn"])
def test_widening_is_exact(narrow, wide):
    dtype = numpy_type(narrow)
    codes = np.arange(16 if narrow.startswith("float4") else 256, dtype=np.uint8).view(dtype)
    found = cast(narrow, wide, codes).astype(np.float64)
    np.testing.assert_array_equal(found, codes.astype(np.float64))


def test_complex_numbers_become_complex():
    values = np.array([1 + 2j, complex(np.inf, -0.0)])
    np.testing.assert_array_equal(cast("complex128", "complex64", values), values.astype(np.complex64))
