"""``saved_model.load``: which file is read, which meta graph is chosen, and what the loaded object gives."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import numpy as np
import pytest
from support import saved_models
from support.processes import run_python
from support.saved_models import meta_graph, write

import tensorbundle as tb
from tensorbundle import errors, saved_model
from tensorbundle.protos import messages


@pytest.fixture
def model(tmp_path):
    """The directory of a model of TensorFlow 1 with one variable."""
    made = meta_graph(nodes={"w": "VariableV2", "x": "Placeholder"})
    signature = made.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["x"].name = "x:0"
    saved_models.add_variable(made, "w")
    tb.save(tmp_path / "model" / "variables" / "variables", {"w": np.float32([1, 2])})
    return write(tmp_path / "model", made)


# The file.


def test_binary_wins(tmp_path):
    write(tmp_path, meta_graph(["text"]), text=True)
    assert saved_model.load(tmp_path).tags == {"text"}
    write(tmp_path, meta_graph(["binary"]))
    assert saved_model.load(tmp_path).tags == {"binary"}


def test_text_and_binary_are_the_same(tmp_path):
    made = meta_graph(["serve"], {"a": "NoOp"}, {"legacy_init_op": ["a"]})
    loaded = [saved_model.load(write(tmp_path / str(text), made, text=text)) for text in (False, True)]
    assert loaded[0].meta_graph == loaded[1].meta_graph == made
    assert [each.schema_version for each in loaded] == [1, 1]


def test_chunks_alone_are_not_supported(tmp_path):
    (tmp_path / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(errors.UnimplementedError) as caught:
        saved_model.load(tmp_path)
    path = str(tmp_path / "saved_model.cpb")
    assert str(caught.value) == (
        f"{path!r} is a SavedModel in chunks, which TensorFlow does not load either: export it as 'saved_model.pb'"
    )
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("make", "instead"),
    [
        (lambda path: None, "looked for 'saved_model.pb' and 'saved_model.pbtxt' in it; it does not exist"),
        (lambda path: path.mkdir(), "looked for 'saved_model.pb' and 'saved_model.pbtxt' in it; it is empty"),
        (lambda path: path.touch(), "this is a file, and a SavedModel is a directory"),
        (
            lambda path: write(path / "00000123", meta_graph()),
            "looked for 'saved_model.pb' and 'saved_model.pbtxt' in it; it holds SavedModels: '00000123'",
        ),
        (
            lambda path: (path / "saved_model.pb").mkdir(parents=True),
            "looked for 'saved_model.pb' and 'saved_model.pbtxt' in it; it holds no checkpoint",
        ),
    ],
    ids=["nothing", "empty", "a file", "versions", "a directory of that name"],
)
def test_no_saved_model(tmp_path, make, instead):
    path = tmp_path / "model"
    make(path)
    with pytest.raises(FileNotFoundError) as caught:
        saved_model.load(path)
    assert caught.value.strerror == f"SavedModel file does not exist: {instead}"
    assert caught.value.filename == str(path)


def test_an_empty_path():
    with pytest.raises(FileNotFoundError, match="no SavedModel has an empty path"):
        saved_model.load("")


def test_urls_are_not_supported():
    with pytest.raises(errors.UnimplementedError, match="reading from a URL is not supported yet: 'gs://bucket/1'"):
        saved_model.load("gs://bucket/1")


def test_contains_saved_model(tmp_path):
    assert not saved_model.contains_saved_model(tmp_path)
    assert not saved_model.contains_saved_model(tmp_path / "nothing")
    for number, name in enumerate(("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).touch()
        assert saved_model.contains_saved_model(tmp_path / str(number))
        assert saved_model.contains_saved_model(os.fspath(tmp_path / str(number)))


# Tags.


def test_tags_are_a_set(tmp_path):
    write(tmp_path, meta_graph(["serve", "gpu"]), meta_graph(["serve"]), meta_graph([]), meta_graph(["serve"]))
    assert saved_model.load(tmp_path, ["gpu", "serve", "gpu"]).tags == {"serve", "gpu"}
    assert saved_model.load(tmp_path, {"serve"}).tags == {"serve"}
    assert saved_model.load(tmp_path, []).tags == frozenset()
    sets = ({"serve", "gpu"}, {"serve"}, frozenset(), {"serve"})
    assert saved_model.load(tmp_path, []).tag_sets == sets


def test_the_first_of_equal_tag_sets(tmp_path):
    write(tmp_path, meta_graph(nodes={"first": "NoOp"}), meta_graph(nodes={"second": "NoOp"}))
    assert [node.name for node in saved_model.load(tmp_path, ["serve"]).meta_graph.graph_def.node] == ["first"]


def test_without_tags_the_only_one(tmp_path):
    assert saved_model.load(write(tmp_path / "one", meta_graph(["a", "b"]))).tags == {"a", "b"}
    write(tmp_path / "two", meta_graph(["b", "a"]), meta_graph([]))
    with pytest.raises(errors.TagsNotFoundError) as caught:
        saved_model.load(tmp_path / "two")
    path = str(tmp_path / "two" / "saved_model.pb")
    assert str(caught.value) == f"{path!r} has 2 MetaGraphDefs: tags must say which; available: ['a', 'b'], []"
    assert caught.value.path == path


@pytest.mark.parametrize("tags", [["serve"], [], ["a", "b", "c"], ["a"]])
def test_tags_that_are_not_there(tmp_path, tags):
    write(tmp_path, meta_graph(["b", "a"]), meta_graph(["train"]))
    with pytest.raises(errors.TagsNotFoundError) as caught:
        saved_model.load(tmp_path, tags)
    path = str(tmp_path / "saved_model.pb")
    assert str(caught.value) == (
        f"MetaGraphDef associated with tags {tags} could not be found in {path!r}; available: ['a', 'b'], ['train']"
    )
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("tags", [None, [], ["serve"]])
def test_an_empty_file_has_no_meta_graph(tmp_path, tags):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(errors.TagsNotFoundError) as caught:
        saved_model.load(tmp_path, tags)
    assert str(caught.value) == f"{str(tmp_path / 'saved_model.pb')!r} has no MetaGraphDef"


def test_many_tag_sets_are_not_all_listed(tmp_path):
    write(tmp_path, *(meta_graph([f"t{number:02}"]) for number in range(25)))
    with pytest.raises(errors.TagsNotFoundError, match=r"\['t19'\] and 5 more$"):
        saved_model.load(tmp_path, ["serve"])


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("serve", "tags must be an iterable of tags, not a single one: give ['serve']"),
        (b"serve", "tags must be an iterable of tags, not a single one: give [b'serve']"),
        ([1], "tags are str, not int: 1"),
        ([b"serve"], "tags are str, not bytes: b'serve'"),
    ],
)
def test_tags_of_other_types(tags, message):
    with pytest.raises(TypeError) as caught:  # Before anything is looked for.
        saved_model.load("nowhere", tags)
    assert str(caught.value) == message


# What it gives.


def test_signatures(model):
    signatures = saved_model.load(model).signatures
    assert list(signatures) == ["serving_default"]
    assert isinstance(signatures["serving_default"], messages.SignatureDef)
    assert signatures["serving_default"].inputs["x"].name == "x:0"
    assert len(signatures) == 1
    assert "serving_default" in signatures
    assert "x" not in signatures
    where = str(model / "saved_model.pb")
    assert repr(signatures) == f"<signatures of {where!r}: serving_default>"
    with pytest.raises(errors.NotFoundError) as caught:
        signatures["predict"]
    assert str(caught.value) == f"no signature 'predict' in {where!r}; there are: 'serving_default'"


def test_signatures_of_operations_are_there_too(tmp_path):
    made = meta_graph(nodes={"init": "NoOp"})
    made.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    loaded = saved_model.load(write(tmp_path, made))
    assert list(loaded.signatures) == ["__saved_model_init_op"]
    assert loaded.main_op == "init"


@pytest.mark.parametrize(
    ("collections", "main_op", "train_op"),
    [
        ({}, None, None),
        ({"legacy_init_op": ["a"]}, "a", None),
        ({"legacy_init_op": ["a"], "saved_model_main_op": ["b"]}, "b", None),
        ({"saved_model_train_op": ["c"], "saved_model_main_op": ["b"]}, "b", "c"),
    ],
)
def test_main_and_train_op(tmp_path, collections, main_op, train_op):
    loaded = saved_model.load(write(tmp_path, meta_graph(nodes=dict.fromkeys("abc", "NoOp"), collections=collections)))
    assert (loaded.main_op, loaded.train_op) == (main_op, train_op)


def test_variables_are_a_checkpoint(model):
    with saved_model.load(model) as loaded:
        assert isinstance(loaded.variables, tb.Checkpoint)
        assert loaded.variables is loaded.variables
        assert loaded.variables.path == str(model / "variables" / "variables")
        assert list(loaded.variables) == ["w"]
        array = loaded.variable("w")
    assert array.tolist() == [1, 2]


def test_a_checkpoint_beside_the_model_is_not_its_own(model):
    tb.save(model / "variables", {"other": np.float32(1)})
    tb.CheckpointState(str(model / "variables")).write(model)
    assert list(saved_model.load(model).variables) == ["w"]


def test_missing_variables_are_said_when_asked_for(tmp_path):
    loaded = saved_model.load(write(tmp_path, meta_graph()))
    with pytest.raises(FileNotFoundError) as caught:
        _ = loaded.variables
    index = str(tmp_path / "variables" / "variables.index")
    assert caught.value.strerror == f"this SavedModel has no variables: there is no {index!r}, nor a V1 file"
    with pytest.raises(FileNotFoundError):
        loaded.variable("w")


def test_object_graph_and_fingerprint_of_models_without(model):
    loaded = saved_model.load(model)
    assert loaded.object_graph is None
    assert loaded.fingerprint is None


def test_variable_options(model):
    loaded = saved_model.load(model)
    assert not loaded.variable("w").flags.writeable
    assert loaded.variable("w", copy=True, verify=False).flags.writeable


# Its life.


def test_close(model):
    loaded = saved_model.load(model)
    array, variables = loaded.variable("w"), loaded.variables
    assert not loaded.closed
    loaded.close()
    loaded.close()
    assert loaded.closed
    assert variables.closed
    assert array.tolist() == [1, 2]
    assert loaded.signatures["serving_default"].inputs["x"].name == "x:0"
    for ask in (lambda: loaded.variables, lambda: loaded.variable("w")):
        with pytest.raises(ValueError, match=r"SavedModel .* is closed"):
            ask()


def test_repr(model):
    with saved_model.load(model) as loaded:
        assert repr(loaded) == f"<tensorbundle.saved_model.SavedModel {str(model)!r}: tags serve>"
    assert repr(loaded) == f"<tensorbundle.saved_model.SavedModel {str(model)!r}: tags serve, closed>"
    assert repr(saved_model.load(write(model, meta_graph([])))) == (
        f"<tensorbundle.saved_model.SavedModel {str(model)!r}: tags none>"
    )


def test_it_can_not_be_changed(model):
    loaded = saved_model.load(model)
    for name in ("tags", "variables", "anything"):
        with pytest.raises(AttributeError):
            setattr(loaded, name, None)
    with pytest.raises(TypeError):
        loaded.assets["a"] = "b"
    with pytest.raises(TypeError):
        loaded.signatures["a"] = None


def test_it_is_freed_at_once(model):
    gc.disable()
    try:
        loaded = saved_model.load(model)
        loaded.variable("w:0")
        assert loaded.problems() == {}
        freed = weakref.ref(loaded)
        del loaded
        assert freed() is None
    finally:
        gc.enable()


def test_it_stays_where_it_was_loaded(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    loaded = saved_model.load("model")
    monkeypatch.chdir("/")
    assert loaded.path == str(model)
    assert loaded.variable("w").tolist() == [1, 2]


def test_threads_share_what_is_made_once(model):
    loaded = saved_model.load(model)
    found = []
    barrier = threading.Barrier(8)

    def look():
        barrier.wait()
        found.append((loaded.meta_graph, loaded.variables, loaded.variable("w:0").sum()))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(id(graph), id(variables), total) for graph, variables, total in found}) == 1


def test_a_graph_is_not_parsed_for_variables(model):
    """What follows the tags may be damaged: nobody looks at it."""
    path = model / "saved_model.pb"
    loaded = saved_model.load(model)
    content = bytearray(path.read_bytes())
    content[content.index(b"Placeholder") - 1] = 0x7F  # The length of the operation's name.
    path.write_bytes(content)
    damaged = saved_model.load(model)
    assert damaged.variable("w").tolist() == [1, 2]
    with pytest.raises(errors.DataLossError, match="is no SavedModel: a field of 127 bytes, of which"):
        _ = damaged.meta_graph
    assert loaded.meta_graph.graph_def.node[1].op == "Placeholder"


def test_nothing_is_imported_that_is_not_needed(model):
    run_python(
        """
        import sys
        from tensorbundle import saved_model
        assert not {"numpy", "google.protobuf"} & set(sys.modules)
        loaded = saved_model.load(sys.argv[1])
        assert loaded.signatures["serving_default"].inputs["x"].name == "x:0"
        assert [entry.name for entry in loaded.variables.entries()] == ["w"]
        assert "numpy" not in sys.modules
        """.replace("\n        ", "\n"),
        model,
    )
