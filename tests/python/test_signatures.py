"""Signatures: what can be said of tensors, and which signatures are refused."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from support.processes import run_python

import tensorbundle as tb
from tensorbundle.protos import messages
from tensorbundle.protos.text import parse_text
from tensorbundle.saved_model import (
    build_composite_tensor_info,
    build_signature_def,
    build_sparse_tensor_info,
    build_tensor_info,
    classification_signature_def,
    is_valid_signature,
    predict_signature_def,
    regression_signature_def,
    tensor_values,
)

STRINGS = build_tensor_info("examples:0", "string", [None])
FLOATS = build_tensor_info("scores:0", "float32", [None, 2])


def info(text: str):
    return parse_text(messages.TensorInfo, text, "expected")


def test_importing_imports_nothing_along():
    program = """
import sys
import tensorbundle as tb
print(tb.saved_model.tag_constants.SERVING, tb.saved_model.signature_constants.PREDICT_INPUTS)
print(tb.saved_model.constants.ASSETS_DIRECTORY, len(dir(tb.saved_model)) > 10)
print([name for name in sys.modules if name.partition(".")[0] in ("google", "numpy")])
"""
    assert run_python(program) == "serve inputs\nassets True\n[]\n"


def test_names_are_there():
    assert set(tb.saved_model.__all__) <= set(dir(tb.saved_model))
    for name in tb.saved_model.__all__:
        assert getattr(tb.saved_model, name) is getattr(tb.saved_model, name)
    with pytest.raises(AttributeError, match=r"^module 'tensorbundle\.saved_model' has no attribute 'nothing'$"):
        tb.saved_model.nothing  # noqa: B018


# --- Tensors


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", "DT_FLOAT"),
        ("float", "DT_FLOAT"),
        ("DT_FLOAT", "DT_FLOAT"),
        ("DT_FLOAT_REF", "DT_FLOAT_REF"),
        (1, "DT_FLOAT"),
        (101, "DT_FLOAT_REF"),
        (np.float32, "DT_FLOAT"),
        (np.dtype(">f4"), "DT_FLOAT"),
        ("string", "DT_STRING"),
        (object, "DT_STRING"),
        (np.bytes_, "DT_STRING"),
        (bool, "DT_BOOL"),
        (ml_dtypes.bfloat16, "DT_BFLOAT16"),
        ("bfloat16", "DT_BFLOAT16"),
        ("qint8", "DT_QINT8"),
        ("resource", "DT_RESOURCE"),
        ("float31", None),
        (bytes, None),
        (None, None),
        (34, None),
    ],
)
def test_dtypes(dtype, expected):
    if expected is None:
        with pytest.raises(TypeError, match=r"is not an element type of TensorFlow's$"):
            build_tensor_info("x:0", dtype, [])
        return
    assert build_tensor_info("x:0", dtype, []) == info(f'name: "x:0" dtype: {expected} tensor_shape {{ }}')


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([], ""),
        ((2, None), "dim { size: 2 } dim { size: -1 }"),
        (np.array([3, -1]), "dim { size: 3 } dim { size: -1 }"),
        ([0], "dim { }"),
        (None, "unknown_rank: true"),
        (iter([1]), "dim { size: 1 }"),
        (messages.TensorShapeProto(unknown_rank=True), "unknown_rank: true"),
    ],
)
def test_shapes(shape, expected):
    expected = info(f'name: "x:0" dtype: DT_FLOAT tensor_shape {{ {expected} }}')
    assert build_tensor_info("x:0", "float32", shape) == expected
    assert build_tensor_info("x:0", "float32", expected.tensor_shape) == expected


@pytest.mark.parametrize(
    ("name", "shape", "error", "message"),
    [
        ("", [], ValueError, "the name of a tensor is empty"),
        (b"x:0", [], TypeError, "the name of a tensor must be a str, not bytes"),
        ("x:0", [-2], ValueError, "a dimension can't have size -2"),
        ("x:0", [2.0], TypeError, "'float' object cannot be interpreted as an integer"),
        ("x:0", "23", TypeError, "'str' object cannot be interpreted as an integer"),
        ("x:0", 23, TypeError, "'int' object is not iterable"),
        ("x:0", FLOATS, TypeError, "expected a TensorShapeProto or its bytes, not a tensorflow.TensorInfo"),
    ],
)
def test_what_describes_no_tensor(name, shape, error, message):
    with pytest.raises(error) as caught:
        build_tensor_info(name, "float32", shape)
    assert str(caught.value) == message


def test_sparse_tensors():
    sparse = build_sparse_tensor_info("v:0", "i:0", "s:0", "int64", [None, 3])
    assert sparse == info(
        'dtype: DT_INT64 tensor_shape { dim { size: -1 } dim { size: 3 } } coo_sparse { values_tensor_name: "v:0"'
        ' indices_tensor_name: "i:0" dense_shape_tensor_name: "s:0" }'
    )
    for names in (("", "i:0", "s:0"), ("v:0", "", "s:0"), ("v:0", "i:0", "")):
        with pytest.raises(ValueError, match=r"^the name of a tensor is empty$"):
            build_sparse_tensor_info(*names, "int64", None)


def test_composite_tensors():
    spec = messages.TypeSpecProto(type_spec_class_name="RaggedTensorSpec")
    composite = build_composite_tensor_info(spec, [STRINGS, FLOATS.SerializeToString()])
    assert composite.WhichOneof("encoding") == "composite_tensor"
    assert composite.composite_tensor.type_spec == spec
    assert list(composite.composite_tensor.components) == [STRINGS, FLOATS]
    assert not composite.HasField("tensor_shape")
    with pytest.raises(TypeError, match=r"^expected a TypeSpecProto or its bytes, not a tensorflow\.TensorInfo$"):
        build_composite_tensor_info(STRINGS, [])
    with pytest.raises(TypeError, match=r"^expected a TensorInfo or its bytes, not an instance of str$"):
        build_composite_tensor_info(spec, ["x:0"])


# --- Signatures


def test_signature():
    signature = build_signature_def({"a": STRINGS}, {"b": FLOATS}, "method")
    assert dict(signature.inputs) == {"a": STRINGS}
    assert dict(signature.outputs) == {"b": FLOATS}
    assert signature.method_name == "method"
    assert build_signature_def() == messages.SignatureDef()
    with pytest.raises(TypeError, match=r"^input 'a': expected a TensorInfo or its bytes, not an instance of str$"):
        build_signature_def({"a": "examples:0"})
    with pytest.raises(TypeError, match=r"^output 'b': expected a TensorInfo or its bytes, not an instance of int$"):
        build_signature_def(outputs={"b": 5})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "dtype: DT_FLOAT tensor_shape { } float_val: 0.5"),
        ([1, 2], r'dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: "\000\000\200?\000\000\000@"'),
        (np.float64(2), "dtype: DT_DOUBLE tensor_shape { } double_val: 2"),
        ("text", 'dtype: DT_STRING tensor_shape { } string_val: "text"'),
        (messages.TensorProto(dtype=1), "dtype: DT_FLOAT"),
    ],
)
def test_defaults(value, expected):
    signature = build_signature_def({"x": FLOATS}, {"y": FLOATS}, "method", {"x": value})
    assert signature.defaults["x"] == parse_text(messages.TensorProto, expected, "expected")


def test_what_is_no_default():
    with pytest.raises(TypeError, match=r"^expected a TensorProto or its bytes, not a tensorflow\.TensorInfo$"):
        build_signature_def({"x": FLOATS}, defaults={"x": FLOATS})
    with pytest.raises(TypeError, match=r"^tensor 'x': object arrays may hold bytes and str only, this one has dict$"):
        build_signature_def(defaults={"x": {}})


def test_no_message_holds_2_gib():
    big = np.broadcast_to(np.float32(1), (2**29,))
    with pytest.raises(tb.errors.LimitError) as caught:
        tensor_values.tensor_proto("x", big)
    assert str(caught.value) == "tensor 'x' has 2147483648 bytes, more than the 2147483647 of any message"


def test_predicting():
    signature = predict_signature_def({"a": STRINGS}, {"b": FLOATS})
    assert signature == build_signature_def({"a": STRINGS}, {"b": FLOATS}, "tensorflow/serving/predict")
    for inputs in ({}, None):
        with pytest.raises(ValueError, match=r"^a signature for predicting needs inputs$"):
            predict_signature_def(inputs, {"b": FLOATS})
        with pytest.raises(ValueError, match=r"^a signature for predicting needs outputs$"):
            predict_signature_def({"a": STRINGS}, inputs)


def test_regressing():
    signature = regression_signature_def(STRINGS, FLOATS)
    assert signature == build_signature_def({"inputs": STRINGS}, {"outputs": FLOATS}, "tensorflow/serving/regress")


@pytest.mark.parametrize("classes", [STRINGS, None])
@pytest.mark.parametrize("scores", [FLOATS, None])
def test_classifying(classes, scores):
    if classes is scores is None:
        with pytest.raises(ValueError, match=r"^a signature for classifying needs classes or scores$"):
            classification_signature_def(STRINGS, classes, scores)
        return
    outputs = {key: value for key, value in {"classes": classes, "scores": scores}.items() if value is not None}
    signature = classification_signature_def(STRINGS, classes, scores)
    assert signature == build_signature_def({"inputs": STRINGS}, outputs, "tensorflow/serving/classify")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: regression_signature_def(None, FLOATS), ValueError, "examples can't be None"),
        (lambda: regression_signature_def(FLOATS, FLOATS), ValueError, "examples must be DT_STRING, not DT_FLOAT"),
        (lambda: regression_signature_def(STRINGS, None), ValueError, "predictions can't be None"),
        (lambda: regression_signature_def(STRINGS, STRINGS), ValueError, "predictions must be DT_FLOAT, not DT_STRING"),
        (
            lambda: regression_signature_def("x:0", FLOATS),
            ValueError,
            "examples: expected a TensorInfo or its bytes, not an instance of str",
        ),
        (
            lambda: regression_signature_def(STRINGS, "x:0"),
            TypeError,
            "predictions: expected a TensorInfo or its bytes, not an instance of str",
        ),
        (lambda: classification_signature_def(None, STRINGS, None), ValueError, "examples can't be None"),
        (
            lambda: classification_signature_def(STRINGS, FLOATS, None),
            ValueError,
            "classes must be DT_STRING, not DT_FLOAT",
        ),
        (
            lambda: classification_signature_def(STRINGS, None, messages.TensorInfo(name="x", dtype=99)),
            ValueError,
            "scores must be DT_FLOAT, not 99",
        ),
    ],
)
def test_refused_signatures(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


def test_what_can_be_served():
    assert not is_valid_signature(None)
    assert not is_valid_signature(messages.SignatureDef())
    assert is_valid_signature(predict_signature_def({"a": STRINGS}, {"b": FLOATS}).SerializeToString())
    assert not is_valid_signature(build_signature_def({"a": STRINGS}, {"b": FLOATS}, "tensorflow/serving/other"))
    with pytest.raises(TypeError, match=r"^expected a SignatureDef or its bytes, not an instance of str$"):
        is_valid_signature("serving_default")
