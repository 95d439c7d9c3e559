"""Writes seeds/saved_model: SavedModels, golden and handmade, as inputs of fuzz_saved_model.

Run from the repository's root: python tests/fuzz/make_saved_model_seeds.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

from support import bundle_reader  # noqa: E402
from support.wire import bytes_field, int_field, parse_fields, read_varint  # noqa: E402

GOLDEN = ROOT / "tests" / "golden" / "2.21.0"
GRAPH_KEY = b"_CHECKPOINTABLE_OBJECT_GRAPH"
ASSET_TYPE = b"type.googleapis.com/tensorflow.AssetFileDef"
# Fields that are passed over as they are, and most of a file: graph_def of a meta graph, stripped_op_list of its info.
GRAPH_DEF, META_INFO, STRIPPED_OPS = 2, 1, 2


def seed(file: bytes, record: bytes = b"") -> bytes:
    return len(record).to_bytes(2, "little") + record + file


def golden(name: str) -> bytes:
    """A golden model, its graphs left out."""
    folder = GOLDEN / name
    file = (folder / "saved_model.pb").read_bytes()
    graphs = [field(number, shortened(value) if number == 2 else value) for number, value in parse_fields(file)]
    return seed(b"".join(graphs), object_graph(folder / "variables" / "variables"))


def shortened(meta_graph: bytes) -> bytes:
    kept = b""
    for number, value in parse_fields(meta_graph):
        if number == GRAPH_DEF:
            kept += field(number, b"")
        elif number == META_INFO:
            kept += field(number, b"".join(field(*each) for each in parse_fields(value) if each[0] != STRIPPED_OPS))
        else:
            kept += field(number, value)
    return kept


def object_graph(prefix: Path) -> bytes:
    """The record of the object graph in a checkpoint; none if there is none."""
    entry = bundle_reader.index_entries(Path(f"{prefix}.index").read_bytes()).get(GRAPH_KEY)
    if entry is None:
        return b""
    data = Path(f"{prefix}.data-00000-of-00001").read_bytes()[entry.offset : entry.offset + entry.size]
    length, start = read_varint(data, 0)
    return data[start + 4 : start + 4 + length]  # A checksum of the lengths is between.


def field(number: int, value: int | bytes) -> bytes:
    return int_field(number, value) if isinstance(value, int) else bytes_field(number, value)


def entry(number: int, key: bytes, value: bytes) -> bytes:
    """An entry of a map."""
    return bytes_field(number, bytes_field(1, key) + bytes_field(2, value))


def model(*parts: bytes, tags: tuple[bytes, ...] = ()) -> bytes:
    """A meta graph of these parts."""
    info = b"".join(bytes_field(4, tag) for tag in tags)
    return bytes_field(2, bytes_field(1, info) + b"".join(parts))


def signature(info: bytes) -> bytes:
    return entry(5, b"s", entry(1, b"x", info) + entry(2, b"y", info) + entry(4, b"x", b"default"))


def asset(filename: bytes) -> bytes:
    return bytes_field(1, bytes_field(1, b"a:0")) + bytes_field(2, filename)


def collection(key: bytes, *nodes: bytes) -> bytes:
    return entry(4, key, bytes_field(1, b"".join(bytes_field(1, node) for node in nodes)))


def node(*children: tuple[int, bytes], variable: bytes | None = None, key: bytes | None = None) -> bytes:
    """A node of either object graph: a variable by its name in the model, or by its key in the checkpoint."""
    parts = b"".join(bytes_field(1, int_field(1, number) + bytes_field(2, name)) for number, name in children)
    if variable is not None:
        parts += bytes_field(7, bytes_field(6, variable))
    if key is not None:
        parts += bytes_field(2, bytes_field(1, b"VARIABLE_VALUE") + bytes_field(2, b"n") + bytes_field(3, key))
    return bytes_field(1, parts)


def nested(levels: int) -> bytes:
    info = bytes_field(1, b"x:0")
    for _ in range(levels):
        info = bytes_field(5, bytes_field(2, info))
    return info


def handmade() -> dict[str, bytes]:
    """Models of every kind, and one of every kind of damage worth a start."""
    shape = bytes_field(2, int_field(1, -1)) + bytes_field(2, int_field(1, 3)) + int_field(3, 0)
    dense = bytes_field(1, b"x:0") + int_field(2, 1) + bytes_field(3, shape)
    sparse = bytes_field(4, bytes_field(1, b"v:0") + bytes_field(2, b"i:0") + bytes_field(3, b"s:0"))
    composite = bytes_field(5, bytes_field(1, b"spec") + bytes_field(2, dense) + bytes_field(2, sparse))
    any_asset = bytes_field(1, bytes_field(1, ASSET_TYPE) + bytes_field(2, asset(b"a.txt")))
    assets = entry(4, b"saved_model_assets", bytes_field(5, any_asset))
    init = b"__saved_model_init_op"
    objects = node((1, b"a"), (2, b"b.c/d")) + node((0, b"up"), variable=b"v") + node(variable=b"")
    stored = node((2, b"a"), (1, b"b.c/d")) + node(key=b"k1") + node((0, b"up"), key=b"k2")
    return {
        "no_meta_graphs": seed(b""),
        "two_of_equal_tags": seed(model(tags=(b"a", b"b")) + model(tags=(b"b", b"a", b"a"))),
        "dense": seed(model(signature(dense))),
        "sparse": seed(model(signature(sparse))),
        "composite": seed(model(signature(composite))),
        "several_encodings": seed(model(signature(dense + composite + sparse))),
        "deepest": seed(model(signature(nested(47)))),
        "too_deep": seed(model(signature(nested(48)))),
        "assets": seed(model(bytes_field(6, asset(b"a.txt")), bytes_field(6, asset(b"deep/b.txt")), assets)),
        "collected_assets": seed(model(assets)),
        "asset_elsewhere": seed(model(bytes_field(6, asset(b"../../x")))),
        "asset_at_the_root": seed(model(bytes_field(6, asset(b"/etc/x")))),
        "asset_of_another_type": seed(model(assets.replace(b"AssetFileDef", b"AssetFileDeg"))),
        "init_signature": seed(model(entry(5, init, entry(2, init, bytes_field(1, b"init"))))),
        "two_main_ops": seed(model(collection(b"saved_model_main_op", b"a", b"b"))),
        "legacy_init_op": seed(model(collection(b"legacy_init_op", b"a"))),
        "two_graphs": seed(model(bytes_field(2, b"x"), bytes_field(2, b"y"))),
        "objects": seed(model(bytes_field(7, objects)), stored),
        "object_out_of_range": seed(model(bytes_field(7, node((1, b"a")))), stored),
        "cut_short": seed(model(signature(composite))[:-3]),
    }


def main() -> None:
    """Writes one seed for each model."""
    target = ROOT / "tests" / "fuzz" / "seeds" / "saved_model"
    target.mkdir(parents=True, exist_ok=True)
    seeds = {f"2.21.0-{name}": golden(name) for name in ("saved_model", "saved_model_v1")}
    for name, data in {**seeds, **handmade()}.items():
        (target / name).write_bytes(data)


if __name__ == "__main__":
    main()
