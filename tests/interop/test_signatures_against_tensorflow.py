"""Signatures beside TensorFlow's own functions: the same constants, messages and verdicts."""

from __future__ import annotations

import importlib
import itertools

import ml_dtypes
import numpy as np
import pytest
from support import corpus

from tensorbundle.protos import convert, messages
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

pytestmark = pytest.mark.usefixtures("tensorflow")

SAVED_MODELS = sorted(path for sample in corpus.samples() for path in sample.directory.rglob("saved_model.pb"))
METHODS = [
    "",
    "tensorflow/serving/classify",
    "tensorflow/serving/predict",
    "tensorflow/serving/regress",
    "tensorflow/supervised/training",
]


def implementation():
    from tensorflow.python.saved_model import signature_def_utils_impl

    return signature_def_utils_impl


def same(ours, theirs) -> bool:
    return convert.serialize(ours) == convert.serialize(theirs)


def placeholder(tensorflow, dtype, shape):
    return tensorflow.compat.v1.placeholder(dtype, shape, name="x")


@pytest.mark.parametrize("module", ["constants", "signature_constants", "tag_constants"])
def test_constants_are_tensorflows(module):
    ours = importlib.import_module(f"tensorbundle.saved_model.{module}")
    theirs = importlib.import_module(f"tensorflow.python.saved_model.{module}")

    def values(of):
        return {name: getattr(of, name) for name in dir(of) if name.isupper()}

    more = {"FINGERPRINT_FILENAME": "fingerprint.pb"} if module == "constants" else {}
    assert values(ours) == values(theirs) | more


@pytest.mark.parametrize("shape", [None, [], [None], [2, None, 0]])
def test_dense_tensors(tensorflow, shape):
    from tensorflow.core.framework import types_pb2

    for number in sorted(types_pb2.DataType.values()):
        if not 0 < number < 100:
            continue
        dtype = tensorflow.dtypes.as_dtype(number)
        with tensorflow.Graph().as_default():
            tensor = placeholder(tensorflow, dtype, shape)
            theirs = tensorflow.compat.v1.saved_model.build_tensor_info(tensor)
        for given in (dtype, number, dtype.name, types_pb2.DataType.Name(number)):
            assert same(build_tensor_info("x:0", given, shape), theirs), given
        assert same(build_tensor_info("x:0", dtype, tensor.shape), theirs)


def test_variables_of_tensorflow_1(tensorflow):
    with tensorflow.Graph().as_default():
        variable = tensorflow.compat.v1.get_variable("x", [2], use_resource=False)
        theirs = tensorflow.compat.v1.saved_model.build_tensor_info(variable)
        assert same(build_tensor_info(variable.name, variable.dtype, variable.shape), theirs)


def test_sparse_tensors(tensorflow):
    with tensorflow.Graph().as_default():
        sparse = tensorflow.compat.v1.sparse_placeholder("float32", [None, 3], name="x")
        theirs = tensorflow.compat.v1.saved_model.build_tensor_info(sparse)
        names = [part.name for part in (sparse.values, sparse.indices, sparse.dense_shape)]
        assert same(build_sparse_tensor_info(*names, "float32", [None, 3]), theirs)


def test_composite_tensors(tensorflow):
    with tensorflow.Graph().as_default():
        ragged = tensorflow.compat.v1.ragged.placeholder("float32", 1, name="x")
        theirs = tensorflow.compat.v1.saved_model.build_tensor_info(ragged)
        parts = [
            build_tensor_info(part.name, part.dtype, part.shape)
            for part in tensorflow.nest.flatten(ragged, expand_composites=True)
        ]
        assert same(build_composite_tensor_info(theirs.composite_tensor.type_spec, parts), theirs)


