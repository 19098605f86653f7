"""The few messages of ONNX, in protobuf's wire format.

A message is the concatenation of its fields, each a key (number · 8 + wire type) and a value:
https://protobuf.dev/programming-guides/encoding. The numbers of the fields are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3, which never change. The package `onnx`
would be 40 MB for these hundred lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.arrays import Array, Integers

FLOAT64, INT64, STRING = 11, 7, 8
"""Types of elements (`TensorProto.DataType`)."""

Attribute = int | str | Sequence[int] | Sequence[str]
Constant = Array | Integers | Sequence[str]


def varint(number: int) -> bytes:
    number &= 2**64 - 1  # two's complement
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def chunk(field: int, value: bytes | str) -> bytes:
    """A text, bytes, or a message within the message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def chunks(field: int, values: Sequence[bytes] | Sequence[str]) -> bytes:
    return b"".join(chunk(field, value) for value in values)


def attribute(name: str, value: Attribute) -> bytes:
    """An AttributeProto."""
    if isinstance(value, int):
        content = integer(3, value) + integer(20, 2)
    elif isinstance(value, str):
        content = chunk(4, value) + integer(20, 3)
    elif all(isinstance(item, int) for item in value):
        content = b"".join(integer(8, int(item)) for item in value) + integer(20, 7)
    else:
        content = chunks(9, [str(item) for item in value]) + integer(20, 8)
    return chunk(1, name) + content


def node(
    operator: str,
    inputs: Sequence[str],
    output: str,
    attributes: Mapping[str, Attribute],
    domain: str = "",
) -> bytes:
    """A NodeProto with one output, whose name is also that of the node."""
    return (
        chunks(1, inputs)
        + chunk(2, output)
        + chunk(3, output)
        + chunk(4, operator)
        + chunks(5, [attribute(*item) for item in attributes.items()])
        + chunk(7, domain)
    )


def tensor(name: str, value: Constant) -> bytes:
    """A TensorProto of float64, int64 or, in one dimension, strings."""
    if not isinstance(value, np.ndarray):
        return integer(1, len(value)) + integer(2, STRING) + chunks(6, value) + chunk(8, name)
    kind, code = (FLOAT64, "<f8") if value.dtype == np.float64 else (INT64, "<i8")
    dims = b"".join(integer(1, size) for size in value.shape)
    return dims + integer(2, kind) + chunk(8, name) + chunk(9, value.astype(code).tobytes())


def value_info(name: str, element: int, width: int | None) -> bytes:
    """The ValueInfoProto of an input or output: N × width, or N numbers where width is None."""
    rows = chunk(1, chunk(2, "N"))
    columns = b"" if width is None else chunk(1, integer(1, width))
    kind = integer(1, element) + chunk(2, rows + columns)
    return chunk(1, name) + chunk(2, chunk(1, kind))


def graph(
    name: str,
    nodes: Sequence[bytes],
    constants: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    """A GraphProto of messages made above."""
    return (
        chunks(1, nodes)
        + chunk(2, name)
        + chunks(5, constants)
        + chunks(11, inputs)
        + chunks(12, outputs)
    )


def model(graph: bytes, opsets: Mapping[str, int], ir: int, metadata: Mapping[str, str]) -> bytes:
    """A ModelProto."""
    imports = [chunk(1, domain) + integer(2, version) for domain, version in opsets.items()]
    properties = [chunk(1, key) + chunk(2, value) for key, value in metadata.items()]
    return (
        integer(1, ir)
        + chunk(2, "gradserve")
        + chunk(7, graph)
        + chunks(8, imports)
        + chunks(14, properties)
    )
