"""Serving the SavedModels of the corpus."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support import corpus
from support.servable import files_in, texts

import tensorbundle as tb
from tensorbundle.saved_model import serving

SOUND_BASES = {
    "serving-half-plus-two-2-versions": (123, 124),
    "serving-half-plus-two-cpu": (123,),
    "serving-half-plus-two-mkl": (123,),
    "serving-half-plus-two-regress-only": (123,),
    "serving-half-plus-two-tf2-cpu": (123,),
    "serving-matrix-half-plus-two": (1,),
    "serving-tf-text-regression-2020": (1,),
    "tf-half-plus-two-20170525": (123,),
    "tf-half-plus-two-pbtxt-20170525": (123,),
    "tf-half-plus-two-main-op-20170525": (123,),
    "tf-half-plus-two-forward-compatibility": (123,),
    "tfx-model-dir-2022/export/chicago-taxi": (1646034756,),
    "tfx-model-dir-201902-two-shards/export/chicago-taxi": (1551382555,),
}
# Why a server would not take the others; what is not listed is sound.
MINDED_MODELS = {
    "rust-regression-2018": "has no meta graph with exactly the tags {serve}; it has {serve, train}",
    "serving-half-plus-two-empty-config/00000123": "has asset 'foo.txt', which is missing",
    "sustainabite-recipe-model-lfs-pointer": "has 20 of 21 variables that can't be read: ",
    "sustainabite-text-vectorizer": "has no signatures: it would be loaded, and answer no request",
    "tf-half-plus-two-20160930": "has no variables/variables.index, though its graph restores variables",
    "tf-half-plus-two-20161013": "has no variables/variables.index, though its graph restores variables",
    "tf-half-plus-two-pbtxt-20160930": "has no variables/variables.index, though its graph restores variables",
    "tf-half-plus-two-sharded-20160927": "has no variables/variables.index, though its graph restores variables",
    "tf-session-bundle-saved-model-20161007": "has no variables/variables.index, though its graph restores variables",
    "tfx-tfma-eval-2022": "has no meta graph with exactly the tags {serve}; it has {eval}",
    "tfx-tftransform-tmp": "has no meta graph with exactly the tags {serve}; it has {transform}",
    "tfx-transform-fn-202003": "has no meta graph with exactly the tags {serve}; it has {transform}",
}


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "half_plus_two"


def corpus_models() -> dict[str, Path]:
    found = [file.parent for sample in corpus.samples() for file in sample.directory.rglob("saved_model.pb*")]
    root = corpus.paths.corpus_directory()
    return {str(folder.relative_to(root)): folder for folder in sorted(found)}


@pytest.fixture
def corpus_root() -> Path:
    root = corpus.paths.corpus_directory()
    if root is None:
        pytest.skip("there is no corpus")
    return root


@pytest.mark.parametrize(("name", "numbers"), SOUND_BASES.items(), ids=SOUND_BASES)
def test_bases_of_the_corpus(corpus_root, name, numbers):
    report = serving.check(corpus_root / name)
    assert texts(report) == []
    assert report.versions == tuple(serving.versions(corpus_root / name)) == numbers


def test_every_model_of_the_corpus(corpus_root):
    models = corpus_models()
    assert set(MINDED_MODELS) < set(models)
    assert len(models) == 57
    for name, directory in models.items():
        found = [finding.text for finding in serving.check_model(directory).findings]
        if name in MINDED_MODELS:
            assert [text.startswith(MINDED_MODELS[name]) for text in found] == [True], (name, found)
        else:
            assert found == [], name


def test_publishing_from_the_corpus(corpus_root, base):
    source = corpus_root / "serving-half-plus-two-2-versions" / "00000124"
    shutil.copytree(corpus_root / "serving-half-plus-two-2-versions", base)
    path = serving.publish(base, lambda directory: shutil.copytree(source, directory, dirs_exist_ok=True), keep=2)
    assert path == str(base / "125")
    assert serving.versions(base) == [124, 125]
    assert files_in(path) == files_in(source)
    assert serving.check(base)


def test_the_program_of_the_documentation(corpus_root, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    base = tmp_path / "models" / "half_plus_two"
    shutil.copytree(corpus_root / "serving-half-plus-two-2-versions", base)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert serving.versions(base) == [123, 124, 125]
    old, new = (tb.load(base / name / "variables") for name in ("00000124", "125"))
    assert (new["b"], new["a"], list(new)) == (old["b"] + 0.5, old["a"], list(old))
    assert serving.check(base)
