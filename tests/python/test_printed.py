"""Text as protobuf prints it, turned into bytes: what its own parser understands of it, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import corpus

from tensorbundle.protos import convert, messages, pool
from tensorbundle.protos.printed import to_binary
from tensorbundle.protos.text import print_text
from tensorbundle.protos.varint import encode_varint, read_varint

TEXTS = sorted(path for sample in corpus.samples() for path in sample.directory.rglob("saved_model.pbtxt"))
NODE = b'name: "n"\nop: "Sum"\nattr {\n  key: "T"\n  value {\n    type: DT_INT32\n  }\n}\n'

floats = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1e-45, 3.4028235e38, 16777216.0])
int64s = st.integers(-(1 << 63), (1 << 63) - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def tensors():
    return st.builds(
        messages.TensorProto,
        dtype=st.sampled_from([0, 1, 3, 7, 14]),
        tensor_content=st.binary(max_size=12),
        double_val=st.lists(st.floats(), max_size=2),
        int_val=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=2),
        uint32_val=st.lists(st.integers(0, (1 << 32) - 1), max_size=2),
        uint64_val=st.lists(st.integers(0, (1 << 64) - 1), max_size=2),
        string_val=st.lists(st.binary(max_size=5), max_size=2),
    )


def values():
    """``AttrValue`` messages."""
    lists = st.builds(
        messages.AttrValue.ListValue, i=st.lists(int64s, max_size=3), b=st.lists(st.booleans()), f=st.lists(floats)
    )
    kinds = [{"s": st.binary(max_size=8)}, {"i": int64s}, {"f": floats}, {"b": st.booleans()}, {"tensor": tensors()}]
    kinds += [{"list": lists}, {"placeholder": names}, {}]
    return st.one_of([st.builds(messages.AttrValue, **kind) for kind in kinds])


nodes = st.builds(
    messages.NodeDef, name=names, op=names, input=st.lists(names, max_size=2), attr=st.dictionaries(names, values())
)


def protobufs(message_class, text: bytes):
    """What protobuf's own parser makes of it; None if it refuses it."""
    text_format = pool.runtime("text_format")
    try:
        return text_format.Parse(text.decode(), message_class(), descriptor_pool=pool.POOL)
    except (text_format.ParseError, UnicodeDecodeError):
        return None


def parsed(message_class, text: bytes):
    binary = to_binary(message_class, text)
    return None if binary is None else message_class.FromString(binary)


@given(nodes)
def test_what_is_printed_is_understood(node):
    text = print_text(node).encode()
    assert convert.serialize(parsed(messages.NodeDef, text)) == convert.serialize(protobufs(messages.NodeDef, text))


@given(nodes, st.data())
def test_what_is_understood_protobuf_understands_likewise(node, data):
    text = print_text(node).encode()
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(begin + 3, len(text))))
        text = text[:begin] + data.draw(st.text("{}<>[]\":;,\\#-+.01xe'\n \u00fc", max_size=2)).encode() + text[end:]
    understood = parsed(messages.NodeDef, text)
    if understood is not None:
        assert convert.serialize(understood) == convert.serialize(protobufs(messages.NodeDef, text))


@pytest.mark.skipif(not TEXTS, reason="the open corpus is absent")
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_the_corpus_is_understood(path):
    text = path.read_bytes()
    expected = convert.serialize(protobufs(messages.SavedModel, text))
    assert convert.serialize(parsed(messages.SavedModel, text)) == expected


def test_values_as_they_are_printed():
    text = (
        b'name: "gr\\303\\274\xc3\x9f \\"\\\\\\n"\n'
        b'attr { key: "a" value { i: -9223372036854775808 } }\n'
        b'attr { key: "b" value { f: -inf } }\n'
        b'attr { key: "c" value { s: "\\377\\000" } }\n'
        b'attr { key: "d" value { type: DT_STRING } }\n'
        b'attr { key: "d" value { b: true } }\n'
        b'attr { key: "e" }\n\n'
    )
    node = parsed(messages.NodeDef, text)
    assert node.name == 'gr\u00fc\u00df "\\\n'
    assert (node.attr["a"].i, node.attr["b"].f, node.attr["c"].s) == (-(1 << 63), float("-inf"), b"\xff\0")
    assert node.attr["d"].WhichOneof("value") == "b"  # Of equal keys the last one counts, as it does for protobuf.
    assert node.attr["e"].WhichOneof("value") is None
    assert node == protobufs(messages.NodeDef, text)


