"""Protocol buffers written by hand, so that a test can write what no library would."""

from struct import pack


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def octets(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + pack("<f", value)


def tensor_type(element: int = 1, dims: tuple[int | str, ...] = (-1, 4)) -> bytes:
    shape = b"".join(
        octets(1, octets(2, dim) if isinstance(dim, str) else integer(1, dim) if dim >= 0 else b"")
        for dim in dims
    )
    return octets(1, integer(1, element) + octets(2, shape))


def value(name: str = "x", described: bytes | None = None) -> bytes:
    return octets(1, name) + octets(2, tensor_type() if described is None else described)


def node(operator: str = "Identity", domain: str = "", *attributes: bytes) -> bytes:
    parts = octets(1, "x") + octets(2, "y") + octets(4, operator)
    return parts + (octets(7, domain) if domain else b"") + b"".join(octets(5, each) for each in attributes)


def graph(*more: bytes, nodes: tuple[bytes, ...] = (node(),)) -> bytes:
    given = b"".join(octets(1, each) for each in nodes)
    return given + octets(11, value("x")) + octets(12, value("y")) + b"".join(more)


def opset(domain: str = "", version: int = 17) -> bytes:
    return octets(8, (octets(1, domain) if domain else b"") + integer(2, version))


def model(
    inner: bytes | None = None, *more: bytes, ir_version: int = 8, opsets: bytes | None = None
) -> bytes:
    imports = opset() if opsets is None else opsets
    return integer(1, ir_version) + octets(7, graph() if inner is None else inner) + imports + b"".join(more)


def tensor(*parts: bytes, name: str = "w") -> bytes:
    return octets(8, name) + b"".join(parts)


def floats(*dims: int, data: bytes | None = None, name: str = "w") -> bytes:
    """An initializer field with raw FP32 data of the shape's size, unless ``data`` is given."""
    count = 1
    for dim in dims:
        count *= dim
    raw = bytes(4 * max(0, count)) if data is None else data
    return octets(5, tensor(*(integer(1, dim) for dim in dims), integer(2, 1), octets(9, raw), name=name))


def external(name: str = "w", count: int = 4, **pairs: str) -> bytes:
    """An initializer field of ``count`` FP32 whose data lies elsewhere."""
    entries = b"".join(octets(13, octets(1, key) + octets(2, text)) for key, text in pairs.items())
    return octets(5, tensor(integer(1, count), integer(2, 1), entries, integer(14, 1), name=name))
