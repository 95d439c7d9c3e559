"""Models of the corpus, loaded and built again."""

from __future__ import annotations

import numpy as np
import pytest
from support import saved_models
from support.hashing import assert_same_bits

from tensorbundle import errors, saved_model
from tensorbundle.protos.convert import serialize

# What is wrong with these models is said, where others would copy it.
REFUSED = {
    "dads-policy": (
        errors.BuilderError,
        "dense/kernel' is float32\\[39, 512\\], the tensor given .* float32\\[29, 512\\]",
    ),
    "serving-half-plus-two-empty-config/00000123": (FileNotFoundError, "assets/foo.txt"),
    "sustainabite-recipe-model-lfs-pointer": (errors.DataLossError, "truncated"),
}
# It restores variables with an operation that knows the first format only.
NEW_SAVER = {"tf-half-plus-two-pbtxt-20160930"}


@pytest.fixture(params=saved_models.from_corpus(), ids=lambda model: model.id)
def source(request):
    with saved_model.load(request.param.directory) as model:
        yield request.param.id, model


def rewrite(model, directory, **options):
    try:
        variables = model.variables
    except FileNotFoundError:
        variables = {}
    builder = saved_model.Builder(directory, durable=False)
    graph = model.meta_graph
    builder.add_meta_graph_and_variables(graph, variables, graph.meta_info_def.tags, assets=model.assets, **options)
    builder.save()
    return variables


@pytest.mark.filterwarnings("ignore::tensorbundle.errors.DamageWarning")
def test_models_stay_the_same(source, tmp_path):
    id, model = source
    if id in REFUSED:
        error, message = REFUSED[id]
        with pytest.raises(error, match=message):
            rewrite(model, tmp_path)
        assert list(tmp_path.iterdir()) == []
        return
    variables = rewrite(model, tmp_path)
    with saved_model.load(tmp_path) as again:
        assert (serialize(again.meta_graph) == serialize(model.meta_graph)) == (id not in NEW_SAVER)
        assert list(again.assets) == list(model.assets)
        for name, path in model.assets.items():
            with open(path, "rb") as one, open(again.assets[name], "rb") as other:
                assert one.read() == other.read()
        for name in variables:
            found = np.asarray(again.variables[name])
            assert_same_bits(found, np.asarray(variables[name]), name)


@pytest.mark.filterwarnings("ignore::tensorbundle.errors.DamageWarning")
def test_stripped_attributes_are_defaults(source, tmp_path):
    """What is taken off a node is no more than what the table says, and strips to the same again."""
    id, model = source
    if id in REFUSED:
        pytest.skip("refused")
    rewrite(model, tmp_path / "1", strip_default_attrs=True)
    with saved_model.load(tmp_path / "1") as once:
        rewrite(once, tmp_path / "2", strip_default_attrs=True)
        with saved_model.load(tmp_path / "2") as twice:
            assert serialize(twice.meta_graph) == serialize(once.meta_graph)
        originals = {node.name: node for node in model.meta_graph.graph_def.node}
        for node in once.meta_graph.graph_def.node:
            for name, value in node.attr.items():
                assert node.name not in originals or originals[node.name].attr[name] == value
