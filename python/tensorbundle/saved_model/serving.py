"""TensorFlow Serving's layout: a base directory with a SavedModel for each version, in folders named by numbers.

    from tensorbundle.saved_model import serving

    path = serving.publish("models/half_plus_two", write, keep=3)

A model server looks into the base directory every second, and loads what has come. So a version appears whole, by one
rename, and an old one disappears in the same way.
"""

from __future__ import annotations

import dataclasses
import errno
import operator
import os
import re
import time
from typing import TYPE_CHECKING, Literal, SupportsIndex

from tensorbundle import errors, files, locks
from tensorbundle.paths import refuse_url_to_write
from tensorbundle.saved_model import servable
from tensorbundle.saved_model.servable import Finding
from tensorbundle.saved_model.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CheckReport", "Finding", "check", "check_model", "latest", "paths", "publish", "versions"]

# Model servers count versions in 64 bits.
_MOST = 2**63 - 1
_NUMBER = re.compile(r"[0-9]+")
_SERVER_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


@dataclasses.dataclass(frozen=True, repr=False)
class CheckReport:
    """The outcome of :func:`check`; true if a model server serves everything that is there.

    Attributes:
        path: What was checked, as it was given.
        versions: Numbers of the versions that a server finds there, ascending.
        findings: What it minds: of the base directory first, then by version.
    """

    path: str
    versions: tuple[int, ...]
    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        return not self.findings

    def __repr__(self) -> str:
        return f"<CheckReport {self.path!r}: {len(self.versions)} versions, {len(self.findings)} findings>"

    def __str__(self) -> str:
        if not self.findings:
            return f"{self.path!r} is sound"
        return "\n".join([f"{self.path!r} is not sound", *(f"  {finding}" for finding in self.findings)])


def versions(base: str | os.PathLike[str]) -> list[int]:
    """The numbers of the versions in a base directory, ascending.

    A version is a directory, or a link to one, named by a number below 2**63 in decimal digits: ``7``, ``00000123``,
    Estimator's ``1700000000``. What is in it does not matter here; :func:`check` tells whether a server can serve it.
    A server would also take ``-1`` or ``+1`` for numbers, which nothing else does.

    Returns:
        Each number once; none if there is no such base directory yet.

    Raises:
        OSError: It can't be listed, or is a file.
    """
    return sorted(_folders(base))


def latest(base: str | os.PathLike[str]) -> str | None:
    """The path of the version with the highest number, which is the one that a server serves; None if there is none.

    The path, and not the number, which does not tell ``7`` from ``007``; ``int(os.path.basename(path))`` is the number.

    Raises:
        OSError: The base directory can't be listed, or is a file.

    Example:
        >>> model = tb.saved_model.load(serving.latest("models/half_plus_two"))
    """
    found = paths(base)
    return found[-1] if found else None


def paths(base: str | os.PathLike[str]) -> list[str]:
    """The paths of :func:`versions`, in their order; of several with one number, the one that a server loads."""
    return [path for _, path in sorted(_folders(base).items())]


def _folders(base: str | os.PathLike[str]) -> dict[int, str]:
    return {number: path for number, path in _numbered(os.fsdecode(base)) if files.is_directory(path)}


