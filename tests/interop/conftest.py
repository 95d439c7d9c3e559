"""The fixtures of ``tests/python``, for tests that need TensorFlow."""

from support.fixtures import (  # noqa: F401
    corpus_checkpoint,
    golden_checkpoint,
    golden_directory,
    tensorflow,
    write_bundle,
)
