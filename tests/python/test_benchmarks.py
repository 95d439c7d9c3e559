"""The benchmark harness, on tiny files and untimed: answers are checked, results have their fields, tables are made."""

from __future__ import annotations

import copy
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.paths import REPOSITORY

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="benchmarks look at memory as Linux shows it"),
    pytest.mark.skipif(not (REPOSITORY / "benchmarks").is_dir(), reason="no benchmarks here: not a checkout"),
]

CASES = 29
MODULES = ("answers", "cases", "contents", "goals", "harness", "memory", "report", "rival_process", "run")


@pytest.fixture(scope="module")
def bench() -> Any:
    """The modules of the harness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY)
        return SimpleNamespace(**{name: importlib.import_module(f"benchmarks.python.{name}") for name in MODULES})


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def results(bench: Any, directory: Path, python_with_tensorflow: str) -> dict[str, Any]:
    """All cases but the cold ones, which the file system may not allow, with one round each."""
    cases = {name: case for name, case in bench.cases.CASES.items() if not case.cold}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", python_with_tensorflow)
        made = bench.run.run(
            cases, directory=directory, sizes="tiny", rounds=1, threads=2, command="python -m benchmarks"
        )
    return json.loads(json.dumps(made))


@pytest.fixture
def liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a rival from what its functions return."""

    def make(check: str, answer: str) -> str:
        lines = [
            '"""Answers as it likes."""',
            "import numpy as np",
            "def prepare(job): return job",
            "def run(*_): return 1",
        ]
        lines += [f"def check(_): return {check}", f"def answer(_): return {answer}"]
        (tmp_path / "liar.py").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
        return ".liar"

    return make


def measure(
    bench: Any, rival: str, truth: dict[str, Any], directory: Path = REPOSITORY, **fields: Any
) -> dict[str, Any]:
    """One round of a case with one rival and no file."""
    case = bench.cases.Case("a case", "file", {"tensorbundle": rival}, (bench.goals.Below("seconds", 60),), **fields)
    record = {"prefix": "", "data": "", "bytes": 3_000_000, "sizes": "", "starts": [], "truth": truth}
    return bench.harness.Bench({"file": record}, directory, threads=1, rounds=1).measure(case)


def test_every_case_runs_and_every_rival_answers_right(results: dict[str, Any]):
    ran = {name: set(case["rivals"]) for name, case in results["cases"].items()}
    assert ran == {
        "load": {"tensorbundle", "TensorFlow"},
        "plain_pass": {"tensorbundle", "plain pass"},
        "copy": {"tensorbundle", "TensorFlow", "safetensors", "RestoreV2"},
        "list": {"tensorbundle", "TensorFlow"},
        "many": {"tensorbundle", "TensorFlow"},
        "strings": {"tensorbundle", "TensorFlow"},
        "rows": {"tensorbundle", "TensorFlow"},
        "train_dtypes": {"tensorbundle", "TensorFlow"},
        "train_list": {"tensorbundle", "TensorFlow"},
        "train_variables": {"tensorbundle", "TensorFlow"},
        "model_variables": {"tensorbundle", "checkpoint"},
        "model_show": {"tensorbundle", "saved_model_cli"},
        "memory": {"tensorbundle"},
        "save": {"tensorbundle", "SaveV2"},
        "save_shards": {"tensorbundle", "SaveV2"},
        "overwrite": {"tensorbundle", "SaveV2"},
        "save_plain": {"tensorbundle", "write 1 MiB"},
        "save_durable": {"tensorbundle", "write 1 MiB, fsync"},
        "save_many": {"tensorbundle", "SaveV2"},
        "save_strings": {"tensorbundle", "SaveV2"},
        "save_memory": {"tensorbundle", "8 shards", "one tensor"},
        "convert": {"tensorbundle", "TensorFlow", "cp"},
        "ls": {"tensorbundle", "TensorFlow"},
        "diff": {"tensorbundle", "`tb.diff`"},
        "stats": {"tensorbundle", "NumPy"},
        "cast": {"tensorbundle", "ml_dtypes"},
        "import": {"tensorbundle", "bare interpreter", "with `open`"},
    }
    unavailable = {
        rival for case in results["cases"].values() for rival, ran in case["rivals"].items() if "rounds" not in ran
    }
    assert unavailable <= {"safetensors", "plain pass"}


