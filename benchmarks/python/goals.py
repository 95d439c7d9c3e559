"""What a case has to reach, as data: each goal works on what the case's rivals measured."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Faster:
    """So many times as fast as a peer."""

    peer: str
    times: float

    def judge(self, middles):
        ours, peers = _seconds(middles, (self.peer,))
        return _verdict(self, None if peers is None else peers / ours, lambda value: value >= self.times)

    def say(self, value):
        return f"{value:.1f}x {self.peer}"

    @property
    def limit(self):
        return f"{self.times:g}x"


@dataclasses.dataclass(frozen=True)
class Share:
    """At least this share of the rate of the fastest of the peers, which only read or write the same bytes."""

    peers: tuple[str, ...]
    share: float

    def judge(self, middles):
        ours, peers = _seconds(middles, self.peers)
        return _verdict(self, None if peers is None else peers / ours, lambda value: value >= self.share)

    def say(self, value):
        return f"{value:.0%} of its rate"

    @property
    def limit(self):
        return f"{self.share:.0%}"


@dataclasses.dataclass(frozen=True)
class Below:
    """A measure that stays below a limit, or at 0.

    Attributes:
        above: What counts is what ours is more than this peer's.
        of: What counts is that of this rival, another way of ours.
    """

    measure: str
    below: float
    above: str | None = None
    of: str | None = None

    def judge(self, middles):
        middle = next(iter(middles.values())) if self.of is None else middles[self.of]
        value = None if middle is None else middle[self.measure]
        if self.above is not None:
            peer = middles[self.above]
            value = None if peer is None else value - peer[self.measure]
        return _verdict(self, value, lambda value: value < self.below or value == self.below == 0)

    def say(self, value):
        more = f" above {self.above}" if self.above else ""
        which = f" for {self.of}" if self.of else ""
        return f"{amount(self.measure, value)}{more}{which}"

    @property
    def limit(self):
        return f"under {amount(self.measure, self.below)}" if self.below else f"{amount(self.measure, 0)}"


def amount(measure, value):
    """A value of a measure, for people."""
    if measure == "resident_pages":
        return f"{value:.0f} pages"
    if measure == "seconds":
        return _duration(value)
    return f"{value / 1e6:.3g} MB" if abs(value) >= 1e6 else f"{value / 1e3:.0f} kB"


def _duration(seconds):
    for scale, unit in ((1, "s"), (1e3, "ms")):
        if abs(seconds) * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def _seconds(middles, peers):
    """Our seconds, and those of the fastest of the peers that ran; None if none did."""
    ours = next(iter(middles.values()))
    ran = [middles[peer]["seconds"] for peer in peers if middles[peer] is not None]
    return ours["seconds"], min(ran, default=None)


def _verdict(goal, value, reaches):
    said = None if value is None else goal.say(value)
    reached = None if value is None else bool(reaches(value))
    measure = getattr(goal, "measure", "seconds")
    return {"goal": goal.limit, "measure": measure, "value": value, "said": said, "reached": reached}
