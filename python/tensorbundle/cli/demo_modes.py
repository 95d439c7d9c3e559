"""One measurement of the demo, in a process of its own: ``python -m tensorbundle.cli.demo_modes MODE PREFIX THREADS``.

Prints one JSON object: seconds, bytes and memory, and whether every array was right.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

import tensorbundle
import tensorbundle.outputs  # Or loading would import it on the clock, and what the next two names need.
from tensorbundle import load, save
from tensorbundle.cli.demo_writer import checksums_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

# Of each matrix, the rows that the partial mode reads: one in a hundred, from the middle.
_PART = 100


def _views(prefix: str, threads: int | None) -> Arrays:
    return load(prefix, threads=threads)


def _unverified_views(prefix: str, threads: int | None) -> Arrays:
    return load(prefix, threads=threads, verify=False)


def _copies(prefix: str, threads: int | None) -> Arrays:
    return load(prefix, threads=threads, copy=True)


def _pread(prefix: str, threads: int | None) -> Arrays:
    return load(prefix, threads=threads, mmap=False)


def _rows(prefix: str, threads: int | None) -> Arrays:
    with tensorbundle.open(prefix, threads=threads) as checkpoint:
        matrices = [entry for entry in checkpoint.entries() if len(entry.shape) == 2 and entry.shape[0] >= _PART]
        return {entry.name: checkpoint.read(entry.name, index=part_of(entry.shape[0])) for entry in matrices}


def _plain_file(prefix: str, threads: int | None) -> Arrays:  # noqa: ARG001 - one thread, as read() has
    """The data file as bytes: what no reader of it can do without, unless it maps the file."""
    with open(f"{prefix}.data-00000-of-00001", "rb", buffering=0) as file:
        data = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        view = data.data
        while view:
            view = view[file.readinto(view) :]
    return {"": data}


def _tensorflow(prefix: str, threads: int | None) -> Arrays:  # noqa: ARG001 - it has no such option
    tensorflow = importlib.import_module("tensorflow")  # It has no annotations that a checker could use.
    reader = tensorflow.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


MODES: dict[str, Callable[[str, int | None], Arrays]] = {
    "views": _views,
    "unverified": _unverified_views,
    "copies": _copies,
    "pread": _pread,
    "rows": _rows,
    "file": _plain_file,
    "tensorflow": _tensorflow,
}


def _save(arrays: Arrays, threads: int | None) -> Callable[[str], object]:
    return lambda prefix: save(prefix, arrays, durable=False, threads=threads)


def _save_durably(arrays: Arrays, threads: int | None) -> Callable[[str], object]:
    return lambda prefix: save(prefix, arrays, threads=threads)


def _save_with_tensorflow(arrays: Arrays, threads: int | None) -> Callable[[str], object]:  # noqa: ARG001 - as above
    """``SaveV2``, as all of its own savers use it, with tensors of its own."""
    tensorflow = importlib.import_module("tensorflow")
    names = sorted(arrays)
    inputs = {
        "tensor_names": tensorflow.constant(names),
        "shape_and_slices": tensorflow.constant([""] * len(names)),
        "tensors": [tensorflow.constant(arrays[name]) for name in names],
    }
    return lambda prefix: tensorflow.raw_ops.SaveV2(prefix=prefix, **inputs)


# From arrays and number of threads to what saves them under a prefix.
SAVING_MODES: dict[str, Callable[[Arrays, int | None], Callable[[str], object]]] = {
    "save": _save,
    "save_durable": _save_durably,
    "save_tensorflow": _save_with_tensorflow,
}


def part_of(rows: int) -> slice:
    """The rows of a matrix that the partial mode reads."""
    return slice(rows // 2, rows // 2 + rows // _PART)


def measure(mode: str, prefix: str, threads: int | None) -> dict[str, Any]:
    """Loads in one of the modes, then reads every byte of the arrays, then checks them; or saves them and checks.

    Returns:
        ``loading`` (None for saving) and ``seconds`` (with the reading of every byte), ``nbytes``, ``memory`` (bytes
        that are not page cache, taken between the start and the end), ``correct``, and ``importing`` for TensorFlow.
    """
    importing = _import_seconds() if "tensorflow" in mode else None
    measured = _measure_saving if mode in SAVING_MODES else _measure_loading
    return {**measured(mode, prefix, threads), "importing": importing}


def _measure_saving(mode: str, prefix: str, threads: int | None) -> dict[str, Any]:
    arrays = load(prefix, copy=True)
    save_to = SAVING_MODES[mode](arrays, threads)
    nbytes = sum(array.nbytes for array in arrays.values())
    with tempfile.TemporaryDirectory(prefix="saved-", dir=os.path.dirname(prefix)) as folder:
        path = os.path.join(folder, "saved")
        base = _anonymous_memory()
        start = time.perf_counter()
        save_to(path)
        seconds = time.perf_counter() - start
        memory = _anonymous_memory() - base
        correct = _is_correct(mode, prefix, load(path))
    return {"loading": None, "seconds": seconds, "memory": memory, "nbytes": nbytes, "correct": correct}


def _measure_loading(mode: str, prefix: str, threads: int | None) -> dict[str, Any]:
    base = _anonymous_memory()
    existing = _existing_arrays(prefix) if mode == "out" else None
    start = time.perf_counter()
    if existing is None:
        arrays = MODES[mode](prefix, threads)
    else:
        arrays = load(prefix, threads=threads, out=existing)
    loaded = time.perf_counter()
    for array in arrays.values():
        _touch(array)
    done = time.perf_counter()
    memory = _anonymous_memory() - base
    result = {"loading": loaded - start, "seconds": done - start, "memory": memory}
    nbytes = sum(array.nbytes for array in arrays.values())
    return {**result, "nbytes": nbytes, "correct": _is_correct(mode, prefix, arrays)}


def _existing_arrays(prefix: str) -> Arrays:
    """Arrays to read into, whose memory was touched before."""
    with tensorbundle.open(prefix) as checkpoint:
        return {entry.name: np.ones(entry.shape, entry.dtype) for entry in checkpoint.entries()}


def _import_seconds() -> float:
    start = time.perf_counter()
    importlib.import_module("tensorflow")
    return time.perf_counter() - start


def _touch(array: NDArray[Any]) -> int:
    """Reads every byte, at the speed of memory or nearly so."""
    flat = array.reshape(-1).view(np.uint8)
    words = flat[: flat.size // 8 * 8].view(np.uint64) if flat.ctypes.data % 8 == 0 else flat[:0].view(np.uint64)
    rest = flat[words.nbytes :]
    return int(np.bitwise_xor.reduce(words)) ^ int(np.bitwise_xor.reduce(rest))


def _is_correct(mode: str, prefix: str, arrays: Arrays) -> bool:
    """Compares with the checksums that the writer computed."""
    with open(checksums_path(prefix), encoding="ascii") as file:
        checksums = json.load(file)
    if mode == "file":
        with tensorbundle.open(prefix) as checkpoint:
            places = {
                entry.name: slice(entry.offset, (entry.offset or 0) + entry.nbytes) for entry in checkpoint.entries()
            }
        arrays = {name: arrays[""][place] for name, place in places.items()}
    if mode == "rows":
        whole = load(prefix, arrays.keys(), copy=True)
        wholes_are_right = all(zlib.crc32(array.data) == checksums[name] for name, array in whole.items())
        return wholes_are_right and all(
            np.array_equal(array, whole[name][part_of(len(whole[name]))]) for name, array in arrays.items()
        )
    return arrays.keys() == checksums.keys() and all(
        zlib.crc32(array.data) == checksums[name] for name, array in arrays.items()
    )


def _anonymous_memory() -> int:
    """Bytes of this process that are not page cache; on macOS the largest resident set so far, page cache included."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["RssAnon"].split()[0]) * 1024
    except (OSError, KeyError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measures what the command line says."""
    mode, prefix, threads = sys.argv[1:]
    json.dump(measure(mode, prefix, int(threads) or None), sys.stdout)


if __name__ == "__main__":
    main()
