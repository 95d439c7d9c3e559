"""The C++ side as its users meet it: built without Python, installed, and found and linked by a project outside.

The fuzz targets' seeds are replayed on the way. The C++ unit tests need GoogleTest and have presets of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import corpus, golden, hashing
from support.wire import parse_fields

import tensorbundle as tb
from tensorbundle import _core
from tensorbundle.protos import convert, messages

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ["index", "saved_model", "slice", "snappy", "string_tensor", "table", "wire"]

GOLDEN_MODELS = ["saved_model", "saved_model_v1"]

pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")


def run(*command: object) -> str:
    """Output of a command, which must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # Names of tensors may be any bytes.
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def configure(source: Path, build: Path, *options: str) -> None:
    """Neither optimised nor with what debuggers want: that compiles in the least time."""
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    quick = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG="]
    run("cmake", *generator, "-S", source, "-B", build, *quick, *options)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The library and the replay programs, built and not installed."""
    build = tmp_path_factory.mktemp("build")
    configure(ROOT, build, "-DTENSORBUNDLE_BUILD_REPLAY=ON", "-DTENSORBUNDLE_QUICK_BUILD=ON")
    run("cmake", "--build", build, "--parallel", os.cpu_count() or 1)
    return build


@pytest.fixture(scope="module")
def consumer(built, tmp_path_factory) -> Path:
    """Where the outside project's programs are, built against the installed package."""
    installed = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", built, "--prefix", installed)
    build = tmp_path_factory.mktemp("consumer")
    configure(ROOT / "tests" / "consumer", build, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", build)
    return build


@pytest.fixture(scope="module")
def print_checkpoint(consumer) -> Path:
    return consumer / "print_checkpoint"


def expected_line(name: str, entry: tb.Entry, array: np.ndarray) -> str:
    data = b"".join(array.ravel()) if array.dtype == object else array.tobytes()
    shape = ",".join(map(str, entry.shape))
    return f"{name} {entry.tf_dtype} [{shape}] {_core.crc32c(data):08x}"


EVERYTHING = ["2.21.0/dtypes", "2.21.0/strings", "2.21.0/partitioned", "handmade/big_endian"]


@pytest.mark.parametrize("name", EVERYTHING)
def test_an_outside_project_reads_a_checkpoint(print_checkpoint, name):
    prefix = golden.checkpoint(name).prefix
    with tb.open(prefix) as ckpt:
        expected = [expected_line(key, ckpt.entry(key), array) for key, array in ckpt.items()]
    assert len(expected) > 3
    assert run(print_checkpoint, prefix).splitlines() == expected


@pytest.mark.parametrize("name", EVERYTHING)
def test_an_outside_project_writes_a_checkpoint(consumer, print_checkpoint, tmp_path, name):
    source = golden.checkpoint(name).prefix
    copy = tmp_path / "new" / "copy"
    for _ in range(2):  # The second one replaces the first.
        run(consumer / "copy_checkpoint", source, copy)
        assert run(print_checkpoint, copy) == run(print_checkpoint, source)
    with tb.open(source) as expected, tb.open(copy) as written:
        assert list(written) == list(expected)
        for key, array in expected.items():
            assert written[key].dtype == array.dtype
            assert written[key].shape == array.shape
            assert hashing.tensor_hash(written[key]) == hashing.tensor_hash(array)


def test_an_outside_project_sees_what_is_wrong(print_checkpoint, tmp_path):
    done = subprocess.run([print_checkpoint, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(tmp_path / "none.index") in done.stderr


@pytest.fixture(scope="module")
def print_saved_model(consumer) -> Path:
    return consumer / "print_saved_model"


def models() -> list[Any]:
    """Every golden SavedModel and every binary one of the corpus."""
    found = [(f"golden/{name}", golden.checkpoint(f"2.21.0/{name}").folder / name) for name in GOLDEN_MODELS]
    for sample in corpus.samples():
        described = [each for each in sample.manifest["saved_models"] if "saved_model.pb" in each["files"]]
        found += [(f"{sample.name}/{each['dir']}", sample.directory / each["dir"]) for each in described]
    return [pytest.param(directory, id=id) for id, directory in found]


def info_of(info: Any) -> dict[str, Any]:
    dimensions = [dimension.size for dimension in info.tensor_shape.dim]
    found = {"dtype": info.dtype, "shape": None if info.tensor_shape.unknown_rank else dimensions}
    encoding = info.WhichOneof("encoding")
    if encoding == "name":
        return found | {"name": info.name}
    if encoding == "coo_sparse":
        sparse = info.coo_sparse
        names = [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
        return found | {"coo_sparse": names}
    if encoding == "composite_tensor":
        composite = info.composite_tensor
        components = [info_of(component) for component in composite.components]
        return found | {"components": components, "type_spec": crc_of(composite.type_spec)}
    return found


def crc_of(message: Any) -> int:
    return _core.crc32c(convert.serialize(message))


def signature_of(signature: Any) -> dict[str, Any]:
    return {
        "method_name": signature.method_name,
        "inputs": {name: info_of(info) for name, info in signature.inputs.items()},
        "outputs": {name: info_of(info) for name, info in signature.outputs.items()},
        "defaults": {name: crc_of(value) for name, value in signature.defaults.items()},
    }


def assets_of(meta_graph: Any, directory: Path) -> list[list[str]]:
    files = list(meta_graph.asset_file_def)
    if not files:
        collected = meta_graph.collection_def["saved_model_assets"].any_list.value
        files = [messages.AssetFileDef.FromString(value.value) for value in collected]
    return [[file.tensor_info.name, f"{directory}/assets/{file.filename}"] for file in files]


def main_op_of(meta_graph: Any) -> str | None:
    key = "__saved_model_init_op"
    if key in meta_graph.signature_def:
        return meta_graph.signature_def[key].outputs[key].name
    collections = [
        meta_graph.collection_def[name].node_list.value for name in ("saved_model_main_op", "legacy_init_op")
    ]
    return next((nodes[0] for nodes in collections if nodes), None)


def variables_of(directory: Path) -> dict[str, int | None] | None:
    """The checksum of every variable; that of no bytes for strings, None for what can't be read."""
    try:
        opened = tb.open(directory)
    except FileNotFoundError:
        return None
    found: dict[str, int | None] = {}
    with opened as ckpt:
        for key in ckpt:
            try:
                found[key] = 0 if ckpt[key].dtype == object else _core.crc32c(ckpt[key].tobytes())
            except tb.errors.TensorBundleError:
                found[key] = None
    return found


@pytest.mark.filterwarnings("ignore::tensorbundle.errors.DamageWarning")
@pytest.mark.parametrize("directory", models())
def test_both_readers_agree_on_a_saved_model(print_saved_model, directory):
    data = (directory / "saved_model.pb").read_bytes()
    model = convert.parse(messages.SavedModel, data, "model")
    tag_sets = [list(meta_graph.meta_info_def.tags) for meta_graph in model.meta_graphs]
    stored = [value for number, value in parse_fields(data) if number == 2]
    for meta_graph, tags, raw in zip(model.meta_graphs, tag_sets, stored, strict=True):
        graph_def = next(value for number, value in parse_fields(raw) if number == 2)
        assert json.loads(run(print_saved_model, directory, *reversed(tags))) == {
            "tag_sets": tag_sets,
            "tags": tags,
            "signatures": {key: signature_of(value) for key, value in meta_graph.signature_def.items()},
            "assets": assets_of(meta_graph, directory),
            "main_op": main_op_of(meta_graph),
            "graph_def": _core.crc32c(graph_def),
            "meta_graph": _core.crc32c(raw),
            "variables": variables_of(directory),
        }


def test_an_outside_project_sees_what_tags_there_are(print_saved_model):
    directory = golden.checkpoint("2.21.0/saved_model_v1").folder / "saved_model_v1"
    done = subprocess.run([print_saved_model, directory, "gpu"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f'{directory}/saved_model.pb: MetaGraphDef associated with tags {{"gpu"}} could not be found; '
        f'available: {{"serve", "gpu"}}, {{"train"}}\n'
    )


def test_installed_headers_need_nothing_internal(built, tmp_path):
    run("cmake", "--install", built, "--prefix", tmp_path)
    headers = sorted((tmp_path / "include" / "tensorbundle").glob("*.h"))
    assert "checkpoint.h" in [header.name for header in headers]
    for header in headers:
        unit = tmp_path / "unit.cc"
        unit.write_text(f"#include <tensorbundle/{header.name}>\n")
        run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", tmp_path / "include", unit)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_of_the_fuzzers(built, target):
    seeds = ROOT / "tests" / "fuzz" / "seeds" / target
    count = len(list(seeds.iterdir()))
    assert count > 0
    assert f"{count} inputs replayed" in run(built / "tests" / "fuzz" / f"replay_{target}", seeds)
