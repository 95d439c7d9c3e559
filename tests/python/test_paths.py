"""What a path means, and what is said of one that means nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from support import corpus

import tensorbundle as tb
from tensorbundle import errors, paths

TABLE_END = bytes(40) + bytes.fromhex("57fb808b247547db")


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make(directory: Path, *prefixes: str, shards: int = 1) -> None:
    """Files with the names of checkpoints; nothing looks inside."""
    for prefix in prefixes:
        touch(directory / f"{prefix}.index", TABLE_END)
        for shard in range(shards):
            touch(directory / f"{prefix}.data-{shard:05}-of-{shards:05}")


def write_state(directory: Path, latest: str) -> Path:
    return touch(directory / "checkpoint", f'model_checkpoint_path: "{latest}"\n'.encode())


def missing(path: object) -> FileNotFoundError:
    """The error of a wrong path, which has the system's number and the path as it was given."""
    with pytest.raises(FileNotFoundError) as caught:
        paths.resolve(path)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == os.fspath(path)
    return caught.value


@pytest.fixture
def run(tmp_path) -> Path:
    make(tmp_path, "ckpt-1", "ckpt-2", shards=2)
    return tmp_path


# Prefixes and files.


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00002", ".data-00001-of-00002"])
@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_prefix_and_each_of_its_files(run, suffix, kind):
    assert paths.resolve(kind(f"{run}/ckpt-1{suffix}")) == f"{run}/ckpt-1"


@pytest.mark.parametrize("path", ["ckpt-1", "./ckpt-1.index", ".//ckpt-1", "sub/../ckpt-1"])
def test_relative_path_becomes_absolute(run, monkeypatch, path):
    monkeypatch.chdir(run)
    (run / "sub").mkdir()
    expected = f"{run}/sub/../ckpt-1" if ".." in path else f"{run}/ckpt-1"
    assert paths.resolve(path) == expected


def test_dots_follow_links_as_the_system_does(tmp_path, monkeypatch):
    make(tmp_path / "real", "ckpt")
    (tmp_path / "real" / "sub").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(tmp_path / "real" / "sub")
    monkeypatch.chdir(tmp_path / "elsewhere")
    resolved = paths.resolve("link/../ckpt")
    assert os.path.samefile(resolved + ".index", tmp_path / "real" / "ckpt.index")


@pytest.mark.parametrize(
    "name", ["a[0]", "a*b", "what?", "sp ace", "gr\u00fc\u00df", "~", "line\nbreak", "back\\slash", "x.index"]
)
def test_names_are_literal(tmp_path, name):
    make(tmp_path, name)
    assert paths.resolve(tmp_path / name) == f"{tmp_path}/{name}"
    assert paths.resolve(f"{tmp_path}/{name}.data-00000-of-00001") == f"{tmp_path}/{name}"


def test_names_that_are_not_utf8(tmp_path):
    name = b"\xff\xfe"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".index")).touch()
    expected = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    assert paths.resolve(os.fsencode(tmp_path) + b"/" + name) == expected
    assert paths.resolve(expected) == expected
    assert "'\\udcff\\udcfe'" in str(missing(tmp_path / "wrong"))


def test_existing_index_comes_before_everything_else(tmp_path):
    make(tmp_path, "checkpoint", "model", "x.data-00000-of-00001", "y.index")
    (tmp_path / "model").mkdir()
    write_state(tmp_path / "model", "nowhere")
    touch(tmp_path / "checkpoint", b"not a state file")
    make(tmp_path, "x")
    for name in ("checkpoint", "model", "x.data-00000-of-00001", "y.index"):
        assert paths.resolve(tmp_path / name) == f"{tmp_path}/{name}"


def test_prefix_with_an_empty_last_part(tmp_path):
    make(tmp_path, "")
    assert paths.resolve(f"{tmp_path}/") == f"{tmp_path}/"
    assert paths.resolve(f"{tmp_path}/.index") == f"{tmp_path}/"


def test_wider_shard_numbers(tmp_path):
    make(tmp_path, "big")
    touch(tmp_path / "big.data-123456-of-200000")
    assert paths.resolve(tmp_path / "big.data-123456-of-200000") == f"{tmp_path}/big"


# Directories.


