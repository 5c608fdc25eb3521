"""A TCP proxy in front of PostgreSQL that delays, falls silent and resets, as networks do."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK = 65_536
# Close with a RST instead of a FIN: linger on, for zero seconds.
ABRUPTLY = struct.pack("ii", 1, 0)


class Link:
    """One proxied connection; bytes flow, or wait in it while both ends believe that it is open."""

    def __init__(self, client: Stream, server: Stream) -> None:
        self.client, self.server = client, server
        self.flowing = asyncio.Event()
        self.flowing.set()

    def reset(self) -> None:
        """Break it so that both ends notice at once."""
        for _, writer in (self.client, self.server):
            reset(writer)

    def abort(self) -> None:
        """Let go of both sockets."""
        for _, writer in (self.client, self.server):
            writer.transport.abort()


class ChaosProxy:
    """Listens on a free loopback port; ``delay`` (seconds, each way) holds for bytes to come."""

    def __init__(self, url: str) -> None:
        self.delay = 0.0
        self._target = url
        self._port = 0
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()

    @property
    def url(self) -> str:
        """Where the database is to be had through the proxy, which speaks no TLS."""
        parts = urlsplit(self._target)
        login, at, _ = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{login}{at}127.0.0.1:{self._port}{parts.path}?sslmode=disable"

    def lead_to(self, url: str) -> None:
        """Take new connections to another server; those there are stay."""
        self._target = url

    def fall_silent(self) -> None:
        """Move no byte from now on, and accept no connection; waiting callers learn nothing."""
        self._open.clear()
        self.freeze_links()

    def heal(self) -> None:
        """Let everything flow again, what was held back first."""
        self._open.set()
        for link in self._links:
            link.flowing.set()

    def freeze_links(self) -> None:
        """Silence the connections there are; new ones work."""
        for link in self._links:
            link.flowing.clear()

    def reset_links(self) -> None:
        """Break the connections there are with a TCP reset."""
        for link in tuple(self._links):
            link.reset()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ChaosProxy"]:
        """Accept clients for as long as the context lasts."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve((reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Stream) -> None:
        try:
            await self._open.wait()
            server = await _connect(self._target)
        except OSError:
            reset(client[1])
            return
        except asyncio.CancelledError:
            client[1].transport.abort()
            raise
        link = Link(client, server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, client[0], server[1]), self._pump(link, server[0], client[1])
            )
        finally:
            self._links.discard(link)
            link.abort()

    async def _pump(self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(_deliver(under_way, link, sink))
        clock = asyncio.get_running_loop().time
        try:
            chunk = b"something"
            while chunk:
                try:
                    chunk = await source.read(CHUNK)
                except OSError:
                    chunk = b""
                under_way.put_nowait((clock() + self.delay, chunk))
            await delivering
        finally:
            delivering.cancel()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection so that the other end notices at once."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
    writer.transport.abort()


async def _deliver(
    under_way: asyncio.Queue[tuple[float, bytes]], link: Link, sink: asyncio.StreamWriter
) -> None:
    """Pass chunks on when they are due; an empty one is the end of the stream."""
    clock = asyncio.get_running_loop().time
    while True:
        due, chunk = await under_way.get()
        await asyncio.sleep(max(0.0, due - clock()))
        await link.flowing.wait()
        if not chunk or sink.transport.is_closing():
            sink.close()
            return
        with suppress(OSError):
            sink.write(chunk)
            await sink.drain()


async def _connect(url: str) -> Stream:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = query.get("host", [parts.hostname or "127.0.0.1"])[0]
    port = int(query.get("port", [str(parts.port or 5432)])[0])
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)
