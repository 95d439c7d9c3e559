"""NumPy's ``.npz``: a zip file with an ``.npy`` file for each array. Nothing is ever unpickled."""

from tensorbundle.formats.npz.dtypes import can_hold
from tensorbundle.formats.npz.source import NpzSource
from tensorbundle.formats.npz.writer import Writer

__all__ = ["NpzSource", "Writer", "can_hold"]
