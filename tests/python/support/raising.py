"""What child processes do for tests of errors; they can import this, and not a test module."""

from __future__ import annotations

from tensorbundle import errors


def raise_in_child(kind: type[errors.TensorBundleError]) -> None:
    raise kind("what happened", path="dir/variables.index", tensor="w", offset=4096)