def test_signatures(tensorflow):
    v1 = tensorflow.compat.v1
    with tensorflow.Graph().as_default():
        tensors = [v1.placeholder("string", [None], name="s"), v1.placeholder("float32", [None, 2], name="f")]
        infos = [build_tensor_info(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]
        assert same(
            predict_signature_def({"a": infos[0]}, {"b": infos[1]}),
            v1.saved_model.predict_signature_def({"a": tensors[0]}, {"b": tensors[1]}),
        )
        assert outcomes(regression_signature_def, infos, 2) == outcomes(
            v1.saved_model.regression_signature_def, tensors, 2
        )
        assert outcomes(classification_signature_def, infos, 3) == outcomes(
            v1.saved_model.classification_signature_def, tensors, 3
        )
        theirs = {"x": v1.saved_model.build_tensor_info(tensors[1])}
    for given in (theirs, {"x": infos[1]}):
        assert same(
            build_signature_def(given, given, "method"), v1.saved_model.build_signature_def(theirs, theirs, "method")
        )


def outcomes(make, tensors, number: int) -> list[bytes | type]:
    """What a function makes, or raises, of all combinations of tensors and None."""
    found: list[bytes | type] = []
    for arguments in itertools.product([*tensors, None], repeat=number):
        try:
            found.append(make(*arguments).SerializeToString(deterministic=True))
        except Exception as error:  # noqa: BLE001
            found.append(type(error))
    return found


def test_verdicts(tensorflow):
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

    infos = [build_tensor_info("s:0", "string", [None]), build_tensor_info("f:0", "float32", [None])]
    keys = [["inputs"], ["outputs"], ["classes"], ["scores"], ["classes", "scores"], ["classes", "x"], []]
    verdicts = set()
    for method, inputs, outputs in itertools.product(METHODS, keys, keys):
        for first, second in itertools.product(infos, repeat=2):
            signature = build_signature_def(
                dict.fromkeys(inputs, first), dict(zip(outputs, (second, first), strict=False)), method
            )
            theirs = SignatureDef.FromString(convert.serialize(signature))
            verdict = tensorflow.compat.v1.saved_model.is_valid_signature(theirs)
            assert is_valid_signature(signature) is is_valid_signature(theirs) is verdict, signature
            verdicts.add((method, verdict))
    assert verdicts >= {(method, method.startswith("tensorflow/serving")) for method in METHODS}


@pytest.mark.parametrize("path", SAVED_MODELS, ids=lambda path: path.parent.name)
def test_verdicts_over_the_corpus(path):
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

    for meta_graph in convert.read_file(messages.SavedModel, str(path)).meta_graphs:
        for signature in meta_graph.signature_def.values():
            theirs = implementation().is_valid_signature(SignatureDef.FromString(convert.serialize(signature)))
            assert is_valid_signature(signature) is theirs


NUMPYS_OWN = "float32 float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128"
NARROW = (
    "bfloat16 float8_e5m2 float8_e4m3fn float8_e4m3fnuz float8_e4m3b11fnuz float8_e5m2fnuz "
    "int4 uint4 int2 uint2 float4_e2m1fn"
)
DTYPES = [*map(np.dtype, NUMPYS_OWN.split()), *(np.dtype(getattr(ml_dtypes, name)) for name in NARROW.split())]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 2), (1, 1)])
def test_arrays_become_the_messages_that_tensorflow_makes(tensorflow, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    if array.size < 2 and array.dtype.name in {"float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"}:
        with pytest.raises(TypeError, match="Element type not supported in TensorProto"):
            tensorflow.make_tensor_proto(array)
        theirs = tensorflow.make_tensor_proto(array.view(ml_dtypes.float8_e5m2))
        theirs.dtype = tensorflow.dtypes.as_dtype(array.dtype.name).as_datatype_enum
    else:
        theirs = tensorflow.make_tensor_proto(array)
    assert same(tensor_values.tensor_proto("x", array), theirs)


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">u2", ">c8", ">f2"])
def test_byte_order_of_arrays_is_nobodys_business(tensorflow, dtype):
    array = np.array([[1, 2], [3, 4]], dtype)
    theirs = tensorflow.make_tensor_proto(array.astype(array.dtype.newbyteorder("=")))
    assert same(tensor_values.tensor_proto("x", array), theirs)
    assert same(tensor_values.tensor_proto("x", array.T), tensorflow.make_tensor_proto(array.T.astype(dtype[1:])))


def test_strings_become_the_messages_that_tensorflow_makes(tensorflow):
    for value in (b"a", "gr\u00fc\u00df", [b"a", b"bc\0"], [["a"], ["b"]], np.array([b"x", b""], object)):
        assert same(tensor_values.tensor_proto("x", value), tensorflow.make_tensor_proto(value))


def test_defaults(tensorflow):
    given = {"x": tensorflow.constant([1.5, 2.5]), "n": tensorflow.constant(3), "s": tensorflow.constant("text")}
    theirs = implementation().build_signature_def(defaults=given)
    assert same(build_signature_def(defaults=given), theirs)
    assert same(build_signature_def(defaults={key: value.numpy() for key, value in given.items()}), theirs)
    assert same(build_signature_def(defaults=dict(theirs.defaults)), theirs)
