"""What a conversion will do: rules, refusals, files, all of it decided before anything is written."""

from __future__ import annotations

import os

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.conversion import sharding
from tensorbundle.renaming import GRAPH_KEY

WEIGHTS = {
    "dense/bias": np.zeros(3, np.float32),
    "dense/kernel": np.zeros((2, 3), np.float32),
    "emb": np.zeros((4, 2), np.float64),
    "mask": np.zeros(2, bool),
    "phase": np.zeros(2, np.complex128),
    "step": np.array(7, np.int64),
}


@pytest.fixture
def prefix(tmp_path):
    tb.save(tmp_path / "ckpt", WEIGHTS, durable=False)
    return tmp_path / "ckpt"


@pytest.fixture
def plan(prefix, tmp_path):
    """The plan of a conversion, after which there is nothing that was not there before."""

    def make(dst="out", source=prefix, **options):
        before = sorted(os.walk(tmp_path))
        made = tb.convert(source, tmp_path / dst, dry_run=True, **options)
        assert sorted(os.walk(tmp_path)) == before
        return made

    return make


def refused(plan, error, message, **options):
    with pytest.raises(error) as caught:
        plan(**options)
    assert str(caught.value) == message


# The plan itself.


def test_plan_lists_every_tensor_as_it_is(plan, prefix, tmp_path):
    made = plan()
    assert (made.source, made.destination, made.to) == (str(prefix), str(tmp_path / "out"), "checkpoint")
    assert (made.num_files, made.left_out, made.notes) == (1, (), ())
    assert [tensor.name for tensor in made.tensors] == sorted(WEIGHTS)
    assert made.nbytes == sum(value.nbytes for value in WEIGHTS.values())
    kernel = made.tensors[1]
    assert (kernel.source, kernel.name, kernel.file) == ("dense/kernel", "dense/kernel", 0)
    assert (kernel.source_dtype, kernel.dtype, kernel.source_shape, kernel.shape) == (
        "float32",
        "float32",
        (2, 3),
        (2, 3),
    )
    assert (kernel.axes, kernel.nbytes, kernel.keeps_bytes) == (None, 24, True)


def test_plan_prints_as_a_table(plan, tmp_path):
    made = plan(
        "out.safetensors",
        include=["dense", "mask"],
        rename=[("^dense/", "")],
        cast={"kernel": "bfloat16"},
        transpose="kernel",
    )
    assert str(made).splitlines() == [
        "dense/bias -> bias      float32              [3]               0",
        "dense/kernel -> kernel  float32 -> bfloat16  [2, 3] -> [3, 2]  0",
        "mask                    bool                 [2]               0",
        "left out: emb: not chosen",
        "left out: phase: not chosen",
        "left out: step: not chosen",
        f"3 tensors, 26 bytes, safetensors, 1 file: {tmp_path}/out.safetensors",
    ]


# Which tensors.


def test_include_and_exclude_choose(plan):
    made = plan(include=["dense", "step"], exclude="bias")
    assert [tensor.name for tensor in made.tensors] == ["dense/kernel", "step"]
    assert [(left.name, left.reason) for left in made.left_out] == [
        (name, "not chosen") for name in ("dense/bias", "emb", "mask", "phase")
    ]


def test_no_tensor_left_is_refused(plan, prefix):
    refused(plan, ValueError, f"no tensor is left of the 6 in {str(prefix)!r}", include="nothing")


# Names.


def test_rename_rules_apply_in_order_with_groups(plan):
    made = plan(rename=[(r"^dense/(\w+)$", r"layer/\1_0"), ("_0$", ""), ("^step$", "global_step")])
    assert [tensor.name for tensor in made.tensors] == [
        "layer/bias",
        "layer/kernel",
        "emb",
        "mask",
        "phase",
        "global_step",
    ]


def test_rename_rule_that_applies_to_nothing_is_refused(plan):
    refused(
        plan, ValueError, "rename: '^conv' is found in no name of the 6 tensors it comes to", rename=[("^conv", "")]
    )