def publish(
    base: str | os.PathLike[str],
    write: Callable[[str], object],
    keep: SupportsIndex | None = None,
    *,
    version: SupportsIndex | Literal["timestamp"] | None = None,
    durable: bool = True,
) -> str:
    """Adds a version to a base directory, all at once, and removes old ones.

    ``write`` fills a directory beside the versions, whose name servers pass over. When it has returned, what it wrote
    is checked and brought to the disk, and then gets its name by one rename: whoever looks finds all of the version or
    nothing. Any error before that, and a killed process, leave the base directory as it was; what a killed one had
    written, the next call removes. Threads, processes, and machines that share a file system may publish at once: each
    gets a number of its own, and where directories can be locked, they appear in the order of these.

    Args:
        base: The base directory; made if it isn't there.
        write: Called with the absolute path of an empty directory, which it fills with a SavedModel.
        keep: How many versions to keep, the ones with the highest numbers; None: all. The new one is kept whatever its
            number. Others are renamed away, each at once, before any of their files goes.
        version: Its number. None: one more than the highest that is there, 1 for the first. ``"timestamp"``: seconds
            since 1970, as Estimator names its exports, or one more than the highest if that is not lower.
        durable: True: the version survives a power cut once this returns. False: it survives the end of the process.

    Returns:
        The new version's path: ``base``, and its number, which ``int(os.path.basename(path))`` gives.

    Raises:
        TypeError, ValueError: A wrong argument; nothing has been done then.
        BuilderError: What ``write`` wrote is no SavedModel that a server serves. The message says why.
        DataLossError: It is damaged.
        FileExistsError: There is something with that number already.
        LimitError: The highest number that there can be is taken.
        UnimplementedError: ``base`` is a URL.
        ImportError: protobuf is not installed.
        OSError: The system refuses, and nothing is published; or it is, but an old version can't be removed, which the
            next call tries again. What ``write`` raises comes through.

    Example:
        >>> serving.publish("models/half_plus_two", lambda directory: tf.saved_model.save(model, directory), keep=3)
        'models/half_plus_two/8'
    """
    base = os.fsdecode(base)
    kept, wanted = _checked_keep(keep), _checked_version(version)
    if not callable(write):
        raise TypeError(f"write must be a function that fills a directory, not {write!r}")
    refuse_url_to_write(base)
    servable.require_protobuf()
    with Workshop(files.absolute(base).rstrip(os.sep) or os.sep) as workshop:
        write(workshop.new)
        workshop.open_up()
        _require_servable(workshop.new)
        if durable:
            _sync(workshop)
        with locks.directory_lock(workshop.base):
            number = _place(workshop, wanted)
            if durable:
                files.sync_directory(workshop.base)
            if kept is not None:
                _retire(workshop, number, kept)
    return os.path.join(base, str(number))


def check(base: str | os.PathLike[str]) -> CheckReport:
    """What a model server would mind about a base directory and its versions.

    Every version's ``saved_model.pb`` is parsed; of its variables the index is read, and whether their files are all
    there, but not the data, which ``tensorbundle.Checkpoint.verify`` compares with its checksums. Hidden folders are
    nobody's versions and are not mentioned.

    Returns:
        A report that is true if there is nothing to mind: no finding, not even a warning.

    Raises:
        ImportError: protobuf is not installed.
        OSError: There is no such directory, or it can't be listed.

    Example:
        >>> report = check("models/half_plus_two")
        >>> print(report)
        'models/half_plus_two' is not sound
          warning: 'models/half_plus_two/v2' is passed over: a version is named by a number below 2**63
    """
    base = os.fsdecode(base)
    servable.require_protobuf()
    found = dict(_numbered(base, must_exist=True))
    findings = [*_stray_findings(base), *_base_findings(base, found)]
    for number in sorted(found):
        findings += _findings(number, found[number])
    return CheckReport(base, tuple(sorted(found)), tuple(findings))


def check_model(directory: str | os.PathLike[str]) -> CheckReport:
    """What a model server would mind about one SavedModel, wherever it is; as :func:`check` of a single version.

    Raises:
        ImportError: protobuf is not installed.
        OSError: There is no such directory, or it can't be listed.
    """
    directory = os.fsdecode(directory)
    os.listdir(directory)  # What is no directory is an error, and no finding.
    servable.require_protobuf()
    return CheckReport(directory, (), tuple(_findings(None, directory)))


# Names.


def _numbered(base: str, *, must_exist: bool = False) -> list[tuple[int, str]]:
    """Numbers and paths of what a server takes for versions, files too; of one number, what it loads comes last."""
    try:
        names = os.listdir(base or os.curdir)
    except FileNotFoundError:
        if must_exist:
            raise
        return []
    return [(number, os.path.join(base, name)) for name in sorted(names) if (number := _number(name)) is not None]


def _number(name: str) -> int | None:
    return int(name) if _NUMBER.fullmatch(name) is not None and int(name) <= _MOST else None


# Publishing.


