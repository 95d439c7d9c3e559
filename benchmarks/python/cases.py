"""What is measured: one case per row of the tables."""

import dataclasses

from benchmarks.python.goals import Below, Faster, Share

MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        title: What the row is about, for people.
        file: Which test file, a name in ``contents.CONTENTS``; None without one.
        rivals: Name -> module under ``rivals`` or, with a dot in front, anywhere; the first is ours.
        goals: What the first has to reach.
        cold: Which of the checkpoint's files are put out of the page cache before each run: "", "data" or "all".
        fresh: Whether each run has a process of its own.
        touch: Whether every byte of each answer is read and compared after each run, not timed.
        sample: Whether anonymous memory is sampled while a run goes on.
        statistic: What stands for all rounds: "median" or "lower quartile".
        rounds: How many times as many rounds as other cases.
    """

    title: str
    file: str | None
    rivals: dict
    goals: tuple
    cold: str = ""
    fresh: bool = False
    touch: bool = True
    sample: bool = False
    statistic: str = "median"
    rounds: int = 1


CASES = {
    "load": Case(
        "Every tensor of a 1.33 GB checkpoint, every checksum checked",
        "bert",
        {"tensorbundle": "load.tensorbundle", "TensorFlow": "load.tensorflow"},
        (Faster("TensorFlow", 8),),
    ),
    "plain_pass": Case(
        "The same beside adding up the mapped file's words, which is all that memory allows",
        "bert",
        {"tensorbundle": "load.tensorbundle", "plain pass": "load.plain_pass"},
        (Share(("plain pass",), 0.8),),
    ),
    "unverified": Case(
        "`verify=False`: views, and nothing read",
        "bert",
        {"tensorbundle": "load.tensorbundle_unverified"},
        (Below("seconds", 0.003), Below("resident_pages", 0)),
        cold="data",
        touch=False,
        sample=True,
    ),
    "copy": Case(
        "`copy=True`: arrays that can be written to, every checksum checked",
        "bert",
        {
            "tensorbundle": "load.tensorbundle_copy",
            "TensorFlow": "load.tensorflow",
            "safetensors": "load.safetensors",
            "RestoreV2": "load.restore_v2",
        },
        (Faster("TensorFlow", 1.6),),
    ),
    "cold": Case(
        "From the disk: every tensor, every checksum checked, every byte touched",
        "bert",
        {
            "tensorbundle": "load_cold.tensorbundle",
            "read 1 MiB": "load_cold.read_1mib",
            "read 8 MiB": "load_cold.read_8mib",
            "O_DIRECT 8 MiB": "load_cold.direct_8mib",
        },
        (Share(("read 1 MiB", "read 8 MiB", "O_DIRECT 8 MiB"), 0.8),),
        cold="all",
        statistic="lower quartile",
    ),
    "list": Case(
        "Opening 200,000 tensors and listing names, dtypes and shapes",
        "tiny_tensors",
        {"tensorbundle": "listing.tensorbundle", "TensorFlow": "listing.tensorflow"},
        (Faster("TensorFlow", 8),),
    ),
    "many": Case(
        "All 200,000 as arrays, every checksum checked",
        "tiny_tensors",
        {"tensorbundle": "load.tensorbundle", "TensorFlow": "load.tensorflow"},
        (Faster("TensorFlow", 3),),
    ),
    "strings": Case(
        "One million short strings as an object array, reader open",
        "short_strings",
        {"tensorbundle": "strings.tensorbundle", "TensorFlow": "strings.tensorflow"},
        (Faster("TensorFlow", 2.5),),
    ),
    "rows": Case(
        "16 rows of a 1 GiB variable, reader open (TensorFlow reads the whole variable)",
        "large_variable",
        {"tensorbundle": "rows.tensorbundle", "TensorFlow": "rows.tensorflow"},
        (Below("seconds", 0.001),),
    ),
    "memory": Case(
        "Memory beside the page cache for 1.33 GB as views",
        "bert",
        {"tensorbundle": "memory.tensorbundle"},
        (Below("anonymous_peak", 16 * MB),),
        fresh=True,
        sample=True,
    ),
    "import": Case(
        "`import tensorbundle`, which does not import NumPy, above a bare interpreter",
        None,
        {
            "tensorbundle": "importing.tensorbundle",
            "bare interpreter": "importing.bare",
            "with `open`": "importing.tensorbundle_open",
        },
        (Below("seconds", 0.03, above="bare interpreter"),),
        rounds=5,
    ),
}
