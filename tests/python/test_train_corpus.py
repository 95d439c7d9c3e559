"""Published checkpoints through ``tensorbundle.train``: every tensor is what TensorFlow reads."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support import corpus, dtypes
from support.hashing import tensor_hash

import tensorbundle as tb

CHECKPOINTS = corpus.checkpoints() + corpus.checkpoints("V1")


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.id)
def test_every_tensor_is_what_tensorflow_reads(checkpoint):
    path = str(checkpoint.prefix)
    with warnings.catch_warnings():
        warnings.simplefilter("default" if checkpoint.complete else "ignore")
        reader = tb.train.load_checkpoint(path)
        listed = tb.train.list_variables(path)
    expected = checkpoint.tensors
    assert reader.get_variable_to_shape_map() == {name: list(tensor.shape) for name, tensor in expected.items()}
    types = {name: dtype.name for name, dtype in reader.get_variable_to_dtype_map().items()}
    assert types == {name: tensor.dtype for name, tensor in expected.items()}
    assert listed == sorted((name, list(tensor.shape)) for name, tensor in expected.items())
    for name, tensor in expected.items():
        assert reader.has_tensor(name)
        if tensor.error is None:
            assert_is(reader.get_tensor(name), tensor, name)
            continue
        with pytest.raises(tb.errors.OpError, match=r"No such file|Read less bytes") as caught:
            reader.get_tensor(name)
        assert repr(name)[1:-1] in str(caught.value)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS[::7], ids=lambda checkpoint: checkpoint.id)
def test_load_variable_gives_the_same(checkpoint):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, tensor in list(checkpoint.tensors.items())[:50]:
            if tensor.error is None:
                assert_is(tb.train.load_variable(str(checkpoint.prefix), f"{name}:0"), tensor, name)


def assert_is(value, expected, name):
    if not expected.shape:
        assert isinstance(value, bytes if expected.dtype == "string" else np.generic), name
        value = np.asarray(value, object if isinstance(value, bytes) else None)
    else:
        assert value.flags.writeable
    assert value.shape == expected.shape, name
    assert dtypes.name_of(value, like=expected.dtype) == expected.dtype, name
    assert tensor_hash(value) == expected.sha256, name
