"""What a conversion has done."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorbundle.conversion.plan import ConversionPlan, LeftOut, PlannedTensor


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What a conversion has done.

    Attributes:
        plan: What was to be done, and was.
        files: Paths of what was written: the file, or the index and its files; of a checkpoint its prefix.
        seconds: How long it took.
        durable: It would survive a power cut.
    """

    plan: ConversionPlan
    files: tuple[str, ...]
    seconds: float
    durable: bool

    @property
    def path(self) -> str:
        """Absolute path of the target: a prefix, a file, or the index of several."""
        return self.plan.destination

    @property
    def tensors(self) -> tuple[PlannedTensor, ...]:
        """What became of each tensor."""
        return self.plan.tensors

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The tensors that the target didn't get, and why."""
        return self.plan.left_out

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to know."""
        return self.plan.notes

    @property
    def nbytes(self) -> int:
        """What the elements of all tensors take."""
        return self.plan.nbytes


ConversionReport.__module__ = "tensorbundle"  # Where users find it.
