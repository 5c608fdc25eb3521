"""The same URLs given to libpq and to us lead to the same place, or are refused by both."""

import os
import shutil
import subprocess
from datetime import timedelta
from urllib.parse import quote

import asyncpg
import pytest

from server.postgres import DatabaseUrl, Session, connect, parse_database_url
from server.store.embedded import EmbeddedPostgres

QUESTION = "SELECT concat_ws(' ', current_user, current_database(), current_setting('work_mem'), current_setting('port'))"
PATIENT = Session(limit=timedelta(seconds=30))
SAME = [
    "postgresql://{user}@{socket}:{port}/{database}",
    "postgres://{user}@/{database}?host={folder}&port={port}",
    "postgresql:///?host={folder}&port={port}&user={user}&dbname={database}",
    "postgresql://nobody@nowhere:1/none?host={folder}&port={port}&user={user}&dbname={database}",
    "postgresql://{user}@{socket}:{port}",
    "postgresql://{user}:a#b?c@{socket}:{port}/{database}",
    "postgresql://{user}@%2Fnowhere,{socket}:{port}/{database}",
    "postgresql://{user}@/{database}?host=/nowhere,{folder}&port={port}",
    "postgresql://{user}@/{database}?host=/nowhere,{folder}&port=1,{port}&target_session_attrs=read-write",
    "postgresql://{user}@/{database}?host={folder}&port={port}&options=-c%20work_mem%3D5MB",
    "postgresql://{user}@/{database}?host={folder}&port={port}&options=--work-mem%3D6MB%20-cjit%3Don",
    "postgresql://{user}@/{database}?host={folder}&port={port}&sslmode=disable&connect_timeout=5",
    "postgresql://{user}@/{database}?host={folder}&port={port}&keepalives=0&client_encoding=UTF8&gssencmode=disable",
]
REFUSED = [
    "postgresql://{user}@{socket}:{port}/{database}?jit=off",
    "postgresql://{user}@{socket}:{port}/{database}?sslmode",
    "postgresql://{user}@{socket}:{port}/{database}?sslmode=on",
    "postgresql://{user}@{socket}:{port}/{database}?user=%zz",
    "postgresql://{user}@{socket}:{port}/{database}?user=%00",
    "postgresql://{user}@[::1:{port}/{database}",
    "postgresql://{user}@/{database}?host={folder},{folder}&port=1,2,3",
    "postgresql://{user}@{socket}:{port}/{database}?service=nowhere",
    "postgresql://{user}@/{database}?host={folder}&port={port}&target_session_attrs=standby",
    "mysql://{user}@{socket}:{port}/{database}",
]


@pytest.fixture
def meant(own_postgres: EmbeddedPostgres) -> DatabaseUrl:
    return parse_database_url(own_postgres.url)


def psql(url: str) -> subprocess.CompletedProcess[str]:
    """Ask through the real libpq; skips where there is none, or fails where ``REQUIRE_REAL=1`` asks for it."""
    program = shutil.which("psql")
    if program is None:
        (pytest.fail if os.environ.get("REQUIRE_REAL") == "1" else pytest.skip)("psql is not installed")
    return subprocess.run([program, "-XAtc", QUESTION, url], capture_output=True, text=True, check=False)


def filled(url: str, meant: DatabaseUrl) -> str:
    [(folder, port)] = meant.addresses
    return url.format(
        user=meant.user, folder=folder, socket=quote(folder, safe=""), port=port, database=meant.database
    )


async def test_urls_lead_where_libpq_goes(meant: DatabaseUrl) -> None:
    for form in SAME:
        url = filled(form, meant)
        theirs = psql(url)
        assert theirs.returncode == 0, (form, theirs.stderr)
        connection = await connect(url, PATIENT)
        assert await connection.fetchval(QUESTION) == theirs.stdout.strip(), form
        await connection.close()


async def test_urls_that_libpq_refuses_are_refused(meant: DatabaseUrl) -> None:
    for form in REFUSED:
        url = filled(form, meant)
        assert psql(url).returncode != 0, form
        with pytest.raises((ValueError, asyncpg.InternalClientError)):
            await connect(url, PATIENT)
