"""``load_file`` of the same tensors in a safetensors file: arrays that can be written to; there are no checksums."""

from pathlib import Path

from safetensors.numpy import load_file


def prepare(job):
    return Path(job.prefix).with_suffix(".safetensors")


def run(path, _turn):
    return load_file(path)


def answer(tensors):
    return {"tensors": tensors}
