"""How much memory calls take, and which pages of a file they touch."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle
from support.hashing import assert_same_bits
from support.page_cache import PAGE, Pages
from support.processes import run_python
from support.publish import publish
from support.sparse import write_sparse

import tensorbundle as tb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc and at pages of the page cache")

MIB = 1 << 20
GIB = 1 << 30
MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
# Threads' stacks, fragments, the interpreter's own: what a call may take besides its result.
SLACK = 12 * MIB

MEASURE = r"""
import json, re, resource, sys
import numpy as np
import tensorbundle as tb

def anonymous():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) << 10

ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True", threads=2)
ckpt["small"], ckpt.read("small", copy=True), ckpt.read("small", index=0)  # What is imported and allocated once.
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # The peak is counted from here.
before = anonymous()
result = eval(sys.argv[3])
kept = anonymous() - before
# Of a file that is read and not mapped, no pages count as the process' own.
with open("/proc/self/status") as status:
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) << 10
with open("/proc/self/status") as status:
    rss_file = int(re.search(r"RssFile:\s+(\d+) kB", status.read())[1]) << 10
print(json.dumps({"kept": kept, "peak": peak - before - rss_file}))
"""


def measure(prefix: Path, mmap: bool, expression: str) -> dict[str, int]:
    """Anonymous memory that a call took: what it kept, and (of a file that isn't mapped) what it had at most."""
    return json.loads(run_python(MEASURE, prefix, mmap, expression))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory) -> Path:
    """A variable of 1 GiB, one of 128 MiB, and a small one."""
    shapes = {"huge": (1 << 18, 1 << 10), "large": (1 << 15, 1 << 10), "small": (10, 10)}
    return write_sparse(tmp_path_factory.mktemp("sparse") / "ckpt", shapes).prefix


@pytest.fixture(scope="module")
def shifted(tmp_path_factory) -> Path:
    """The same, no tensor of it aligned."""
    shapes = {"huge": (1 << 18, 1 << 10), "large": (1 << 15, 1 << 10), "small": (10, 10)}
    return write_sparse(tmp_path_factory.mktemp("shifted") / "ckpt", shapes, offset=1).prefix


# Memory of the process.


@pytest.mark.parametrize("verify", [True, False])
def test_views_take_no_memory(sparse, verify):
    taken = measure(sparse, True, f"ckpt.load(verify={verify})")
    assert taken["kept"] < SLACK


def test_verify_of_a_mapped_file_takes_no_memory(sparse):
    assert measure(sparse, True, "ckpt.verify()")["kept"] < SLACK


def test_verify_of_a_file_that_is_read_takes_little_memory(sparse):
    assert measure(sparse, False, "ckpt.verify()")["peak"] < SLACK


@MODES
@pytest.mark.parametrize(("count", "length"), [(1 << 21, 24), (1, 64 * MIB)], ids=["many", "one"])
def test_verify_of_strings_takes_the_tensor_once(tmp_path, count, length, mmap):
    # The bytes, behind their lengths, and a pointer and a size for each string; no Python objects.
    elements = np.full(count, b"x" * length, object)
    prefix = Path(tb.save(tmp_path / "x", {"s": elements, "small": np.zeros((10, 10), "<f4")}))
    taken = measure(prefix, mmap, "ckpt.verify()")
    assert taken["kept"] < SLACK, taken
    assert taken["peak"] < os.path.getsize(f"{prefix}.data-00000-of-00001") + 16 * count + SLACK, taken


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("ckpt['large']", 128 * MIB),
        ("ckpt.read('large', copy=True)", 128 * MIB),
        ("ckpt.read('large', verify=False)", 128 * MIB),
        ("ckpt.load(['large', 'small'])", 128 * MIB),
        ("ckpt.read('huge', index=np.s_[1000:1000 + 2**14])", 64 * MIB),
        ("ckpt.read('huge', index=np.s_[:, :64])", 64 * MIB),
        ("ckpt.read('huge', index=np.s_[::8, ::2])", 64 * MIB),
        ("ckpt.read('huge', index=7)", 0),
    ],
)
def test_reading_takes_the_result_and_no_more(sparse, expression, result):
    taken = measure(sparse, False, expression)
    assert result <= taken["peak"] < result + SLACK + 8 * MIB, taken