def test_directory_with_a_state_file(run):
    state_file = write_state(run, "ckpt-2")
    assert paths.resolve(run) == f"{run}/ckpt-2"
    assert paths.resolve(f"{run}/") == f"{run}/ckpt-2"
    assert paths.resolve(state_file) == f"{run}/ckpt-2"


def test_state_file_by_relative_path(run, monkeypatch):
    write_state(run, "ckpt-2")
    monkeypatch.chdir(run)
    assert paths.resolve("checkpoint") == f"{run}/ckpt-2"
    assert paths.resolve(".") == f"{run}/ckpt-2"


def test_state_file_with_an_absolute_prefix_elsewhere(run, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    make(other, "ckpt-9")
    write_state(run, f"{other}/ckpt-9")
    assert paths.resolve(run) == f"{other}/ckpt-9"


@pytest.mark.parametrize("gone", ["/no/such/place/ckpt-1", "gs://bucket/run/ckpt-1"])
def test_absolute_prefix_that_is_gone_is_looked_for_beside_the_state_file(run, gone):
    write_state(run, gone)
    assert paths.resolve(run) == f"{run}/ckpt-1"


def test_state_file_whose_checkpoint_is_gone(run):
    write_state(run, "/no/such/place/ckpt-7")
    message = missing(run / "checkpoint").strerror
    assert message == (
        "the latest checkpoint that this state file names is gone: there is no '/no/such/place/ckpt-7.index' nor "
        f"'{run}/ckpt-7.index'; the directory holds checkpoints: 'ckpt-1', 'ckpt-2'"
    )


def test_state_file_may_not_leave_its_directory(run):
    (run / "sub").mkdir()
    write_state(run / "sub", "../ckpt-1")
    with pytest.raises(errors.DataLossError, match=r"names '\.\./ckpt-1', which is outside its directory$"):
        paths.resolve(run / "sub")


def test_state_file_with_a_nul(run):
    write_state(run, r"a\000/b*")
    with pytest.raises(errors.DataLossError, match=r"which no file can be named$"):
        paths.resolve(run)


def test_damaged_state_file(run):
    touch(run / "checkpoint", b"model_checkpoint_path 1")
    with pytest.raises(errors.DataLossError) as caught:
        paths.resolve(run)
    assert caught.value.path == f"{run}/checkpoint"


@pytest.mark.parametrize("file", ["saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"])
def test_saved_model(tmp_path, file):
    touch(tmp_path / file)
    make(tmp_path / "variables", "variables")
    for path in (tmp_path, tmp_path / "variables", tmp_path / file, tmp_path / "variables" / "variables"):
        assert paths.resolve(path) == f"{tmp_path}/variables/variables"


def test_state_file_comes_before_the_saved_model(run):
    touch(run / "saved_model.pb")
    make(run / "variables", "variables")
    write_state(run, "ckpt-1")
    assert paths.resolve(run) == f"{run}/ckpt-1"


def test_saved_model_without_variables(tmp_path):
    touch(tmp_path / "saved_model.pb")
    index = f"{tmp_path}/variables/variables.index"
    assert missing(tmp_path).strerror == f"this SavedModel has no variables: there is no {index!r}, nor a V1 file"


# Wrong paths.

NOTHING = "no checkpoint here: looked for a state file 'checkpoint', an index 'variables.index' and a SavedModel; "


def test_directory_without_a_state_file_lists_its_checkpoints(run):
    assert missing(run).strerror == NOTHING + "the directory holds checkpoints: 'ckpt-1', 'ckpt-2'"


def test_directory_with_nothing(tmp_path):
    assert missing(tmp_path).strerror == NOTHING + "the directory is empty"
    touch(tmp_path / "notes.txt")
    assert missing(tmp_path).strerror == NOTHING + "the directory holds no checkpoint"


def test_directory_of_saved_models(tmp_path):
    touch(tmp_path / "1" / "saved_model.pb")
    touch(tmp_path / "2" / "saved_model.pb")
    assert missing(tmp_path).strerror == NOTHING + "the directory holds SavedModels: '1', '2'"


def test_directory_of_data_files_alone(tmp_path):
    touch(tmp_path / "m.data-00000-of-00001")
    assert missing(tmp_path).strerror.endswith(
        "the directory holds data files without their index: 'm.data-00000-of-00001'"
    )


def test_wrong_prefix_offers_the_nearest_names_first(tmp_path):
    make(tmp_path, "model.ckpt-9", "model.ckpt-10", "model.ckpt-100", "other")
    error = missing(tmp_path / "model.ckpt-1000")
    assert str(error) == (
        f"[Errno 2] no checkpoint here: looked for '{tmp_path}/model.ckpt-1000.index'; its directory holds "
        f"checkpoints: 'model.ckpt-100', 'model.ckpt-10', 'model.ckpt-9', 'other': '{tmp_path}/model.ckpt-1000'"
    )


def test_few_of_many_names_are_offered(tmp_path):
    make(tmp_path, *(f"ckpt-{step}" for step in range(12)))
    assert missing(tmp_path).strerror.endswith("'ckpt-0', 'ckpt-1', 'ckpt-2', 'ckpt-3', 'ckpt-4' and 7 more")


def test_missing_directory(tmp_path):
    message = missing(tmp_path / "no" / "ckpt").strerror
    assert message == f"no checkpoint here: looked for '{tmp_path}/no/ckpt.index'; its directory does not exist"


@pytest.mark.parametrize("name", ["model.safetensors", "arrays.npz"])
def test_files_of_other_formats_can_be_converted(tmp_path, name):
    hint = "; tensorbundle.convert, or the command of that name, makes a checkpoint of a file of this kind"
    assert not missing(tmp_path / name).strerror.endswith(hint)
    (tmp_path / name).touch()
    assert missing(tmp_path / name).strerror.endswith(hint)


@pytest.mark.parametrize("name", ["ckpt-1.index", "ckpt-1.data-00000-of-00002"])
def test_files_that_are_not_there(tmp_path, name):
    assert f"looked for '{tmp_path}/{name}.index'" in missing(tmp_path / name).strerror


def test_data_file_without_its_index(run):
    (run / "ckpt-1.index").unlink()
    message = missing(run / "ckpt-1.data-00000-of-00002").strerror
    assert message == f"no checkpoint here: looked for '{run}/ckpt-1.index'; its directory holds checkpoints: 'ckpt-2'"


def test_other_file(run):
    touch(run / "ckpt-1.meta", b"graph")
    message = missing(run / "ckpt-1.meta").strerror
    assert f"looked for '{run}/ckpt-1.meta.index'" in message
    assert "'ckpt-1', 'ckpt-2'" in message


def test_index_that_is_a_directory(tmp_path):
    (tmp_path / "ckpt.index").mkdir()
    missing(tmp_path / "ckpt")


def test_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "ckpt")
    missing(tmp_path / "ckpt")


