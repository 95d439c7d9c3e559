"""What a rival answered, compared with the truth: sums over every byte that whoever wrote the file took beforehand.

An answer is a dict from a kind to a value. The kinds:

    tensors   name -> array: dtypes, shapes and bytes
    touched   the number that ``touch`` gave for all tensors
    listing   (name, dtype, shape) of every tensor
    rows      first row -> that row and the ones after it, of the file's one variable
    same      whether what was saved is what was to be saved, by the rival's own comparison
    safetensors  path of a safetensors file: its own package reads it
    saved     prefix of a checkpoint that was saved: it is read again, thoroughly also by TensorFlow
    words     the data file's 64-bit words added up
    size      the data file's size in bytes
    output    what a program printed
    shown     names of tensors in what a program printed about a model
"""

import hashlib
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.python import read_back

ROWS = 16


class WrongAnswerError(Exception):
    """A rival's answer is not what is in the file; its times are worth nothing."""


def require(answer, truth, *, threads, thorough):
    """Compares an answer with the truth.

    ``thorough`` compares a cryptographic digest; otherwise tensors are compared by the sum that ``touch`` takes, which
    reads every byte too.

    Raises:
        WrongAnswerError: They differ.
    """
    for kind, value in answer.items():
        for expected, found in _COMPARE[kind](value, truth, threads, thorough):
            if expected != found:
                raise WrongAnswerError(f"{kind}: expected {expected}, found {found}")


def digest(tensors):
    """SHA-256 over name, dtype, shape and bytes of each tensor, in the order of the names."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        state.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode())
        for part in _parts(array):
            state.update(part)
    return state.hexdigest()


def touch(tensors, threads):
    """Reads every byte of every tensor, with that many threads: a number made of the sums of all."""
    arrays = [np.asarray(tensors[name]) for name in sorted(tensors)]
    if threads > 1 and len(arrays) > 1:
        with ThreadPoolExecutor(threads) as pool:
            sums = list(pool.map(_sum_all, (arrays[start::threads] for start in range(threads))))
        sums = [sums[at % threads][at // threads] for at in range(len(arrays))]
    else:
        sums = _sum_all(arrays)
    return zlib.crc32(b"".join(number.to_bytes(8, "little") for number in sums))


def sum_array(array):
    """Reads every byte: the elements as unsigned numbers of their width, added up; for strings, a CRC-32."""
    if array.dtype == object:
        sums = 0
        for part in _parts(array):
            sums = zlib.crc32(part, sums)
        return sums
    words = array.reshape(-1).view(f"u{array.itemsize}")
    return int(np.add.reduce(words, dtype=words.dtype))


def listing_digest(listing):
    """SHA-256 over a listing of ``(name, dtype, shape)`` in any order."""
    state = hashlib.sha256()
    for name, dtype, shape in sorted(listing):
        state.update(f"{name}\0{dtype}\0{tuple(shape)}\0".encode())
    return state.hexdigest()


def _sum_all(arrays):
    return [sum_array(array) for array in arrays]


def _parts(array):
    """An array's bytes; of strings, their lengths and then their bytes."""
    if array.dtype == object:
        strings = array.reshape(-1).tolist()
        return np.fromiter(map(len, strings), np.int64, len(strings)), b"".join(strings)
    return (np.ascontiguousarray(array).reshape(-1).view(np.uint8),)


def _compare_tensors(tensors, truth, threads, thorough):
    if thorough:
        return [(truth["digest"], digest(tensors))]
    return [(truth["touched"], touch(tensors, threads))]


def _compare_saved(prefix, truth, threads, thorough):
    import tensorbundle as tb

    yield from _compare_tensors(tb.load(prefix, threads=threads), truth, threads, thorough)
    if thorough:
        yield truth["digest"], read_back.digest_by_tensorflow(prefix)


def _compare_safetensors(path, truth, threads, thorough):
    from safetensors.numpy import load_file

    return _compare_tensors(load_file(path), truth, threads, thorough)


def _compare_rows(rows, truth, _threads, _thorough):
    return [(truth["rows"][str(start)], digest({"rows": array})) for start, array in rows.items()]


def _compare_listing(listing, truth, _threads, _thorough):
    return [(truth["listing"], listing_digest(listing))]


def _compare_fixed(expected):
    return lambda value, _truth, _threads, _thorough: [(expected, value)]


def _compare_number(kind):
    return lambda number, truth, _threads, _thorough: [(truth[kind], number)]


_COMPARE = {
    "listing": _compare_listing,
    "output": _compare_fixed(""),
    "rows": _compare_rows,
    "safetensors": _compare_safetensors,
    "same": _compare_fixed(True),
    "saved": _compare_saved,
    "shown": _compare_fixed(["x:0", "y:0"]),
    "size": _compare_number("size"),
    "tensors": _compare_tensors,
    "touched": _compare_number("touched"),
    "words": _compare_number("words"),
}
