"""Control messages between the supervisor and its children: one JSON object a packet, with descriptors.

The channel is a SOCK_SEQPACKET socketpair, so a packet is whole or absent. Messages are small; models and
tensors never travel here (docs/formats/wire-frames.md).
"""

import array
import fcntl
import os
import socket
from collections.abc import Sequence
from typing import Any

import orjson

from strongroom.errors import OutageError, RejectedError

MAX_PACKET_BYTES = 64 * 2**10
MAX_MESSAGE_BYTES = 64 * 2**20
MAX_DESCRIPTORS = 64
_LONG = b"memfd"
"""A packet of just this word: the message itself is in the memfd that comes as first descriptor."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected ends, not inheritable."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message. Raises OutageError if the other end is gone."""
    payload = orjson.dumps(message)
    if len(payload) <= MAX_PACKET_BYTES:
        _send_packet(channel, payload, descriptors)
        return
    try:
        long = os.memfd_create("control", os.MFD_CLOEXEC)
    except OSError as error:
        raise OutageError(f"control channel: {error.strerror}") from None
    try:
        os.write(long, payload)
        _send_packet(channel, _LONG, [long, *descriptors])
    except OSError as error:
        raise OutageError(f"control channel: {error.strerror}") from None
    finally:
        os.close(long)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and its descriptors, or None when the other end has closed.

    Raises:
        RejectedError: a message too large, cut, or not a JSON object; descriptors received are closed.
        TimeoutError: the channel has a timeout and it passed.
    """
    size = array.array("i").itemsize
    data, ancillary, flags, _ = channel.recvmsg(
        MAX_PACKET_BYTES, socket.CMSG_SPACE((MAX_DESCRIPTORS + 1) * size), socket.MSG_CMSG_CLOEXEC
    )
    received = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(payload[: len(payload) - len(payload) % size])
    descriptors = list(received)
    if not data and not descriptors:
        return None
    message = None
    if not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        message = _parse(data, descriptors)
    if message is None:
        for descriptor in descriptors:
            os.close(descriptor)
        raise RejectedError("control channel: a message is cut or not an object")
    return message, descriptors


def _send_packet(channel: socket.socket, payload: bytes, descriptors: Sequence[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        channel.sendmsg([payload], rights)
    except OSError as error:
        raise OutageError(f"control channel: {error.strerror or 'timed out'}") from None


def _parse(data: bytes, descriptors: list[int]) -> dict[str, Any] | None:
    """Parse a packet; takes the memfd of a long message out of ``descriptors``."""
    if data == _LONG and descriptors:
        long = descriptors.pop(0)
        try:
            fcntl.fcntl(long, fcntl.F_GET_SEALS)  # which only memory has: reading anything else might wait
            size = os.fstat(long).st_size
            if size > MAX_MESSAGE_BYTES:
                return None
            data = os.pread(long, size, 0)
        except OSError:
            return None
        finally:
            os.close(long)
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None
