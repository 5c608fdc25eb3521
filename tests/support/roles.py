"""Roles of a test's own, with a database that belongs to them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from tests.support.plain_sql import connected
from tests.support.postgres import DatabaseServer

PASSWORD = "for tests only"


@asynccontextmanager
async def role_with_database(server: DatabaseServer, settings: Mapping[str, str]) -> AsyncIterator[str]:
    """Create a role with these settings and an empty database of its own; gives the URL."""
    name = f"test_{uuid4().hex}"
    async with connected(server.url) as connection:
        await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        try:
            await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
            for setting, value in settings.items():
                await connection.execute(f"ALTER ROLE {name} SET {setting} = {value}")
            yield _as_user(server.url_of(name), name)
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.execute(f"DROP ROLE {name}")


def role_of(url: str) -> str:
    """Return the role that such a URL is for."""
    return urlsplit(url).username or ""


def _as_user(url: str, name: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{PASSWORD.replace(' ', '%20')}@{host}"))
