"""A user's program, for a type checker's eyes only: what things are, and what is refused.

Every ``type: ignore`` must be needed: the checker runs with warnings for those that are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import tensorbundle as tb

ckpt = tb.open("run/ckpt", verify=False, mmap=None, threads=4)
assert_type(ckpt, tb.Checkpoint)
assert_type(tb.open(Path("run")), tb.Checkpoint)
assert_type(tb.__version__, str)

# A mapping.
assert_type(ckpt["w"], NDArray[Any])
assert_type(ckpt.get("w"), NDArray[Any] | None)
assert_type(ckpt.get("w", 0), NDArray[Any] | int)
assert_type(len(ckpt), int)
assert_type(list(ckpt), list[str])
assert_type("w" in ckpt, bool)
assert_type(dict(ckpt), dict[str, NDArray[Any]])
for name, array in ckpt.items():
    assert_type(name, str)
    assert_type(array, NDArray[Any])

# What there is.
entry = ckpt.entry("w")
assert_type(entry, tb.Entry)
assert_type(ckpt.entries(), list[tb.Entry])
assert_type(entry.name, str)
assert_type(entry.dtype, np.dtype[Any])
assert_type(entry.tf_dtype, str)
assert_type(entry.shape, tuple[int, ...])
assert_type(entry.nbytes, int)
assert_type(entry.shard, int | None)
assert_type(entry.offset, int | None)
assert_type(entry.crc32c, int | None)
assert_type(entry.aligned, bool)
assert_type(ckpt.problems(), dict[str, Exception])
assert_type(ckpt.path, str)
assert_type(ckpt.closed, bool)
assert_type(ckpt.num_shards, int)

assert_type(ckpt.named(by="path"), tb.Checkpoint)
assert_type(ckpt.key("w"), str)
graph = ckpt.object_graph
assert_type(graph, tb.ObjectGraph | None)
if graph is not None:
    assert_type(graph.root.children, dict[str, tb.ObjectNode])
    assert_type(graph.nodes[0], tb.ObjectNode)
    assert_type(graph.find("a").key, str | None)
    assert_type(graph.slots[0].variable, tb.ObjectNode)
    assert_type(graph.tree(max_lines=None), str)
assert_type(tb.save_objects("run/o", {"a": [1, {"b": np.zeros(2)}]}, slots={"o": {"m": {"a": 1}}}, shards=2), str)

# Reading.
out = np.zeros((2, 3), np.float32)
assert_type(ckpt.read("w", index=(slice(None), 0), out=out, copy=True, verify=True), NDArray[Any])
lazy = ckpt.lazy("w")
assert_type(lazy, tb.LazyTensor)
assert_type(lazy[1:, ..., None], NDArray[Any])
assert_type(lazy.shape, tuple[int, ...])
assert_type(lazy.dtype, np.dtype[Any])
assert_type(lazy.ndim, int)
assert_type(lazy.nbytes, int)
np.asarray(lazy)

for index, array in ckpt.chunks("w", max_bytes=1 << 20, drop_cache=True, verify=None):
    assert_type(index, tuple[slice, ...])
    assert_type(array, NDArray[Any])
    out[index] = array
ckpt.chunks("w", 5, True)  # type: ignore[call-arg]


def show(done: int, total: int, name: str) -> None: ...


for name, array in ckpt.stream(["w"], include="w", exclude=[re.compile("b")], max_bytes=9, drop_cache=True, threads=2):
    assert_type(name, str)
    assert_type(array, NDArray[Any])
ckpt.stream(progress=show, verify=False)
arrays = ckpt.load(["w"], include="w", exclude=["b", "c"], out={"w": out}, copy=None, threads=2, progress=show)
assert_type(arrays, dict[str, NDArray[Any]])
assert_type(tb.load("run/ckpt", (n for n in ckpt), mmap=True, progress=True), dict[str, NDArray[Any]])

report = ckpt.verify(progress=True)
assert_type(report, tb.VerifyReport)
assert_type(bool(report), bool)
assert_type(report.checked, int)
assert_type(report.nbytes, int)
assert_type(report.damaged, tuple[tb.Damage, ...])
found = tb.diagnose(ckpt, report=report)
assert_type(found, tb.Diagnosis)
assert_type(found.report, tb.VerifyReport)
assert_type(found.files, tuple[tb.FileDiagnosis, ...])
assert_type(tb.diagnose("run/ckpt", ["w"], threads=2).files[0].advice, str)
assert_type(report.damaged[0].cause, Exception)
assert_type(report.damaged[0].expected, int | None)
assert_type(report.missing_shards, tuple[str, ...])
assert_type(ckpt.missing_shards, tuple[str, ...])

with tb.open("run/ckpt") as opened:
    assert_type(opened, tb.Checkpoint)

# One directory, many checkpoints.
assert_type(tb.latest_checkpoint(Path("run")), str | None)
assert_type(tb.latest_checkpoint("run", "best"), str | None)
state = tb.CheckpointState.read("run")
assert_type(state, tb.CheckpointState | None)
state = tb.CheckpointState("run/ckpt-2", ("run/ckpt-1", "run/ckpt-2"), (1.5, 2.5), last_preserved_timestamp=0.5)
assert_type(state.all_model_checkpoint_paths, tuple[str, ...])
assert_type(state.all_model_checkpoint_timestamps, tuple[float, ...])
state.write(Path("run"), durable=False)
manager = tb.CheckpointManager("run", 3, keep_checkpoint_every_n_hours=0.5, checkpoint_name="c", shards=2)
assert_type(tb.CheckpointManager(Path("run"), max_to_keep=None, progress=show), tb.CheckpointManager)
assert_type(manager.save({"w": out}), str)
assert_type(manager.save([("w", out)], np.int64(3)), str)
assert_type(manager.checkpoints, list[str])
assert_type(manager.latest_checkpoint, str | None)
assert_type(manager.directory, str)
assert_type(manager.load(["w"], copy=True), dict[str, NDArray[Any]])
assert_type(manager.open(mmap=False), tb.Checkpoint)

# Checkpoints of checkpoints.
assert_type(tb.merge(["run/a", Path("run/b")], "run/c", durable=False, keep_sources=True, partial=True), str)
assert_type(tb.edit("run/ckpt", rename=[("a", "b"), (re.compile("c"), r"\1")], drop="Adam"), str)
assert_type(tb.edit(Path("run/ckpt"), Path("run/other"), drop=["a", re.compile("b")], link=True, durable=False), str)

# Programs that call TensorFlow.
reader = tb.train.load_checkpoint(Path("run"))
assert_type(reader, tb.train.CheckpointReader)
assert_type(tb.train.NewCheckpointReader("run/ckpt"), tb.train.CheckpointReader)
assert_type(reader.has_tensor("w"), bool)
assert_type(reader.get_variable_to_shape_map(), dict[str, list[int]])
assert_type(reader.get_variable_to_dtype_map()["w"].name, str)
assert_type(reader.debug_string(), bytes)
assert_type(tb.train.list_variables("run"), list[tuple[str, list[int]]])
assert_type(tb.train.latest_checkpoint("run"), str | None)
assert_type(tb.train.checkpoint_exists("run/ckpt"), bool)
with tb.train.as_tensorflow():
    pass

# Building SavedModels.
builder = tb.saved_model.Builder("export/1", durable=False, shards=2)
builder.add_meta_graph_and_variables(
    b"", {"w": out}, ["serve"], None, {"path:0": "file"}, "init", strip_default_attrs=True
)
builder.add_meta_graph(b"", {"serve", "gpu"}, clear_devices=True)
assert_type(builder.save(as_text=True), str)
assert_type(tb.saved_model.save_variables("export/2", {"dense": {"w": [1.0]}}, tags=["serve"]), str)
assert_type(tb.saved_model.simple_save("export/3", b"", ckpt, {}, {}), str)
x = tb.saved_model.build_tensor_info("x:0", "float32", [None, 2])
tb.saved_model.build_sparse_tensor_info("v:0", "i:0", "s:0", np.float32, None)
tb.saved_model.build_composite_tensor_info(b"", [x])
tb.saved_model.build_signature_def({"x": x}, {"y": x}, "method", {"x": 0.5})
tb.saved_model.predict_signature_def({"x": x}, {"y": x})
tb.saved_model.regression_signature_def(x, x)
tb.saved_model.classification_signature_def(x, None, x)
assert_type(tb.saved_model.is_valid_signature(None), bool)
tag: str = tb.saved_model.tag_constants.SERVING
method: str = tb.saved_model.signature_constants.PREDICT_METHOD_NAME
file: str = tb.saved_model.constants.SAVED_MODEL_FILENAME_PB
builder.abandon()

# Versions for a model server.
serving = tb.saved_model.serving
assert_type(serving.versions("models/m"), list[int])
assert_type(serving.paths(Path("models/m")), list[str])
assert_type(serving.latest("models/m"), str | None)
assert_type(serving.publish("models/m", lambda directory: None, keep=3, version="timestamp", durable=False), str)
assert_type(serving.check("models/m"), serving.CheckReport)
assert_type(serving.check_model(Path("export/1")).findings, tuple[serving.Finding, ...])

# SavedModels.
with tb.saved_model.load(Path("export/1"), {"serve"}, import_scope="s") as model:
    assert_type(model, tb.saved_model.SavedModel)
assert_type(model.tags, frozenset[str])
assert_type(model.tag_sets, tuple[frozenset[str], ...])
assert_type(model.signatures, Mapping[str, Any])
assert_type(model.variables, tb.Checkpoint)
assert_type(model.variable("w", copy=True), NDArray[Any])
assert_type(model.variable_key("w:0"), str)
assert_type(model.assets, Mapping[str, str])
assert_type(model.object_graph, tb.ObjectGraph | None)
assert_type(model.main_op, str | None)
assert_type(model.problems(), dict[str, Exception])
assert_type(tb.saved_model.contains_saved_model("export"), bool)

# Errors.
try:
    ckpt["w"]
except tb.errors.NotFoundError as error:
    assert_type(error.message, str)
    assert_type(error.path, str | None)
    assert_type(error.tensor, str | None)
    assert_type(error.offset, int | None)
    assert_type(error.error_code, int)
caught: KeyError = tb.errors.NotFoundError("x", path="p", tensor="t", offset=1)
also: ValueError = tb.errors.DataLossError("x")
op_error: type[tb.errors.OpError] = tb.errors.TensorBundleError

plan = tb.convert("run/ckpt", "out.safetensors", dry_run=True)
assert_type(plan, tb.ConversionPlan)
assert_type(plan.nbytes, int)
conversion = tb.convert(
    Path("run/ckpt"),
    "out/",
    include=["a", re.compile("b")],
    rename=[("a", "b")],
    cast={"a": "bfloat16"},
    transpose={"a": (1, 0)},
    metadata={"format": "pt"},
    progress=lambda done, total, name: None,
)
assert_type(conversion, tb.ConversionReport)
assert_type(conversion.files, tuple[str, ...])
assert_type(conversion.left_out[0].reason, str)
tb.convert("run/ckpt", "out.npz", cast=np.float32)

# What is refused.
tb.open(5)  # type: ignore[arg-type]
tb.open("run", False)  # type: ignore[call-arg]
tb.open("run", mmap="c")  # type: ignore[arg-type]
tb.open("run", threads="2")  # type: ignore[arg-type]
missing = tb.nothing  # type: ignore[attr-defined]
ckpt["w"] = out  # type: ignore[index]
ckpt.named("name")  # type: ignore[arg-type]
ckpt.path = "elsewhere"  # type: ignore[misc]
ckpt.read("w", (0,))  # type: ignore[call-arg]
ckpt.read("w", copy="yes")  # type: ignore[arg-type]
ckpt.read("w", out=[0.0])  # type: ignore[arg-type]
ckpt.load(progress=5)  # type: ignore[arg-type]
ckpt.load(include=5)  # type: ignore[arg-type]
report.checked = 5  # type: ignore[misc]
state.model_checkpoint_path = "x"  # type: ignore[misc]
tb.CheckpointManager("run", shard=2)  # type: ignore[call-arg]
tb.CheckpointManager("run", shards="2")  # type: ignore[arg-type]
manager.latest_checkpoint = "x"  # type: ignore[misc]
tb.merge("run/a", 5)  # type: ignore[arg-type]
tb.edit("run/ckpt", rename="a")  # type: ignore[arg-type]
tb.convert("run/ckpt", "out", to="onnx")  # type: ignore[call-overload]
tb.convert("run/ckpt", "out", shards="2")  # type: ignore[call-overload]
conversion.plan = plan  # type: ignore[misc]
tb.edit("run/ckpt", True, link=True)  # type: ignore[arg-type]
tb.saved_model.load("export", 5)  # type: ignore[arg-type]
tb.saved_model.load("export", ["serve"], "s")  # type: ignore[call-arg]
serving.publish("models/m", "export/1")  # type: ignore[arg-type]
serving.publish("models/m", print, version="newest")  # type: ignore[arg-type]
serving.check("models/m").findings = ()  # type: ignore[misc]
model.tags = frozenset()  # type: ignore[misc]
model.assets["a"] = "b"  # type: ignore[index]
entry.name = "x"  # type: ignore[misc]
lazy.shape = ()  # type: ignore[misc]

# Compared, summed up, salvaged, averaged.
difference = tb.diff("run/a", Path("run/b.safetensors"), include="w", values=True, rtol=1e-3, atol=0.0, progress=True)
assert_type(difference, tb.Difference)
assert_type(bool(difference), bool)
assert_type(difference.only_a, tuple[str, ...])
assert_type(difference.changed, tuple[tb.TensorChange, ...])
assert_type(difference.different, tuple[tb.TensorDifference, ...])
assert_type(difference.different[0].max_abs, float | None)
assert_type(difference.equal, int)
summed = tb.stats("run/ckpt", ["w"], exclude=["b"], threads=2)
assert_type(summed, dict[str, tb.TensorStats])
assert_type(summed["w"].mean, float | None)
assert_type(summed["w"].nan, int)
salvaged = tb.salvage("run/ckpt", "run/salvaged", shards=2, durable=False, progress=show)
assert_type(salvaged, tb.SalvageReport)
assert_type(salvaged.lost, tuple[tb.Damage, ...])
assert_type(salvaged.saved, tuple[str, ...])
average = tb.average(["run/a", Path("run/b")], "run/mean", weights=[1, 0.5], include="w")
assert_type(average, tb.AverageReport)
assert_type(average.differing, tuple[str, ...])
tb.salvage("run/ckpt")  # type: ignore[call-arg]