@pytest.mark.parametrize("expression", ["ckpt['large']", "ckpt.read('large', index=np.s_[::-1])"])
def test_reading_backwards_or_misaligned_takes_the_result_at_most_twice(shifted, expression):
    taken = measure(shifted, False, expression)
    assert 128 * MIB <= taken["peak"] < 2 * 128 * MIB + SLACK, taken
    assert taken["kept"] < 128 * MIB + SLACK, taken


@MODES
def test_reading_into_an_array_takes_no_memory_of_its_own(sparse, mmap):
    array = "[np.ones((1 << 15, 1 << 10), 'f4') for _ in '1'][0]"
    expression = f"ckpt.read('large', out={array})"
    taken = measure(sparse, mmap, expression)
    assert taken["kept"] < 128 * MIB + SLACK
    if not mmap:
        assert taken["peak"] < 128 * MIB + SLACK


def test_reading_slices_takes_the_result_and_no_more(tmp_path):
    whole = np.zeros((1 << 15, 1 << 10), "<f4")
    pieces = [f"{start},8192:-" for start in range(0, 1 << 15, 8192)]
    small = np.zeros((10, 10), "<f4")
    prefix = write_bundle(tmp_path / "x", {"small": small, "w": whole}, slices={"w": pieces}, shards=2).prefix
    taken = measure(prefix, False, "ckpt['w']")
    assert whole.nbytes <= taken["peak"] < whole.nbytes + SLACK, taken


def test_partial_reads_of_a_mapped_file_take_the_result(shifted):
    taken = measure(shifted, True, "ckpt.read('huge', index=np.s_[:, :64])")
    assert 63 * MIB <= taken["kept"] < 64 * MIB + SLACK, taken


FEED = r"""
import json, re, sys, threading, time
import tensorbundle as tb

def anonymous():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) << 10

def watch():
    global peak
    while not ended:
        peak = max(peak, anonymous())
        time.sleep(0.001)

ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True", threads=2)
for _ in (*ckpt.chunks("small"), *ckpt.stream(["small"])):
    pass  # What is imported and allocated once.
before = peak = anonymous()
ended = False
watcher = threading.Thread(target=watch)
watcher.start()
seen = 0
for _, array in eval(sys.argv[3]):
    seen += array.nbytes
    peak = max(peak, anonymous())
    del array, _
ended = True
watcher.join()
print(json.dumps({"peak": peak - before, "seen": seen}))
"""


def feed(prefix: Path, mmap: bool, expression: str) -> dict[str, int]:
    """Anonymous memory that a process has at most while it iterates, and how many bytes the arrays had."""
    return json.loads(run_python(FEED, prefix, mmap, expression))


@MODES
@pytest.mark.parametrize("verify", [True, False])
def test_chunks_take_a_chunk(sparse, mmap, verify):
    taken = feed(sparse, mmap, f"ckpt.chunks('huge', {16 * MIB}, verify={verify})")
    assert taken["seen"] == GIB
    assert taken["peak"] < (SLACK if mmap else 16 * MIB + SLACK), taken


@MODES
def test_chunks_of_misaligned_tensors_take_a_chunk(shifted, mmap):
    taken = feed(shifted, mmap, f"ckpt.chunks('huge', {16 * MIB}, drop_cache=True)")
    assert taken["seen"] == GIB
    assert taken["peak"] < 16 * MIB + SLACK, taken


