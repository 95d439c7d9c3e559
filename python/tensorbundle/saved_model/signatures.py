"""Signatures: how a model is called. They are messages, as :mod:`tensorbundle.protos` has them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from tensorbundle.protos import messages
from tensorbundle.protos.convert import as_message
from tensorbundle.saved_model import signature_constants as keys


def build_tensor_info(name: str, dtype: Any, shape: Iterable[int | None] | None) -> Any:
    """Describes a tensor of a graph, such as an input of a signature.

    Args:
        name: Its name in the graph, such as ``"dense/BiasAdd:0"``.
        dtype: A NumPy dtype, TensorFlow's name (``"float32"``, ``"string"``, ``"DT_FLOAT"``) or number of it, or one of
            TensorFlow's own. NumPy's ``object`` and text are strings.
        shape: A size for each dimension, None where it varies; None for any shape at all.

    Returns:
        A ``TensorInfo`` message.

    Raises:
        TypeError, ValueError: One of them is none of these.
    """
    info = _info(dtype, shape)
    info.name = _checked_name(name)
    return info


def build_sparse_tensor_info(
    values: str, indices: str, dense_shape: str, dtype: Any, shape: Iterable[int | None] | None
) -> Any:
    """Describes a sparse tensor, which a graph has as three dense ones.

    Args:
        values: Name of the tensor of its values, such as ``"x/values:0"``.
        indices: Name of the tensor of their places.
        dense_shape: Name of the tensor of its shape.
        dtype: Of the values, as for :func:`build_tensor_info`.
        shape: Of the tensor that it stands for, as for :func:`build_tensor_info`.

    Returns:
        A ``TensorInfo`` message.

    Raises:
        TypeError, ValueError: One of them is none of these.
    """
    info = _info(dtype, shape)
    info.coo_sparse.values_tensor_name = _checked_name(values)
    info.coo_sparse.indices_tensor_name = _checked_name(indices)
    info.coo_sparse.dense_shape_tensor_name = _checked_name(dense_shape)
    return info


def build_composite_tensor_info(type_spec: Any, components: Iterable[Any]) -> Any:
    """Describes any other tensor that is made of several, such as a ragged one.

    Args:
        type_spec: A ``TypeSpecProto`` message, or its bytes: what makes one of the parts.
        components: A ``TensorInfo`` of each part.

    Returns:
        A ``TensorInfo`` message. As TensorFlow's it has no dtype and no shape of its own.

    Raises:
        TypeError: One of them is no such message.
    """
    info = messages.TensorInfo()
    info.composite_tensor.type_spec.CopyFrom(as_message(messages.TypeSpecProto, type_spec))
    for component in components:
        info.composite_tensor.components.add().CopyFrom(as_message(messages.TensorInfo, component))
    return info


def build_signature_def(
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    method_name: str | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """Makes a signature.

    Args:
        inputs: ``TensorInfo`` messages by the names under which a caller gives the tensors.
        outputs: The same of what it gets.
        method_name: What kind of signature it is, such as ``signature_constants.PREDICT_METHOD_NAME``.
        defaults: Values of inputs that a caller may leave out: arrays, or ``TensorProto`` messages. Numbers that are no
            arrays become the dtype of their input.

    Returns:
        A ``SignatureDef`` message.

    Raises:
        TypeError: What should be a message is none, or a default is no tensor.
    """
    signature = messages.SignatureDef(method_name=method_name or "")
    for what, given, into in (("input", inputs, signature.inputs), ("output", outputs, signature.outputs)):
        for key, info in (given or {}).items():
            into[key].CopyFrom(as_message(messages.TensorInfo, info, f"{what} {key!r}"))
    for key, value in (defaults or {}).items():
        signature.defaults[key].CopyFrom(_default(key, value, signature))
    return signature


def predict_signature_def(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """A signature for TensorFlow Serving's Predict: any inputs and outputs, at least one of each.

    Raises:
        ValueError: There are none.
        TypeError: One of them is no ``TensorInfo``.
    """
    for what, infos in (("inputs", inputs), ("outputs", outputs)):
        if not infos:
            raise ValueError(f"a signature for predicting needs {what}")
    return build_signature_def(inputs, outputs, keys.PREDICT_METHOD_NAME)


def regression_signature_def(examples: Any, predictions: Any) -> Any:
    """A signature for TensorFlow Serving's Regress.

    Args:
        examples: ``TensorInfo`` of the input, serialized ``tf.Example`` messages: strings.
        predictions: ``TensorInfo`` of the output: float32.

    Raises:
        ValueError: One of them is missing, or of another dtype.
        TypeError: ``predictions`` is no ``TensorInfo``.
    """
    return build_signature_def(
        {keys.REGRESS_INPUTS: _examples(examples)},
        {keys.REGRESS_OUTPUTS: _required("predictions", predictions, "DT_FLOAT")},
        keys.REGRESS_METHOD_NAME,
    )


def classification_signature_def(examples: Any, classes: Any, scores: Any) -> Any:
    """A signature for TensorFlow Serving's Classify.

    Args:
        examples: ``TensorInfo`` of the input, serialized ``tf.Example`` messages: strings.
        classes: ``TensorInfo`` of the names of the classes, strings; or None.
        scores: ``TensorInfo`` of the scores, float32; or None, but not both.

    Raises:
        ValueError: One of them is missing, or of another dtype.
        TypeError: ``classes`` or ``scores`` is no ``TensorInfo``.
    """
    inputs = {keys.CLASSIFY_INPUTS: _examples(examples)}
    if classes is None and scores is None:
        raise ValueError("a signature for classifying needs classes or scores")
    outputs = {}
    if classes is not None:
        outputs[keys.CLASSIFY_OUTPUT_CLASSES] = _required("classes", classes, "DT_STRING")
    if scores is not None:
        outputs[keys.CLASSIFY_OUTPUT_SCORES] = _required("scores", scores, "DT_FLOAT")
    return build_signature_def(inputs, outputs, keys.CLASSIFY_METHOD_NAME)


def is_valid_signature(signature_def: Any) -> bool:
    """True if TensorFlow Serving can serve the signature: by Predict, Regress or Classify."""
    if signature_def is None:
        return False
    signature = as_message(messages.SignatureDef, signature_def)
    inputs = {key: info.dtype for key, info in signature.inputs.items()}
    outputs = {key: info.dtype for key, info in signature.outputs.items()}
    string, float32 = messages.DataType.Value("DT_STRING"), messages.DataType.Value("DT_FLOAT")
    if signature.method_name == keys.PREDICT_METHOD_NAME:
        return bool(inputs and outputs)
    if signature.method_name == keys.REGRESS_METHOD_NAME:
        return inputs == {keys.REGRESS_INPUTS: string} and outputs == {keys.REGRESS_OUTPUTS: float32}
    if signature.method_name == keys.CLASSIFY_METHOD_NAME:
        allowed = {keys.CLASSIFY_OUTPUT_CLASSES: string, keys.CLASSIFY_OUTPUT_SCORES: float32}
        return inputs == {keys.CLASSIFY_INPUTS: string} and bool(outputs) and outputs.items() <= allowed.items()
    return False


def _info(dtype: Any, shape: Iterable[int | None] | None) -> Any:
    info = messages.TensorInfo(dtype=data_type(dtype))
    info.tensor_shape.CopyFrom(shape_proto(shape))
    return info


def data_type(dtype: Any) -> int:
    """The number in ``DataType`` of an element type, under any of the names that :func:`build_tensor_info` takes.

    Raises:
        TypeError: There is no such type.
    """
    from tensorbundle.train.dtypes import as_dtype

    if isinstance(dtype, str) and dtype in messages.DataType.keys():  # noqa: SIM118 - no mapping
        return int(messages.DataType.Value(dtype))
    number = getattr(dtype, "as_datatype_enum", dtype)
    if type(number) is int and number in messages.DataType.values():
        return number  # Also those of references, which signatures may have and checkpoints not.
    return as_dtype(dtype).as_datatype_enum


def shape_proto(shape: Any) -> Any:
    """A ``TensorShapeProto`` of sizes, or of TensorFlow's shapes.

    Raises:
        TypeError: It is no shape.
        ValueError: A size is negative; -1 is as good as None.
    """
    if hasattr(shape, "as_proto"):  # TensorFlow's, which does not iterate where it has no rank.
        shape = shape.as_proto()
    if hasattr(shape, "DESCRIPTOR"):
        return as_message(messages.TensorShapeProto, shape)
    if shape is None:
        return messages.TensorShapeProto(unknown_rank=True)
    proto = messages.TensorShapeProto()
    for size in shape:
        number = -1 if size is None else operator.index(size)
        if number < -1:
            raise ValueError(f"a dimension can't have size {number}")
        proto.dim.add(size=number)
    return proto


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of a tensor must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError("the name of a tensor is empty")
    return name


def _default(key: str, value: Any, signature: Any) -> Any:
    """The ``TensorProto`` of a default value."""
    from tensorbundle import dtypes
    from tensorbundle.saved_model.tensor_values import tensor_proto
    from tensorbundle.train.dtypes import as_dtype

    if hasattr(value, "DESCRIPTOR"):
        return as_message(messages.TensorProto, value)
    if type(value) in (bool, int, float, complex, list, tuple) and key in signature.inputs:
        import numpy as np

        value = np.asarray(value, dtypes.numpy_dtype(as_dtype(signature.inputs[key].dtype).name))
    return tensor_proto(key, value)


def _examples(info: Any) -> Any:
    """What is not even a ``TensorInfo`` is a ``ValueError`` here, as in TensorFlow."""
    try:
        return _required("examples", info, "DT_STRING")
    except TypeError as error:
        raise ValueError(str(error)) from error


def _required(what: str, info: Any, dtype: str) -> Any:
    if info is None:
        raise ValueError(f"{what} can't be None")
    info = as_message(messages.TensorInfo, info, what)
    if info.dtype != messages.DataType.Value(dtype):
        found = messages.DataType.Name(info.dtype) if info.dtype in messages.DataType.values() else info.dtype
        raise ValueError(f"{what} must be {dtype}, not {found}")
    return info
