"""Opening a connection: the address, the limits, poolers in between, and the session's settings."""

import asyncio
import contextlib
import getpass
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import asyncpg

from server.postgres.causes import DatabaseUrlError, PoolerFullError, SharedSessionsError
from server.postgres.parameters import default_port, password_from_file
from server.postgres.session import Session, query, set_up_script
from server.postgres.url import DatabaseUrl, parse_database_url

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# libpq goes on to the next host after these, and stops at any other, a wrong password say.
_TRY_NEXT = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
_REFUSED_OPTIONS = (
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
    asyncpg.InsufficientPrivilegeError,
)
_QUOTED = re.compile(r"""["'«„]([\w.]+)""")
_VERDICT_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 5.0
# URLs whose pooler was found to pool by session, and when.
_pools_by_session: dict[str, float] = {}
_BACKEND_PID = query("backend_pid")
_ROUNDS = 3


async def connect(url: str, session: Session, kind: "type[Connection]" = asyncpg.Connection) -> Connection:
    """
    Open a connection with the session's settings; the caller closes it.

    Raises ``DatabaseUrlError``, ``SharedSessionsError`` behind a pooler that gives each transaction
    another session, and what the driver raises.
    """
    address = parse_database_url(url)
    connection = await _open(address, session, kind)
    try:
        with _cut_after(connection, session.limit.total_seconds()):
            pooled = await is_pooled(connection)
        if pooled and not _is_known(url, session):
            await _refuse_shared(connection, address, session)
            _pools_by_session[url] = time.monotonic()
        with _cut_after(connection, session.limit.total_seconds()):
            await _set_up(connection, address, session)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _set_up(connection: Connection, address: DatabaseUrl, session: Session) -> None:
    try:
        await connection.execute(set_up_script(session, address.options))
    except _REFUSED_OPTIONS as error:
        # Our own settings are known to be allowed.
        if not address.options:
            raise
        named = _QUOTED.search(str(error))
        raise DatabaseUrlError(
            f"the server refuses the setting {named[1] if named else ''} of options in the database URL",
            "correct it or leave it out",
        ) from error


def _is_known(url: str, session: Session) -> bool:
    return (
        not session.probes
        and time.monotonic() - _pools_by_session.get(url, -_VERDICT_SECONDS) < _VERDICT_SECONDS
    )


async def _refuse_shared(connection: Connection, address: DatabaseUrl, session: Session) -> None:
    second = await _open(address, session, asyncpg.Connection)
    try:
        seconds = session.limit.total_seconds()
        with _cut_after(connection, seconds), _cut_after(second, seconds) as cut:
            shared = await shares_sessions(connection, second)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        # Nothing came in time, or the pooler itself gave up waiting for a session.
        if cut or not (connection.is_closed() or second.is_closed()):
            raise PoolerFullError from None
        raise
    finally:
        second.terminate()
    if shared:
        raise SharedSessionsError


async def _open(address: DatabaseUrl, session: Session, kind: "type[Connection]") -> Connection:
    """Try the addresses in order, as libpq does: each may take its part of the time."""
    hosts: Sequence[tuple[str, int] | None] = address.addresses or (None,)
    if address.shuffled:
        hosts = random.sample(hosts, len(hosts))
    seconds = address.connect_timeout or session.limit.total_seconds() / len(hosts)
    failure: Exception | None = None
    for target in _targets(address):
        for host in hosts:
            try:
                return await _dial(address, session, kind, host=host, target=target, seconds=seconds)
            except _TRY_NEXT as error:
                failure = error
    assert failure is not None  # noqa: S101 - there is always a host
    raise failure


def _targets(address: DatabaseUrl) -> tuple[str, ...]:
    wanted = address.target_session_attrs or os.environ.get("PGTARGETSESSIONATTRS") or "any"
    return ("standby", "any") if wanted == "prefer-standby" else (wanted,)


async def _dial(
    address: DatabaseUrl,
    session: Session,
    kind: "type[Connection]",
    *,
    host: tuple[str, int] | None,
    target: str,
    seconds: float,
) -> Connection:
    limit = session.command_timeout
    named: dict[str, Any] = (
        {"host": None, "port": address.port} if host is None else {"host": [host[0]], "port": [host[1]]}
    )
    connection: Connection = await asyncpg.connect(
        address.tls,
        **named,
        user=address.user,
        password=address.password
        or _password(address, host or ("localhost", address.port or default_port())),
        database=address.database,
        passfile=address.passfile,
        krbsrvname=address.krbsrvname,
        gsslib=cast("Any", address.gsslib),
        # The driver accepts the word, as its own parser gives it.
        target_session_attrs=cast("Any", target),
        timeout=seconds,
        command_timeout=None if limit is None else limit.total_seconds(),
        # No other parameter: poolers refuse most of them at the start.
        server_settings={"application_name": _name(address, session)},
        connection_class=kind,
    )
    return connection


def _password(address: DatabaseUrl, host: tuple[str, int]) -> str | None:
    """Look up what the URL does not say, as libpq does. None = the driver finds none either."""
    if known := os.environ.get("PGPASSWORD"):
        return known
    user = address.user or os.environ.get("PGUSER") or getpass.getuser()
    return password_from_file(
        address.passfile,
        host=host[0],
        port=host[1],
        database=address.database or os.environ.get("PGDATABASE") or user,
        user=user,
    )


def _name(address: DatabaseUrl, session: Session) -> str:
    """Name the connection as the URL says, and keep what it is for."""
    return session.name.replace("depgraph", address.application_name or "depgraph", 1)


def reconnect_pause(failures: int) -> float:
    """Return seconds to wait after so many failures: a random part of 0.2, 0.4, … 5 s."""
    return random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.1 * 2 ** min(failures, 10)))  # noqa: S311 - no secret


@contextlib.contextmanager
def _cut_after(connection: Connection, seconds: float) -> Iterator[list[bool]]:
    """Cut the connection at the deadline: cancelling a call on a dead peer would wait again."""
    was_cut: list[bool] = []

    def cut() -> None:
        was_cut.append(True)
        connection.terminate()

    timer = asyncio.get_running_loop().call_later(seconds, cut)
    try:
        yield was_cut
    finally:
        timer.cancel()


async def is_pooled(connection: Connection) -> bool:
    """Whether the session is not the one announced at its start: poolers invent that number."""
    return await _session_of(connection) != connection.get_server_pid()


async def shares_sessions(first: Connection, second: Connection) -> bool:
    """
    Whether two connections share a session, or one connection has several.

    While the second connection has a transaction open, a pooler that shares has given it the
    session that the first used last, or gives the first another. Other clients may interfere, so
    there are three rounds. The answer is never wrongly yes.
    """
    if await _session_of(second) == await _session_of(first):
        return True
    for _ in range(_ROUNDS):
        before = await _session_of(first)
        if not await _begin(second):
            return True
        if await _session_of(second) == before or await _session_of(first) != before:
            return True
        await second.execute("ROLLBACK")
    return False


async def _begin(connection: Connection) -> bool:
    """Begin a transaction; False = a pooler that pools by statement refuses that."""
    try:
        await connection.execute("BEGIN")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if isinstance(error.__cause__ or error, asyncpg.ProtocolViolationError):
            return False
        raise
    return True


async def _session_of(connection: Connection) -> int:
    # Not a prepared statement, which could be prepared in one session and run in another.
    arrived: list[bytes] = []

    async def take(piece: bytes) -> None:
        arrived.append(piece)

    await connection.copy_from_query(_BACKEND_PID, output=take)
    return int(b"".join(arrived))
