"""The rivals: one small file each, in the folder of their task.

Each has the same functions:

    prepare(job) -> state             what the case does not time: imports, opening where a case has an open reader
    run(state, turn) -> result        what is timed; ``turn`` counts from 0, for tasks that differ from turn to turn
    answer(result) -> {kind: value}   what is compared with the truth, not timed; ``answers`` knows the kinds
    check(state) -> {kind: value}     optional: the first, thorough check, where ``answer(run(state, 0))`` is not it
    discard(result)                   optional, after that and not timed: removes the files that the run wrote

``job`` is a ``worker.Job``. A rival that cannot run here raises ``Unavailable`` in ``prepare``.
"""


class Unavailable(Exception):  # noqa: N818 - a fact about the machine
    """This rival cannot run on this machine; the message says why."""