def test_results_say_what_a_reader_must_know(results: dict[str, Any]):
    assert results["command"] == "python -m benchmarks"
    assert (results["sizes"], results["rounds"], results["threads"]) == ("tiny", 1, 2)
    assert set(results["machine"]) == {"cpu", "cores", "memory_bytes", "kernel", "machine", "disk"}
    assert {"filesystem", "device"} <= set(results["machine"]["disk"])
    assert {"python", "tensorbundle", "numpy"} <= set(results["versions"])
    assert results["files"]["tiny_tensors"]["tensors"] == 50
    load = results["cases"]["load"]["rivals"]["tensorbundle"]
    assert load["middle"]["seconds"] == load["rounds"]["seconds"][0] > 0
    assert load["first_seconds"] > 0
    memory = results["cases"]["memory"]["rivals"]["tensorbundle"]["rounds"]
    assert set(memory) == {"seconds", "anonymous", "anonymous_peak", "page_tables"}
    for rival in results["cases"]["save_memory"]["rivals"].values():
        assert set(rival["rounds"]) == set(memory)
    assert len(results["cases"]["import"]["rivals"]["tensorbundle"]["rounds"]["seconds"]) == 5


def test_nothing_is_left_of_what_was_saved(directory: Path, results: dict[str, Any]):
    assert {path.name.split(".")[0] for path in directory.iterdir()} == {
        *("bert", "tiny_tensors", "short_strings", "large_variable", "plain_pass", "variables"),
        *("small_model", "large_model"),
    }


@pytest.mark.parametrize("name", ["unverified", "cold"])
def test_cold_cases_run_or_say_why_not(name: str, bench: Any, directory: Path, results: dict[str, Any]):
    case = {name: bench.cases.CASES[name]}
    try:
        made = bench.run.run(case, directory=directory, sizes="tiny", rounds=1, threads=2, command="")
    except bench.rival_process.RivalError as error:
        assert "stays in the page cache: take a directory on a disk" in str(error)
        return
    ours = made["cases"][name]["rivals"]["tensorbundle"]["rounds"]
    assert ours["seconds"][0] > 0
    if name == "unverified":
        assert ours["resident_pages"] == [0]


def test_files_are_written_once(bench: Any, directory: Path, results: dict[str, Any]):
    written = {path: path.stat().st_mtime_ns for path in directory.glob("bert*")}
    assert len(written) >= 3
    bench.run.run(
        {"load": bench.cases.CASES["load"]}, directory=directory, sizes="tiny", rounds=1, threads=1, command=""
    )
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_wrong_first_answer_ends_the_run(bench: Any, liar: Any):
    array = np.arange(4, dtype=np.float32)
    truth = {"digest": bench.answers.digest({"x": array}), "touched": bench.answers.touch({"x": array}, 1)}
    right, wrong = "{'tensors': {'x': np.arange(4, dtype='f4')}}", "{'tensors': {'x': np.arange(1, 5, dtype='f4')}}"
    measure(bench, liar(right, right), truth)
    with pytest.raises(
        bench.rival_process.RivalError, match=r"^liar: WrongAnswerError: tensors: expected [0-9a-f]{64}, found"
    ):
        measure(bench, liar(wrong, right), truth)


def test_wrong_answer_of_a_timed_run_ends_the_run(bench: Any, liar: Any):
    rival = liar("{'size': 5}", "{'size': 4}")
    with pytest.raises(bench.rival_process.RivalError, match=r"^liar: WrongAnswerError: size: expected 5, found 4$"):
        measure(bench, rival, {"size": 5})
    measure(bench, rival, {"size": 5}, touch=False)


