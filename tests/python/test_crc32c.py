"""CRC-32C of every backend against an independent implementation."""

from __future__ import annotations

import json
import random

import crc32c as reference
import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.processes import run_python
from support.wire import mask

from tensorbundle import _core

BACKENDS = _core.crc32c_backends()
EACH = pytest.mark.parametrize("backend", BACKENDS)

COMPARE = r"""
import random, sys
import crc32c as reference
from tensorbundle import _core

assert _core.crc32c_backend() == sys.argv[1], _core.crc32c_backend()
random.seed(int(sys.argv[2]))
data = random.randbytes(1 << 20)
compared = 0

def compare(at, size, before):
    global compared
    piece = memoryview(data)[at : at + size]
    assert _core.crc32c(piece, before) == reference.crc32c(piece, before), (at, size, before)
    compared += 1

# Every size up to some blocks of every backend, at every alignment; then larger ones.
for size in range(1100):
    compare(random.randrange(64), size, random.getrandbits(32))
for at in range(64):
    for size in (1, 7, 8, 63, 64, 255, 4096):
        compare(at, size, 0)
for _ in range(300):
    size = int(2 ** random.uniform(0, 20))
    compare(random.randrange(len(data) - size + 1), size, random.getrandbits(32))

for _ in range(300):  # In pieces, and put together from pieces.
    size = int(2 ** random.uniform(0, 18))
    at = random.randrange(len(data) - size + 1)
    cut = random.randint(0, size)
    whole = reference.crc32c(data[at : at + size])
    first, second = data[at : at + cut], data[at + cut : at + size]
    assert _core.crc32c(second, _core.crc32c(first)) == whole
    assert _core.crc32c_combine(_core.crc32c(first), _core.crc32c(second), len(second)) == whole
    compared += 2
print(compared)
"""


def test_backends_of_this_processor():
    assert BACKENDS[0] == "portable"
    assert len(set(BACKENDS)) == len(BACKENDS)
    assert set(BACKENDS) <= {"portable", "sse42", "avx512", "armv8"}
    assert _core.crc32c_backend() in BACKENDS


@EACH
@pytest.mark.parametrize("seed", [1, 2])
def test_backend(backend, seed):
    assert int(run_python(COMPARE, backend, seed, TENSORBUNDLE_CRC32C=backend)) == 1100 + 64 * 7 + 300 + 600


@pytest.mark.parametrize("name", ["", "none", "AVX512", "portable "])
def test_name_of_no_backend_means_the_fastest(name):
    script = "from tensorbundle import _core; print(_core.crc32c_backend())"
    assert run_python(script, TENSORBUNDLE_CRC32C=name) == BACKENDS[-1] + "\n"


COPY = r"""
import json, sys
import numpy as np
import tensorbundle as tb
from tensorbundle import _core

assert _core.crc32c_backend() == sys.argv[2]
outcomes = []
for mmap in (True, False):
    with tb.open(sys.argv[1], mmap=mmap) as ckpt:
        for name in ckpt:
            array = np.full(ckpt.entry(name).shape, 0xAA, np.uint8)
            try:
                ckpt.read(name, out=array)
            except tb.errors.DataLossError:
                outcomes.append([name, None])
            else:
                outcomes.append([name, _core.crc32c(array)])
print(json.dumps(outcomes))
"""


@EACH
def test_backend_sums_what_it_copies(tmp_path, backend):
    # Sizes around those at which a copy goes past the caches, and is cut for several threads; half of them damaged.
    rng = np.random.default_rng(0)
    sizes = [0, 1, 63, 64, 65, 4095, 4097, 262143, 262144, 262145, 1 << 20, (1 << 20) + 1, 5_000_003]
    tensors = {f"{size:08} {kind}": rng.integers(0, 256, size, np.uint8) for size in sizes for kind in ("bad", "good")}
    bundle = write_bundle(tmp_path / "x", tensors)
    expected = {name: reference.crc32c(value) for name, value in tensors.items()}
    damaged = {name: value for name, value in tensors.items() if name.endswith("bad") and value.size}
    with bundle.data_path().open("r+b") as file:
        for name, value in damaged.items():
            entry = bundle.image.entries[name.encode()]
            at = random.Random(name).randrange(value.size)
            file.seek(entry.offset + at)
            file.write(bytes([int(value[at]) ^ 0x10]))
            expected[name] = None
    outcomes = json.loads(run_python(COPY, bundle.prefix, backend, TENSORBUNDLE_CRC32C=backend))
    assert outcomes == [[name, expected[name]] for _ in range(2) for name in sorted(tensors)]


# What the functions take.


def test_known_answers():
    assert _core.crc32c(b"") == 0
    assert _core.crc32c(b"123456789") == 0xE3069283
    assert _core.crc32c(b"\0" * 32) == 0x8A9136AA
    assert _core.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert _core.crc32c(bytes(range(32))) == 0x46DD794E
    assert _core.crc32c(b"6789", _core.crc32c(b"12345")) == 0xE3069283


@pytest.mark.parametrize("crc", [0, 1, 0xFFFFFFFF, 0x80000000, 0x12345678, 0xE3069283])
def test_mask(crc):
    assert _core.crc32c_mask(crc) == mask(crc)


def test_combine_with_nothing_and_with_very_much():
    crc = _core.crc32c(b"before")
    assert _core.crc32c_combine(crc, _core.crc32c(b""), 0) == crc
    assert _core.crc32c_combine(0, crc, 6) == crc
    zeros, size = reference.crc32c(bytes(1 << 20)), 1 << 20
    while size < 1 << 26:
        zeros, size = _core.crc32c_combine(zeros, zeros, size), 2 * size
    assert zeros == reference.crc32c(bytes(size))
    # So large that nobody can look at them: three may be put together in either order.
    for size in (1 << 40, (1 << 62) + 12345):
        left = _core.crc32c_combine(_core.crc32c_combine(crc, zeros, size), crc, size)
        right = _core.crc32c_combine(crc, _core.crc32c_combine(zeros, crc, size), 2 * size)
        assert left == right


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"123456789"),
        memoryview(b"123456789"),
        memoryview(b"x123456789")[1:],
        np.frombuffer(b"123456789", np.uint8),
        np.frombuffer(b"123456789", np.uint8).reshape(3, 3),
    ],
)
def test_any_contiguous_buffer(data):
    assert _core.crc32c(data) == 0xE3069283


@pytest.mark.parametrize("data", [memoryview(b"112233")[::2], np.zeros((4, 4)).T, np.zeros(8)[::2]])
def test_other_buffers_are_refused(data):
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        _core.crc32c(data)


@pytest.mark.parametrize("arguments", [("text",), (1,), (None,), (b"", -1), (b"", 1 << 32), (b"", "0")])
def test_wrong_arguments(arguments):
    with pytest.raises(TypeError):
        _core.crc32c(*arguments)
