"""Error classes: their bases, attributes, numbers and pickles."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import traceback
from concurrent.futures import ProcessPoolExecutor

import pytest
from support.raising import raise_in_child

from tensorbundle import errors

CLASSES = {
    errors.TensorBundleError: (2, Exception),
    errors.NotFoundError: (5, KeyError),
    errors.TagsNotFoundError: (5, RuntimeError),
    errors.DataLossError: (15, ValueError),
    errors.OutOfRangeError: (11, IndexError),
    errors.UnimplementedError: (12, NotImplementedError),
    errors.LimitError: (8, ValueError),
    errors.BuilderError: (9, AssertionError),
    errors.ConversionError: (10, RuntimeError),
    errors.ReservedKeyError: (9, KeyError),
    errors.InternalError: (13, RuntimeError),
}


def test_every_class_is_covered():
    defined = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == {*CLASSES, errors.DamageWarning}
    assert {value.__name__ for value in defined} | {"OpError"} == set(errors.__all__)


@pytest.mark.parametrize("kind", CLASSES)
def test_class_has_its_bases_and_number(kind):
    number, base = CLASSES[kind]
    assert issubclass(kind, errors.TensorBundleError)
    assert issubclass(kind, base)
    assert kind("x").error_code == number


def test_tags_not_found_is_a_key_error_too():
    assert issubclass(errors.TagsNotFoundError, errors.NotFoundError)
    assert issubclass(errors.TagsNotFoundError, KeyError)


def test_op_error_is_the_base_class():
    assert errors.OpError is errors.TensorBundleError


@pytest.mark.parametrize("kind", CLASSES)
def test_attributes_and_text(kind):
    error = kind("it's damaged", path="a.index", tensor="w", offset=7)
    assert (error.message, error.path, error.tensor, error.offset) == ("it's damaged", "a.index", "w", 7)
    assert (error.node_def, error.op) == (None, None)
    assert str(error) == "it's damaged"
    assert error.args == ("it's damaged",)
    assert traceback.format_exception_only(error)[-1].endswith("Error: it's damaged\n")


@pytest.mark.parametrize("kind", CLASSES)
def test_made_as_those_of_tensorflow(kind):
    error = kind(None, None, "it's gone")
    assert (error.message, str(error), error.args, error.node_def) == ("it's gone", "it's gone", ("it's gone",), None)
    assert pickle.loads(pickle.dumps(error)).message == "it's gone"
    with pytest.raises(ValueError, match="not enough values"):
        kind("it's", "gone")


@pytest.mark.parametrize("kind", CLASSES)
def test_attributes_default_to_none(kind):
    error = kind("x")
    assert (error.path, error.tensor, error.offset) == (None, None, None)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("kind", CLASSES)
def test_clone_keeps_everything(kind, clone):
    error = kind("what happened", path="a.index", tensor="w", offset=0)
    error.hint = "set by somebody"
    twin = clone(error)
    assert type(twin) is kind
    assert vars(twin) == vars(error)
    assert (str(twin), twin.args) == ("what happened", ("what happened",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_under_every_protocol(protocol):
    error = errors.DataLossError("m", path="p", tensor="t", offset=1)
    assert vars(pickle.loads(pickle.dumps(error, protocol))) == vars(error)


def test_errors_cross_processes():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for kind in CLASSES:
            with pytest.raises(kind) as caught:
                pool.submit(raise_in_child, kind).result()
            error = caught.value
            assert type(error) is kind
            assert (error.path, error.tensor, error.offset) == ("dir/variables.index", "w", 4096)
