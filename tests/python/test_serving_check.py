"""What a model server minds of a base and of a model."""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import servable
from support.processes import run_python
from support.servable import MOST, asset_named, published, set_input, texts, write_model, write_saved_model

from tensorbundle.saved_model import records, serving


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "half_plus_two"


def test_sound_base(base):
    published(base, 1, 20)
    (base / "README.md").touch()
    (base / ".cache").mkdir()
    report = serving.check(base)
    assert report
    assert (report.path, report.versions, report.findings) == (str(base), (1, 20), ())
    assert str(report) == f"{str(base)!r} is sound"
    assert repr(report) == f"<CheckReport {str(base)!r}: 2 versions, 0 findings>"
    assert pickle.loads(pickle.dumps(report)) == report


def test_base_with_findings(base):
    published(base, 3)
    (base / "v2").mkdir()
    (base / "-4").mkdir()
    (base / " +7").mkdir()
    (base / str(MOST + 1)).mkdir()
    (base / "03").mkdir()
    (base / "4").touch()
    (base / "5").symlink_to("nowhere")
    (base / "6").mkdir()
    report = serving.check(base)
    assert not report
    assert report.versions == (3, 4, 5, 6)
    taken = "is taken for version {} by a server, and by nothing else: a version is named by digits alone"
    stray = "is passed over: a version is named by a number below 2**63"
    assert report.findings == (
        serving.Finding(None, str(base / " +7"), "warning", taken.format(7)),
        serving.Finding(None, str(base / "-4"), "warning", taken.format(-4)),
        serving.Finding(None, str(base / str(MOST + 1)), "warning", stray),
        serving.Finding(None, str(base / "v2"), "warning", stray),
        serving.Finding(3, str(base / "03"), "warning", "is passed over: '3' is version 3 too"),
        serving.Finding(4, str(base / "4"), "error", "is a file; a version is a directory"),
        serving.Finding(5, str(base / "5"), "error", "leads nowhere; a version is a directory"),
        serving.Finding(6, str(base / "6"), "error", "has no saved_model.pb"),
    )
    assert str(report).splitlines()[:2] == [
        f"{str(base)!r} is not sound",
        f"  warning: {str(base / ' +7')!r} {taken.format(7)}",
    ]
    assert pickle.loads(pickle.dumps(report)) == report


def test_empty_base(base):
    base.mkdir(parents=True)
    assert texts(serving.check(base)) == [("error", str(base), "has no versions")]
    write_model(base)
    assert texts(serving.check(base)) == [
        ("error", str(base), "has no versions: it is a SavedModel itself, and should be in a folder named by a number")
    ]
    with pytest.raises(FileNotFoundError):
        serving.check(base / "none")


def two_main_ops(made: Any) -> None:
    made.collection_def["saved_model_main_op"].node_list.value.append("y")


def no_main_op(made: Any) -> None:
    made.collection_def["saved_model_main_op"].Clear()


def two_legacy_ops(made: Any) -> None:
    del made.collection_def["saved_model_main_op"]
    made.collection_def["legacy_init_op"].node_list.value.extend(["x", "y"])


def init_signature(output: str, name: str) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        made.signature_def["__saved_model_init_op"].outputs[output].name = name

    return change


def in_collection(*names: str) -> Callable[[Any], None]:
    """Assets as builders of TensorFlow 1 list them."""

    def change(made: Any) -> None:
        packed = list(made.asset_file_def)
        del made.asset_file_def[:]
        for asset, name in zip(packed * len(names), names, strict=True):
            asset.filename = name
            value = made.collection_def["saved_model_assets"].any_list.value.add()
            value.type_url = "type.googleapis.com/tensorflow.AssetFileDef"
            value.value = asset.SerializeToString()

    return change