def test_rename_rule_is_looked_for_in_what_is_chosen(plan):
    message = "rename: 'emb' is found in no name of the 5 tensors it comes to"
    refused(plan, ValueError, message, rename=[("emb", "e")], exclude="emb")


def test_names_that_collide_are_refused_with_both(plan):
    message = "'dense/bias' and 'dense/kernel' would both be called 'dense'"
    refused(plan, ValueError, message, rename=[("/.*", "")])


def test_reference_to_a_missing_group_is_refused(plan):
    message = r"rename: the replacement '\\2' for 'dense': invalid group reference 2 at position 1"
    refused(plan, ValueError, message, rename=[("dense", r"\2")])


@pytest.mark.parametrize("rename", ["dense", {"a": "b"}, [("a",)], [("a", 1)], [(b"a", "b")], 7])
def test_rename_takes_pairs(plan, rename):
    with pytest.raises(TypeError, match=r"^rename"):
        plan(rename=rename)


@pytest.mark.parametrize(
    ("name", "dst", "kind"),
    [
        ("__metadata__", "out.safetensors", "safetensors"),
        ("a\\udc80", "out.safetensors", "safetensors"),
        ("", "out", "checkpoint"),
    ],
)
def test_names_that_the_target_cannot_have_are_refused(plan, name, dst, kind):
    new = name.encode().decode("unicode_escape") if "\\" in name else name
    message = f"{kind} can't hold tensors of these names: {new!r} (of 'step'); rename them"
    refused(plan, ValueError, message, dst=dst, rename=[("^step$", new)], exclude="phase")


# Element types.


def test_one_type_for_all_is_for_floating_tensors_only(plan):
    made = plan(cast="bfloat16")
    assert [tensor.dtype for tensor in made.tensors] == [
        "bfloat16",
        "bfloat16",
        "bfloat16",
        "bool",
        "complex128",
        "int64",
    ]
    assert [tensor.nbytes for tensor in made.tensors] == [6, 12, 16, 2, 32, 8]


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("<f2"), np.dtype(">f2")])
def test_types_may_be_given_as_numpy_takes_them(plan, dtype):
    assert plan(cast=dtype).tensors[0].dtype == "float16"


def test_types_of_ml_dtypes_are_taken(plan):
    assert plan(cast=ml_dtypes.float8_e4m3fn).tensors[0].dtype == "float8_e4m3fn"


def test_first_pattern_that_is_found_counts(plan):
    made = plan(cast={"kernel": "float16", "dense": "bfloat16", "step": "int32", "phase": "complex64"})
    assert [tensor.dtype for tensor in made.tensors] == ["bfloat16", "float16", "float64", "bool", "complex64", "int32"]


def test_integers_become_floats_by_pattern(plan):
    assert plan(cast={"step": "float8_e5m2"}).tensors[-1].dtype == "float8_e5m2"


def test_cast_that_cannot_be_names_all(plan):
    message = (
        "cast: floats become floats, complex numbers complex, integers integers or floats: "
        "'emb' from float64 to int8; 'mask' from bool to int8; 'phase' from complex128 to int8"
    )
    refused(plan, ValueError, message, cast={"emb|mask|phase|step": "int8"})


def test_type_for_all_must_be_floating(plan):
    message = (
        "cast: int8 is no floating type; a type for all applies to floating tensors only: give a dict from a pattern "
        "of names to a type"
    )
    refused(plan, ValueError, message, cast="int8")


def test_cast_rule_that_applies_to_nothing_is_refused(plan):
    refused(plan, ValueError, "cast: 'conv' is found in no name of the 6 tensors", cast={"conv": "float16"})


def test_what_is_no_type_is_refused(plan):
    with pytest.raises(ValueError, match=r"^cast: 'half-precision' is no element type: "):
        plan(cast="half-precision")
    with pytest.raises(TypeError, match=r"^cast: 7 is no element type: "):
        plan(cast=7)
    refused(plan, ValueError, "cast: no file here holds elements of 'M8[s]'", cast="M8[s]")


