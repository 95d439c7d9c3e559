"""``list_variables``."""

import tensorbundle as tb


def prepare(job):
    return job.prefix


def run(prefix, _turn):
    return prefix, tb.train.list_variables(prefix)


def answer(result):
    prefix, listed = result
    dtypes = tb.train.load_checkpoint(prefix).get_variable_to_dtype_map()
    return {"listing": [(name, dtypes[name].name, shape) for name, shape in listed]}
