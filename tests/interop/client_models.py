"""The variables of small models, under the names that they have in TensorFlow's checkpoints: name -> shape."""

from __future__ import annotations

from collections.abc import Iterator

Shapes = Iterator[tuple[str, tuple[int, ...]]]

HIDDEN, INNER, EMBEDDED, WORDS, POSITIONS, KINDS, LAYERS = 8, 16, 4, 30, 12, 2, 2
HEADS, HEAD_SIZE, BUCKETS = 2, 4, 6


def dense(name: str, inputs: int = HIDDEN, outputs: int = HIDDEN) -> Shapes:
    yield f"{name}/kernel", (inputs, outputs)
    yield f"{name}/bias", (outputs,)


def norm(name: str, size: int = HIDDEN) -> Shapes:
    yield f"{name}/beta", (size,)
    yield f"{name}/gamma", (size,)


def embeddings(name: str, size: int) -> Shapes:
    for part, count in (("word", WORDS), ("position", POSITIONS), ("token_type", KINDS)):
        yield f"{name}/{part}_embeddings", (count, size)
    yield from norm(f"{name}/LayerNorm", size)


def encoder(name: str) -> Shapes:
    for layer in range(LAYERS):
        at = f"{name}/encoder/layer_{layer}"
        for part in ("query", "key", "value"):
            yield from dense(f"{at}/attention/self/{part}")
        yield from dense(f"{at}/attention/output/dense")
        yield from norm(f"{at}/attention/output/LayerNorm")
        yield from dense(f"{at}/intermediate/dense", HIDDEN, INNER)
        yield from dense(f"{at}/output/dense", INNER, HIDDEN)
        yield from norm(f"{at}/output/LayerNorm")


def predictions(inner: int) -> Shapes:
    yield "cls/predictions/output_bias", (WORDS,)
    yield from dense("cls/predictions/transform/dense", HIDDEN, inner)
    yield from norm("cls/predictions/transform/LayerNorm", inner)
    yield "cls/seq_relationship/output_weights", (2, HIDDEN)
    yield "cls/seq_relationship/output_bias", (2,)


def bert() -> Shapes:
    yield from embeddings("bert/embeddings", HIDDEN)
    yield from encoder("bert")
    yield from dense("bert/pooler/dense")
    yield from predictions(HIDDEN)
    yield "bert/pooler/dense/kernel/adam_m", (HIDDEN, HIDDEN)


def gpt2() -> Shapes:
    yield "model/wte", (WORDS, HIDDEN)
    yield "model/wpe", (POSITIONS, HIDDEN)
    for layer in range(LAYERS):
        at = f"model/h{layer}"
        for name, inputs, outputs in (
            ("attn/c_attn", HIDDEN, 3 * HIDDEN),
            ("attn/c_proj", HIDDEN, HIDDEN),
            ("mlp/c_fc", HIDDEN, 4 * HIDDEN),
            ("mlp/c_proj", 4 * HIDDEN, HIDDEN),
        ):
            yield f"{at}/{name}/w", (1, inputs, outputs)
            yield f"{at}/{name}/b", (outputs,)
        for name in ("ln_1", "ln_2"):
            yield f"{at}/{name}/b", (HIDDEN,)
            yield f"{at}/{name}/g", (HIDDEN,)
    yield "model/ln_f/b", (HIDDEN,)
    yield "model/ln_f/g", (HIDDEN,)


def t5() -> Shapes:
    yield "shared/embedding", (WORDS, HIDDEN)
    yield "shared/embedding_slot_vc", (WORDS,)
    yield "decoder/logits/kernel", (HIDDEN, WORDS)
    for side, parts in (
        ("encoder", ("SelfAttention", "DenseReluDense")),
        ("decoder", ("SelfAttention", "EncDecAttention", "DenseReluDense")),
    ):
        for block in range(LAYERS):
            for number, part in enumerate(parts):
                at = f"{side}/block_{block:03d}/layer_{number:03d}"
                yield f"{at}/layer_norm/scale", (HIDDEN,)
                yield from t5_part(f"{at}/{part}")
        yield f"{side}/block_000/layer_000/SelfAttention/relative_attention_bias", (HEADS, BUCKETS)
        yield f"{side}/final_layer_norm/scale", (HIDDEN,)


def t5_part(name: str) -> Shapes:
    if name.endswith("DenseReluDense"):
        yield f"{name}/wi/kernel", (HIDDEN, INNER)
        yield f"{name}/wo/kernel", (INNER, HIDDEN)
        return
    for part in "qkv":
        yield f"{name}/{part}", (HIDDEN, HEADS * HEAD_SIZE)
    yield f"{name}/o", (HEADS * HEAD_SIZE, HIDDEN)


def albert() -> Shapes:
    yield from embeddings("bert/embeddings", EMBEDDED)
    yield from dense("bert/encoder/embedding_hidden_mapping_in", EMBEDDED, HIDDEN)
    at = "bert/encoder/transformer/group_0/inner_group_0"
    for part in ("query", "key", "value"):
        yield from dense(f"{at}/attention_1/self/{part}")
    yield from dense(f"{at}/attention_1/output/dense")
    yield from norm(f"{at}/LayerNorm")
    yield from norm(f"{at}/LayerNorm_1")
    yield from dense(f"{at}/ffn_1/intermediate/dense", HIDDEN, INNER)
    yield from dense(f"{at}/ffn_1/intermediate/output/dense", INNER, HIDDEN)
    yield from dense("bert/pooler/dense")
    yield from predictions(EMBEDDED)


def electra() -> Shapes:
    yield from embeddings("electra/embeddings", EMBEDDED)
    yield from dense("electra/embeddings_project", EMBEDDED, HIDDEN)
    yield from encoder("electra")
    yield from dense("discriminator_predictions/dense")
    yield from dense("discriminator_predictions/dense_1", HIDDEN, 1)
    yield "generator_predictions/output_bias", (WORDS,)


MODELS = {"bert": bert, "gpt2": gpt2, "t5": t5, "albert": albert, "electra": electra}