def test_tilde_is_not_expanded():
    message = missing("~/no such directory/ckpt").strerror
    assert message.endswith("its directory does not exist; '~' is not expanded here, os.path.expanduser does that")


def test_empty_path():
    assert missing("").strerror == "no checkpoint has an empty path"


def test_too_long_name(tmp_path):
    missing(tmp_path / ("x" * 255))


def test_absolute_path_needs_no_working_directory(run, monkeypatch):
    (run / "gone").mkdir()
    monkeypatch.chdir(run / "gone")
    (run / "gone").rmdir()
    assert paths.resolve(run / "ckpt-1") == f"{run}/ckpt-1"
    write_state(run, "ckpt-2")
    assert paths.resolve(run) == f"{run}/ckpt-2"


def test_pattern_is_no_prefix(run):
    message = missing(run / "ckpt-*").strerror
    assert message.startswith(f"no checkpoint here: looked for '{run}/ckpt-*.index'; ")
    assert all(name in message for name in ("'ckpt-1'", "'ckpt-2'"))  # Equally near, so in either order.


def test_no_path_at_all():
    with pytest.raises(TypeError, match=r"^expected str, bytes or os\.PathLike object, not int$"):
        paths.resolve(5)
    with pytest.raises(ValueError, match="embedded null byte"):
        paths.resolve("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may look everywhere")
def test_refusal_of_the_system_is_its_own_error(run):
    run.chmod(0)
    try:
        with pytest.raises(PermissionError):
            paths.resolve(run / "ckpt-1")
    finally:
        run.chmod(0o700)


def test_loop_of_links_is_the_systems_error(tmp_path):
    (tmp_path / "ckpt.index").symlink_to("ckpt.index")
    with pytest.raises(OSError, match="Too many levels of symbolic links") as caught:
        paths.resolve(tmp_path / "ckpt")
    assert caught.value.errno == errno.ELOOP