SOUND: dict[str, Callable[[Any], object]] = {
    "as it is": lambda made: None,
    "no initial op": lambda made: made.collection_def.clear(),
    "legacy init op": lambda made: (
        made.collection_def.clear(),
        made.collection_def["legacy_init_op"].node_list.value.append("init"),
    ),
    "init signature": init_signature("__saved_model_init_op", "init:0"),
    "init signature before a wrong collection": lambda made: (
        two_main_ops(made),
        init_signature("__saved_model_init_op", "init")(made),
    ),
    "assets in a collection": in_collection("vocabulary.txt"),
    "no assets": lambda made: made.ClearField("asset_file_def"),
    "sparse input": set_input(sparse=("x:0", "x:1", "y:0")),
    "composite input": set_input(composite=("x:0", "y:0")),
    "a signature without outputs beside another": lambda made: (
        made.signature_def["setup"].inputs["x"].CopyFrom(made.signature_def["serving_default"].inputs["x"])
    ),
    "tag given twice": lambda made: made.meta_info_def.tags.append("serve"),
}

NOT_ONE = "can't be served: FILE: Expected exactly one SavedModel init op. The collection"

# What is done to a model, and what is said of it; FILE is that of the message.
MINDED: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "other tags": (
        lambda made: made.meta_info_def.tags.append("train"),
        "error",
        "has no meta graph with exactly the tags {serve}; it has {serve, train}",
    ),
    "no tags": (
        lambda made: made.meta_info_def.ClearField("tags"),
        "error",
        "has no meta graph with exactly the tags {serve}; it has {}",
    ),
    "two main ops": (
        two_main_ops,
        "error",
        f"{NOT_ONE} 'saved_model_main_op' has 2: ['init', 'y']",
    ),
    "no main op": (
        no_main_op,
        "error",
        f"{NOT_ONE} 'saved_model_main_op' has 0: []",
    ),
    "two legacy ops": (
        two_legacy_ops,
        "error",
        f"{NOT_ONE} 'legacy_init_op' has 2: ['x', 'y']",
    ),
    "init signature without its output": (
        init_signature("other", "init"),
        "error",
        "can't be served: FILE: the signature '__saved_model_init_op' has no output of that name, but ['other']",
    ),
    "unknown initial op": (
        init_signature("__saved_model_init_op", "gone"),
        "error",
        "names op 'gone' to be run first, which its graph has not",
    ),
    "restore op": (
        lambda made: setattr(made.saver_def, "restore_op_name", "gone"),
        "error",
        "can't be restored: its graph has no node for the restore op 'gone'",
    ),
    "file name tensor": (
        lambda made: setattr(made.saver_def, "filename_tensor_name", ""),
        "error",
        "can't be restored: its graph has no node for the file name tensor ''",
    ),
    "asset missing": (asset_named("gone.txt"), "error", "has asset 'gone.txt', which is missing"),
    "asset that is a folder": (
        asset_named("."),
        "error",
        "can't be served: FILE: the asset '.' is refused: its name is that of no file",
    ),
    "asset above": (
        asset_named("../saved_model.pb"),
        "error",
        "can't be served: FILE: the asset '../saved_model.pb' is refused: its name leads out of 'assets'",
    ),
    "asset at the root": (
        asset_named("/etc/passwd"),
        "error",
        "can't be served: FILE: the asset '/etc/passwd' is refused: its name is an absolute path",
    ),
    "asset with NUL": (
        asset_named("a\0b"),
        "error",
        "can't be served: FILE: the asset 'a\\x00b' is refused: its name has a NUL in it",
    ),
    "asset without a name": (
        asset_named(""),
        "error",
        "can't be served: FILE: the asset '' is refused: its name is that of no file",
    ),
    "asset above, in a collection": (
        in_collection("../x"),
        "error",
        "can't be served: FILE: the asset '../x' is refused: its name leads out of 'assets'",
    ),
    "asset's tensor": (
        lambda made: setattr(made.asset_file_def[0].tensor_info, "name", "gone:0"),
        "error",
        "has asset 'vocabulary.txt' for tensor 'gone:0', which its graph has not",
    ),
    "no signatures": (
        lambda made: made.signature_def.clear(),
        "warning",
        "has no signatures: it would be loaded, and answer no request",
    ),
    "reserved signatures only": (
        lambda made: (made.signature_def.clear(), init_signature("__saved_model_init_op", "init")(made)),
        "warning",
        "has no signatures: it would be loaded, and answer no request",
    ),
    "no outputs": (
        lambda made: made.signature_def["serving_default"].outputs.clear(),
        "warning",
        "has no signature with outputs: it would be loaded, and answer no request",
    ),
    "unknown input": (
        set_input(name="gone:0"),
        "error",
        "has signature 'serving_default', input 'x': tensor 'gone:0' is not in its graph",
    ),
    "unknown part of a sparse input": (
        set_input(sparse=("x:0", "gone:1", "y:0")),
        "error",
        "has signature 'serving_default', input 'x': tensor 'gone:1' is not in its graph",
    ),
    "unknown part of a composite input": (
        set_input(composite=("x:0", "gone:0")),
        "error",
        "has signature 'serving_default', input 'x': tensor 'gone:0' is not in its graph",
    ),
    "input without a tensor": (set_input(), "error", "has signature 'serving_default', input 'x': it names no tensor"),
}


