"""What is unusual about a database and the way to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

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
class Remark:
    """A remark for operators; ``is_bad`` = something does not work because of it."""

    check: str
    found: str
    advice: str = ""
    is_bad: bool = False


async def remarks(connection: Connection) -> tuple[Remark, ...]:
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


def _of_version(major: int) -> Iterator[Remark]:
    if major < OLDEST:
        yield Remark("version", f"PostgreSQL {major} is too old", f"use {OLDEST} to {NEWEST}", is_bad=True)
    elif major > NEWEST:
        yield Remark(
            "version",
            f"PostgreSQL {major} is newer than what this program was tested with ({OLDEST} to {NEWEST})",
        )


def _of_encoding(encoding: str) -> Iterator[Remark]:
    if encoding.upper() not in {"UTF8", "UTF-8", "UNICODE"}:
        yield Remark(
            "encoding",
            f"the encoding of the database is {encoding}, which can't hold every name: "
            "writes of others are refused",
            "create the database with ENCODING 'UTF8'",
        )


def _of_pooler(*, pooled: bool) -> Iterator[Remark]:
    if pooled:
        yield Remark(
            "pooler",
            "a connection pooler stands before the server and pools by session, which works",
            "let it open 40 sessions for each process of depgraph",
        )


def _of_imposed(imposed: dict[str, tuple[str, str]]) -> Iterator[Remark]:
    for name, (wanted, found) in _MATTERS.items():
        value, source = imposed.pop(name, (None, ""))
        if value == wanted:
            yield Remark(
                "settings",
                f"{name} = {value}, imposed by the {source}: {found}",
                f"ALTER ROLE … RESET {name}, or ALTER DATABASE …",
                is_bad=name != "synchronous_commit",
            )
    kept = sorted(
        f"{name} = {value}" for name, (value, _) in imposed.items() if not name.startswith(_HARMLESS)
    )
    if kept:
        yield Remark("settings", f"imposed by role or database, and left as it is: {', '.join(kept)}")


_MATTERS = {
    "default_transaction_read_only": ("on", "the server can write nothing"),
    "session_replication_role": ("replica", "foreign keys do not hold for what the server writes"),
    "synchronous_commit": ("off", "a crash of the database may lose the last writes that were confirmed"),
}


def _of_row_security(tables: Iterable[str]) -> Iterator[Remark]:
    if names := ", ".join(tables):
        yield Remark(
            "row security",
            f"policies hide rows of {names} from this role, so the server refuses to read",
            "connect as the owner of the tables or a role with BYPASSRLS, or disable row security on them",
            is_bad=True,
        )
