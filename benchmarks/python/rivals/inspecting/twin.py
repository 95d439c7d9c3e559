"""A second checkpoint with the same tensors, of which one in a thousand has other elements."""

import tensorbundle as tb
from benchmarks.python import contents


def save(job, suffix):
    """Saves it beside the first.

    Args:
        job: Whose checkpoint is the first.
        suffix: Of its prefix: rivals prepare at the same time.

    Returns:
        Its prefix, the names of the tensors that differ, and the number of those that don't.
    """
    tensors = contents.CONTENTS[job.file](contents.SIZES[job.sizes])
    names = sorted(tensors)
    differing = names[::1000]
    tensors.update({name: tensors[name] + tensors[name].dtype.type(1) for name in differing})
    return tb.save(f"{job.prefix}.{suffix}", tensors, durable=False), differing, len(names) - len(differing)
