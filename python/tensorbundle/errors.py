"""What this package raises, besides the built-in classes.

Every class derives from :class:`TensorBundleError` and from the built-in class that describes the failure best, so that
``except KeyError`` and ``except tensorbundle.errors.NotFoundError`` both work. Names and numeric codes are
TensorFlow's. A system call that fails is the system's own ``OSError``, with its errno and path; a wrong argument is a
``ValueError`` or ``TypeError``, raised before anything is read.
"""

from __future__ import annotations

__all__ = [
    "BuilderError",
    "ConversionError",
    "DamageWarning",
    "DataLossError",
    "InternalError",
    "LimitError",
    "NotFoundError",
    "OpError",
    "OutOfRangeError",
    "ReservedKeyError",
    "TagsNotFoundError",
    "TensorBundleError",
    "UnimplementedError",
]


class TensorBundleError(Exception):
    """Base of every error of this package; also named ``OpError``, as TensorFlow's.

    It is made of a message, or of TensorFlow's three arguments: ``NotFoundError(node_def, op, message)``.

    Attributes:
        message: What happened, where, and the numbers, in one line; also what ``str()`` gives.
        path: File that it happened in, or None.
        tensor: Name of the tensor concerned, or None.
        offset: Byte offset in the file, or None.
        error_code: TensorFlow's number of this kind of error, such as 5 for ``NOT_FOUND``.
        node_def: Always None; there is no graph.
        op: Always None; there is no graph.
    """

    error_code: int = 2  # UNKNOWN
    node_def: None = None
    op: None = None

    def __init__(
        self,
        message: object = "",
        *op_and_message: object,
        path: str | None = None,
        tensor: str | None = None,
        offset: int | None = None,
    ) -> None:
        if op_and_message:
            _, message = op_and_message[:2]
        message = str(message)
        # Pickling calls the class with `args` and then restores the attributes, so that `args` holds the message alone.
        super().__init__(message)
        self.message = message
        self.path = path
        self.tensor = tensor
        self.offset = offset

    def __str__(self) -> str:
        # A KeyError would print the repr of its message.
        return self.message


OpError = TensorBundleError


class NotFoundError(TensorBundleError, KeyError):
    """There is no tensor, tag or signature of that name. The message offers the nearest ones."""

    error_code = 5  # NOT_FOUND


class TagsNotFoundError(NotFoundError, RuntimeError):
    """No meta graph of the SavedModel has these tags. The message lists the tag sets that there are."""


class DataLossError(TensorBundleError, ValueError):
    """The bytes contradict the format or a checksum: the file is damaged, or is something else."""

    error_code = 15  # DATA_LOSS


class OutOfRangeError(DataLossError, IndexError):
    """A file ends before what should be in it. Raised by ``tensorbundle.train``; TensorFlow raises ``IndexError``."""

    error_code = 11  # OUT_OF_RANGE


class UnimplementedError(TensorBundleError, NotImplementedError):
    """A valid request that this version doesn't serve."""

    error_code = 12  # UNIMPLEMENTED


class LimitError(TensorBundleError, ValueError):
    """Something is larger than a limit. The message names the limit."""

    error_code = 8  # RESOURCE_EXHAUSTED


class BuilderError(TensorBundleError, AssertionError):
    """A SavedModel builder refuses what it was asked for."""

    error_code = 9  # FAILED_PRECONDITION


class ConversionError(TensorBundleError, RuntimeError):
    """A task of a conversion died, or what ran it did. Nothing of the target has changed, and it can be run again."""

    error_code = 10  # ABORTED


class ReservedKeyError(BuilderError, KeyError):
    """A key of a SavedModel that only its builder may use. TensorFlow raises ``KeyError``."""


class InternalError(TensorBundleError, RuntimeError):
    """A bug of this package. Please report it, with the message."""

    error_code = 13  # INTERNAL


class DamageWarning(UserWarning):
    """Some tensors of a checkpoint can't be read, or not even listed; or a ``checkpoint`` file can't be understood."""
