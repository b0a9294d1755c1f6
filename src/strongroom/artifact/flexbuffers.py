"""Read the one FlexBuffer shape that TensorFlow Lite has for operators of TensorFlow: a name and a node."""

from strongroom.errors import RejectedError

_VECTOR, _TEXT, _BLOB = 10, 5, 25
_WIDTHS = frozenset({1, 2, 4, 8})


def parse_flex_options(data: bytes) -> tuple[str, bytes]:
    """Return name and serialized NodeDef from the options of a Flex operator.

    Raises:
        RejectedError: any other shape, or an offset out of the data.
    """
    if len(data) < 3 or data[-1] not in _WIDTHS or data[-2] >> 2 != _VECTOR:
        raise RejectedError("the options of a Flex operator are malformed")
    at = _follow(data, len(data) - 2 - data[-1], data[-1])
    width = 1 << (data[-2] & 3)
    if _number(data, at - width, width) != 2:
        raise RejectedError("the options of a Flex operator are malformed")
    parts = []
    for index, expected in enumerate((_TEXT, _BLOB)):
        packed = _number(data, at + 2 * width + index, 1)
        if packed >> 2 not in (_TEXT, expected):
            raise RejectedError("the options of a Flex operator are malformed")
        start = _follow(data, at + index * width, width)
        size_bytes = 1 << (packed & 3)
        size = _number(data, start - size_bytes, size_bytes)
        if size > len(data) - start:
            raise RejectedError("the options of a Flex operator are cut")
        parts.append(data[start : start + size])
    return parts[0].decode("utf-8", "replace"), parts[1]


def _number(data: bytes, at: int, size: int) -> int:
    if at < 0 or at + size > len(data):
        raise RejectedError("the options of a Flex operator are cut")
    return int.from_bytes(data[at : at + size], "little")


def _follow(data: bytes, at: int, width: int) -> int:
    """Offsets count back from where they stand."""
    return at - _number(data, at, width)
