"""The settings of every session, whatever role, database or configuration file say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from server.postgres.queries import queries_of

query = queries_of("server.postgres")
_IMPOSE = query("impose")
_NOTICE_LOST_CLIENTS = query("notice_lost_clients")

# Settings that a role or database can impose, and that would break or slow our statements or change
# how values are written.
COMMON: Mapping[str, str] = MappingProxyType(
    {
        # Limits: the server keeps its own, which fit the work.
        "statement_timeout": "0",
        "transaction_timeout": "0",
        "idle_session_timeout": "0",
        "lock_timeout": "0",
        # A process that is gone must not keep its locks.
        "idle_in_transaction_session_timeout": "60000",
        # Transactions: a statement that needs another kind says so in its BEGIN.
        # default_transaction_read_only is not here: it may be intended.
        "default_transaction_isolation": "read committed",
        "default_transaction_deferrable": "off",
        # Plans: compiling a bulk statement takes longer than running it, and a plan for any number
        # of rows takes ten for granted.
        "jit": "off",
        "plan_cache_mode": "force_custom_plan",
        # Names, and the rows that are seen. With row_security off a policy that would hide rows is
        # an error.
        "search_path": "pg_catalog, public",
        "row_security": "off",
        "restrict_nonsystem_relation_kind": "",
        # Writing at the tables must fire foreign keys. Only a superuser may set it; doctor names it
        # for others.
        "session_replication_role": "origin",
        # How values are written and read.
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "standard_conforming_strings": "on",
        "array_nulls": "on",
        "transform_null_equals": "off",
        "quote_all_identifiers": "off",
        "xmloption": "content",
        "gin_fuzzy_search_limit": "0",
        # What would end sessions, or fill logs and the connection with remarks.
        "exit_on_error": "off",
        "client_min_messages": "warning",
        "trace_notify": "off",
        # A session left in the middle of a statement does not count as idle: only the network
        # notices. No effect on Unix sockets.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """
    A kind of connection: its name in ``pg_stat_activity``, and how it differs from ``COMMON``.

    ``limit`` bounds connecting, and again the set-up of the session. ``command_timeout`` is
    asyncpg's, None = no limit. ``probes`` False = do not check a pooler again within a minute.
    """

    name: str = "depgraph"
    limit: timedelta = timedelta(seconds=10)
    command_timeout: timedelta | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    probes: bool = True


def set_up_script(session: Session, options: Iterable[tuple[str, str]]) -> str:
    """Write the first statements of a session; ``options`` are the URL's, and ours win."""
    wanted = {**COMMON, **session.settings}
    rows = ", ".join(f"({_literal(name)}, {_literal(value)})" for name, value in wanted.items())
    ours = {name.lower() for name in wanted}
    asked = [
        f"SELECT pg_catalog.set_config({_literal(name)}, {_literal(value)}, false);"
        for name, value in options
        if name.lower() not in ours
    ]
    # A very short timeout must not end the script that removes it.
    return "\n".join(
        ["SET statement_timeout = 0;", _IMPOSE.replace("{wanted}", rows), *asked, _NOTICE_LOST_CLIENTS]
    )


def _literal(text: str) -> str:
    """Quote in the form that no setting changes."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
