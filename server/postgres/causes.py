"""
What a failed connection or statement means for the people who run the server.

Messages are our own: a driver's message may hold SQL text, values, an address or a password.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from socket import gaierror

import asyncpg


class UnusableDatabaseError(Exception):
    """The database can't be used the way it was given; ``advice`` says what to do."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}: {advice}")
        self.found = found
        self.advice = advice


class DatabaseUrlError(UnusableDatabaseError, ValueError):
    """The URL is malformed, or asks for something that this program can't do."""


class SharedSessionsError(UnusableDatabaseError):
    """A pooler gives each transaction another session: LISTEN, locks and settings get lost."""

    def __init__(self) -> None:
        super().__init__(
            "a connection pooler gives each transaction another session of the server "
            "(transaction or statement pooling)",
            "let the pooler pool by session for this database (PgBouncer: pool_mode=session), "
            "or give the URL of the server itself",
        )


class ReadOnlyAndEmptyError(UnusableDatabaseError):
    """The schema is missing, and the session is read-only, so migrations can't run."""

    def __init__(self) -> None:
        super().__init__(
            "the schema is missing, and default_transaction_read_only is on for the role or database",
            "ALTER ROLE … RESET default_transaction_read_only (or ALTER DATABASE …), "
            "then run 'depgraph migrate up'",
        )


class PoolerFullError(UnusableDatabaseError):
    """A pooler had no second session to give, so how it pools can't be found out."""

    def __init__(self) -> None:
        super().__init__(
            "the connection pooler has no free session of the server",
            "let it open 40 for each process of depgraph (PgBouncer: default_pool_size), "
            "or give the URL of the server itself",
        )


DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    UnusableDatabaseError,
    OSError,
)
"""What a statement or a connection attempt may raise; ``OSError`` includes ``TimeoutError``."""

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    ConnectionError,
)
"""The connection is lost or leads to a demoted server; another connection may work."""

SCHEMA_ERRORS = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
)
"""A table, column or function of this program is missing."""

AGAIN = "try again later"
_STARTUP_PARAMETER = re.compile(r"unsupported startup parameter(?: in options)?: (\w+)")


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong, and what to do. ``is_lasting`` = it does not pass by itself."""

    found: str
    advice: str = AGAIN
    is_lasting: bool = False

    def __str__(self) -> str:
        # What was found may be in two parts already.
        return f"{self.found}{';' if ': ' in self.found else ':'} {self.advice}"


def _lasting(found: str, advice: str) -> Cause:
    return Cause(found, advice, is_lasting=True)


_SCHEMA = _lasting("the schema is missing or is not the one this program knows", "run 'depgraph migrate up'")
_READ_ONLY = _lasting(
    "the database accepts no writes",
    "the server is a standby, or default_transaction_read_only is on for the role or database "
    "(ALTER ROLE … RESET default_transaction_read_only, or ALTER DATABASE …)",
)
_POLICY = _lasting(
    "a row-level security policy would hide rows from this role",
    "connect as the owner of the tables or a role with BYPASSRLS, or disable row security on them",
)
_RIGHT = _lasting(
    "the database role lacks a right",
    "connect as the owner of the tables, or GRANT what the server's log names",
)
_STANDBY = _lasting(
    "the database server is a standby, and changes can be followed on the primary only", "give its URL"
)
_PASSWORD = _lasting(
    "the database refuses the password", "correct it in the database URL, PGPASSWORD or the password file"
)
_LOGIN = _lasting(
    "the database server does not let this user in from here",
    "see the user in the database URL, and pg_hba.conf: it may want TLS (sslmode=require)",
)
_NO_DATABASE = _lasting("the database does not exist", "create it, or correct its name in the database URL")
_TARGET = _lasting(
    "no host of the database URL is what target_session_attrs asks for", "correct the hosts or the parameter"
)
_DRIVER_SETTINGS = _lasting(
    "the database can't be reached with what the database URL and the PG… environment variables say",
    "correct them; the server's log has the driver's words",
)
_CERTIFICATE = _lasting(
    "the TLS certificate of the database server is not accepted",
    "name the certificate authority's file with sslrootcert, or give the host that it was made for",
)
_NO_TLS = _lasting(
    "the database server does not speak TLS", "switch it on there, or say sslmode=prefer in the database URL"
)
_FULL_FOR_ROLE = _lasting(
    "the role or database has no connection left", "raise its CONNECTION LIMIT, or run fewer processes on it"
)
DISK_FULL = _lasting("the disk of the database is full", "free some space on it; reads go on")
_ENCODING = _lasting(
    "the encoding of the database can't hold a character", "create the database with ENCODING 'UTF8'"
)
_POOLER = Cause(
    "the connection pooler gives no session of the server", "see the pooler's log; try again later"
)
_UNREACHABLE = Cause("the database can't be reached")


def _says(error: Exception, words: str, *routines: str) -> bool:
    """Whether an error holds the words, or comes from one of the server's routines."""
    return words in str(error) or getattr(error, "server_source_function", None) in routines


