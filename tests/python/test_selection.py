"""Names and patterns, and what is offered for a name that isn't there."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorbundle import selection

LAYERS = [f"model/layer_{layer}/{part}/{leaf}" for layer in range(40) for part in "qkv" for leaf in ("kernel", "bias")]


def test_key_order_is_that_of_bytes():
    names = ["\uffee", "\udcff", "\U0001f600", "a", "B", "\u00e9"]
    assert selection.in_key_order(names) == ["B", "a", "\u00e9", "\uffee", "\U0001f600", "\udcff"]


def test_distinct_names_keep_the_first_of_each():
    assert selection.distinct_names(iter(["b", "a", "b"])) == ["b", "a"]


def test_slip_of_the_pen():
    assert selection.nearest("model/layer_7/q/kernal", LAYERS)[0] == "model/layer_7/q/kernel"


def test_name_of_a_tensor_of_tensorflows():
    assert selection.nearest("model/layer_7/q/kernel:0", LAYERS)[0] == "model/layer_7/q/kernel"


def test_name_without_the_suffix_of_object_based_checkpoints():
    names = ["a/.ATTRIBUTES/VARIABLE_VALUE", "ab/.ATTRIBUTES/VARIABLE_VALUE", "b/.ATTRIBUTES/VARIABLE_VALUE"]
    assert selection.nearest("a", names)[0] == "a/.ATTRIBUTES/VARIABLE_VALUE"


def test_name_without_its_scope():
    assert selection.nearest("layer_7/q/kernel", LAYERS)[0] == "model/layer_7/q/kernel"


def test_at_most_five_are_offered():
    assert len(selection.nearest("model/layer_/q/kernel", LAYERS)) == 5


def test_nothing_is_offered_for_nothing_alike():
    assert selection.nearest("zzz", LAYERS) == []
    message = selection.not_found_message("zzz", LAYERS, "run/ckpt")
    assert message == "Key 'zzz' not found in checkpoint 'run/ckpt'; it has 240 tensors, none of a like name"


def test_many_names_are_searched_in_little_time():
    names = [f"model/layer_{number}/attention/output/kernel" for number in range(200_000)]
    start = time.perf_counter()
    assert selection.nearest("model/layer_123456/atention/output/kernel", names)
    assert selection.nearest("x" * 100_000, names) == []
    assert selection.nearest("", names) == []
    assert time.perf_counter() - start < 5


def test_long_names_are_shortened():
    message = selection.not_found_message("x" * 100_000, [], "ckpt")
    assert len(message) < 400
    assert "(100000 characters)" in message


@pytest.mark.parametrize("argument", ["include", "exclude"])
@pytest.mark.parametrize("pattern", ["a(", "a{99999999999999999999}"])
def test_wrong_pattern_is_a_value_error(argument, pattern):
    for given_patterns in (pattern, ["a", pattern]):
        arguments = {"include": None, "exclude": None, argument: given_patterns}
        with pytest.raises(ValueError, match=re.escape(f"{argument}: {pattern!r}: ")):
            selection.matching(LAYERS, **arguments)


@pytest.mark.parametrize("argument", ["include", "exclude"])
@pytest.mark.parametrize(("patterns", "shown"), [(3, "3"), (["a", 3], "3"), (b"a", "b'a'"), (re.compile(b"a"), "b'a'")])
def test_pattern_of_another_type_is_a_type_error(argument, patterns, shown):
    arguments = {"include": None, "exclude": None, argument: patterns}
    with pytest.raises(TypeError, match=f"^{argument} takes regular expressions over str, not {shown}$"):
        selection.matching(LAYERS, **arguments)


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=20))
def test_only_names_that_exist_are_offered(name, names):
    offered = selection.nearest(name, names)
    assert len(offered) == len(set(offered)) <= 5
    assert set(offered) <= set(names)