@pytest.mark.parametrize("change", SOUND.values(), ids=SOUND)
def test_sound_models(tmp_path, change):
    write_model(tmp_path / "model", change=change)
    assert texts(serving.check_model(tmp_path / "model")) == []


@pytest.mark.parametrize(("change", "severity", "text"), MINDED.values(), ids=MINDED)
def test_models_that_a_server_minds(tmp_path, change, severity, text):
    write_model(tmp_path / "model", change=change)
    report = serving.check_model(tmp_path / "model")
    text = text.replace("FILE", repr(str(tmp_path / "model" / "saved_model.pb")))
    assert texts(report) == [(severity, str(tmp_path / "model"), text)]
    assert (report.versions, report.findings[0].version) == ((), None)


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def replace(path: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_bytes(content)


def as_chunked(folder: Path) -> None:
    (folder / "saved_model.pb").rename(folder / "saved_model.cpb")


def as_link(folder: Path) -> None:
    (folder / "secret").touch()
    (folder / "assets" / "vocabulary.txt").unlink()
    (folder / "assets" / "vocabulary.txt").symlink_to("../secret")


def as_folder(folder: Path) -> None:
    (folder / "assets" / "vocabulary.txt").unlink()
    (folder / "assets" / "vocabulary.txt").mkdir()


def without_last_byte(folder: Path) -> None:
    os.truncate(folder / "variables" / "variables.data-00000-of-00001", 11)  # Of three numbers.


FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no message": (remove("saved_model.pb"), "error", r"has no saved_model\.pb"),
    "chunked": (
        as_chunked,
        "error",
        r"has only the chunked form of a saved_model\.pb, which servers do not read",
    ),
    "empty message": (
        replace("saved_model.pb", b""),
        "error",
        r"has no meta graph with exactly the tags \{serve\}; it has none at all",
    ),
    "damaged message": (
        replace("saved_model.pb", b"\xff" * 9),
        "damage",
        r"is damaged: '.*saved_model\.pb' is no SavedModel: .*",
    ),
    "no index": (
        remove("variables/variables.index"),
        "error",
        r"has no variables/variables\.index, though its graph restores variables",
    ),
    "damaged index": (replace("variables/variables.index", b"x" * 99), "damage", r"is damaged: .*variables\.index.*"),
    "no data": (
        remove("variables/variables.data-00000-of-00001"),
        "error",
        r"has 1 of 1 variables that can't be read: .*variables\.data-00000-of-00001.*",
    ),
    "short data": (without_last_byte, "damage", r"has 1 of 1 variables that can't be read: .*truncated.*"),
    "no asset": (remove("assets/vocabulary.txt"), "error", r"has asset 'vocabulary\.txt', which is missing"),
    "asset that leads outside": (
        as_link,
        "error",
        r"can't be served: .*: the asset 'vocabulary\.txt' is refused: a link leads out of 'assets', to '.*/1/secret'",
    ),
    "asset that is a folder": (as_folder, "error", r"has asset 'vocabulary\.txt', which is missing"),
}