def _of_right(error: Exception) -> Cause:
    return _POLICY if _says(error, "row-level security", "check_enable_rls") else _RIGHT


def _of_no_room(error: Exception) -> Cause:
    if _says(error, "for role", "InitializeSessionUserId") or _says(error, "for database", "CheckMyDatabase"):
        return _FULL_FOR_ROLE
    return Cause("the database is out of connections")


def _of_protocol(error: Exception) -> Cause:
    if refused := _STARTUP_PARAMETER.search(str(error)):
        name = refused[1]
        return _lasting(
            f"the connection pooler refuses the start-up parameter {name}",
            f"add {name} to its ignore_startup_parameters",
        )
    if "no such database" in str(error):
        return _NO_DATABASE
    if "no such user" in str(error) or "authentication failed" in str(error):
        return _LOGIN
    return _POOLER


def _of_connection(error: Exception) -> Cause:
    return _NO_TLS if "rejected SSL upgrade" in str(error) else _UNREACHABLE


def _of_own(error: Exception) -> Cause:
    assert isinstance(error, UnusableDatabaseError)  # noqa: S101 - the table says so
    return _lasting(error.found, error.advice)


# The first that fits.
_CAUSES: tuple[tuple[tuple[type[Exception], ...], Cause | Callable[[Exception], Cause]], ...] = (
    ((UnusableDatabaseError,), _of_own),
    ((asyncpg.UntranslatableCharacterError,), _ENCODING),
    ((ssl.SSLError,), _CERTIFICATE),
    ((TimeoutError, asyncpg.QueryCanceledError), Cause("the database took too long to answer")),
    ((asyncpg.ReadOnlySQLTransactionError,), _READ_ONLY),
    ((asyncpg.TooManyConnectionsError,), _of_no_room),
    ((asyncpg.DiskFullError,), DISK_FULL),
    ((asyncpg.InsufficientResourcesError,), Cause("the database is out of memory or another resource")),
    (SCHEMA_ERRORS, _SCHEMA),
    ((asyncpg.InsufficientPrivilegeError,), _of_right),
    ((asyncpg.InvalidPasswordError,), _PASSWORD),
    ((asyncpg.InvalidAuthorizationSpecificationError,), _LOGIN),
    ((asyncpg.InvalidCatalogNameError,), _NO_DATABASE),
    ((asyncpg.TargetServerAttributeNotMatched,), _TARGET),
    ((asyncpg.ClientConfigurationError,), _DRIVER_SETTINGS),
    ((asyncpg.ProtocolViolationError,), _of_protocol),
    (
        (gaierror,),
        Cause(
            "the database can't be reached: the name of its host is not known", "see the database URL and DNS"
        ),
    ),
    (
        (ConnectionRefusedError, FileNotFoundError),
        Cause("the database can't be reached: nothing listens at its address"),
    ),
    (
        (PermissionError,),
        _lasting(
            "the database can't be reached: its socket is closed to this user", "open its folder to the user"
        ),
    ),
    ((ConnectionError,), _of_connection),
    (
        (
            *LOST,
            asyncpg.InterfaceError,
            asyncpg.OperatorInterventionError,
            asyncpg.PostgresSystemError,
            OSError,
        ),
        _UNREACHABLE,
    ),
)


def cause_of(error: BaseException) -> Cause | None:
    """Return what an error of the driver, the system or our own means; None = unknown."""
    for kinds, cause in _CAUSES:
        if isinstance(error, kinds):
            return cause if isinstance(cause, Cause) else cause(error)
    return None


def explain(error: BaseException) -> Cause:
    """Return the cause; an unknown error is named by its class."""
    if isinstance(error, asyncpg.ObjectNotInPrerequisiteStateError):
        return _STANDBY
    return cause_of(error) or Cause(f"the database failed ({type(error).__name__})", "see the server's log")
