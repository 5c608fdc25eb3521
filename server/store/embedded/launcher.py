"""Starts, stops and crashes one embedded database without blocking the event loop."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from server.store.embedded.cluster import Layout, find_home, make_ready, server_settings
from server.store.embedded.data_folder import (
    RESERVE,
    FolderLock,
    give_room,
    keep_room,
    open_data_folder,
    short_of_room,
)
from server.store.embedded.processes import GuardedProcess
from server.store.embedded.reporting import DatabaseLog, DataFolderInUseError, EmbeddedPostgresError, Report
from server.store.embedded.sockets import (
    DATABASE,
    DEFAULT_PORT,
    database_url,
    ensure_database,
    is_ready,
    leave_sockets,
)

READY_POLL_SECONDS = 0.01
PATIENCE_SECONDS = 3.0
FAST_SECONDS = 30.0
IMMEDIATE_SECONDS = 10.0
# The usual duration of an immediate shutdown.
USUAL_IMMEDIATE_SECONDS = 0.3

Value = TypeVar("Value")


class EmbeddedPostgres:
    """
    The PostgreSQL server of ``data_dir``; an async context manager, or ``start`` and ``stop``.

    It listens on a Unix socket in a private folder only, and ends with this process, even by ``kill
    -9`` (Linux). ``durable=False`` is faster and not safe against a crash of the machine.
    ``settings`` are PostgreSQL's, by name. ``report`` gets sentences of progress, on the event
    loop. A cold start takes a second, a warm start less than a tenth. Different event loops may
    start and stop it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        settings: Mapping[str, str] = MappingProxyType({}),
        report: Report = lambda _: None,
    ) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._durable = durable
        self._settings = dict(settings)
        self._report = report
        self._held = contextlib.ExitStack()
        self._server: GuardedProcess | None = None
        self._url: str | None = None
        self._home: Path | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The URL of the database ``depgraph``, the same at every start; known after the first."""
        if self._url is None:
            raise EmbeddedPostgresError("the embedded database has no URL before its first start")
        return self._url

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None = it does not run."""
        server = self._server
        return server.pid if server is not None and server.exit_code is None else None

    async def start(self) -> None:
        """
        Wait until the database ``depgraph`` accepts connections; does nothing if it runs.

        Raises ``DataFolderInUseError`` at once when another service has the folder, and
        ``EmbeddedPostgresError`` with the end of the server's log when it does not start. Recovery
        after a crash may take as long as PostgreSQL needs.
        """
        if self.pid is not None:
            return
        self._held.close()  # locks are still held if the server ended by itself
        try:
            await self._start()
        except BaseException as error:
            await self._end(signal.SIGQUIT)
            if isinstance(error, OSError):
                where = f"{error.filename}: " if error.filename else ""
                cause = f"{where}{error.strerror or error}"
                raise self._explained(f"the data folder {self.data_dir} can't be used: {cause}") from None
            if isinstance(error, EmbeddedPostgresError) and not isinstance(error, DataFolderInUseError):
                raise self._explained(str(error)) from None
            raise

    async def keep_room(self) -> None:
        """Reserve room for a start on a full disk, see ``data_folder``."""
        home = self._home
        if self._durable and home is not None and not (home / RESERVE).exists():
            await _in_thread(lambda: keep_room(home))

    async def stop(self, within: float | None = None) -> None:
        """
        Shut down in order (``fast``: ends sessions) within 30 s, else at once; may be repeated.

        ``within`` seconds bound all of it: a server that has not ended by then goes on ending by
        itself, and the next start waits for it.
        """
        await self._end(signal.SIGINT, within)

    async def crash(self) -> None:
        """End it without a checkpoint, for tests: the next start has to recover."""
        await self._end(signal.SIGQUIT)

    async def _start(self) -> None:
        if sys.platform == "win32":
            raise EmbeddedPostgresError(
                "the embedded database does not run on Windows: give the URL of a database"
            )
        loop = asyncio.get_running_loop()

        def report(sentence: str) -> None:
            loop.call_soon_threadsafe(self._report, sentence)

        log, layout = await _in_thread(lambda: self._make_ready(report))
        self._held.callback(leave_sockets, layout.sockets)
        settings = server_settings(layout, self._settings, durable=self._durable)
        self._server = GuardedProcess(layout.command(settings), layout.account, log.path)
        await self._until_ready(self._server, layout, log)
        await ensure_database(database_url(layout.sockets, DEFAULT_PORT, "postgres"))
        self._url = database_url(layout.sockets, DEFAULT_PORT, DATABASE)
        await self.keep_room()

    def _make_ready(self, report: Report) -> tuple[DatabaseLog, Layout]:
        open_data_folder(self.data_dir)
        self._held.callback(FolderLock(self.data_dir).release)
        home = find_home(self.data_dir, report)
        if home != self.data_dir:
            # A copy of the data folder points to the same home.
            self._held.callback(FolderLock(home).release)
        self._home = home
        give_room(home, report)
        log = DatabaseLog(self.data_dir / "postgres.log")
        return log, make_ready(home, log, report, durable=self._durable)

    def _explained(self, reason: str) -> EmbeddedPostgresError:
        """Say first that the disk is full, which is one line of many in PostgreSQL's log."""
        with contextlib.suppress(OSError):
            if (short := short_of_room(self._home or self.data_dir)) is not None:
                reason = f"{short}: free some space\n{reason}"
        return EmbeddedPostgresError(reason)

    async def _until_ready(self, server: GuardedProcess, layout: Layout, log: DatabaseLog) -> None:
        loop = asyncio.get_running_loop()
        report_at = loop.time() + PATIENCE_SECONDS
        while not is_ready(layout.cluster, server.pid):
            if server.exit_code is not None:
                raise EmbeddedPostgresError(
                    f"the database in {self.data_dir} did not start; "
                    f"the end of {log.path}:\n{log.last_lines()}"
                )
            if loop.time() > report_at:
                self._report(
                    "the database is still starting; after a crash it first reads back what it wrote"
                )
                report_at = float("inf")
            await asyncio.sleep(READY_POLL_SECONDS)

    async def _end(self, how: signal.Signals, within: float | None = None) -> None:
        server = self._server
        try:
            if server is not None and not await _in_thread(lambda: _has_ended(server, how, within)):
                self._report("the embedded database is still ending; the next start waits for it")
        finally:
            self._server = None
            self._held.close()


def _has_ended(server: GuardedProcess, how: signal.Signals, within: float | None) -> bool:
    """End it and return whether it ended in time; without ``within`` it always does."""
    fast, immediate = FAST_SECONDS, IMMEDIATE_SECONDS
    if within is not None:
        immediate = USUAL_IMMEDIATE_SECONDS
        fast = min(FAST_SECONDS, max(0.0, within - immediate))
    for request, seconds in ((how, fast), (signal.SIGQUIT, immediate)):
        server.signal(request)
        if server.wait(seconds):
            return True
    if within is not None:
        # Only the postmaster ends sessions that hang, and those would block the next start.
        return False
    server.signal(signal.SIGKILL)
    return server.wait()


async def _in_thread(work: Callable[[], Value]) -> Value:
    """Run blocking work in a thread; a cancelled caller waits for it too, as it needs our locks."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
