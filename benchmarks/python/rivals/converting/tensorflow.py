"""A program that reads with ``load_checkpoint`` and ``get_tensor``, and writes with ``safetensors.numpy.save_file``."""

import sys

from benchmarks.python.rivals import program
from benchmarks.python.rivals.converting import output

answer, discard = output.answer, output.discard


def prepare(job):
    import safetensors  # noqa: F401 - without it this rival can't run

    return job


def run(job, turn):
    path = output.fresh(job, turn)
    program.run_module(__spec__.name, job.prefix, path)
    return path


def main(prefix, path):
    from safetensors.numpy import save_file

    from benchmarks.python.rivals.load import tensorflow

    save_file(tensorflow.load(prefix), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
