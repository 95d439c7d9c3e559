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
        goals: What the first has to reach; ``Below`` may be about another.
        cold: Which of the checkpoint's files are put out of the page cache before each run: "", "data" or "all".
        fresh: Whether each run has a process of its own.
        touch: Whether every byte of each answer is read and compared after each run, not timed.
        sample: Whether anonymous memory is sampled while a run goes on.
        saves: Whether runs save: they get a folder for it, and start with a quiet disk.
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
    saves: bool = False
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
    "train_dtypes": Case(
        "`get_variable_to_dtype_map` of 2,000 variables, reader open",
        "variables",
        {"tensorbundle": "train.tensorbundle_dtypes", "TensorFlow": "train.tensorflow_dtypes"},
        (Faster("TensorFlow", 5),),
    ),
    "train_list": Case(
        "`list_variables` of 2,000 variables",
        "variables",
        {"tensorbundle": "train.tensorbundle_list", "TensorFlow": "train.tensorflow_list"},
        (Faster("TensorFlow", 5),),
    ),
    "train_variables": Case(
        "`load_variable` of each of 2,000 variables, one after the other",
        "variables",
        {"tensorbundle": "train.tensorbundle_variables", "TensorFlow": "train.tensorflow_variables"},
        (Faster("TensorFlow", 5),),
    ),
    "model_variables": Case(
        "The variables of a SavedModel with a graph of 10 MB, above their checkpoint by itself",
        "large_model",
        {"tensorbundle": "models.tensorbundle_variables", "checkpoint": "load.tensorbundle"},
        (Below("seconds", 0.05, above="checkpoint"),),
    ),
    "model_show": Case(
        "`tensorbundle saved-model show` of a small model, the whole process",
        "small_model",
        {"tensorbundle": "models.tensorbundle_show", "saved_model_cli": "models.saved_model_cli_show"},
        (Below("seconds", 0.25), Faster("saved_model_cli", 10)),
    ),
    "memory": Case(
        "Memory beside the page cache for 1.33 GB as views",
        "bert",
        {"tensorbundle": "memory.tensorbundle"},
        (Below("anonymous_peak", 16 * MB),),
        fresh=True,
        sample=True,
    ),
    "save": Case(
        "Saving 1.33 GB, every tensor summed, `durable=False`",
        "bert",
        {"tensorbundle": "save.tensorbundle", "SaveV2": "save.save_v2"},
        (Faster("SaveV2", 2.2),),
        saves=True,
    ),
    "save_shards": Case(
        "The same with `shards=2`",
        "bert",
        {"tensorbundle": "save.tensorbundle_two_shards", "SaveV2": "save.save_v2"},
        (Faster("SaveV2", 2.5),),
        saves=True,
    ),
    "overwrite": Case(
        "Saving 1.33 GB in place of the checkpoint of the round before, `durable=False`",
        "bert",
        {"tensorbundle": "save.tensorbundle_over", "SaveV2": "save.save_v2_over"},
        (Faster("SaveV2", 4),),
        saves=True,
    ),
    "save_plain": Case(
        "Saving 1.33 GB beside writing the same bytes and nothing else",
        "bert",
        {"tensorbundle": "save.tensorbundle", "write 1 MiB": "save.plain_write"},
        (Share(("write 1 MiB",), 0.85),),
        saves=True,
        statistic="lower quartile",
    ),
    "save_durable": Case(
        "`durable=True`, the default: 1.33 GB on the disk when `save` returns",
        "bert",
        {"tensorbundle": "save.tensorbundle_durable", "write 1 MiB, fsync": "save.plain_write_synced"},
        (Share(("write 1 MiB, fsync",), 0.8),),
        saves=True,
        statistic="lower quartile",
    ),
    "save_many": Case(
        "Saving 200,000 small tensors, `durable=False`",
        "tiny_tensors",
        {"tensorbundle": "save.tensorbundle", "SaveV2": "save.save_v2"},
        (Faster("SaveV2", 4),),
        saves=True,
    ),
    "save_strings": Case(
        "Saving one million short strings from an object array, `durable=False`",
        "short_strings",
        {"tensorbundle": "save.tensorbundle", "SaveV2": "save.save_v2"},
        (Faster("SaveV2", 1.5),),
        saves=True,
    ),
    "save_memory": Case(
        "Memory above the arrays and beside the page cache while 1.33 GB is saved",
        "bert",
        {
            "tensorbundle": "save.tensorbundle",
            "8 shards": "save.tensorbundle_eight_shards",
            "one tensor": "save.one_tensor",
        },
        (
            Below("anonymous_peak", 64 * MB),
            Below("anonymous_peak", 64 * MB, of="8 shards"),
            Below("anonymous_peak", 64 * MB, of="one tensor"),
        ),
        fresh=True,
        sample=True,
        saves=True,
    ),
    "convert": Case(
        "`tensorbundle convert` of a 1.33 GB checkpoint to safetensors, the whole process",
        "bert",
        {"tensorbundle": "converting.tensorbundle", "TensorFlow": "converting.tensorflow", "cp": "converting.cp"},
        (Faster("TensorFlow", 3), Share(("cp",), 0.7)),
        saves=True,
        statistic="lower quartile",
    ),
    "ls": Case(
        "`tensorbundle ls` of 2,000 tensors, the whole process",
        "variables",
        {"tensorbundle": "inspecting.tensorbundle_ls", "TensorFlow": "inspecting.tensorflow_ls"},
        (Below("seconds", 0.1), Faster("TensorFlow", 20)),
    ),
    "diff": Case(
        "`tensorbundle diff` of two checkpoints with 200,000 tensors, the whole process",
        "tiny_tensors",
        {"tensorbundle": "inspecting.tensorbundle_diff", "`tb.diff`": "inspecting.call_diff"},
        (Below("seconds", 1),),
    ),
    "stats": Case(
        "`tb.stats` of a 1 GiB variable by one thread, its checksum compared",
        "large_variable",
        {"tensorbundle": "inspecting.tensorbundle_stats", "NumPy": "inspecting.numpy_stats"},
        (Below("seconds", 1.074),),  # 1 GB/s.
    ),
    "cast": Case(
        "Casting 1 GiB of float32 to bfloat16 by one thread",
        "large_variable",
        {"tensorbundle": "casting.tensorbundle", "ml_dtypes": "casting.ml_dtypes"},
        (Faster("ml_dtypes", 1),),
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
