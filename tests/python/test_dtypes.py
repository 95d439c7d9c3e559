"""TensorFlow's dtypes as NumPy dtypes."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from support import dtypes as expected

from tensorbundle import dtypes, errors

ML_DTYPES = [dtype.name for dtype in expected.FIXED if hasattr(ml_dtypes, dtype.name)]


@pytest.fixture(autouse=True)
def _fresh_cache():
    dtypes.numpy_dtype.cache_clear()


def test_names_are_those_of_the_format():
    assert frozenset(dtype.name for dtype in expected.DTYPES) == dtypes.TF_NAMES


@pytest.mark.parametrize("dtype", expected.FIXED, ids=lambda dtype: dtype.name)
def test_dtype_is_the_expected_one_in_host_order(dtype):
    actual = dtypes.numpy_dtype(dtype.name)
    assert actual == dtype.numpy
    assert actual.isnative
    assert actual.itemsize == dtype.size


@pytest.mark.parametrize("name", ["string", "variant"])
def test_strings_and_variants_are_objects(name):
    assert dtypes.numpy_dtype(name) == np.dtype(object)


@pytest.mark.parametrize("name", ["resource", "float32_ref", "no such type", ""])
def test_other_names_are_refused(name):
    with pytest.raises(errors.UnimplementedError) as caught:
        dtypes.numpy_dtype(name)
    assert str(caught.value) == f"there is no NumPy dtype for tensors of type {name!r}"


def test_there_are_types_from_ml_dtypes():
    assert len(ML_DTYPES) == 11


@pytest.mark.parametrize("name", ML_DTYPES)
def test_type_that_ml_dtypes_lacks_is_named_with_its_version(name, monkeypatch):
    monkeypatch.delattr(ml_dtypes, name)
    monkeypatch.setattr(ml_dtypes, "__version__", "0.0.1")
    with pytest.raises(errors.UnimplementedError) as caught:
        dtypes.numpy_dtype(name)
    assert str(caught.value) == f"tensors of type {name} need a newer ml_dtypes than the installed 0.0.1"


def test_ml_dtypes_is_imported_for_its_own_types_alone():
    program = (
        "import sys; from tensorbundle import dtypes; dtypes.numpy_dtype('float32');"
        "print('ml_dtypes' in sys.modules); dtypes.numpy_dtype('bfloat16'); print('ml_dtypes' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]