def test_all_tensors_of_types_that_the_target_lacks_are_named(plan, tmp_path):
    tb.save(tmp_path / "more", {**WEIGHTS, "words": [b"a"], "text": "b"}, durable=False)
    message = (
        "npz can't hold 2 of the tensors: 'text' (string), 'words' (string); leave them out with exclude, or with "
        "skip_unsupported all that it can't hold"
    )
    refused(plan, ValueError, message, source=tmp_path / "more", dst="out.npz")
    made = plan("out.npz", source=tmp_path / "more", skip_unsupported=True)
    assert [(left.name, left.reason) for left in made.left_out] == [
        ("text", "string, which npz can't hold"),
        ("words", "string, which npz can't hold"),
    ]


def test_what_a_cast_makes_is_what_must_be_held(plan):
    assert [tensor.dtype for tensor in plan("o.npz", cast={"emb": "float16"}).tensors][2] == "float16"
    with pytest.raises(ValueError, match=r"^npz can't hold 1 of the tensors: 'emb' \(bfloat16\)"):
        plan("o.npz", cast={"emb": "bfloat16"})


# Axes.


def test_axes_are_reversed(plan):
    made = plan(transpose=["kernel", "bias"])
    assert [(tensor.shape, tensor.axes) for tensor in made.tensors][:2] == [((3,), None), ((3, 2), (1, 0))]


def test_axes_are_ordered_as_given(tmp_path, plan):
    tb.save(tmp_path / "conv", {"k": np.zeros((2, 3, 4, 5), np.int8)}, durable=False)
    tensor = plan(source=tmp_path / "conv", transpose={"k": (3, 2, 0, 1)}).tensors[0]
    assert (tensor.shape, tensor.axes, tensor.keeps_bytes) == ((5, 4, 2, 3), (3, 2, 0, 1), False)


def test_axes_that_do_not_fit_are_refused(plan):
    message = "transpose: [2, 0, 1] for 'kernel' does not fit 'dense/kernel' of shape [2, 3]"
    refused(plan, ValueError, message, transpose={"kernel": [2, 0, 1]})
    refused(plan, ValueError, "transpose: [0, 2] is no permutation of axes", transpose={"kernel": [0, 2]})
    refused(plan, TypeError, "transpose: axes are a list of integers, not '10'", transpose={"kernel": "10"})
    refused(plan, ValueError, "transpose: 'conv' is found in no name of the 6 tensors", transpose="conv")


# Files.


@pytest.mark.parametrize(
    ("dst", "options", "kind", "destination"),
    [
        ("a", {}, "checkpoint", "a"),
        ("a.b-100", {}, "checkpoint", "a.b-100"),
        ("a.safetensors", {}, "safetensors", "a.safetensors"),
        ("a.safetensors", {"shards": 2}, "safetensors", "a.safetensors.index.json"),
        ("a.safetensors", {"max_shard_bytes": 99}, "safetensors", "a.safetensors.index.json"),
        ("a.safetensors.index.json", {}, "safetensors", "a.safetensors.index.json"),
        ("folder/", {}, "safetensors", "folder/model.safetensors.index.json"),
        (".", {}, "safetensors", "model.safetensors.index.json"),
        ("a.npz", {}, "npz", "a.npz"),
        ("a.npz", {"to": "checkpoint"}, "checkpoint", "a.npz"),
        ("a", {"to": "npz"}, "npz", "a"),
        ("a", {"to": "safetensors"}, "safetensors", "a"),
        ("a.pt", {"to": "checkpoint"}, "checkpoint", "a.pt"),
    ],
)
def test_name_of_the_target_says_its_kind(prefix, tmp_path, dst, options, kind, destination):
    path = f"{tmp_path}/{dst}"
    plan = tb.convert(prefix, path, dry_run=True, exclude="phase", **options)
    assert (plan.to, os.path.relpath(plan.destination, tmp_path)) == (kind, destination)
    assert sorted(os.listdir(tmp_path)) == ["ckpt.data-00000-of-00001", "ckpt.index"]


