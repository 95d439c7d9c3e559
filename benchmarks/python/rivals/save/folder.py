"""What the rivals of this folder share: the arrays that they save, and where."""

import os
import shutil

from benchmarks.python import contents


def arrays(job):
    """The arrays of the job's file, made anew: memory like that of any program, and no mapped file."""
    return contents.CONTENTS[job.file](contents.SIZES[job.sizes])


def fresh(job, turn):
    """A prefix in a folder that does not exist yet."""
    return os.path.join(job.scratch, f"{os.getpid()}-{turn}", "ckpt")


def kept(job):
    """A prefix in a folder of the rival's own, the same for all runs."""
    return os.path.join(job.scratch, str(os.getpid()), "ckpt")


def remove(path):
    """Removes the folder that a path is in."""
    shutil.rmtree(os.path.dirname(path))
