"""Exports models with TensorFlow into a directory, and says in ``expected.json`` what must be found in them.

A process of its own: it takes TensorFlow and Keras a while to start, and the tests are to read without them.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402 - TensorFlow looks at the variables when it is imported
import tensorflow as tf  # noqa: E402

v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)


def module(directory: Path) -> dict[str, Any]:
    """Nested modules with a list, a shared one and a cycle, an asset, a table, an optimizer with slots."""

    class Layer(tf.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.kernel = tf.Variable(np.arange(size, dtype=np.float32), name="kernel")
            self.unnamed = tf.Variable(float(size))

    class Model(tf.Module):
        def __init__(self, vocabulary: str) -> None:
            super().__init__()
            self.encoder = {"layer_0": Layer(3), "layer.1/x": Layer(4)}
            self.shared = [self.encoder["layer_0"], Layer(5)]
            self.encoder["layer_0"].parent = self
            self.vocabulary = tf.saved_model.Asset(vocabulary)
            keys = tf.lookup.TextFileInitializer(self.vocabulary, tf.string, 0, tf.int64, 1, delimiter=" ")
            self.table = tf.lookup.StaticHashTable(keys, -1)
            self.optimizer = v1.train.AdamOptimizer()
            kernel = self.encoder["layer_0"].kernel
            self.optimizer.apply_gradients([(tf.ones_like(kernel), kernel)])

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
        def look_up(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"ids": self.table.lookup(words)}

    vocabulary = directory.parent / "vocabulary.txt"
    vocabulary.write_text("a 0\nb 1\n", encoding="ascii")
    model = Model(str(vocabulary))
    tf.saved_model.save(model, str(directory), signatures={"words": model.look_up})
    layer = model.encoder["layer_0"]
    found = {
        "encoder/layer_0/kernel": layer.kernel,
        "shared/0/kernel": layer.kernel,
        "shared/0/parent/shared/1/kernel": model.shared[1].kernel,
        "encoder/layer..1.Sx/unnamed": model.encoder["layer.1/x"].unnamed,
        "encoder/layer_0/kernel/.OPTIMIZER_SLOT/optimizer/m": model.optimizer.get_slot(layer.kernel, "m"),
        "shared/0/kernel/.OPTIMIZER_SLOT/optimizer/v": model.optimizer.get_slot(layer.kernel, "v"),
    }
    return {"variables": _values(found), "tags": [["serve"]], "signatures": ["__saved_model_init_op", "words"]}


def keras(directory: Path) -> dict[str, Any]:
    """What Keras exports: each weight is stored twice."""
    import keras as k

    inputs = k.Input((4,), name="x")
    outputs = k.layers.Dense(2, name="out")(k.layers.BatchNormalization()(k.layers.Dense(3, name="first")(inputs)))
    model = k.Model(inputs, outputs)
    model.export(str(directory), verbose=False)
    found = {f"variables/{number}": variable.value for number, variable in enumerate(model.variables)}
    signatures = ["__saved_model_init_op", "serve", "serving_default"]
    return {"variables": _values(found), "tags": [["serve"]], "signatures": signatures}


def builder(directory: Path) -> dict[str, Any]:
    """Two meta graphs of TensorFlow 1 with a partitioned variable, an asset, a main op and a conditional."""
    asset = directory.parent / "words.txt"
    asset.write_text("words", encoding="ascii")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        partitions = v1.fixed_size_partitioner(3)
        table = v1.get_variable("table", initializer=tf.reshape(tf.range(10.0), [5, 2]), partitioner=partitions)
        scale = v1.get_variable("scale", initializer=3.0, use_resource=True)
        y = tf.identity(v1.cond(scale > 2, lambda: x * scale, lambda: x), name="y")
        path = tf.constant(str(asset), name="path")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        with v1.colocate_with(scale.op):
            main = tf.group(tf.identity(path), name="main")
        session.run(v1.global_variables_initializer())
        tensors = {"x": v1.saved_model.utils.build_tensor_info(x)}, {"y": v1.saved_model.utils.build_tensor_info(y)}
        signature = v1.saved_model.signature_def_utils.build_signature_def(*tensors, "tensorflow/serving/predict")
        made = v1.saved_model.Builder(str(directory))
        made.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, assets_collection=[path], main_op=main
        )
        made.add_meta_graph(["serve", "gpu"], {"serving_default": signature})
        made.save()
        found = dict(zip(("table", "scale"), session.run([table.as_tensor(), scale])))
        found |= {f"table/part_{number}": session.run(part) for number, part in enumerate(table)}
    return {
        "variables": _values(found),
        "tags": [["serve"], ["serve", "gpu"]],
        "signatures": ["serving_default"],
        "scoped": scoped(directory),
    }


def writing(directory: Path) -> dict[str, Any]:
    """A file is written in one branch of a conditional in a loop."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.bool, name="flag")])
        def __call__(self, flag: tf.Tensor) -> dict[str, tf.Tensor]:
            def write() -> tf.Tensor:
                tf.io.write_file("/tmp/never", "text")
                return tf.constant(1)

            def step(number: tf.Tensor) -> tuple[tf.Tensor]:
                return (number + tf.cond(flag, write, lambda: tf.constant(2)),)

            return {"y": tf.while_loop(lambda number: number < 6, step, [tf.constant(0)])[0]}

    model = Model()
    tf.saved_model.save(model, str(directory), signatures=model.__call__)
    return {"variables": {}, "tags": [["serve"]], "signatures": ["__saved_model_init_op", "serving_default"]}


def scoped(directory: Path) -> dict[str, Any]:
    """The names that TensorFlow gives a graph that it loads under a scope."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(directory), import_scope="outer/inner")
        nodes = {
            node.name: [list(node.input), sorted(group.decode() for group in node.attr["_class"].list.s)]
            for node in graph.as_graph_def().node
        }
        parts = [variable.name for variable in graph.get_collection("variables")]
        wholes = [variable._save_slice_info.full_name for variable in graph.get_collection("variables")[:3]]
        main = [node.name for node in graph.get_collection("saved_model_main_op")]
    return {"nodes": nodes, "variables": parts, "wholes": wholes, "main": main}


def _values(found: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in found.items()}


def main(directory: Path) -> None:
    made = {make.__name__: make(directory / make.__name__) for make in (module, keras, builder, writing)}
    (directory / "expected.json").write_text(json.dumps(made), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
