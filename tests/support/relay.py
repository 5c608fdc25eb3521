"""A relay in front of PostgreSQL whose links fall silent, as when a network drops them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Forwards bytes between clients and one server, until asked to fall silent."""

    def __init__(self, url: str) -> None:
        self._server_url = urlsplit(url)
        self._links: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._port = 0

    @property
    def url(self) -> str:
        """Where the same database is to be had through the relay."""
        parts = self._server_url
        login = parts.netloc.rpartition("@")[0]
        host = f"{login}@127.0.0.1:{self._port}" if login else f"127.0.0.1:{self._port}"
        return f"{parts.scheme}://{host}{parts.path}"

    def fall_silent(self) -> None:
        """Stop forwarding on existing links and leave their ends open; new links work."""
        for link in self._links:
            link.cancel()
        self._links.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Relay"]:
        """Accept clients on a free port of the loopback for as long as the context lasts."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.fall_silent()
            for writer in self._writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await self._connect()
        self._writers += [writer, server_writer]
        self._links += [
            asyncio.create_task(_pump(reader, server_writer)),
            asyncio.create_task(_pump(server_reader, writer)),
        ]

    async def _connect(self) -> Link:
        parts = self._server_url
        query = parse_qs(parts.query)
        host = query.get("host", [parts.hostname or "127.0.0.1"])[0]
        port = int(query.get("port", [str(parts.port or 5432)])[0])
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.close()
