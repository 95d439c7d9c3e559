"""TensorFlow checkpoints without TensorFlow.

    import tensorbundle as tb

    with tb.open("run/model.ckpt-100") as ckpt:
        kernel = ckpt["dense/kernel"]

Importing this package imports nothing else: NumPy and the native module come with the first name that is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tensorbundle import errors, saved_model, train
    from tensorbundle._core import Entry, __version__
    from tensorbundle.checkpoint import Checkpoint
    from tensorbundle.conversion.converting import convert
    from tensorbundle.conversion.plan import ConversionPlan
    from tensorbundle.conversion.report import ConversionReport
    from tensorbundle.diagnosis import Diagnosis, FileDiagnosis, diagnose
    from tensorbundle.edits import edit, merge
    from tensorbundle.graph import ObjectGraph, ObjectNode
    from tensorbundle.inspection.averaging import AverageReport, average
    from tensorbundle.inspection.comparison import Difference, TensorChange, TensorDifference, diff
    from tensorbundle.inspection.rescue import SalvageReport, salvage
    from tensorbundle.inspection.statistics import TensorStats, stats
    from tensorbundle.lazy import LazyTensor
    from tensorbundle.manager import CheckpointManager
    from tensorbundle.objects import save_objects
    from tensorbundle.reading import load, open
    from tensorbundle.state import CheckpointState, latest_checkpoint
    from tensorbundle.verification import Damage, VerifyReport
    from tensorbundle.writer import CheckpointWriter, save

__all__ = [
    "AverageReport",
    "Checkpoint",
    "CheckpointManager",
    "CheckpointState",
    "CheckpointWriter",
    "ConversionPlan",
    "ConversionReport",
    "Damage",
    "Diagnosis",
    "Difference",
    "Entry",
    "FileDiagnosis",
    "LazyTensor",
    "ObjectGraph",
    "ObjectNode",
    "SalvageReport",
    "TensorChange",
    "TensorDifference",
    "TensorStats",
    "VerifyReport",
    "__version__",
    "average",
    "convert",
    "diagnose",
    "diff",
    "edit",
    "errors",
    "latest_checkpoint",
    "load",
    "merge",
    "open",
    "salvage",
    "save",
    "save_objects",
    "saved_model",
    "stats",
    "train",
]

_MODULES = frozenset({"errors", "saved_model", "train"})
# Public name -> the module that has it.
_HOMES = {
    "AverageReport": "inspection.averaging",
    "Checkpoint": "checkpoint",
    "CheckpointManager": "manager",
    "CheckpointState": "state",
    "CheckpointWriter": "writer",
    "ConversionPlan": "conversion.plan",
    "ConversionReport": "conversion.report",
    "Damage": "verification",
    "Diagnosis": "diagnosis",
    "Difference": "inspection.comparison",
    "Entry": "_core",
    "FileDiagnosis": "diagnosis",
    "LazyTensor": "lazy",
    "ObjectGraph": "graph",
    "ObjectNode": "graph",
    "SalvageReport": "inspection.rescue",
    "TensorChange": "inspection.comparison",
    "TensorDifference": "inspection.comparison",
    "TensorStats": "inspection.statistics",
    "VerifyReport": "verification",
    "__version__": "_core",
    "average": "inspection.averaging",
    "convert": "conversion.converting",
    "diagnose": "diagnosis",
    "diff": "inspection.comparison",
    "edit": "edits",
    "latest_checkpoint": "state",
    "load": "reading",
    "merge": "edits",
    "open": "reading",
    "salvage": "inspection.rescue",
    "save": "writer",
    "save_objects": "objects",
    "stats": "inspection.statistics",
}


if not TYPE_CHECKING:  # Or a checker would take any name for one of these.

    def __getattr__(name: str) -> object:
        from tensorbundle.lazy_names import look_up

        return look_up(__name__, name, _MODULES, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
