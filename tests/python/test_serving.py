"""Numbered versions for a model server: what is one, and how they come and go."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from support.servable import MOST, files_in, fill, number_in, published, write_model

from tensorbundle import errors, files
from tensorbundle.saved_model import serving


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "half_plus_two"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "made"
    write_model(directory, 5)
    return directory


# What is a version.


def test_versions_are_folders_named_by_numbers(tmp_path):
    for name in ["3", "00000012", "1700000000", str(MOST), "0"]:
        (tmp_path / name).mkdir()
    for name in [
        "v4",
        "4.0",
        "-5",
        "+6",
        " 7",
        "7 ",
        "0x8",
        "1_0",
        "",
        "\u0663",
        str(MOST + 1),
        "temp-9",
        ".10",
        "1e3",
    ]:
        (tmp_path / (name or "x")).mkdir()
    (tmp_path / "11").touch()
    (tmp_path / "13").symlink_to("3")
    (tmp_path / "14").symlink_to("nowhere")
    assert serving.versions(tmp_path) == [0, 3, 12, 13, 1700000000, MOST]
    assert serving.latest(tmp_path) == str(tmp_path / str(MOST))
    assert serving.paths(tmp_path) == [
        str(tmp_path / name) for name in ["0", "3", "00000012", "13", "1700000000", str(MOST)]
    ]


def test_of_two_names_of_a_number_the_server_loads_the_last(tmp_path):
    for name in ["001", "01", "1"]:
        (tmp_path / name).mkdir()
    assert serving.versions(tmp_path) == [1]
    assert serving.latest(tmp_path) == str(tmp_path / "1")


def test_no_versions(tmp_path):
    assert (serving.versions(tmp_path), serving.latest(tmp_path)) == ([], None)
    assert (serving.versions(tmp_path / "none"), serving.latest(tmp_path / "none")) == ([], None)
    (tmp_path / "file").touch()
    for function in (serving.versions, serving.latest, serving.check):
        with pytest.raises(NotADirectoryError):
            function(tmp_path / "file")


def test_relative_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given, path in [("", "1"), ("m", "m/1"), ("m/", "m/2"), (Path("m"), "m/3"), (b"m", "m/4")]:
        assert serving.publish(given, fill()) == path
        assert serving.latest(given) == path
    assert serving.publish("m/../m", fill()) == "m/../m/5"
    assert serving.check("m").versions == (1, 2, 3, 4, 5)


# Publishing.


def test_first_version(base):
    seen = []

    def write(directory: str) -> None:
        seen.append(directory)
        assert (os.path.isabs(directory), os.listdir(directory)) == (True, [])
        assert (serving.versions(base), serving.latest(base)) == ([], None)
        assert not serving.check(base)
        write_model(directory, 7)

    assert serving.publish(base, write) == str(base / "1")
    assert Path(seen[0]).parent.parent == base
    assert os.listdir(base) == ["1"]
    assert number_in(base / "1") == 7
    assert serving.check(base)


def test_numbers_continue_after_the_highest(base):
    paths = [serving.publish(base, fill(number)) for number in (1, 2)]
    (base / "00000041").mkdir()
    paths.append(serving.publish(base, fill(42)))
    (base / "50").touch()  # A server takes it for a version.
    paths.append(serving.publish(base, fill(51)))
    assert [os.path.basename(path) for path in paths] == ["1", "2", "42", "51"]
    assert [number_in(path) for path in paths] == [1, 2, 42, 51]


def test_what_is_written_is_what_is_published(base, model):
    path = serving.publish(base, lambda directory: shutil.copytree(model, directory, dirs_exist_ok=True))
    assert files_in(path) == files_in(model)


def test_permissions_are_the_process_own(base):
    old = os.umask(0o027)
    try:
        path = serving.publish(base, fill())
    finally:
        os.umask(old)
    assert os.stat(path).st_mode & 0o777 == 0o750


def test_given_version(base):
    assert serving.publish(base, fill(), version=np.int64(7)) == str(base / "7")
    assert serving.publish(base, fill(), version=0) == str(base / "0")
    assert serving.publish(base, fill()) == str(base / "8")
    assert serving.publish(base, fill(), version=MOST) == str(base / str(MOST))
    with pytest.raises(errors.LimitError, match=re.escape(f"{str(base / str(MOST))!r} has the highest number")):
        serving.publish(base, fill())
    assert sorted(os.listdir(base)) == sorted(["0", "7", "8", str(MOST)])


@pytest.mark.parametrize("name", ["7", "007"])
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_given_version_is_never_replaced(base, name, make):
    base.mkdir(parents=True)
    make(base / name)
    with pytest.raises(FileExistsError) as caught:
        serving.publish(base, fill(), version=7)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, str(base / name))
    assert os.listdir(base) == [name]


def test_timestamps(base, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.9)
    names = [os.path.basename(serving.publish(base, fill(), version="timestamp")) for _ in range(3)]
    assert names == ["1700000000", "1700000001", "1700000002"]
    monkeypatch.setattr(time, "time", lambda: 1_600_000_000.0)  # The clock was set back: a server serves the highest.
    assert serving.publish(base, fill(), version="timestamp") == str(base / "1700000003")
    assert serving.publish(base, fill()) == str(base / "1700000004")


@pytest.mark.parametrize("durable", [True, False])
def test_synced_before_it_has_its_name(base, monkeypatch, durable):
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def rename(source: str, target: str) -> None:
        calls.append(f"rename {os.path.basename(target)}")
        os.replace(source, target)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("only Linux tells what a descriptor is of")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    serving.publish(base, fill(), durable=durable)
    calls = [re.sub(r".*\.publishing-[0-9a-f]{16}/", "", call) for call in calls]
    synced = {
        "new/assets/vocabulary.txt",
        "new/assets",
        "new/variables/variables.index",
        "new/variables/variables.data-00000-of-00001",
        "new/variables",
        "new/saved_model.pb",
        "new",
        str(base.parent),  # Has the name of the new base directory.
        str(base.parent.parent),
    }
    if durable:
        assert set(calls[:9]) == synced
        assert calls[9:] == ["rename 1", str(base)]
    else:
        assert calls == ["rename 1"]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"keep": 0}, ValueError, "keep must be positive, or None to keep all, not 0"),
        ({"keep": True}, TypeError, "keep must be an integer, not True"),
        ({"keep": 2.0}, TypeError, "keep must be an integer, not 2.0"),
        ({"version": -1}, ValueError, f"version must be from 0 to {MOST}, not -1"),
        ({"version": MOST + 1}, ValueError, f"version must be from 0 to {MOST}, not {MOST + 1}"),
        ({"version": "7"}, TypeError, "version must be an integer, not '7'"),
        ({"version": False}, TypeError, "version must be an integer, not False"),
        ({"write": "export/1"}, TypeError, "write must be a function that fills a directory, not 'export/1'"),
    ],
)
def test_wrong_arguments(base, options, kind, message):
    with pytest.raises(kind) as caught:
        serving.publish(base, **{"write": pytest.fail, **options})
    assert str(caught.value) == message
    assert not base.exists()


# Keeping some.


def test_keep_removes_the_lowest(base):
    published(base, 1, 2, 3)
    serving.publish(base, fill(), keep=np.int8(2))
    assert serving.versions(base) == [3, 4]
    serving.publish(base, fill(), keep=10)
    assert serving.versions(base) == [3, 4, 5]
    serving.publish(base, fill(), keep=1)
    assert os.listdir(base) == ["6"]


def test_keep_never_removes_the_new_one_nor_the_newest(base):
    published(base, 5, 6, 7)
    serving.publish(base, fill(), keep=2, version=3)
    assert serving.versions(base) == [3, 6, 7]


def test_keep_counts_numbers_and_spares_what_is_no_version(base):
    published(base, 1, 2)
    (base / "002").mkdir()
    (base / "0").touch()
    (base / "notes").mkdir()
    serving.publish(base, fill(), keep=2)
    assert sorted(os.listdir(base)) == ["0", "002", "2", "3", "notes"]


def test_a_link_goes_and_what_it_leads_to_stays(base, model):
    base.mkdir(parents=True)
    (base / "1").symlink_to(model)
    before = files_in(model)
    serving.publish(base, fill(), keep=1)
    assert os.listdir(base) == ["2"]
    assert files_in(model) == before


def test_old_versions_are_renamed_away_before_any_of_their_files_goes(base, monkeypatch):
    published(base, 1, 2)
    whole = {f"old-{number}": files_in(base / str(number)) for number in (1, 2)}
    seen = []

    def rmtree(path: str) -> None:
        seen.append(os.path.basename(path))
        assert files_in(path) == whole[seen[-1]]
        assert serving.versions(base) == [3]
        remove(path)

    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    published_path = serving.publish(base, fill(), keep=1)
    assert published_path == str(base / "3")
    assert sorted(seen) == ["old-1", "old-2"]
    assert os.listdir(base) == ["3"]


def test_old_version_that_cannot_be_removed_is_removed_by_the_next(base, monkeypatch):
    published(base, 1)

    def refuse(path: str) -> None:
        raise PermissionError(errno.EPERM, "no", path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(PermissionError):
            serving.publish(base, fill(), keep=1)
    assert serving.versions(base) == [2]
    assert serving.check(base)
    serving.publish(base, fill())
    assert sorted(os.listdir(base)) == ["2", "3"]


def test_sync_tree_follows_no_links(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "loop").symlink_to(".")
    (tmp_path / "tree" / "away").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "tree" / "pipe")  # Opening it would wait for a writer.
    files.sync_tree(str(tmp_path / "tree"))
    with pytest.raises(FileNotFoundError):
        files.sync_tree(str(tmp_path / "none"))
