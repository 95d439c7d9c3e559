"""Writes the test files, with TensorFlow: ``python -m benchmarks.python.write_files DIRECTORY SIZES NAME...``.

Beside each checkpoint ``NAME`` lies ``NAME.json``: what it holds, how large it is, and the truth that every answer is
compared with, taken from the arrays before TensorFlow saw them.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.python import answers, contents


def write(directory, sizes, name):
    tensors = contents.CONTENTS[name](sizes)
    prefix = directory / name
    names = sorted(tensors)
    values = [tensors[key] for key in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    if name == "bert":
        write_safetensors(prefix.with_suffix(".safetensors"), tensors)
    data = Path(f"{prefix}.data-00000-of-00001")
    for path in directory.glob(f"{name}.*"):
        sync(path)
    record = {
        "sizes": sizes.name,
        "prefix": str(prefix),
        "data": str(data),
        "tensors": len(tensors),
        "bytes": data.stat().st_size,
        "starts": contents.row_starts(sizes),
        "truth": {**truth(tensors), **file_truth(data)},
    }
    if name == "large_variable":
        record["truth"]["rows"] = row_truth(tensors["variable"], record["starts"])
    prefix.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")


def truth(tensors):
    listing = [
        (name, "string" if array.dtype == object else str(array.dtype), array.shape) for name, array in tensors.items()
    ]
    return {
        "digest": answers.digest(tensors),
        "touched": answers.touch(tensors, 1),
        "listing": answers.listing_digest(listing),
    }


def row_truth(variable, starts):
    return {str(start): answers.digest({"rows": variable[start : start + answers.ROWS]}) for start in starts}


def file_truth(path):
    size = path.stat().st_size
    words = np.zeros(-(-size // 8), "<u8")
    words.view(np.uint8)[:size] = np.fromfile(path, np.uint8)
    return {"size": size, "words": int(words.sum(dtype=np.uint64))}


def write_safetensors(path, tensors):
    try:
        from safetensors.numpy import save_file
    except ModuleNotFoundError:
        return  # Its rival will say so.
    save_file(tensors, path)


def sync(path):
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def main():
    directory, sizes, *names = sys.argv[1:]
    for name in names:
        write(Path(directory), contents.SIZES[sizes], name)


if __name__ == "__main__":
    main()
