"""Fingerprints beside TensorFlow's: the hash function, the models of the corpus, and models that TensorFlow saves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support import corpus

from tensorbundle import _core
from tensorbundle.protos import convert, messages
from tensorbundle.saved_model.fingerprint import make_fingerprint, read_fingerprint, singleprint

pytestmark = pytest.mark.usefixtures("tensorflow")

HASHES = [
    "saved_model_checksum",
    "graph_def_program_hash",
    "signature_def_hash",
    "saved_object_graph_hash",
    "checkpoint_hash",
]
DIRECTORIES = sorted({path.parent for sample in corpus.samples() for path in sample.directory.rglob("saved_model.pb")})


def hashes(fingerprint) -> dict[str, int]:
    return {name: getattr(fingerprint, name) for name in HASHES}


def ours(directory: Path):
    index = directory / "variables" / "variables.index"
    saved_model = convert.read_file(messages.SavedModel, str(directory / "saved_model.pb"))
    return make_fingerprint(saved_model, index.read_bytes() if index.exists() else None)


def theirs(directory: Path):
    """What TensorFlow computes of a model now, whatever lies beside it."""
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    return messages.FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(str(directory)))


def test_hash_is_farmhashs(tensorflow):
    source = random.Random(1)
    for size in (*range(301), 1023, 1024, 1025, 65_537, 1 << 20):
        data = source.randbytes(size)
        expected = tensorflow.fingerprint([data], method="farmhash64").numpy().tobytes()
        assert _core.fingerprint64(data).to_bytes(8, "little") == expected, size


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda directory: directory.name)
def test_models_of_the_corpus(directory):
    expected = theirs(directory)
    assert hashes(ours(directory)) == hashes(expected)
    assert ours(directory).version == expected.version


def test_a_model_that_tensorflow_saves(tensorflow, tmp_path):
    tf = tensorflow

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.ones([2, 3]), name="kernel")
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2], value_dtype=tf.int64), -1
            )

        # With a dozen arguments: maps with numbers of one digit and of two.
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name=f"x{number}") for number in range(12)])
        def many(self, *arguments):
            return {"y": tf.add_n(arguments) @ self.kernel, "n": self.table.lookup(tf.constant(["a"]))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
        def branch(self, x):
            return {"T": tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: self._doubled(x)), "Tidx": x}

        @tf.function
        def _doubled(self, x):
            return x * 2

    model = Model()
    tf.saved_model.save(model, str(tmp_path), signatures={"many": model.many, "serving_default": model.branch})
    expected = tf.saved_model.experimental.read_fingerprint(str(tmp_path))
    found, made = read_fingerprint(tmp_path), ours(tmp_path)
    for fingerprint in (found, made):
        assert hashes(fingerprint) == hashes(expected)
        assert singleprint(fingerprint) == expected.singleprint()
    assert found.version == made.version
    assert 0 not in hashes(made).values()


def test_names_without_a_number(tmp_path):
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    saved_model = messages.SavedModel()
    saved_model.meta_graphs.add().object_graph_def.concrete_functions["name"].SetInParent()
    (tmp_path / "saved_model.pb").write_bytes(convert.serialize(saved_model))
    with pytest.raises(fingerprinting.FingerprintException):
        theirs(tmp_path)
    with pytest.raises(ValueError, match="does not end with a number"):
        ours(tmp_path)


def test_what_is_written_is_read_by_tensorflow(tensorflow, tmp_path):
    saved_model = messages.SavedModel()
    saved_model.meta_graphs.add()
    fingerprint = make_fingerprint(saved_model, None)
    (tmp_path / "fingerprint.pb").write_bytes(convert.serialize(fingerprint))
    found = tensorflow.saved_model.experimental.read_fingerprint(str(tmp_path))
    assert hashes(found) == hashes(fingerprint)
    assert found.singleprint() == singleprint(fingerprint)
