"""What is in the test files: names and arrays, the same every time."""

import dataclasses
import itertools

import numpy as np

from benchmarks.python.answers import ROWS


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the test files are.

    Attributes:
        name: ``full`` is what goals are about and what is published.
        layers, hidden, words: Of the model; its file is shaped like BERT's.
        tensors: How many tiny tensors.
        strings: How many short strings.
        variables: How many variables the calls of ``tf.train`` meet.
        rows: How many rows of 4 KiB the large variable has.
        nodes: How many nodes the graph of the large model has.
    """

    name: str
    layers: int
    hidden: int
    words: int
    tensors: int
    strings: int
    variables: int
    rows: int
    nodes: int


SIZES = {
    sizes.name: sizes
    for sizes in (
        Sizes(
            "full",
            layers=24,
            hidden=1024,
            words=30522,
            tensors=200_000,
            strings=1_000_000,
            variables=2_000,
            rows=262_144,
            nodes=110_000,
        ),
        Sizes(
            "quick",
            layers=6,
            hidden=512,
            words=30522,
            tensors=5_000,
            strings=25_000,
            variables=200,
            rows=16_384,
            nodes=5_000,
        ),
        Sizes("tiny", layers=1, hidden=8, words=30, tensors=50, strings=60, variables=20, rows=64, nodes=50),
    )
}


def bert(sizes):
    """The encoder and the word embeddings of BERT: at full size 385 tensors of float32 and 1.33 GB."""
    random = np.random.default_rng(1)
    names = {"bert/embeddings/word_embeddings": (sizes.words, sizes.hidden)}
    for layer in range(sizes.layers):
        for name, shape in _bert_layer(sizes.hidden).items():
            names[f"bert/encoder/layer_{layer}/{name}"] = shape
    return {name: random.standard_normal(shape, np.float32) for name, shape in names.items()}


def tiny_tensors(sizes):
    """Many small tensors under names as deep as large models have them: nearly all float32, and a few counters."""
    random = np.random.default_rng(2)
    shapes = {"kernel": (2, 4), "bias": (4,), "layer_norm/gamma": (4,), "layer_norm/beta": (4,), "scale": ()}
    parts = ("attention/query", "attention/key", "attention/value", "attention/output", "mlp/expand", "mlp/contract")
    slots = ("", "/adam_m", "/adam_v")
    names = (
        (f"model/tower_{tower:02d}/layer_{layer:03d}/{part}/{leaf}{slot}", shape)
        for tower, layer, part in itertools.product(range(100), range(100), parts)
        for (leaf, shape), slot in itertools.product(shapes.items(), slots)
    )
    counters = {
        f"optimizer/tower_{tower:02d}/iterations": np.int64(1000 + tower) for tower in range(sizes.tensors // 100)
    }
    tensors = {name: np.asarray(value) for name, value in counters.items()}
    for name, shape in itertools.islice(names, sizes.tensors - len(tensors)):
        tensors[name] = random.standard_normal(shape, np.float32) if shape else np.asarray(np.float32(random.random()))
    return tensors


def variables(sizes):
    """As many small variables as a large model has."""
    return tiny_tensors(dataclasses.replace(sizes, tensors=sizes.variables))


def short_strings(sizes):
    """A vocabulary: one tensor of strings of 0 to 15 bytes."""
    lengths = np.random.default_rng(3).integers(0, 16, sizes.strings).tolist()
    letters = np.random.default_rng(4).bytes(sum(lengths))
    ends = itertools.accumulate(lengths)
    strings = np.empty(sizes.strings, object)
    strings[:] = [letters[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    return {"strings": strings}


def large_variable(sizes):
    """One matrix with rows of 4 KiB: at full size 1 GiB."""
    return {"variable": np.random.default_rng(5).standard_normal((sizes.rows, 1024), np.float32)}


def small_model(_sizes):
    """The variables of a small model."""
    random = np.random.default_rng(6)
    return {f"dense/{leaf}": random.standard_normal(shape, np.float32) for leaf, shape in _dense(64, 8)}


def row_starts(sizes):
    """First rows of the parts of ``large_variable`` that are read, far apart and in no order."""
    parts = sizes.rows // ROWS
    return [part * 7919 % parts * ROWS for part in range(min(64, parts))]


def _bert_layer(hidden):
    shapes = {
        f"attention/self/{part}/{leaf}": shape
        for part in ("query", "key", "value")
        for leaf, shape in _dense(hidden, hidden)
    }
    dense = {"attention/output": (hidden, hidden), "intermediate": (hidden, 4 * hidden), "output": (4 * hidden, hidden)}
    for part, (inputs, outputs) in dense.items():
        shapes.update((f"{part}/dense/{leaf}", shape) for leaf, shape in _dense(inputs, outputs))
    for part in ("attention/output", "output"):
        shapes.update((f"{part}/LayerNorm/{leaf}", (hidden,)) for leaf in ("beta", "gamma"))
    return shapes


def _dense(inputs, outputs):
    return ("kernel", (inputs, outputs)), ("bias", (outputs,))


CONTENTS = {
    "bert": bert,
    "tiny_tensors": tiny_tensors,
    "short_strings": short_strings,
    "large_variable": large_variable,
    "variables": variables,
    "small_model": small_model,
    "large_model": variables,
}
# Those that are SavedModels: how many nodes their graphs have.
MODELS = {"small_model": lambda _sizes: 50, "large_model": lambda sizes: sizes.nodes}
