"""Where the repository, the golden files and the open corpus lie."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = REPOSITORY / "tests" / "golden"


def corpus_directory() -> Path | None:
    """``$TENSORBUNDLE_CORPUS``, or ``shared/corpus/open`` beside the repository, or None.

    A variable that points nowhere is an error: somebody wanted these tests to run.
    """
    named = os.environ.get("TENSORBUNDLE_CORPUS")
    if named:
        directory = Path(named)
        if not (directory / "MANIFEST.json").is_file():
            raise FileNotFoundError(f"TENSORBUNDLE_CORPUS={named} has no MANIFEST.json")
        return directory
    directory = REPOSITORY.parent / "shared" / "corpus" / "open"
    return directory if (directory / "MANIFEST.json").is_file() else None