@MODES
def test_chunks_of_pieces_take_a_chunk(tmp_path, mmap):
    whole = np.zeros((1 << 15, 1 << 10), "<f4")
    for name, pieces in {"rows": ["0,9000:-", "9000,23768:-"], "columns": ["-:0,24", "-:24,1000"]}.items():
        small = np.zeros((10, 10), "<f4")
        prefix = write_bundle(tmp_path / name, {"small": small, "w": whole}, slices={"w": pieces}).prefix
        taken = feed(prefix, mmap, f"ckpt.chunks('w', {4 * MIB})")
        assert taken["seen"] == whole.nbytes
        assert taken["peak"] < 4 * MIB + SLACK, taken


@MODES
def test_stream_takes_a_batch(tmp_path, mmap):
    shapes = {f"w{i}": (1 << 20,) for i in range(64)} | {"small": (10, 10)}
    prefix = write_sparse(tmp_path / "ckpt", shapes).prefix
    taken = feed(prefix, mmap, f"ckpt.stream(max_bytes={32 * MIB}, drop_cache=True)")
    assert taken["seen"] == 256 * MIB + 400
    assert 30 * MIB < taken["peak"] < 32 * MIB + SLACK, taken


@MODES
def test_stream_takes_the_largest_tensor(sparse, mmap):
    taken = feed(sparse, mmap, "ckpt.stream(['large', 'small'], max_bytes=1)")
    assert taken["seen"] == 128 * MIB + 400
    assert 128 * MIB <= taken["peak"] < 128 * MIB + SLACK, taken


@pytest.mark.skipif(not os.environ.get("TENSORBUNDLE_LARGE_TESTS"), reason="writes 6 GB: set TENSORBUNDLE_LARGE_TESTS")
@MODES
def test_a_checkpoint_of_six_gigabytes(tmp_path, mmap):
    """One variable of 4 GB really on the disk, and eight of 256 MB."""
    rows = np.random.default_rng(0).standard_normal((1 << 16, 256), np.float32)
    with tb.CheckpointWriter(tmp_path / "ckpt", durable=False) as writer:
        writer.add_chunks("huge", "float32", (60 << 16, 256), (rows for _ in range(60)))
        for i in range(8):
            writer.add_chunks(f"w{i}", "float32", (4 << 16, 256), (rows for _ in range(4)))
        writer.add("small", np.zeros((10, 10), np.float32))
    try:
        taken = feed(tmp_path / "ckpt", mmap, f"ckpt.chunks('huge', {64 * MIB}, drop_cache=True)")
        assert taken["seen"] == 60 * rows.nbytes >= 4 * 10**9
        assert taken["peak"] < 64 * MIB + SLACK, taken
        taken = feed(tmp_path / "ckpt", mmap, f"ckpt.stream(exclude='huge', max_bytes={300 * MIB}, drop_cache=True)")
        assert taken["seen"] == 32 * rows.nbytes + 400
        assert taken["peak"] < 300 * MIB + SLACK, taken
    finally:
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_claim_is_not_memory(tmp_path):
    # A tensor of 2^40 bytes in a file of 2^40 bytes that has none of them: opening it costs nothing.
    change = {"shape": (1 << 38,), "size": 1 << 40}
    bundle = write_bundle(
        tmp_path / "x",
        {"huge": np.zeros(1, "<f4"), "small": np.zeros((10, 10), "<f4")},
        mutate=Mutations(entries={"huge": change, "small": {"offset": 1 << 40}}),
    )
    try:
        os.truncate(bundle.data_path(), (1 << 40) + 400)
    except OSError:
        pytest.skip("this file system has no files of 1 TiB")
    assert measure(bundle.prefix, True, "ckpt.read('huge', verify=False)[::1 << 30].sum()")["kept"] < SLACK
    assert measure(bundle.prefix, False, "ckpt.read('huge', index=np.s_[::1 << 35])")["peak"] < SLACK


# Pages of the file.


