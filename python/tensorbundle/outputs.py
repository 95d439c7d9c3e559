"""Where the elements of tensors go: arrays of the user's, views, or parts of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import indexing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tensorbundle import _core
    from tensorbundle.progress import ProgressFunction


def read_into(
    native: _core.Checkpoint,
    names: Sequence[str],
    out: Mapping[str, NDArray[Any]],
    *,
    copy: bool | None = None,
    verify: bool,
    threads: int,
    report: ProgressFunction | None = None,
) -> list[NDArray[Any]]:
    """Reads whole tensors, those that ``out`` has into its arrays."""
    if not out:
        return native.read(names, None, copy, verify, threads, report)
    unknown = sorted(repr(name) for name in out.keys() - set(names))
    if unknown:
        raise ValueError(f"out has arrays for tensors that are not loaded: {', '.join(unknown[:5])}")
    buffers: list[NDArray[Any] | None] = []
    for name in names:
        entry = native.entry(name) if name in out else None
        if entry is not None:
            _check_out(out[name], entry, entry.shape)
        buffers.append(None if entry is None else _buffer(out[name]))
    arrays = native.read(names, buffers, copy, verify, threads, report)
    for position, name in enumerate(names):
        if name in out:
            if buffers[position] is not out[name]:
                out[name][...] = arrays[position]
            arrays[position] = out[name]
    return arrays


def read_part(
    native: _core.Checkpoint,
    name: str,
    index: Any,
    *,
    out: NDArray[Any] | None,
    copy: bool | None,
    verify: bool,
    threads: int,
) -> NDArray[Any]:
    """Reads the elements that a basic index selects, and no others if they needn't be verified."""
    entry = native.entry(name)
    region = indexing.parse(index, entry.shape)
    if out is not None:
        _check_out(out, entry, region.result_shape)
    if entry.tf_dtype in ("string", "variant"):
        # The elements have no fixed places: all are read. The copy lets go of those that aren't wanted.
        selected = native.read([name], None, copy, verify, threads)[0][region.select].copy()
        return _stored(selected, out)
    if verify:
        _verify_whole(native, name, threads)
    if out is None and copy is not True:
        view = native.read([name], None, False, False)[0] if copy is False else native.view(name)
        if view is not None:
            return view[region.select]
    return _read_box(native, name, region, out)


def _read_box(native: _core.Checkpoint, name: str, region: indexing.Region, out: NDArray[Any] | None) -> NDArray[Any]:
    if out is not None and not region.reverses and _is_plain(out):
        native.read_region(name, region.start, region.shape, region.step, np.asarray(out).reshape(region.shape))
        return out
    box = native.read_region(name, region.start, region.shape, region.step)
    selected = box[region.arrange]
    return _stored(selected.copy() if region.reverses and out is None else selected, out)


def _stored(array: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """The array, in ``out`` if there is one."""
    if out is None:
        return array
    out[...] = array
    return out


def _verify_whole(native: _core.Checkpoint, name: str, threads: int) -> None:
    """Raises if the tensor is damaged. A view is looked at once, as it is when it is read whole."""
    if native.view(name) is not None:
        native.read([name], None, None, True, threads)
        return
    for *_, cause in native.verify([name], threads)[2]:
        raise cause


def _check_out(out: Any, entry: _core.Entry, shape: tuple[int, ...]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out for {entry.name!r} must be a NumPy array, not {type(out).__name__}")
    if out.dtype != entry.dtype:
        raise TypeError(f"out for {entry.name!r} must be of {entry.dtype}, not {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out for {entry.name!r} must have shape {shape}, not {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"out for {entry.name!r} is read-only")


def _is_plain(out: NDArray[Any]) -> bool:
    """True if elements can be stored in it one after the other."""
    return out.flags.c_contiguous and out.flags.aligned and not out.dtype.hasobject


def _buffer(out: NDArray[Any]) -> NDArray[Any] | None:
    """The array to read into for the sake of ``out``: itself where possible. None for strings, which are made anew."""
    if _is_plain(out):
        return out
    return None if out.dtype.hasobject else np.empty(out.shape, out.dtype)
