"""Loads checkpoints with functions of the package transformers, unchanged, and stores the models' weights.

    python client_program.py {tensorbundle,tensorflow} DIRECTORY

The checkpoints are ``DIRECTORY/<model>``, the weights go to ``DIRECTORY/<model>.<reader>.npz``.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import client_models as sizes
import numpy as np
import transformers
from transformers.models.albert.modeling_albert import load_tf_weights_in_albert
from transformers.models.bert.modeling_bert import load_tf_weights_in_bert
from transformers.models.electra.modeling_electra import load_tf_weights_in_electra
from transformers.models.gpt2.modeling_gpt2 import load_tf_weights_in_gpt2
from transformers.models.t5.modeling_t5 import load_tf_weights_in_t5

# What no checkpoint holds, in every parameter before loading.
UNTOUCHED = -7.0

_ENCODER = {
    "vocab_size": sizes.WORDS,
    "hidden_size": sizes.HIDDEN,
    "num_hidden_layers": sizes.LAYERS,
    "num_attention_heads": sizes.HEADS,
    "intermediate_size": sizes.INNER,
    "max_position_embeddings": sizes.POSITIONS,
    "type_vocab_size": sizes.KINDS,
}
_NARROW = {**_ENCODER, "embedding_size": sizes.EMBEDDED}


def bert() -> Any:
    return transformers.BertForPreTraining(transformers.BertConfig(**_ENCODER))


def gpt2() -> Any:
    config = transformers.GPT2Config(
        vocab_size=sizes.WORDS, n_positions=sizes.POSITIONS, n_embd=sizes.HIDDEN, n_layer=sizes.LAYERS, n_head=2
    )
    return transformers.GPT2Model(config)


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=sizes.WORDS,
        d_model=sizes.HIDDEN,
        d_kv=sizes.HEAD_SIZE,
        d_ff=sizes.INNER,
        num_layers=sizes.LAYERS,
        num_heads=sizes.HEADS,
        relative_attention_num_buckets=sizes.BUCKETS,
        tie_word_embeddings=False,
    )
    return transformers.T5ForConditionalGeneration(config)


def albert() -> Any:
    return transformers.AlbertForPreTraining(transformers.AlbertConfig(**_NARROW))


def electra() -> Any:
    return transformers.ElectraForPreTraining(transformers.ElectraConfig(**_NARROW))


LOADERS = {
    "bert": (bert, load_tf_weights_in_bert),
    "gpt2": (gpt2, load_tf_weights_in_gpt2),
    "t5": (t5, load_tf_weights_in_t5),
    "albert": (albert, load_tf_weights_in_albert),
    "electra": (electra, load_tf_weights_in_electra),
}


def reading(reader: str) -> contextlib.AbstractContextManager[Any]:
    if reader == "tensorflow":
        return contextlib.nullcontext()
    import tensorbundle as tb

    sys.modules["tensorflow"] = None  # type: ignore[assignment] # If it is installed, nobody gets it.
    return tb.train.as_tensorflow()


def load(name: str, prefix: str) -> dict[str, np.ndarray]:
    make, load_weights = LOADERS[name]
    model = make()
    for parameter in model.parameters():
        parameter.data.fill_(UNTOUCHED)
    load_weights(model, model.config, prefix)
    return {key: parameter.detach().numpy() for key, parameter in model.named_parameters()}


def main(reader: str, directory: str) -> None:
    with reading(reader):
        weights = {name: load(name, f"{directory}/{name}") for name in LOADERS}
    real = hasattr(sys.modules.get("tensorflow"), "keras")
    if real != (reader == "tensorflow"):
        raise SystemExit(f"TensorFlow was {'' if real else 'not '}imported")
    for name, arrays in weights.items():
        np.savez(f"{directory}/{name}.{reader}.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