@pytest.fixture
def saver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a rival that saves numbers, from the first of them in its first run and in the others."""

    def make(first: int, others: int) -> str:
        lines = [
            '"""Saves."""',
            "import os, shutil",
            "import numpy as np, tensorbundle as tb",
            "def prepare(job): return job, []",
            "def run(state, _):",
            "    job, runs = state",
            "    assert os.listdir(job.scratch) == []",
            f"    array = np.arange(4, dtype='f4') + ({others} if runs else {first})",
            "    runs.append(0)",
            "    return tb.save(job.scratch + '/folder/ckpt', {'x': array})",
            "def answer(prefix): return {'saved': prefix}",
            "def discard(prefix): shutil.rmtree(os.path.dirname(prefix))",
        ]
        folder = tmp_path / f"saver-{first}-{others}"  # Or what was compiled of one would be taken for the next.
        folder.mkdir()
        (folder / "saver.py").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
        return ".saver"

    return make


def test_what_is_saved_is_read_again(
    bench: Any, saver: Any, tmp_path: Path, python_with_tensorflow: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", python_with_tensorflow)
    array = np.arange(4, dtype=np.float32)
    truth = {"digest": bench.answers.digest({"x": array}), "touched": bench.answers.touch({"x": array}, 1)}
    directory = tmp_path / "directory"
    directory.mkdir()
    measure(bench, saver(0, 0), truth, directory, saves=True)
    for first, others, found in ((1, 0, "[0-9a-f]{64}"), (0, 1, "[0-9]+")):
        with pytest.raises(
            bench.rival_process.RivalError, match=f"^saver: WrongAnswerError: saved: expected {found}, found {found}$"
        ):
            measure(bench, saver(first, others), truth, directory, saves=True)
    assert list(directory.iterdir()) == []


def test_what_is_saved_is_read_by_tensorflow(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tb = importlib.import_module("tensorbundle")
    tensors = {"x": np.arange(4, dtype=np.float32)}
    prefix = tb.save(tmp_path / "ckpt", tensors)
    truth = {"digest": bench.answers.digest(tensors), "touched": bench.answers.touch(tensors, 1)}
    monkeypatch.setattr(bench.answers.read_back, "digest_by_tensorflow", lambda path: f"other than {path}")
    bench.answers.require({"saved": prefix}, truth, threads=1, thorough=False)
    with pytest.raises(bench.answers.WrongAnswerError, match=f"found other than {prefix}$"):
        bench.answers.require({"saved": prefix}, truth, threads=1, thorough=True)


def test_each_run_that_saves_starts_with_a_quiet_disk_and_memory(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    happened: list[str] = []
    monkeypatch.setattr(os, "sync", lambda: happened.append("sync"))
    monkeypatch.setattr(bench.memory, "fill_page_cache", lambda path, size: happened.append(f"{path.parent} {size}"))
    job = {"scratch": str(tmp_path), "bytes": 5}
    ready = ["sync", f"{tmp_path} 5"]
    for saves, expected in ((True, [*ready, "a", *ready, "b"]), (False, ["a", "b"])):
        case = bench.cases.Case("", "file", {"a": "", "b": ""}, (), saves=saves)
        rounds = bench.harness._Rounds(case, job, {name: SimpleNamespace(about="", first=None) for name in case.rivals})
        monkeypatch.setattr(rounds, "_run", lambda name, turn: happened.append(name) or {})
        rounds.play(0)
        assert happened == expected
        happened.clear()


def test_saving_into_memory_is_not_measured(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    described = {"disk": {"filesystem": "tmpfs"}}
    monkeypatch.setattr(bench.run.machine, "describe", lambda directory: described)
    case = {"save": bench.cases.CASES["save"]}
    with pytest.raises(bench.rival_process.RivalError, match=r"is in memory \(tmpfs\): take a directory on a disk"):
        bench.run.run(case, directory=tmp_path, sizes="full", rounds=1, threads=1, command="")


def test_filler_has_its_size_and_goes(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    unlink = os.unlink
    monkeypatch.setattr(os, "unlink", lambda path: sizes.append(path.stat().st_size) or unlink(path))
    for size in (0, 1, 3_000_000):
        bench.memory.fill_page_cache(tmp_path / "filler", size)
    assert sizes == [0, 1, 3_000_000]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("large_bytes", "saved"), [(0, 4000), (8192, 8192)])
def test_one_tensor_is_as_large_as_the_model_or_as_asked_for(
    large_bytes: int, saved: int, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(REPOSITORY)
    rival = importlib.import_module("benchmarks.python.rivals.save.one_tensor")
    job = SimpleNamespace(bytes=4000, scratch=str(tmp_path), large_bytes=large_bytes, threads=1)
    prefix, array = result = rival.run(rival.prepare(job), 0)
    assert array.nbytes == saved
    bench.answers.require(rival.answer(result), {}, threads=1, thorough=True)
    with pytest.raises(bench.answers.WrongAnswerError, match=r"^same: expected True, found False$"):
        bench.answers.require(rival.answer((prefix, array + 1)), {}, threads=1, thorough=True)
    job.large_bytes = 10**18
    with pytest.raises(importlib.import_module("benchmarks.python.rivals").Unavailable, match=r"GB of memory, and"):
        rival.prepare(job)


def test_rival_that_fails_is_quoted(bench: Any, liar: Any):
    with pytest.raises(bench.rival_process.RivalError, match=r"^liar: ZeroDivisionError: "):
        measure(bench, liar("{'size': 1 // 0}", "{}"), {"size": 5})
    with pytest.raises(bench.rival_process.RivalError, match=r"^tensorbundle: No module named 'no_such_rival'$"):
        measure(bench, ".no_such_rival", {})


def changed(tensors: dict[str, np.ndarray], name: str, at: int) -> dict[str, np.ndarray]:
    """Copies of the tensors with one bit of one of them flipped, or one byte of one string."""
    tensors = copy.deepcopy(tensors)
    if tensors[name].dtype == object:
        tensors[name][at] += b"!"
    else:
        tensors[name].view(np.uint8).reshape(-1)[at] ^= 1
    return tensors


def test_both_sums_see_any_bit(bench: Any):
    tensors = {
        "bytes": np.arange(5, dtype=np.uint8),
        "floats": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
        "longs": np.arange(3),
        "strings": np.array([b"", b"a", b"bc"], object),
    }
    for threads in (1, 2, 3):
        assert bench.answers.touch(tensors, threads) == bench.answers.touch(tensors, 1)
    for name, array in tensors.items():
        for at in range(array.size if array.dtype == object else array.nbytes):
            other = changed(tensors, name, at)
            assert bench.answers.touch(other, 2) != bench.answers.touch(tensors, 2), (name, at)
            assert bench.answers.digest(other) != bench.answers.digest(tensors), (name, at)


def test_digest_sees_names_dtypes_and_shapes(bench: Any):
    array = np.arange(6, dtype=np.int32)
    others = [{"y": array}, {"x": array.view(np.uint32)}, {"x": array.reshape(2, 3)}, {"x": array, "y": array}, {}]
    digests = {bench.answers.digest(tensors) for tensors in ({"x": array}, *others)}
    assert len(digests) == 6


def test_full_model_is_the_one_that_goals_are_about(bench: Any):
    full = bench.contents.SIZES["full"]
    layer = bench.contents._bert_layer(full.hidden)
    elements = full.words * full.hidden + full.layers * sum(int(np.prod(shape)) for shape in layer.values())
    assert (1 + full.layers * len(layer), elements * 4) == (385, 1_334_255_616)
    assert (full.tensors, full.strings, full.rows * 4096) == (200_000, 1_000_000, 2**30)


def test_parts_of_the_variable_lie_apart(bench: Any):
    starts = bench.contents.row_starts(bench.contents.SIZES["full"])
    assert len(set(starts)) == 64
    assert all(start % 16 == 0 and 0 <= start <= 262_144 - 16 for start in starts)


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (("Faster", "peer", 8), ("8x", 10.0, "10.0x peer", True)),
        (("Faster", "peer", 11), ("11x", 10.0, "10.0x peer", False)),
        (("Faster", "absent", 8), ("8x", None, None, None)),
        (("Share", ("peer", "quick", "absent"), 0.8), ("80%", 0.75, "75% of its rate", False)),
        (("Share", ("peer",), 0.8), ("80%", 10.0, "1000% of its rate", True)),
        (("Below", "seconds", 0.3), ("under 300 ms", 0.2, "200 ms", True)),
        (("Below", "seconds", 0.2), ("under 200 ms", 0.2, "200 ms", False)),
        (("Below", "seconds", 0.1, "quick"), ("under 100 ms", 0.05, "50 ms above quick", True)),
        (("Below", "resident_pages", 0), ("0 pages", 0, "0 pages", True)),
        (("Below", "seconds", 1, None, "peer"), ("under 1 s", 2.0, "2 s for peer", False)),
        (("Below", "seconds", 1, None, "absent"), ("under 1 s", None, None, None)),
        (("Below", "anonymous_peak", 16e6), ("under 16 MB", 17e6, "17 MB", False)),
    ],
)
def test_goals(bench: Any, goal: tuple[Any, ...], expected: tuple[Any, ...]):
    middles = {
        "tensorbundle": {"seconds": 0.2, "resident_pages": 0, "anonymous_peak": 17e6},
        "peer": {"seconds": 2.0},
        "quick": {"seconds": 0.15},
        "absent": None,
    }
    kind, *arguments = goal
    verdict = getattr(bench.goals, kind)(*arguments).judge(middles)
    assert (verdict["goal"], verdict["said"], verdict["reached"]) == (expected[0], expected[2], expected[3])
    assert verdict["value"] == (expected[1] if expected[1] is None else pytest.approx(expected[1]))


def test_middle_of_rounds(bench: Any):
    assert bench.harness.middle([5.0, 1.0, 9.0], "median") == 5.0
    assert bench.harness.middle([4.0, 1.0, 3.0, 2.0, 5.0], "lower quartile") == 2.0


def test_order_of_rivals_alternates(bench: Any, monkeypatch: pytest.MonkeyPatch):
    case = bench.cases.Case("", "file", {"a": "", "b": "", "c": ""}, ())
    rounds = bench.harness._Rounds(case, {}, {name: SimpleNamespace(about="", first=None) for name in case.rivals})
    ran: list[str] = []
    monkeypatch.setattr(rounds, "_run", lambda name, turn: ran.append(f"{name}{turn}") or {"seconds": turn})
    for turn in range(3):
        rounds.play(turn)
    assert ran == ["a0", "b0", "c0", "c1", "b1", "a1", "a2", "b2", "c2"]
    assert rounds.measured["b"] == {"seconds": [0, 1, 2]}


def test_resident_pages_are_counted(bench: Any, directory: Path):
    path = directory / "pages"
    path.write_bytes(bytes(10_000))
    assert bench.memory.resident_pages(path) == 3
    if bench.memory.drop_page_cache(path):
        assert bench.memory.resident_pages(path) == 0


def test_anonymous_memory_is_counted(bench: Any):
    before = bench.memory.usage()
    block = bytearray(os.urandom(32_000_000))
    grown = bench.memory.usage()["anonymous"] - before["anonymous"]
    assert len(block) <= grown + 1_000_000 < 70_000_000


class Report:
    """A place for the report: results of a full run, and files with markers."""

    def __init__(self, folder: Path, results: dict[str, Any], report: Any) -> None:
        self.docs, self.readme, self.results = folder / "docs.md", folder / "readme.md", folder / "results.json"
        self._report = report
        for path in (self.docs, self.readme):
            path.write_text(f"before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nafter\n", encoding="utf-8")
        self.write({**results, "sizes": "full", "rounds": 9})

    def write(self, results: dict[str, Any]) -> None:
        self.results.write_text(json.dumps(results), encoding="utf-8")

    def run(self, *options: str) -> int:
        paths = ["--results", self.results, "--docs", self.docs, "--readme", self.readme]
        return self._report.main([*map(str, paths), *options])


@pytest.fixture
def report(bench: Any, results: dict[str, Any], tmp_path: Path) -> Report:
    return Report(tmp_path, results, bench.report)


def test_report_writes_the_tables(report: Report, results: dict[str, Any]):
    assert report.run() == 0
    for path in (report.docs, report.readme):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("before\n\n<!-- benchmarks:begin -->\n\n")
        assert text.endswith("\n\n<!-- benchmarks:end -->\n\nafter\n")
        assert "old" not in text.split()
        assert all(f"| {case['title']} |" in text for case in results["cases"].values())
        assert f"Python {results['versions']['python']}" in text
    docs = report.docs.read_text(encoding="utf-8")
    assert docs.count("| `copy` |") == 4
    assert "| goal |" in docs
    assert "| goal |" not in report.readme.read_text(encoding="utf-8")


def test_report_is_the_same_again(report: Report):
    assert report.run("--check") == 1
    assert "old" in report.docs.read_text(encoding="utf-8")
    assert report.run() == 0
    assert report.run("--check") == 0
    report.docs.write_text(
        report.docs.read_text(encoding="utf-8").replace("| tensorbundle |", "| typed |"), encoding="utf-8"
    )
    assert report.run("--check") == 1


def test_report_says_that_a_rival_did_not_run(report: Report, results: dict[str, Any]):
    absent = copy.deepcopy(results)
    absent["cases"]["copy"]["rivals"]["safetensors"] = {"unavailable": "No module named 'safetensors'"}
    report.write({**absent, "sizes": "full", "rounds": 9})
    assert report.run() == 0
    assert "| safetensors | did not run: No module named 'safetensors' |" in report.docs.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": "quick"}, "is of a run with quick files: its numbers are not for publication"),
        ({"rounds": 8}, "is of 8 rounds, and 9 are the fewest to publish"),
    ],
)
def test_report_refuses_what_says_nothing(
    change: dict[str, Any], message: str, report: Report, results: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    report.write({**results, "sizes": "full", "rounds": 9, **change})
    assert report.run() == 1
    assert message in capsys.readouterr().err
    assert "old" in report.docs.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{begin}", "{end} {begin}", "{begin} {end} {begin} {end}"])
def test_report_needs_its_markers(text: str, bench: Any):
    with pytest.raises(bench.report.ReportError, match="has no <!-- benchmarks:begin --> followed by one"):
        bench.report.between_markers(text.format(begin=bench.report.BEGIN, end=bench.report.END), "")


def test_published_tables_are_those_of_the_published_results(bench: Any):
    if not bench.report.default_results().is_file():
        pytest.skip("no results are published yet")
    assert bench.report.main(["--check"]) == 0


def test_command_names_every_case(bench: Any):
    command = [sys.executable, "-m", "benchmarks", "--help"]
    told = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    assert len(bench.cases.CASES) == CASES
    assert all(name in told for name in bench.cases.CASES)
    for option in ("--case", "--rounds", "--quick", "--dir", "--out", "--threads", "--large-tensor"):
        assert option in told
    command[-1:] = ["--case", "no_such_case"]
    refused = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert refused.returncode == 2


def test_documentation_has_every_case(bench: Any):
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in bench.cases.CASES)
    assert all(f"| `{name}` |" in text for name in bench.contents.CONTENTS)