@pytest.mark.parametrize(("break_it", "severity", "pattern"), FILES.values(), ids=FILES)
def test_files_that_a_server_minds(tmp_path, break_it, severity, pattern):
    write_model(tmp_path / "1")
    break_it(tmp_path / "1")
    ((found_severity, path, text),) = texts(serving.check(tmp_path))
    assert (found_severity, path) == (severity, str(tmp_path / "1"))
    assert re.fullmatch(pattern, text)


def test_variables_that_no_saver_restores_do_not_matter(tmp_path):
    write_model(tmp_path / "model", change=lambda made: made.ClearField("saver_def"))
    shutil.rmtree(tmp_path / "model" / "variables")
    assert serving.check_model(tmp_path / "model")


def test_the_first_meta_graph_with_the_tags_is_served(tmp_path):
    write_model(tmp_path / "model")
    good, bad = servable.meta_graph("serve"), servable.meta_graph("serve")
    two_main_ops(bad)
    write_saved_model(tmp_path / "model", servable.meta_graph("train"), good, bad)
    assert serving.check_model(tmp_path / "model")
    write_saved_model(tmp_path / "model", bad, good)
    assert not serving.check_model(tmp_path / "model")


def test_damage_in_a_meta_graph_that_is_not_served(tmp_path):
    write_model(tmp_path / "model")
    with open(tmp_path / "model" / "saved_model.pb", "ab") as file:
        file.write(bytes([2 << 3 | 2, 4, 2 << 3 | 2, 2, 0xFF, 0xFF]))  # Its graph_def is no message.
    ((severity, _, text),) = texts(serving.check_model(tmp_path / "model"))
    assert severity == "damage"
    assert text.startswith(f"is damaged: {str(tmp_path / 'model' / 'saved_model.pb')!r}")


def test_text_is_read_where_there_is_no_binary(tmp_path):
    write_model(tmp_path / "model")
    pb, pbtxt = tmp_path / "model" / "saved_model.pb", tmp_path / "model" / "saved_model.pbtxt"
    pbtxt.write_text("nonsense")
    assert serving.check_model(tmp_path / "model")
    pb.unlink()
    ((severity, _, text),) = texts(serving.check_model(tmp_path / "model"))
    assert severity == "damage"
    assert text.startswith(f"is damaged: {str(pbtxt)!r}, line 1: no text of a SavedModel: ")
    pbtxt.write_text('meta_graphs { meta_info_def { tags: "serve" } }')
    ((severity, _, text),) = texts(serving.check_model(tmp_path / "model"))
    assert (severity, text) == ("warning", "has no signatures: it would be loaded, and answer no request")


def test_what_cannot_be_read(base, monkeypatch):
    published(base, 1)
    path = str(base / "1" / "saved_model.pb")

    def refuse(_directory: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(records, "read", refuse)
    assert texts(serving.check(base)) == [("error", str(base / "1"), f"can't be read: {path!r}: Permission denied")]


def test_check_model_of_no_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        serving.check_model(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        serving.check_model(tmp_path / "file")


def test_a_version_that_is_pruned_meanwhile_is_no_finding(base, monkeypatch):
    published(base, 1, 2)
    numbered = serving._numbered

    def late(*arguments: Any, **options: Any) -> list[tuple[int, str]]:
        found = numbered(*arguments, **options)
        shutil.rmtree(base / "1", ignore_errors=True)
        return found

    monkeypatch.setattr(serving, "_numbered", late)
    assert serving.check(base)


def test_without_protobuf_nothing_is_begun(base):
    script = (
        "import sys\n"
        "sys.modules['google.protobuf'] = None\n"
        "from tensorbundle.saved_model import serving\n"
        "print(serving.versions(sys.argv[1]))\n"
        "for call in (lambda: serving.publish(sys.argv[1], print), lambda: serving.check('/'),\n"
        "             lambda: serving.check_model('/')):\n"
        "    try: call()\n"
        "    except ImportError as error: print('protobuf' in str(error))\n"
    )
    assert run_python(script, base) == "[]\nTrue\nTrue\nTrue\n"
    assert not base.exists()
