"""SavedModels that are damaged, or made to do harm: each has its error, and others stay as they are."""

from __future__ import annotations

import contextlib
import os
import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from support import saved_models
from support.saved_models import add_asset, add_object, add_variable, meta_graph, write
from support.wire import bytes_field, int_field

import tensorbundle as tb
from tensorbundle import errors, saved_model
from tensorbundle.protos import messages


def damage(loaded, name):
    with pytest.raises(errors.DataLossError) as caught:
        getattr(loaded, name)
    assert caught.value.path == os.path.join(loaded.path, "saved_model.pb")
    return str(caught.value).removeprefix(f"{caught.value.path!r}: ")


# Assets.


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../x", "its name leads out of 'assets'"),
        ("a/../../x", "its name leads out of 'assets'"),
        ("a/..", "its name leads out of 'assets'"),
        ("..", "its name leads out of 'assets'"),
        ("/etc/passwd", "its name is an absolute path"),
        ("//x", "its name is an absolute path"),
        ("a\0b", "its name has a NUL in it"),
        ("/\0", "its name has a NUL in it"),
        ("", "its name is that of no file"),
        (".", "its name is that of no file"),
        ("a/", "its name is that of no file"),
    ],
)
@pytest.mark.parametrize("listed", ["asset_file_def", "collection"])
def test_names_of_assets_that_are_refused(tmp_path, name, reason, listed):
    made = meta_graph()
    add_asset(made, "file:0", name)
    if listed == "collection":
        made.collection_def["saved_model_assets"].any_list.value.add().Pack(made.asset_file_def[0])
        del made.asset_file_def[:]
    loaded = saved_model.load(write(tmp_path, made))
    assert damage(loaded, "assets") == f"the asset {name!r} is refused: {reason}"
    assert list(loaded.problems()) == ["assets"]


@pytest.mark.parametrize("name", ["a.txt", "a/b.txt", "./a.txt", "..a", "a..", "...", "a\\..\\b", "~", "ünï", "a b"])
def test_names_of_assets_that_are_not(tmp_path, name):
    made = meta_graph()
    add_asset(made, "file:0", name)
    assert saved_model.load(write(tmp_path, made)).assets == {"file:0": f"{tmp_path}/assets/{name}"}


def test_links_that_leave_the_assets(tmp_path):
    made = meta_graph()
    add_asset(made, "file:0", "link/passwd")
    directory = write(tmp_path / "model", made)
    (directory / "assets").mkdir()
    (tmp_path / "outside").mkdir()
    (directory / "assets" / "link").symlink_to("../../outside")
    real = str((tmp_path / "outside").resolve() / "passwd")
    assert damage(saved_model.load(directory), "assets") == (
        f"the asset 'link/passwd' is refused: a link leads out of 'assets', to {real!r}"
    )


def test_links_that_leave_the_assets_beside_them(tmp_path):
    """What begins like the directory isn't in it."""
    made = meta_graph()
    add_asset(made, "file:0", "link")
    directory = write(tmp_path, made)
    (directory / "assets").mkdir()
    (directory / "assets" / "link").symlink_to("../assets.extra")
    assert "is refused: a link leads out of 'assets'" in damage(saved_model.load(directory), "assets")


def test_assets_that_are_a_link_themselves(tmp_path):
    """An archive may bring such a link, and lead to whatever is on the machine that it is unpacked on."""
    made = meta_graph()
    add_asset(made, "file:0", "passwd")
    directory = write(tmp_path / "model", made)
    (tmp_path / "elsewhere").mkdir()
    (directory / "assets").symlink_to("../elsewhere")
    real = str(tmp_path.resolve() / "elsewhere" / "passwd")
    assert damage(saved_model.load(directory), "assets") == (
        f"the asset 'passwd' is refused: a link leads out of 'assets', to {real!r}"
    )


