"""Writing an ``.npz`` file array by array, each of them chunk by chunk."""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, Any

from tensorbundle import errors
from tensorbundle.formats.npz.dtypes import can_hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import IO

    from numpy.typing import NDArray
    from typing_extensions import Self

_MAX_NAME_BYTES = 65_535 - len(".npy")


class Writer:
    """Writes one file, byte for byte as ``numpy.savez`` would: not compressed, and without the time.

    A context manager that completes the file, unless its block raises.

    Args:
        file: Opened for writing in binary mode, buffered and seekable. It stays open.

    Example:
        >>> with open("weights.npz", "wb") as file, npz.Writer(file) as writer:
        ...     writer.add("kernel", "float32", (1_000_000, 768), blocks)
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._names: set[str] = set()

    def add(self, name: str, dtype: str, shape: Sequence[int], chunks: Iterable[NDArray[Any]]) -> None:
        """Writes one array.

        Args:
            name: Its name.
            dtype: TensorFlow's name of its element type, one that :func:`can_hold` is true of.
            shape: Its shape.
            chunks: Its elements in row-major order, in arrays of any shape and layout that together are the whole.

        Raises:
            UnimplementedError: There is no such element type.
            TypeError: A chunk is of another type.
            ValueError: A name that the format can't hold, or that was given before; or chunks that aren't the whole.
        """
        import numpy as np

        if not can_hold(dtype):
            raise errors.UnimplementedError(
                f"tensor {name!r} is of type {dtype}, which .npz files can't hold", tensor=name
            )
        self._check_name(name)
        stored = np.dtype(dtype).newbyteorder("<")
        header = {"descr": np.lib.format.dtype_to_descr(stored), "fortran_order": False, "shape": tuple(shape)}
        rest = math.prod(shape)
        # Whatever its size: a reader finds the sizes where it looks for those of large files.
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for chunk in chunks:
                if chunk.dtype.newbyteorder("=") != stored.newbyteorder("="):
                    raise TypeError(f"tensor {name!r}: expected a chunk of {dtype}, found {chunk.dtype}")
                rest -= chunk.size
                if rest < 0:
                    break
                member.write(np.ascontiguousarray(chunk, stored).reshape(-1).view(np.uint8).data)
        if rest:
            raise ValueError(f"tensor {name!r}: chunks of {math.prod(shape) - rest} elements for shape {list(shape)}")

    def _check_name(self, name: str) -> None:
        why = None
        if name in self._names:
            why = "it is given twice"
        elif "\0" in name:
            why = "it has a zero in it"
        else:
            try:
                too_long = len(name.encode("utf-8")) > _MAX_NAME_BYTES
            except UnicodeEncodeError:
                why = "it has no UTF-8"
            else:
                why = "it is too long" if too_long else None
        if why is not None:
            raise ValueError(f".npz files can't hold a tensor called {name[:200]!r}: {why}")
        self._names.add(name)

    def close(self) -> None:
        """Completes the file. May be called again."""
        self._archive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._archive.fp = None  # Or it would be completed when it is collected.
