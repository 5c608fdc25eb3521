"""The same URLs given to libpq and to us lead to the same place, or are refused by both."""

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from server.postgres import DatabaseUrl, Session, connect, parse_database_url
from server.store.embedded import EmbeddedPostgres
from tests.support.required import required_program

QUESTION = (
    "SELECT concat_ws(' ', current_user, current_database(), "
    "current_setting('work_mem'), current_setting('port'))"
)
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


PASSWORD = "it's:a\\secret"


@pytest.fixture
async def asked_for_passwords(own_postgres: EmbeddedPostgres) -> str:
    """The URL of a user whom the server asks for a password, without it."""
    connection = await asyncpg.connect(own_postgres.url)
    quoted = PASSWORD.replace("'", "''")
    await connection.execute(f"CREATE USER ana PASSWORD '{quoted}'")
    rules = own_postgres.data_dir / "postgres" / "pg_hba.conf"
    rules.write_text(f"local all ana scram-sha-256\n{rules.read_text()}")
    await connection.execute("SELECT pg_reload_conf()")
    # A session reads the rules of the server that it was started by, so one that is refused proves
    # that they are new.
    while await _lets_in(own_postgres.url.replace("postgres@", "ana@")):
        await asyncio.sleep(0.01)
    await connection.close()
    return own_postgres.url.replace("postgres@", "ana@")


async def _lets_in(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidPasswordError:
        return False
    await connection.close()
    return True


def psql(url: str) -> subprocess.CompletedProcess[str]:
    """Ask through the real libpq; without it skip, or fail with ``REQUIRE_REAL=1``."""
    program = required_program("psql")
    return subprocess.run([program, "-wXAtc", QUESTION, url], capture_output=True, text=True, check=False)


def filled(url: str, meant: DatabaseUrl) -> str:
    [(folder, port)] = meant.addresses
    return url.format(
        user=meant.user, folder=folder, socket=quote(folder, safe=""), port=port, database=meant.database
    )


async def test_urls_lead_to_the_same_database_as_with_libpq(meant: DatabaseUrl) -> None:
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


async def test_passwords_are_found_where_libpq_finds_them(
    asked_for_passwords: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = asked_for_passwords
    [(folder, _)] = parse_database_url(url).addresses
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    by_folder, anywhere = tmp_path / ".pgpass", tmp_path / "anywhere"
    by_folder.write_text(f"elsewhere:*:*:ana:wrong\n{folder}:*:depgraph:ana:{escaped}\n")
    anywhere.write_text(f"*:*:*:*:{escaped}\n")
    by_folder.chmod(0o600)
    anywhere.chmod(0o600)
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    found = {
        "the environment": (url, {"PGPASSWORD": PASSWORD}),
        "PGPASSFILE": (url, {"PGPASSFILE": str(anywhere)}),
        "passfile": (f"{url}&passfile={quote(str(by_folder))}", {"PGPASSFILE": "/nowhere"}),
        "~/.pgpass": (url, {"HOME": str(tmp_path), "PGPASSWORD": ""}),
        "nowhere": (url, {}),
        "wrong": (url, {"PGPASSWORD": "wrong", "PGPASSFILE": str(anywhere)}),
    }
    for place, (address, environment) in found.items():
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            let_in = psql(address).returncode == 0
            assert let_in is (place not in {"nowhere", "wrong"}), place
            if let_in:
                await (await connect(address, PATIENT)).close()
            else:
                with pytest.raises(asyncpg.InvalidPasswordError):
                    await connect(address, PATIENT)
