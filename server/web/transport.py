"""HTTP/1.1 for the methods of the contract, and for the console."""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from server.config import Limits
from server.rpc.answering import Answering
from server.rpc.listening import resolved
from server.rpc.methods import Method
from server.web.connect import ConnectMethods
from server.web.connection import Connection, Times, config_for
from server.web.console import Console
from server.web.guard import Guard
from server.web.in_process import Calls
from server.web.refusals import Refusals
from server.web.tls import TlsContexts

if TYPE_CHECKING:
    from server.access.certificates import TlsFiles

_BACKLOG = 1024
_HANDSHAKE_SECONDS = 20
# After an error of the kernel, such as too many open files.
_PAUSE_SECONDS = 0.5
_CLOSING_ROUNDS = 5
# What an address of a name may be without harm: not of this host.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class HttpTransport:
    """
    Has the methods of ``GrpcioTransport``.

    Unary calls are those of Connect, answers of streams are lines of JSON. ``mounts`` are
    applications at a path (``/mcp``): the same checks come before them as before the rest.
    ``calls`` gets the methods that are served; applications ask them by it, each for the ``Sender``
    of the request that came.

    ``names`` are those that requests may use for this server, see ``Guard``. With ``tls`` it speaks
    HTTPS. ``is_serving`` is what ``/healthz`` answers.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        is_serving: Callable[[], bool],
        share_port: bool = False,
        names: Sequence[str] = (),
        tls: "TlsFiles | None" = None,
        times: Times | None = None,
        calls: Calls | None = None,
        mounts: Mapping[str, ASGIApp] = MappingProxyType({}),
    ) -> None:
        self._limits = limits
        self._share_port = share_port
        self._names = names
        self._tls = None if tls is None else TlsContexts(tls)
        self._times = times or Times(idle=limits.connection_idle_timeout)
        self._methods = ConnectMethods(calls or Calls(), limits)
        self._console = Console(is_serving)
        self._mounts = mounts
        self._refusals = Refusals()
        self._config = config_for(self._times)
        # Uvicorn's own; it holds the tasks that answer.
        self._state = ServerState()
        self._connections: set[Connection] = set()
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def _open(self) -> int:
        return len(self._connections) + len(self._handshakes)

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve."""
        self._methods.serve(methods, answering)

    def listen(self, address: str) -> int:
        """Bind all that an address resolves to, and return the port; raises ``OSError``."""
        host, _, port = address.rpartition(":")
        bound = int(port)
        for family, kind, where in resolved(address):
            try:
                opened = self._bound(family, kind, (where[0], bound, *where[2:]))
            except OSError as error:
                if error.errno not in _NOT_HERE or not self._sockets:
                    raise
                continue
            self._sockets.append(opened)
            bound = opened.getsockname()[1]
        self._guarded = Guard(self._dispatch, (host.strip("[]"), *self._names), self._refusals)
        return bound

    def _bound(self, family: int, kind: int, where: tuple[object, ...]) -> socket.socket:
        opened = socket.socket(family, kind)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._share_port:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind(where)
            opened.listen(_BACKLOG)
            opened.setblocking(False)  # noqa: FBT003 - it has no name
        except OSError:
            opened.close()
            raise
        return opened

    async def start(self) -> None:
        """Accept requests."""
        for listening in self._sockets:
            self._accepting.append(asyncio.create_task(self._accept(listening)))

    async def finish(self, within: timedelta) -> None:
        """Wait until the answers that are made are sent, at most so long."""
        await self._methods.sent(within)

    async def stop(self, flush: timedelta | None) -> None:
        """Close; answers have the time ``flush`` to leave the process, None = no time."""
        for task in (*self._accepting, *self._handshakes):
            task.cancel()
        for listening in self._sockets:
            listening.close()
        for connection in tuple(self._connections):
            connection.end()
        if flush is not None and self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=flush.total_seconds())
        tasks = (*self._accepting, *self._handshakes, *self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.abort()
        # Each is closed in the next rounds of the event loop, which may be the last ones.
        for _ in range(_CLOSING_ROUNDS):
            await asyncio.sleep(0)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connected, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if self._open >= self._limits.max_connections:
                connected.close()
                continue
            task = asyncio.create_task(self._connect(connected))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _connect(self, connected: socket.socket) -> None:
        """Begin to speak HTTP on a connection, after TLS if there is any."""
        connection = Connection(
            self._guarded,
            config=self._config,
            state=self._state,
            times=self._times,
            refusals=self._refusals,
            lost=self._connections.discard,
        )
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = None if self._tls is None else self._tls.current()
            wait = None if context is None else _HANDSHAKE_SECONDS
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                connected,
                ssl=context,
                ssl_handshake_timeout=wait,
                ssl_shutdown_timeout=wait,
            )
            self._connections.add(connection)
        # Without a handshake nobody is there to be told.
        except OSError:
            connected.close()
        except BaseException:
            connected.close()
            raise

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if (mounted := self._mounts.get(path)) is not None:
            await mounted(scope, receive, send)
            return
        if path in self._methods or scope["method"] == "POST":
            await self._methods(scope, receive, send)
        else:
            await self._console(scope, receive, send)
