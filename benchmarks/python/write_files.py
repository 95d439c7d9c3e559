"""Writes the test files, with TensorFlow: ``python -m benchmarks.python.write_files DIRECTORY SIZES NAME...``.

Beside each checkpoint ``NAME`` lies ``NAME.json``: what it holds, how large it is, and the truth that every answer is
compared with, taken from the arrays before TensorFlow saw them.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from benchmarks.python import answers, contents


def write(directory, sizes, name):
    tensors = contents.CONTENTS[name](sizes)
    prefix = directory / name
    if name in contents.MODELS:
        prefix = prefix / "variables" / "variables"
        prefix.parent.mkdir(parents=True, exist_ok=True)
        write_graph(directory / name, contents.MODELS[name](sizes))
    names = sorted(tensors)
    values = [tensors[key] for key in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    if name == "bert":
        write_safetensors(prefix.with_suffix(".safetensors"), tensors)
    data = Path(f"{prefix}.data-00000-of-00001")
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        sync(path)
    record = {
        "sizes": sizes.name,
        "prefix": str(prefix),
        "data": str(data),
        "tensors": len(tensors),
        "bytes": data.stat().st_size,
        "starts": contents.row_starts(sizes),
        "truth": {**truth(tensors), **file_truth(data)},
    }
    if name == "large_variable":
        record["truth"]["rows"] = row_truth(tensors["variable"], record["starts"])
    (directory / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")


def write_graph(export_dir, num_nodes):
    """A ``saved_model.pb`` with one signature and a long chain of nodes, at 100 bytes each."""
    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = model.meta_graphs.add()
    meta_graph.meta_info_def.tags.append("serve")
    graph = meta_graph.graph_def
    float32 = tf.compat.v1.AttrValue(type=tf.float32.as_datatype_enum)
    name = "x"
    graph.node.add(name=name, op="Placeholder", attr={"dtype": float32})
    for step in range(num_nodes):
        inputs, name = [name], f"model/tower_{step % 100:02d}/layer_{step // 100:04d}/activation"
        graph.node.add(name=name, op="Tanh", input=inputs, attr={"T": float32})
    graph.node.add(name="y", op="Identity", input=[name], attr={"T": float32})
    signature = meta_graph.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    for arguments, argument in ((signature.inputs, "x"), (signature.outputs, "y")):
        arguments[argument].name = f"{argument}:0"
        arguments[argument].dtype = tf.float32.as_datatype_enum
    (export_dir / "saved_model.pb").write_bytes(model.SerializeToString())


def truth(tensors):
    listing = [
        (name, "string" if array.dtype == object else str(array.dtype), array.shape) for name, array in tensors.items()
    ]
    return {
        "digest": answers.digest(tensors),
        "touched": answers.touch(tensors, 1),
        "listing": answers.listing_digest(listing),
    }


def row_truth(variable, starts):
    return {str(start): answers.digest({"rows": variable[start : start + answers.ROWS]}) for start in starts}


def file_truth(path):
    size = path.stat().st_size
    words = np.zeros(-(-size // 8), "<u8")
    words.view(np.uint8)[:size] = np.fromfile(path, np.uint8)
    return {"size": size, "words": int(words.sum(dtype=np.uint64))}


def write_safetensors(path, tensors):
    try:
        from safetensors.numpy import save_file
    except ModuleNotFoundError:
        return  # Its rival will say so.
    save_file(tensors, path)


def sync(path):
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def main():
    directory, sizes, *names = sys.argv[1:]
    for name in names:
        write(Path(directory), contents.SIZES[sizes], name)


if __name__ == "__main__":
    main()
