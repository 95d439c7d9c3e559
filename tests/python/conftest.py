"""What every test in this folder may ask for."""

from support.fixtures import (  # noqa: F401
    corpus_checkpoint,
    golden_checkpoint,
    golden_directory,
    tensorflow,
    write_bundle,
)