def test_links_that_stay(tmp_path):
    made = meta_graph()
    add_asset(made, "file:0", "link")
    add_asset(made, "loop:0", "loop")
    directory = write(tmp_path / "model", made)
    (directory / "assets").mkdir()
    (directory / "assets" / "link").symlink_to("a.txt")
    (directory / "assets" / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("model")  # The model itself may be anywhere.
    assets = saved_model.load(tmp_path / "link").assets
    assert assets == {"file:0": f"{tmp_path}/link/assets/link", "loop:0": f"{tmp_path}/link/assets/loop"}


def test_assets_that_are_something_else(tmp_path):
    made = meta_graph()
    made.collection_def["saved_model_assets"].any_list.value.add(type_url="x/tensorflow.SaverDef", value=b"")
    assert damage(saved_model.load(write(tmp_path, made)), "assets") == (
        "the collection 'saved_model_assets' has a 'x/tensorflow.SaverDef' in it, expected 'tensorflow.AssetFileDef'"
    )


def test_assets_that_can_not_be_parsed(tmp_path):
    made = meta_graph()
    url = "type.googleapis.com/tensorflow.AssetFileDef"
    made.collection_def["saved_model_assets"].any_list.value.add(type_url=url, value=b"\x0a\x7f")
    loaded = saved_model.load(write(tmp_path, made))
    with pytest.raises(errors.DataLossError) as caught:
        _ = loaded.assets
    where = f"{tmp_path / 'saved_model.pb'}, collection saved_model_assets"
    assert str(caught.value) == f"{where!r} is no AssetFileDef: a field of 127 bytes, of which 0 are there, at byte 2"


# Operations and signatures.


@pytest.mark.parametrize("collection", ["saved_model_main_op", "legacy_init_op"])
@pytest.mark.parametrize("names", [["a", "b"], []])
def test_other_than_one_main_op(tmp_path, collection, names):
    made = meta_graph(nodes={"a": "NoOp", "b": "NoOp"}, collections={collection: names})
    made.collection_def[collection].node_list.SetInParent()
    loaded = saved_model.load(write(tmp_path, made))
    assert damage(loaded, "main_op") == (
        f"Expected exactly one SavedModel init op. The collection {collection!r} has {len(names)}: "
        f"[{', '.join(map(repr, names))}]"
    )
    assert loaded.train_op is None
    assert list(loaded.problems()) == ["main_op"]


def test_two_train_ops(tmp_path):
    made = meta_graph(collections={"saved_model_train_op": ["a", "b"]})
    assert damage(saved_model.load(write(tmp_path, made)), "train_op") == (
        "Expected exactly one SavedModel train op. The collection 'saved_model_train_op' has 2: ['a', 'b']"
    )


def test_a_main_op_that_its_signature_does_not_name(tmp_path):
    made = meta_graph()
    made.signature_def["__saved_model_init_op"].outputs["other"].name = "a"
    assert damage(saved_model.load(write(tmp_path, made)), "main_op") == (
        "the signature '__saved_model_init_op' has no output of that name, but ['other']"
    )


def test_signatures_that_name_missing_tensors(tmp_path):
    made = meta_graph(nodes={"x": "Placeholder"})
    signature = made.signature_def["serving_default"]
    signature.inputs["x"].name = "x:0"
    signature.inputs["gone"].name = "y:0"
    sparse = signature.inputs["sparse"].coo_sparse
    sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name = "x:0", "i:0", "d:0"
    components = signature.outputs["composite"].composite_tensor.components
    components.add().name = "x:1"
    components.add().composite_tensor.components.add().name = "z:0"
    loaded = saved_model.load(write(tmp_path, made))
    assert list(loaded.signatures) == ["serving_default"]
    where = str(tmp_path / "saved_model.pb")
    expected = {
        "signatures['serving_default'].inputs['gone']": "'y:0'",
        "signatures['serving_default'].inputs['sparse']": "'i:0', 'd:0'",
        "signatures['serving_default'].outputs['composite']": "'z:0'",
    }
    assert {place: str(problem) for place, problem in loaded.problems().items()} == {
        place: f"{where!r}: {place} is {names}, which the graph doesn't have" for place, names in expected.items()
    }


def test_variables_that_a_saver_would_restore_and_that_are_not_there(tmp_path):
    made = meta_graph()
    made.saver_def.restore_op_name = "save/restore_all"
    problems = saved_model.load(write(tmp_path, made)).problems()
    assert {name: type(problem) for name, problem in problems.items()} == {"variables": FileNotFoundError}


# Objects.


@pytest.mark.parametrize("number", [-1, -(2**31), 2, 99, 2**31 - 1])
def test_objects_out_of_range(tmp_path, number):
    made = meta_graph()
    add_object(made, children={"a": 1})
    add_object(made, children={"b": number})
    loaded = saved_model.load(write(tmp_path, made))
    assert damage(loaded, "object_graph") == (
        f"node 1 of the object graph: its child 'b' is node {number}, where the graph has 2 nodes"
    )
    assert list(loaded.problems()) == ["object_graph"]


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [(7, 0, "the variable of its slot 'm' is node 7"), (0, -7, "its slot 'm' is node -7")],
)
def test_slots_out_of_range(tmp_path, variable, value, what):
    made = meta_graph()
    node = add_object(made)
    node.slot_variables.add(original_variable_node_id=variable, slot_name="m", slot_variable_node_id=value)
    assert damage(saved_model.load(write(tmp_path, made)), "object_graph") == (
        f"node 0 of the object graph: {what}, where the graph has 1 nodes"
    )