def _require_servable(directory: str) -> None:
    """Raises for anything that would keep a server from serving a SavedModel. Mere warnings are for :func:`check`."""
    found = [problem for problem in servable.problems(directory) if problem.severity != "warning"]
    if not found:
        return
    listed = "; ".join(problem.text for problem in found)
    kind = errors.DataLossError if any(problem.severity == "damage" for problem in found) else errors.BuilderError
    raise kind(f"the new version can't be served, and is not published: it {listed}", path=directory)


def _sync(workshop: Workshop) -> None:
    files.sync_tree(workshop.new)
    for directory in workshop.made:
        files.sync_directory(os.path.dirname(directory))


def _place(workshop: Workshop, wanted: int | str | None) -> int:
    """Gives the new version its name, and returns its number."""
    while True:
        taken = dict(_numbered(workshop.base))
        number = _next_number(taken, wanted)
        if number in taken:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), taken[number])
        try:
            os.rename(workshop.new, os.path.join(workshop.base, str(number)))
        except OSError as error:
            # Somebody has come before, where the directory can't be locked.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        else:
            workshop.publish()
            return number


def _next_number(taken: dict[int, str], wanted: int | str | None) -> int:
    if isinstance(wanted, int):
        return wanted
    following = max(taken, default=0) + 1
    if following > _MOST:
        path = taken[_MOST]
        raise errors.LimitError(f"{path!r} has the highest number that a version can have: give another", path=path)
    return following if wanted is None else max(following, int(time.time()))


def _retire(workshop: Workshop, new: int, keep: int) -> None:
    """Takes from the base directory all versions but those with the highest numbers, and the new one."""
    found = [(number, path) for number, path in _numbered(workshop.base) if files.is_directory(path)]
    stay = {new, *sorted({number for number, _ in found})[-keep:]}
    for number, path in found:
        if number not in stay:
            workshop.take(path)


def _checked_keep(keep: SupportsIndex | None) -> int | None:
    if keep is None:
        return None
    count = _integer("keep", keep)
    if count < 1:
        raise ValueError(f"keep must be positive, or None to keep all, not {count}")
    return count


def _checked_version(version: SupportsIndex | Literal["timestamp"] | None) -> int | str | None:
    if version is None or version == "timestamp":
        return version
    number = _integer("version", version)
    if not 0 <= number <= _MOST:
        raise ValueError(f"version must be from 0 to {_MOST}, not {number}")
    return number


def _integer(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    return operator.index(value)


# Checking.


def _findings(number: int | None, path: str) -> list[Finding]:
    found = [Finding(number, path, severity, text) for severity, text in servable.problems(path)]
    # A version that was pruned while it was looked at is nobody's problem.
    return found if number is None or os.path.lexists(path) else []


def _stray_findings(base: str) -> list[Finding]:
    """Folders that a server passes over, though somebody may have meant them."""
    if _is_model(base):
        return []
    with os.scandir(base or os.curdir) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    return [
        Finding(None, os.path.join(base, name), "warning", _stray_text(name)) for name in names if _number(name) is None
    ]


def _stray_text(name: str) -> str:
    if _SERVER_NUMBER.fullmatch(name) is not None and -_MOST - 1 <= int(name) <= _MOST:
        return f"is taken for version {int(name)} by a server, and by nothing else: a version is named by digits alone"
    return "is passed over: a version is named by a number below 2**63"


def _base_findings(base: str, found: dict[int, str]) -> list[Finding]:
    if not found:
        why = ": it is a SavedModel itself, and should be in a folder named by a number" if _is_model(base) else ""
        return [Finding(None, base, "error", f"has no versions{why}")]
    return [
        Finding(number, path, "warning", f"is passed over: {os.path.basename(found[number])!r} is version {number} too")
        for number, path in _numbered(base)
        if path != found.get(number, path)
    ]


def _is_model(directory: str) -> bool:
    return any(files.is_file(os.path.join(directory, f"saved_model.{ending}")) for ending in ("pb", "pbtxt"))


for _class in (CheckReport, Finding):
    _class.__module__ = __name__  # Where users find it, and where pickles look.
