"""Runs TensorFlow's ``saved_model_cli`` several times in one process: a list of argument lists, as JSON.

Prints a JSON list of what each printed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys


def main(commands: list[list[str]]) -> list[str]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from absl import flags
    from tensorflow.python.tools import saved_model_cli

    printed = []
    for command in commands:
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        arguments = saved_model_cli.create_parser().parse_args(command)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            arguments.func()
        printed.append(out.getvalue())
    return printed


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