# What isn't supported yet.


def refused(path: object) -> str:
    with pytest.raises(errors.UnimplementedError) as caught:
        paths.resolve(path)
    return str(caught.value)


# The V1 format.


def found_v1(path: object) -> str:
    found = paths.find(path)
    assert found.is_v1
    return found.path


def touch_shards(directory: Path, name: str, total: int) -> str:
    for shard in range(total):
        touch(directory / f"{name}-{shard:05d}-of-{total:05d}", TABLE_END)
    return f"{directory}/{name}-?????-of-{total:05d}"


def test_v1_file(tmp_path, monkeypatch):
    touch(tmp_path / "old.ckpt", TABLE_END)
    assert found_v1(tmp_path / "old.ckpt") == f"{tmp_path}/old.ckpt"
    monkeypatch.chdir(tmp_path)
    assert found_v1("old.ckpt") == f"{tmp_path}/old.ckpt"
    touch(tmp_path / "old.ckpt.index")
    assert paths.find("old.ckpt") == (f"{tmp_path}/old.ckpt", False)


def test_v1_pattern_and_shards(tmp_path):
    pattern = touch_shards(tmp_path, "vars", 3)
    assert found_v1(pattern) == pattern
    for shard in range(3):
        assert found_v1(tmp_path / f"vars-{shard:05d}-of-00003") == pattern


def test_v1_pattern_and_shards_without_one_of_them(tmp_path):
    pattern = touch_shards(tmp_path, "vars", 3)
    (tmp_path / "vars-00001-of-00003").unlink()
    assert found_v1(pattern) == pattern
    assert found_v1(tmp_path / "vars-00002-of-00003") == pattern
    assert found_v1(tmp_path / "vars-*") == pattern
    (tmp_path / "vars-00000-of-00003").unlink()
    (tmp_path / "vars-00002-of-00003").unlink()
    assert missing(pattern).strerror.startswith(f"no checkpoint here: looked for '{pattern}.index'")


@pytest.mark.parametrize("name", ["vars-00003-of-00003", "vars-00000-of-00000"])
def test_v1_file_whose_number_is_no_shards_stands_for_itself(tmp_path, name):
    touch(tmp_path / name, TABLE_END)
    assert found_v1(tmp_path / name) == f"{tmp_path}/{name}"


def test_v1_pattern_of_another_form(tmp_path):
    pattern = touch_shards(tmp_path, "vars", 2)
    assert found_v1(tmp_path / "vars-*") == pattern
    assert found_v1(tmp_path / "vars-?????-of-?????") == pattern
    touch(tmp_path / "vars-old", TABLE_END)
    assert found_v1(tmp_path / "vars-o[kl]d") == f"{tmp_path}/vars-old"
    assert missing(tmp_path / "vars-*").strerror == (
        "files of several checkpoints match this pattern: 'vars-?????-of-00002', 'vars-old'"
    )


@pytest.mark.parametrize("pattern", ["vars-?????-of-00002", "vars-?????-of-00000", "vars-?????-of-2", "*"])
def test_v1_pattern_of_nothing(tmp_path, pattern):
    touch(tmp_path / "notes.txt")
    assert missing(tmp_path / pattern).strerror.startswith(
        f"no checkpoint here: looked for '{tmp_path}/{pattern}.index'"
    )


def test_v1_checkpoints_are_offered(tmp_path):
    make(tmp_path, "new")
    touch(tmp_path / "old.ckpt", TABLE_END)
    touch_shards(tmp_path, "vars", 2)
    assert missing(tmp_path).strerror == NOTHING + (
        "the directory holds checkpoints: 'new', 'old.ckpt', 'vars-?????-of-00002'"
    )


def test_v1_checkpoint_of_a_state_file(tmp_path):
    touch(tmp_path / "old.ckpt", TABLE_END)
    write_state(tmp_path, "/gone/old.ckpt")
    assert found_v1(tmp_path) == f"{tmp_path}/old.ckpt"
    pattern = touch_shards(tmp_path, "vars", 2)
    write_state(tmp_path, "vars-?????-of-00002")
    assert found_v1(tmp_path / "checkpoint") == pattern
    write_state(tmp_path, "vars-?????-of-00003")
    assert f"is gone: there is no '{tmp_path}/vars-?????-of-00003'; " in missing(tmp_path / "checkpoint").strerror


