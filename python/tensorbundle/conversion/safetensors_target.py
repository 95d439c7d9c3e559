"""One safetensors file, from the tensors of a task."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from tensorbundle import _core
from tensorbundle.conversion import damage, moving
from tensorbundle.conversion.casting import Cast
from tensorbundle.conversion.elements import elements
from tensorbundle.conversion.file_bytes import reserve, sum_of, write_all
from tensorbundle.conversion.runs import Run
from tensorbundle.formats import TensorSpec, safetensors

if TYPE_CHECKING:
    from tensorbundle.conversion.plan import PlannedTensor
    from tensorbundle.conversion.tasks import Task
    from tensorbundle.conversion.watching import Watch

_BUFFER_BYTES = 1 << 20


def write(task: Task, watch: Watch) -> None:
    """Writes the file of a task; see :func:`tensorbundle.conversion.tasks.run`.

    Elements that lie in a file as they are go by many threads, those that must be decoded or transposed by this one.
    """
    specs = [TensorSpec(tensor.name, tensor.dtype, tensor.shape, tensor.nbytes) for tensor in task.tensors]
    layout = safetensors.layout(specs, task.settings.metadata)
    runs, others = _runs(task, layout.offsets)
    with open(task.path, "x+b", buffering=0) as file:
        reserve(file.fileno(), layout.size)
        write_all(file.fileno(), np.frombuffer(layout.header, np.uint8), 0)
        settings = task.settings
        try:
            moving.move(runs, file.fileno(), task.final, threads=settings.threads, verify=settings.verify, watch=watch)
        except moving.SourceDamagedError as error:
            run = error.run
            raise damage.of_source(run.name, run.raw, error.found, task.source) from None
        for tensor in others:
            _write_elements(task, tensor, file.fileno(), layout.offsets[tensor.name][0], watch)
        if task.settings.durable:
            os.fsync(file.fileno())


def _runs(task: Task, offsets: dict[str, tuple[int, int]]) -> tuple[list[Run], list[PlannedTensor]]:
    """The tensors whose bytes lie in files as they are, in the order of the target, and all others."""
    runs, others = [], []
    for tensor in task.tensors:
        raw = task.source.raw(tensor.source) if tensor.axes is None else None
        if raw is None:
            others.append(tensor)
            continue
        begin, end = offsets[tensor.name]
        is_same = tensor.source_dtype == tensor.dtype
        cast = None if is_same else Cast(tensor.source_dtype, tensor.dtype, tensor.source)
        runs.append(Run(tensor.source, raw, begin, end - begin, cast))
    return sorted(runs, key=lambda run: run.offset), others


def _write_elements(task: Task, tensor: PlannedTensor, out: int, offset: int, watch: Watch) -> None:
    """Writes the elements of one tensor part by part, and compares what reads back."""
    at, checksum = offset, 0
    for part in elements(task.source, tensor, task.workspace):
        content = part.view(np.uint8)
        write_all(out, content, at)
        checksum = _core.crc32c(content, checksum) if task.settings.verify else 0
        at += content.size
        watch.advance(content.size, tensor.source)
    if task.settings.verify and sum_of(out, offset, at - offset, np.empty(_BUFFER_BYTES, np.uint8)) != checksum:
        raise damage.of_target(task.final, offset, at - offset)
