"""The private line between a supervisor and one of its workers."""

import asyncio
import contextlib
import pickle
import socket
import struct
from typing import Any, Self

_LENGTH = struct.Struct(">I")


class LineClosedError(Exception):
    """The other end is gone: its process has ended, however that came about."""


class Line:
    """
    One end of a pair of sockets; messages come whole and in order.

    The ends belong to processes of one server, which trust each other's pickles.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Take over a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Send without waiting until it has arrived; nothing happens when the other end is gone, which ``receive`` tells."""
        if self._writer.is_closing():
            return
        packed = pickle.dumps(message)
        with contextlib.suppress(ConnectionError):
            self._writer.write(_LENGTH.pack(len(packed)) + packed)

    async def receive(self) -> Any:
        """Wait for a message; raises ``LineClosedError``."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - see the class
        except (asyncio.IncompleteReadError, ConnectionError):
            raise LineClosedError from None

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