def test_text_may_be_str():
    assert to_binary(messages.NodeDef, 'name: "\u00fc"') == b"\x0a\x02\xc3\xbc"
    assert to_binary(messages.NodeDef, 'name: "\ud800"') is None
    assert to_binary(messages.NodeDef, "") == b""


@pytest.mark.parametrize(
    "text",
    [
        b"# a comment\n" + NODE,
        b'name: "a" # a comment',
        b"name: 'n'",
        b'name: "a" "b"',
        b'input: ["a", "b"]',
        b'name: "a", op: "b"',
        b"attr <\n>",
        b'name:"a"',
        b'attr { key: "a" value { type: 3 } }',
        b'attr { key: "a" value { b: 1 } }',
        b'attr { key: "a" value { i: 0x10 } }',
        b'attr { key: "a" value { i: 010 } }',
        b'attr { key: "a" value { i: 1_0 } }',
        b'attr { key: "a" value { f: 1.5f } }',
        b'attr { key: "a" value { f: 1e39 } }',
        b'attr { key: "a" value { s: "\\0" } }',
        b'attr { key: "a" value { s: "\\x41" } }',
        b'name: ""\nname: ""',
    ],
)
def test_what_only_protobuf_understands_is_left_to_it(text):
    assert to_binary(messages.NodeDef, text) is None
    assert protobufs(messages.NodeDef, text) is not None


@pytest.mark.parametrize(
    "text",
    [
        b'name: "n',
        b'name: "n\\"',
        b'name: "n\\',
        b'name: "a\nb"',
        b'name: "\\\n"',
        b'name: "\\377"',
        b'name: "\xff"',
        b"name: n",
        b"name {\n}",
        b'nothing: "n"',
        b'name: "a"\nname: "b"',
        b"name",
        b"attr {",
        b"}",
        NODE + b"}",
        NODE[:-2],
        b'attr { key: "a" value { i: 9223372036854775808 } }',
        b'attr { key: "a" value { i: 1 b: true } }',
        b'attr { key: "a" value { i: ' + b"1" * 5000 + b" } }",
        b'attr { key: "a" value { f: 1__0 } }',
        b'attr { key: "a" value { b: True1 } }',
        b'attr { key: "a" value { type: DT_NEWEST } }',
        b'attr { key: "a" value { type: "DT_INT32" } }',
    ],
)
def test_what_nobody_understands(text):
    assert to_binary(messages.NodeDef, text) is None
    assert protobufs(messages.NodeDef, text) is None


@pytest.mark.parametrize("escape", [b"8", b"777", b"x", b"u00fc", b"q"])
def test_escapes_that_nobody_prints(escape):
    assert to_binary(messages.NodeDef, b'name: "\\' + escape + b'"') is None


@pytest.mark.parametrize(("value", "encoded"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2")])
def test_varints(value, encoded):
    assert encode_varint(value) == encoded
    assert read_varint(encoded, 0, len(encoded)) == (value, len(encoded))


def test_the_largest_varint_takes_ten_bytes():
    assert encode_varint((1 << 64) - 1) == b"\xff" * 9 + b"\1"


@pytest.mark.parametrize("levels", [100, 101, 20_000])
def test_deep_text(levels):
    binary = to_binary(messages.FullTypeDef, b"args {\n" * levels + b"}\n" * levels)
    assert (binary is None) == (levels > 100)


@pytest.mark.parametrize(
    "text",
    [
        b'name: "' + b"\\n" * 500_000,
        b'name: "' + b"n" * 2_000_000,
        b'name: "\n' * 200_000,
        b"n" * 2_000_000,
        b" " * 2_000_000 + b"n",
        b'attr { key: "" value { i: ' + b"1" * 2_000_000 + b" } }",
        b"attr {\n" * 200_000,
    ],
    ids=["escapes", "string", "strings", "name", "spaces", "digits", "messages"],
)
def test_much_of_what_does_not_end_is_refused_at_once(text):
    """Each takes milliseconds; an hour, if anything in it were tried again from each of its bytes."""
    assert to_binary(messages.NodeDef, text) is None
