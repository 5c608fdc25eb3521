"""What is unusual about a database and the way to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from server.postgres.connecting import is_pooled
from server.postgres.session import query

if TYPE_CHECKING:
    import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OLDEST, NEWEST = 15, 18
_IMPOSED = query("imposed")
_POLICIES = query("row_security_policies")
# Imposed settings that change neither answers nor plans.
_HARMLESS = ("log_", "debug_print_", "depgraph.")


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of one check: ``found`` says what it found and means, ``advice`` what to do.

    A *bad* finding needs action; a *note* is worth knowing.
    """

    check: str
    severity: Literal["good", "note", "bad"]
    found: str
    advice: str = ""


async def remarks(connection: Connection) -> tuple[Finding, ...]:
    """Check version, encoding, imposed settings, row security and poolers. Three round trips."""
    imposed = {row["name"]: (row["setting"], row["source"]) for row in await connection.fetch(_IMPOSED)}
    hidden = [row["relname"] for row in await connection.fetch(_POLICIES)]
    return (
        *_of_version(connection.get_server_version().major),
        *_of_encoding(connection.get_settings().server_encoding),
        *_of_pooler(pooled=await is_pooled(connection)),
        *_of_imposed(imposed),
        *_of_row_security(hidden),
    )


def _of_version(major: int) -> Iterator[Finding]:
    if major < OLDEST:
        yield Finding("version", "bad", f"PostgreSQL {major} is too old", f"use {OLDEST} to {NEWEST}")
    elif major > NEWEST:
        yield Finding(
            "version",
            "note",
            f"PostgreSQL {major} is newer than what this program was tested with ({OLDEST} to {NEWEST})",
        )


def _of_encoding(encoding: str) -> Iterator[Finding]:
    if encoding.upper() not in {"UTF8", "UTF-8", "UNICODE"}:
        yield Finding(
            "encoding",
            "note",
            f"the encoding of the database is {encoding}, which can't hold every name: "
            "writes of others are refused",
            "create the database with ENCODING 'UTF8'",
        )


def _of_pooler(*, pooled: bool) -> Iterator[Finding]:
    if pooled:
        yield Finding(
            "pooler",
            "note",
            "a connection pooler stands before the server and pools by session, which works",
            "let it open 40 sessions for each process of depgraph",
        )


def _of_imposed(imposed: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    for name, (wanted, found) in _MATTERS.items():
        value, source = imposed.pop(name, (None, ""))
        if value == wanted:
            yield Finding(
                "settings",
                "note" if name == "synchronous_commit" else "bad",
                f"{name} = {value}, imposed by the {source}: {found}",
                f"ALTER ROLE … RESET {name}, or ALTER DATABASE …",
            )
    kept = sorted(
        f"{name} = {value}" for name, (value, _) in imposed.items() if not name.startswith(_HARMLESS)
    )
    if kept:
        yield Finding(
            "settings", "note", f"imposed by role or database, and left as it is: {', '.join(kept)}"
        )


_MATTERS = {
    "default_transaction_read_only": ("on", "the server can write nothing"),
    "session_replication_role": ("replica", "foreign keys do not hold for what the server writes"),
    "synchronous_commit": ("off", "a crash of the database may lose the last writes that were confirmed"),
}


def _of_row_security(tables: Iterable[str]) -> Iterator[Finding]:
    if names := ", ".join(tables):
        yield Finding(
            "row security",
            "bad",
            f"policies hide rows of {names} from this role, so the server refuses to read",
            "connect as the owner of the tables or a role with BYPASSRLS, or disable row security on them",
        )
