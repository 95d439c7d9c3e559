"""``as_tensorflow``: for a while, ``import tensorflow`` gives what this package can do of it."""

from __future__ import annotations

import contextlib
import importlib.abc
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator, Sequence

_ROOT = "tensorflow"

# Entering and leaving change what the whole process imports.
_lock = threading.RLock()
_installed: _Installed | None = None


@contextlib.contextmanager
def as_tensorflow() -> Iterator[types.ModuleType]:
    """Lets an unmodified program that only reads checkpoints ``import tensorflow``.

    Inside, ``tensorflow`` has ``train``, ``errors``, ``io.gfile``, ``saved_model`` (variables only), the element types,
    ``cast`` and ``device``, the same under ``compat.v1`` and ``compat.v2``, and those modules of ``tensorflow.python``
    that readers import. Anything else is an ``AttributeError`` or a ``ModuleNotFoundError`` that says so.

    It is for the whole process: other threads import the same meanwhile. Blocks may be nested, and threads may enter at
    the same time: all get the same modules, and the last one to leave takes them away, after an exception too. What a
    program has imported it keeps.

    Yields:
        The module ``tensorflow``.

    Raises:
        RuntimeError: TensorFlow itself has been imported.

    Example:
        >>> with tb.train.as_tensorflow():
        ...     model = transformers.load_tf_weights_in_bert(model, config, "bert_model.ckpt")
    """
    root = _enter()
    try:
        yield root
    finally:
        _leave()


class _Installed:
    """The modules while they stand in, and what was in their place.

    Attributes:
        modules: By name.
        depth: How many blocks there are.
    """

    def __init__(self) -> None:
        from tensorbundle.train.stand_in.modules import WHAT_THIS_IS, build

        self.modules = build()
        self.depth = 0
        self._finder = _Finder(WHAT_THIS_IS)
        # None means that the import was forbidden, which is how some hide a package that is there.
        self._forbidden = [name for name in sys.modules if _is_tensorflow(name)]

    def install(self) -> None:
        sys.modules.update(self.modules)
        sys.meta_path.insert(0, self._finder)

    def remove(self) -> None:
        # A block that nobody leaves ends with the interpreter, which has set the list to None by then.
        with contextlib.suppress(ValueError, AttributeError):
            sys.meta_path.remove(self._finder)
        for name, module in self.modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        sys.modules.update(dict.fromkeys(self._forbidden))  # type: ignore[arg-type]


class _Finder(importlib.abc.MetaPathFinder):
    """Says of the modules that don't stand in what this is, before any other finder can find the real ones."""

    def __init__(self, what_this_is: str) -> None:
        self._what_this_is = what_this_is

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> None:  # noqa: ARG002
        if _is_tensorflow(fullname):
            # Without `name`: `from tensorflow import x` would take it for its own and say less.
            raise ModuleNotFoundError(f"No module named {fullname!r}: {self._what_this_is}")


def _enter() -> types.ModuleType:
    global _installed  # noqa: PLW0603 - sys.modules is one per process as well
    with _lock:
        if _installed is None:
            _refuse_the_real_one()
            _installed = _Installed()
            _installed.install()
        _installed.depth += 1
        return _installed.modules[_ROOT]


def _leave() -> None:
    global _installed  # noqa: PLW0603
    with _lock:
        if _installed is not None:
            _installed.depth -= 1
            if _installed.depth == 0:
                _installed.remove()
                _installed = None


def _refuse_the_real_one() -> None:
    if found := next(
        (name for name, module in sys.modules.items() if _is_tensorflow(name) and module is not None), None
    ):
        raise RuntimeError(
            f"TensorFlow itself has been imported ({found!r} is in sys.modules): nothing can stand in for it now. "
            "Use it, or enter tensorbundle.train.as_tensorflow() in a process without it"
        )


def _is_tensorflow(name: str) -> bool:
    return name == _ROOT or name.startswith(f"{_ROOT}.")
