"""Connections to PostgreSQL: URLs, sessions, poolers in between, and what failures mean."""

from server.postgres.causes import (
    DRIVER_ERRORS,
    Cause,
    DatabaseUrlError,
    PoolerFullError,
    SharedSessionsError,
    UnusableDatabaseError,
    cause_of,
    explain,
)
from server.postgres.connecting import connect, reconnect_pause
from server.postgres.remarks import Finding, remarks
from server.postgres.session import Session
from server.postgres.url import DatabaseUrl, parse_database_url

__all__ = [
    "DRIVER_ERRORS",
    "Cause",
    "DatabaseUrl",
    "DatabaseUrlError",
    "Finding",
    "PoolerFullError",
    "Session",
    "SharedSessionsError",
    "UnusableDatabaseError",
    "cause_of",
    "connect",
    "explain",
    "parse_database_url",
    "reconnect_pause",
    "remarks",
]
