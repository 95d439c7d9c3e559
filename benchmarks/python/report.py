"""Tables for people from the JSON of a run: ``python -m benchmarks report``."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.python.goals import amount
from benchmarks.python.rival_process import ROOT

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
FEWEST_ROUNDS = 9
PEOPLE_SAY = {"numpy": "NumPy", "tensorflow": "TensorFlow", "tensorflow-cpu": "TensorFlow", "python": "Python"}


class ReportError(Exception):
    """There is nothing to publish, or no place for it."""


def summary(results, *, goals):
    """One row per case; with ``goals``, what it had to reach and whether it did."""
    rows = [("", "tensorbundle", "beside it", "result", *(("goal",) if goals else ()))]
    for case in results["cases"].values():
        result = "; ".join(goal["said"] or "no peer ran" for goal in case["goals"])
        row = (case["title"], _ours(case), _peers(case), result)
        rows.append((*row, "; ".join(map(_goal, case["goals"]))) if goals else row)
    return _table(rows)


def details(results):
    """One row per rival and measure of seconds: what it did and how its rounds spread."""
    rows = [("case", "rival", "what it did", "middle", "fastest", "slowest", "first", "rounds")]
    for name, case in results["cases"].items():
        for rival, ran in case["rivals"].items():
            if "unavailable" in ran:
                rows.append((f"`{name}`", rival, f"did not run: {ran['unavailable']}", "", "", "", "", ""))
                continue
            seconds = ran["rounds"]["seconds"]
            numbers = [amount("seconds", value) for value in (ran["middle"]["seconds"], min(seconds), max(seconds))]
            first = "" if ran["first_seconds"] is None else amount("seconds", ran["first_seconds"])
            about = " ".join(ran["about"].split())
            rows.append((f"`{name}`", rival, about, *numbers, first, str(len(seconds))))
    return _table(rows)


def provenance(results):
    """Command, date, machine and versions, as a paragraph."""
    machine, disk = results["machine"], results["machine"]["disk"]
    packages = [f"{PEOPLE_SAY.get(name, name)} {version}" for name, version in results["versions"].items() if version]
    return (
        f"`{results['command']}` on {results['date'][:10]}, {results['rounds']} rounds, {results['threads']} threads. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB of memory, "
        f"{machine['kernel']}, {disk['filesystem']} on {disk['device']}. {', '.join(packages)}."
    )


def docs_section(results):
    return f"{provenance(results)}\n\n{summary(results, goals=True)}\n\n{details(results)}"


def readme_section(results):
    return f"{summary(results, goals=False)}\n\n{provenance(results)}"


def between_markers(text, section):
    """The text with what is between its markers replaced.

    Raises:
        ReportError: The markers are not there once each, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ReportError(f"it has no {BEGIN} followed by one {END}")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    return f"{before}{BEGIN}\n\n{section}\n\n{after}"


def published(path):
    """The results of a run that may be published.

    Raises:
        ReportError: They are of small files, on which no goal says anything, or of too few rounds.
    """
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    if results["sizes"] != "full":
        raise ReportError(f"{path} is of a run with {results['sizes']} files: its numbers are not for publication")
    if results["rounds"] < FEWEST_ROUNDS:
        raise ReportError(f"{path} is of {results['rounds']} rounds, and {FEWEST_ROUNDS} are the fewest to publish")
    return results


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("--results", type=Path, default=default_results(), help="JSON of a full run (%(default)s)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if something would change")
    options = parser.parse_args(arguments)
    try:
        results = published(options.results)
        stale = [
            path
            for path, section in ((options.docs, docs_section(results)), (options.readme, readme_section(results)))
            if _update(path, section, write=not options.check)
        ]
    except (OSError, ReportError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    for path in stale:
        print(f"{path}: {'is not what the results say' if options.check else 'written'}")
    return int(options.check and bool(stale))


def default_results():
    """Where a full run leaves its results, and the report finds them."""
    return ROOT / "benchmarks" / "results" / "results.json"


def _update(path, section, *, write):
    """Puts the section into the file; returns whether that changes it."""
    text = path.read_text(encoding="utf-8")
    try:
        updated = between_markers(text, section)
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error
    if write and updated != text:
        path.write_text(updated, encoding="utf-8")
    return updated != text


def _ours(case):
    ours = next(iter(case["rivals"].values()))
    measure = case["goals"][0]["measure"]
    return amount(measure, ours["middle"][measure])


def _peers(case):
    _, *peers = case["rivals"].items()
    measure = case["goals"][0]["measure"]
    return ", ".join(f"{name} {amount(measure, ran['middle'][measure])}" for name, ran in peers if "middle" in ran)


def _goal(goal):
    return goal["goal"] + {True: ", reached", False: ", **missed**", None: ""}[goal["reached"]]


def _table(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