def test_v1_checkpoint_called_checkpoint(tmp_path):
    touch(tmp_path / "checkpoint", TABLE_END)
    assert found_v1(tmp_path) == f"{tmp_path}/checkpoint"


@pytest.mark.parametrize("name", ["variables", "saved_model_variables"])
def test_v1_saved_model(tmp_path, name):
    touch(tmp_path / "saved_model.pb")
    pattern = touch_shards(tmp_path / "variables", name, 2)
    assert found_v1(tmp_path) == found_v1(tmp_path / "variables") == pattern
    touch(tmp_path / "variables" / name, TABLE_END)
    assert found_v1(tmp_path) == found_v1(tmp_path / "variables") == f"{tmp_path}/variables/{name}"


def test_v1_checkpoint_where_only_v2_will_do(tmp_path):
    touch(tmp_path / "old.ckpt", TABLE_END)
    assert refused(tmp_path / "old.ckpt") == (
        f"'{tmp_path}/old.ckpt' is of the V1 format, in which this can't be done: convert it to a V2 checkpoint "
        "before, with tensorbundle.convert or the command of that name"
    )


@pytest.mark.parametrize("url", ["gs://bucket/ckpt", "s3://b/c.index", "https://host/ckpt"])
def test_urls(url):
    assert refused(url) == f"reading from a URL is not supported yet: {url!r}"


@pytest.mark.parametrize(
    "write",
    [
        lambda url: tb.save(url, {"w": [1.0]}),
        lambda url: tb.save_objects(url, {"w": [1.0]}),
        lambda url: tb.merge(["ckpt"], url),
        lambda url: tb.edit("ckpt", url),
        lambda url: tb.saved_model.save_variables(url, {"w": [1.0]}),
        lambda url: tb.saved_model.serving.publish(url, pytest.fail),
    ],
)
def test_urls_are_not_written_to(tmp_path, monkeypatch, write):
    """A directory named ``gs:`` would be all that there is of what somebody believes to be in a bucket."""
    monkeypatch.chdir(tmp_path)
    tb.save("ckpt", {"w": [1.0]})
    before = sorted(tmp_path.iterdir())
    with pytest.raises(errors.UnimplementedError) as caught:
        write("gs://bucket/new")
    assert str(caught.value) == "writing to a URL is not supported yet: 'gs://bucket/new'"
    assert sorted(tmp_path.iterdir()) == before


def test_url_in_a_state_file(tmp_path):
    write_state(tmp_path, "gs://bucket/ckpt")
    assert refused(tmp_path) == "reading from a URL is not supported yet: 'gs://bucket/ckpt'"


def test_local_path_that_looks_like_a_url(tmp_path, monkeypatch):
    make(tmp_path / "gs:" / "bucket", "ckpt")
    monkeypatch.chdir(tmp_path)
    assert paths.resolve("gs://bucket/ckpt") == f"{tmp_path}/gs:/bucket/ckpt"


# The open corpus.


@pytest.mark.parametrize("checkpoint", corpus.checkpoints("V2"), ids=lambda checkpoint: checkpoint.id)
def test_corpus_prefixes(checkpoint):
    assert paths.resolve(checkpoint.prefix) == str(checkpoint.prefix)
    if checkpoint.prefix.name == "variables":
        assert paths.resolve(checkpoint.prefix.parents[1]) == str(checkpoint.prefix)


@pytest.mark.parametrize("checkpoint", corpus.checkpoints("V1"), ids=lambda checkpoint: checkpoint.id)
def test_corpus_v1_checkpoints(checkpoint):
    assert found_v1(checkpoint.prefix) == str(checkpoint.prefix)
    if checkpoint.prefix.parent.name == "variables":
        assert found_v1(checkpoint.prefix.parents[1]) == str(checkpoint.prefix)


@pytest.mark.parametrize("sample", corpus.samples(), ids=lambda sample: sample.name)
def test_corpus_state_files_name_what_tensorflow_finds(sample):
    for described in sample.manifest["checkpoint_states"]:
        latest = described.get("latest_checkpoint")
        if latest is not None:
            file = sample.directory / described["file"]
            assert paths.find(file).path == str(file.parent / latest)