@pytest.fixture
def written(tmp_path) -> tuple[Path, Pages, np.ndarray]:
    """A checkpoint of 32 MiB whose data file is cold."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1 << 30, (8192, 1024), "<i4")
    bundle = write_bundle(tmp_path / "x", {"w": values, "x": np.arange(3)}, alignment=64)
    pages = Pages(bundle.data_path())
    pages.drop()
    return bundle.prefix, pages, values


@pytest.mark.parametrize("mmap", [True, None, False], ids=["map", "auto", "read"])
def test_opening_touches_no_data(written, mmap):
    prefix, pages, _ = written
    with tb.open(prefix, mmap=mmap) as ckpt:
        ckpt.entries()
        ckpt.lazy("w")
        assert len(ckpt) == 2
    assert pages.resident() == 0


def test_views_that_are_not_verified_touch_no_data(written):
    prefix, pages, values = written
    with tb.open(prefix, mmap=True, verify=False) as ckpt:
        arrays = [ckpt["w"], ckpt.load()["w"], ckpt.read("w", copy=False), np.asarray(ckpt.lazy("w"))]
    with tb.open(prefix, mmap=True) as ckpt:
        arrays += [ckpt.read("w", verify=False), ckpt.read("w", index=np.s_[5:100]), ckpt.lazy("w")[7]]
        part = ckpt.read("w", index=np.s_[::-2, 3:, None])
    assert pages.resident() == 0
    assert part.shape == (4096, 1021, 1)
    assert pages.resident() == 0
    assert arrays[0][4000, 17] == values[4000, 17]
    # The test touched one page; what the kernel reads around it is its own affair.
    assert 0 < pages.resident() <= pages.read_ahead() + 4 * MIB
    assert_same_bits(arrays[1], values)
    assert pages.resident() >= values.nbytes


@MODES
@pytest.mark.parametrize(
    ("index", "most"),
    [
        (np.s_[100:110], 4 * MIB),
        (np.s_[100:110, 5:6], 4 * MIB),
        (np.s_[4000], 4 * MIB),
        (np.s_[-1, -1], 4 * MIB),
        (np.s_[0:0], 0),
    ],
)
def test_partial_copies_touch_little_else(written, mmap, index, most):
    prefix, pages, values = written
    with tb.open(prefix, mmap=mmap) as ckpt:
        part = ckpt.read("w", index=index, copy=True)
    assert pages.resident() <= most
    assert_same_bits(np.asarray(part), values[index])


@MODES
def test_partial_read_of_a_huge_variable(sparse, mmap):
    pages = Pages(sparse.with_name("ckpt.data-00000-of-00001"))
    pages.drop()
    with tb.open(sparse, mmap=mmap) as ckpt:
        rows = ckpt.read("huge", index=np.s_[1 << 17 : (1 << 17) + 20], copy=True)
        column = ckpt.read("huge", index=np.s_[:: 1 << 12, 5], copy=True)
    assert rows.nbytes == 20 * 4096
    assert column.nbytes == 64 * 4
    # The rows, and a page for each element of the column. The kernel's own reading around a page that is touched, up to
    # megabytes by the device's settings, would make it half of the file.
    assert pages.resident() <= 65 * MIB // 4
    assert not rows.any()


@MODES
def test_partial_read_that_is_verified_looks_at_the_whole(written, mmap):
    prefix, pages, values = written
    with tb.open(prefix, mmap=mmap) as ckpt:
        assert_same_bits(ckpt.read("w", index=3, verify=True), values[3])
    assert pages.resident() >= values.nbytes


def test_publishing_leaves_files_that_can_be_cold(tmp_path):
    # What the tests above stand on.
    publish(tmp_path / "x", b"", [bytes(PAGE)], commit="tensorflow")
    pages = Pages(tmp_path / "x.data-00000-of-00001")
    assert pages.resident() == PAGE
    pages.drop()
    assert pages.resident() == 0
