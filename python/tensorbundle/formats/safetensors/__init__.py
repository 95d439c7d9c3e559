"""The safetensors format: an 8-byte length, a JSON header, and the tensors' bytes one after the other.

The files are read and laid out here rather than by the ``safetensors`` package, which gives neither the places of the
bytes in the file nor views of it, and float8 not at all as NumPy arrays. What that package refuses is refused here, and
what is laid out here is, byte for byte, what it would have written.
"""

from tensorbundle.formats.safetensors.dtypes import can_hold
from tensorbundle.formats.safetensors.header import Header, StoredTensor, parse_header
from tensorbundle.formats.safetensors.layout import Layout, layout
from tensorbundle.formats.safetensors.sharding import INDEX_SUFFIX, index_json, parse_index, shard_names, split
from tensorbundle.formats.safetensors.source import SafetensorsSource

__all__ = [
    "INDEX_SUFFIX",
    "Header",
    "Layout",
    "SafetensorsSource",
    "StoredTensor",
    "can_hold",
    "index_json",
    "layout",
    "parse_header",
    "parse_index",
    "shard_names",
    "split",
]