FOREIGN = "'a.pt' is the name of no format that is written here; for a checkpoint of that prefix give to='checkpoint'"
ONE_FILE = "an .npz is one file: shards and max_shard_bytes are for checkpoints and safetensors"
ONE_OF_THEM = "shards and max_shard_bytes exclude each other: give one of them"
NO_METADATA = "metadata is for safetensors, and 'HERE/a' is to be of the kind checkpoint"
IS_DIRECTORY = "'.' is a directory: a checkpoint is named by a prefix, such as './model'"


@pytest.mark.parametrize(
    ("dst", "options", "error", "message"),
    [
        ("a.pt", {}, ValueError, FOREIGN),
        ("a", {"to": "onnx"}, ValueError, "to is one of 'checkpoint', 'safetensors', 'npz', not 'onnx'"),
        ("", {}, ValueError, "dst is empty"),
        ("a.npz", {"shards": 2}, ValueError, ONE_FILE),
        ("a", {"shards": 2, "max_shard_bytes": 9}, ValueError, ONE_OF_THEM),
        ("a", {"shards": 0}, ValueError, "shards must be at least 1, not 0"),
        ("a", {"max_shard_bytes": 1.5}, TypeError, "max_shard_bytes must be an integer, not 1.5"),
        ("a", {"metadata": {"format": "pt"}}, ValueError, NO_METADATA),
        (".", {"to": "checkpoint"}, ValueError, IS_DIRECTORY),
        ("gs://bucket/a", {}, NotImplementedError, "writing to a URL is not supported yet: 'gs://bucket/a'"),
    ],
)
def test_targets_that_cannot_be_are_refused(prefix, tmp_path, monkeypatch, dst, options, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        tb.convert(prefix, dst, **options)
    assert str(caught.value).replace(str(tmp_path), "HERE") == message
    assert sorted(os.listdir(tmp_path)) == ["ckpt.data-00000-of-00001", "ckpt.index"]


def test_shards_are_about_as_large_as_each_other():
    assert sharding.balanced([8, 1, 7, 2, 3, 3], 3) == [0, 1, 1, 2, 2, 2]
    assert sharding.balanced([5, 5], 9) == [0, 1]
    assert sharding.balanced([0, 0, 0, 0], 2) == [0, 1, 0, 1]


def test_limited_shards_are_filled_in_order():
    assert sharding.limited([3, 3, 3, 3], 6) == [0, 0, 1, 1]
    assert sharding.limited([1, 9, 1, 1], 4) == [0, 1, 2, 2]
    assert sharding.limited([0, 9, 0], 4) == [0, 0, 1]


def test_tensor_larger_than_a_shard_is_alone_and_said(plan):
    made = plan("out.safetensors", max_shard_bytes=30, exclude="phase")
    assert [tensor.file for tensor in made.tensors] == [0, 1, 2, 3, 3]
    assert made.notes == ("larger than max_shard_bytes and alone in a file: 'emb'",)


# Object graphs.


@pytest.fixture
def objects(tmp_path):
    tb.save_objects(tmp_path / "objects", {"model": {"kernel": np.zeros((2, 2), np.float32)}}, durable=False)
    return tmp_path / "objects"


KERNEL = "model/kernel/.ATTRIBUTES/VARIABLE_VALUE"


def test_object_graph_goes_to_checkpoints(plan, objects):
    assert plan(source=objects).tensors[0].name == GRAPH_KEY
    assert GRAPH_KEY in [tensor.name for tensor in plan(source=objects, include="kernel").tensors]
    assert [left.name for left in plan(source=objects, exclude=GRAPH_KEY).left_out] == [GRAPH_KEY]


def test_object_graph_is_left_out_of_others(plan, objects):
    made = plan("out.safetensors", source=objects)
    assert [(left.name, left.reason) for left in made.left_out] == [(GRAPH_KEY, "the object graph, no weights")]


def test_tensors_are_called_by_their_paths(plan, objects):
    made = plan(source=objects, names="path", include="kernel")
    assert [(tensor.source, tensor.name) for tensor in made.tensors] == [("model/kernel", "model/kernel")]
    assert (GRAPH_KEY, "the object graph names keys, not these names") in [
        (left.name, left.reason) for left in made.left_out
    ]


def test_link_is_refused_where_elements_change(prefix, tmp_path):
    for options, reason in (
        ({"cast": "float16"}, "elements change"),
        ({"shards": 2}, "tensors would have to move to other files"),
        ({"to": "npz"}, "both must be checkpoints"),
        ({"names": "path"}, "the tensors get names that are not their keys"),
    ):
        with pytest.raises(ValueError, match=r"^link ") as caught:
            tb.convert(prefix, tmp_path / "out", link=True, **{"exclude": "phase", **options})
        assert (
            str(caught.value) == f"link keeps the data files of a checkpoint as they are, which can't be here: {reason}"
        )
    assert sorted(os.listdir(tmp_path)) == ["ckpt.data-00000-of-00001", "ckpt.index"]


def test_missing_source_is_said(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tb.convert(tmp_path / "nowhere", tmp_path / "a" / "out.safetensors")
    assert caught.value.filename == str(tmp_path / "nowhere")
    assert os.listdir(tmp_path) == []


def test_quantized_tensors_are_not_integers_here(plan, write_bundle):
    from support.tensors import Typed

    bundle = write_bundle({"q": Typed(np.arange(3, dtype=np.int8), "qint8")}, name="quantized")
    assert plan(source=bundle.prefix).tensors[0].dtype == "qint8"
    with pytest.raises(ValueError, match="'q' from qint8 to int16"):
        plan(source=bundle.prefix, cast={"q": "int16"})
    with pytest.raises(ValueError, match=r"safetensors can't hold 1 of the tensors: 'q' \(qint8\)"):
        plan("o.safetensors", source=bundle.prefix)


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("alignment", 0, ValueError, "alignment must be at least 1, not 0"),
        ("alignment", 3, ValueError, "alignment is a power of two from 1 to 1048576, not 3"),
        ("alignment", 1 << 21, ValueError, "alignment is a power of two from 1 to 1048576, not 2097152"),
        ("alignment", "64", TypeError, "alignment must be an integer, not '64'"),
        ("alignment", None, TypeError, "alignment must be an integer, not None"),
        ("executor", 3, TypeError, "executor must be a concurrent.futures.Executor, not 3"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_argument_that_no_conversion_can_have(tmp_path, argument, value, error, message, dry_run):
    tb.save(tmp_path / "a", {"x": np.zeros(2)}, durable=False)
    with pytest.raises(error) as caught:
        tb.convert(tmp_path / "a", tmp_path / "b", dry_run=dry_run, **{argument: value})
    assert str(caught.value) == message


def test_names_that_numpy_takes_for_one_are_refused_for_npz(tmp_path):
    tb.save(tmp_path / "a", {"x": np.zeros(2), "x.npy": np.ones(2), "y.npy": np.ones(2)}, durable=False)
    with pytest.raises(ValueError, match=r"^npz can't hold tensors of these names: 'x\.npy' \(of 'x\.npy'\); rename"):
        tb.convert(tmp_path / "a", tmp_path / "b.npz")
    tb.convert(tmp_path / "a", tmp_path / "b.npz", rename=[("^x$", "z")])
    with np.load(tmp_path / "b.npz") as arrays:
        assert [float(arrays[name][0]) for name in ("z", "x.npy", "y.npy")] == [0, 1, 1]


def test_type_of_which_there_are_several_is_refused_with_their_names(tmp_path):
    tb.save(tmp_path / "a", {"x": np.zeros(2)}, durable=False)
    with pytest.raises(
        ValueError, match=r"^cast: 'float8' is no element type: there are float8_e4m3b11fnuz, float8_e4m3fn, "
    ):
        tb.convert(tmp_path / "a", tmp_path / "b", cast="float8")
