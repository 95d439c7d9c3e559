"""The errors for bytes that are not what they should be, in the source or in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorbundle import errors

if TYPE_CHECKING:
    from tensorbundle.formats import RawBytes, Source


def of_source(name: str, raw: RawBytes, found: int, source: Source) -> errors.DataLossError:
    """The error for a damaged tensor of the source, as reading it gives it, with all that the source knows of it.

    Args:
        name: Of the tensor.
        raw: Where its bytes lie.
        found: Their checksum.
        source: What has the tensor.
    """
    try:
        source.read(name)
    except errors.DataLossError as error:
        return error
    message = (
        f"tensor {name!r}: {raw.path}: Checksum does not match: {raw.nbytes} bytes at {raw.offset}: "
        f"stored {raw.crc32c or 0:#010x}, computed {found:#010x}"
    )
    return errors.DataLossError(message, path=raw.path, tensor=name, offset=raw.offset)


def too_short(name: str, raw: RawBytes) -> errors.DataLossError:
    """The error for a file of the source that ends before a tensor does."""
    message = f"{raw.path!r} ends before the {raw.nbytes} bytes at {raw.offset} of tensor {name!r}"
    return errors.DataLossError(message, path=raw.path, tensor=name, offset=raw.offset)


def of_target(path: str, offset: int, nbytes: int) -> errors.DataLossError:
    """The error for a file that doesn't hold what was written to it."""
    message = f"{nbytes} bytes at {offset} of {path!r} don't read back as they were written; is the disk sound?"
    return errors.DataLossError(message, path=path, offset=offset)