def test_an_object_graph_without_nodes(tmp_path):
    made = meta_graph()
    made.object_graph_def.SetInParent()
    assert damage(saved_model.load(write(tmp_path, made)), "object_graph") == "the object graph has no nodes"


def test_parts_outside_their_variable(tmp_path):
    made = meta_graph()
    add_variable(made, "w/part_0", ("w", [4], [3], [2]))
    tb.save(tmp_path / "variables" / "variables", {"w": np.zeros(4, np.float32)})
    loaded = saved_model.load(write(tmp_path, made))
    with pytest.raises(errors.DataLossError) as caught:
        loaded.variable("w/part_0")
    where = str(tmp_path / "saved_model.pb")
    assert str(caught.value) == f"{where!r}: 'w/part_0:0', of shape [2] at [3], does not lie in 'w', of shape [4]"


# The file.


def test_more_than_two_gigabytes(tmp_path):
    for name in ("saved_model.pbtxt", "saved_model.pb"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(2**31)
        with pytest.raises(errors.DataLossError) as caught:
            saved_model.load(tmp_path)
        path = str(tmp_path / name)
        assert str(caught.value) == f"{path!r} has 2147483648 bytes, more than the 2147483647 of any protobuf message"


def test_deep_nesting(tmp_path):
    info = b""
    for _ in range(1000):  # No runtime goes that deep.
        info = bytes_field(5, bytes_field(2, info))  # A composite tensor, and what it is made of.
    signature = bytes_field(1, bytes_field(2, info))
    write(tmp_path, meta_graph())
    with open(tmp_path / "saved_model.pb", "ab") as file:
        file.write(bytes_field(2, bytes_field(5, bytes_field(2, signature))))
    loaded = saved_model.load(tmp_path, [])
    where = str(tmp_path / "saved_model.pb")
    with pytest.raises(errors.DataLossError) as caught:
        _ = loaded.meta_graph
    assert str(caught.value) == f"{where!r} is no SavedModel: messages nest deeper than 100 levels"


def test_a_million_open_braces(tmp_path):
    text = "meta_graphs { signature_def { value { inputs { value " + "{ composite_tensor { components " * 500_000
    (tmp_path / "saved_model.pbtxt").write_text(text, encoding="utf-8")
    with pytest.raises(errors.DataLossError) as caught:
        saved_model.load(tmp_path)
    where = str(tmp_path / "saved_model.pbtxt")
    assert str(caught.value) == f"{where!r}, line 1: messages nest deeper than 100 levels"


def test_unknown_fields(tmp_path):
    write(tmp_path, meta_graph())
    path = tmp_path / "saved_model.pb"
    path.write_bytes(int_field(77, 5) + path.read_bytes() + bytes_field(99, b"new"))
    assert saved_model.load(tmp_path).tags == {"serve"}
    path.unlink()
    (tmp_path / "saved_model.pbtxt").write_text('saved_model_schema_version: 1\nnew_field: "x"\n', encoding="utf-8")
    with pytest.raises(errors.DataLossError, match="line 2") as caught:
        saved_model.load(tmp_path)
    assert "new_field" in str(caught.value)


def test_what_is_written_unlike_any_writer_writes(tmp_path):
    """Messages in two parts, groups and negative numbers: as protobuf understands them."""
    tags = [bytes_field(1, bytes_field(4, tag)) for tag in (b"a", b"b")]
    group = b"\x1b\x08\x01\x1c"  # Field 3 of the SavedModel, unknown.
    graph = bytes_field(2, b"".join(tags))
    for content in (graph, group + graph, graph + group):
        (tmp_path / "saved_model.pb").write_bytes(content)
        assert saved_model.load(tmp_path).tags == {"a", "b"}
    (tmp_path / "saved_model.pb").write_bytes(b"\x08" + b"\xff" * 9 + b"\x01" + graph)
    assert saved_model.load(tmp_path).schema_version == -1


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small model with all that a model has, and its content."""
    made = meta_graph(["serve", "x"], {"w": "VariableV2", "x": "Placeholder", "init": "NoOp"})
    made.signature_def["serving_default"].inputs["x"].name = "x:0"
    made.collection_def["saved_model_main_op"].node_list.value.append("init")
    add_asset(made, "file:0", "a.txt")
    add_variable(made, "w")
    add_variable(made, "p/part_0", ("p", [4], [0], [2]))
    add_object(made, children={"v": 1, "me": 0})
    add_object(made, "variable", name="w")
    directory = tmp_path_factory.mktemp("small")
    tb.save(directory / "variables" / "variables", {"w": np.float32(1), "p": np.arange(4)})
    write(directory, made)
    return directory, (directory / "saved_model.pb").read_bytes()


def use(directory):
    """All that a model gives; errors are this package's own."""
    with (
        contextlib.suppress(errors.DataLossError, errors.TagsNotFoundError),
        saved_model.load(directory) as loaded,
    ):
        loaded.problems()
        for read in (
            lambda: list(loaded.assets),
            lambda: loaded.main_op,
            lambda: loaded.object_graph and loaded.object_graph.tree(),
            lambda: loaded.variable("p/part_0"),
            lambda: loaded.variable("v"),
            lambda: list(loaded.signatures.items()),
        ):
            with contextlib.suppress(errors.DataLossError, errors.NotFoundError):
                read()


def test_every_byte_changed(small):
    directory, content = small
    path = directory / "saved_model.pb"
    for position in range(len(content)):
        for value in (content[position] ^ 0x80, content[position] ^ 1, 0xFF):
            path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            use(directory)


def test_every_truncation(small):
    directory, content = small
    for size in range(1, len(content)):
        (directory / "saved_model.pb").write_bytes(content[:size])
        with pytest.raises((errors.DataLossError, errors.TagsNotFoundError)):
            _ = saved_model.load(directory).meta_graph


@hypothesis.given(strategies.binary(max_size=200))
def test_any_bytes(small, content):
    directory, _ = small
    (directory / "saved_model.pb").write_bytes(content)
    use(directory)


@hypothesis.given(strategies.data())
def test_the_tags_are_those_that_protobuf_finds(small, data):
    """The walk that finds them, and parsing the whole, agree wherever the whole can be parsed."""
    directory, content = small
    position = data.draw(strategies.integers(0, len(content) - 1))
    inserted = data.draw(strategies.binary(max_size=6))
    removed = data.draw(strategies.integers(0, 6))
    changed = content[:position] + inserted + content[position + removed :]
    try:
        whole = messages.SavedModel.FromString(changed)
    except Exception:  # noqa: BLE001 - of each runtime another.
        return
    (directory / "saved_model.pb").write_bytes(changed)
    expected = [frozenset(each.meta_info_def.tags) for each in whole.meta_graphs]
    for tags in {*expected, frozenset({"serve"})}:
        try:
            loaded = saved_model.load(directory, tags)
        except errors.TagsNotFoundError:
            assert tags not in expected
            continue
        assert loaded.tag_sets == tuple(expected)
        assert loaded.schema_version == whole.saved_model_schema_version
        assert loaded.meta_graph == whole.meta_graphs[expected.index(tags)]


def test_models_of_the_corpus_damaged(tmp_path):
    smallest = sorted(saved_models.from_corpus(), key=lambda m: (m.directory / m.manifest["files"][0]).stat().st_size)
    if not smallest:
        pytest.skip("no corpus")
    for model in [each for each in smallest if each.manifest["files"] == ["saved_model.pb"]][:3]:
        content = (model.directory / "saved_model.pb").read_bytes()
        for position in range(0, len(content), 7):
            damaged = content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :]
            (tmp_path / "saved_model.pb").write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", errors.DamageWarning)
                try:
                    loaded = saved_model.load(tmp_path)
                    loaded.problems()
                except (errors.DataLossError, errors.TagsNotFoundError):
                    pass
