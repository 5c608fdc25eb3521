"""Fixtures that every kind of test may ask for: databases, and how hard hypothesis tries."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from server.config import TransportName
from server.lifecycle.kernels import use_compiled_kernels
from server.rpc import transport as transports
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.command import CARRIED_BY, ROOT
from tests.support.examples import USUAL
from tests.support.folders import copy_with_owners, open_folder
from tests.support.postgres import DatabaseServer, run_apart, running_server
from tests.support.transports import transports_of

# Without bytecode on disk, every process that a test starts compiles a thousand modules anew:
# a second or two of a processor.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Nothing that imports and collection make is garbage: see `pytest_collection_finish`.
gc.disable()

# A shell that runs pytest in the background makes it ignore Ctrl-C, and with it every command that
# a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A line for each call that went well would bury what a failed test has to say.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))

settings.register_profile(
    "default",
    deadline=None,  # the machine is shared: time says nothing about the code
    print_blob=True,
    # CI judges a change: the same code gets the same verdict. Other runs look for new examples.
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=USUAL // 2,
)
settings.register_profile("full", settings.get_profile("default"), max_examples=USUAL)
settings.register_profile(
    "thorough", settings.get_profile("default"), derandomize=False, max_examples=20 * USUAL
)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples tests get, before any of their modules is imported."""
    usual = "full" if config.getoption("--full") else "default"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))


def pytest_sessionstart() -> None:
    """
    Let kernels run compiled, as they do in servers.

    The first run on a machine compiles them, before any test and its clock begin. Workers and the
    servers of tests find them then.
    """
    if not use_compiled_kernels():
        subprocess.run([sys.executable, "-m", "server.cli", "compile"], check=False)
        use_compiled_kernels()


def pytest_collection_finish() -> None:
    """Exclude modules and collected tests from garbage collection: half a million objects."""
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=("usual", "both", "grpcio", "native"),
        default="usual",
        help="the transport of the calls of tests; usual = both, or one of them where a test is marked"
        " one_transport, or costly without --full",
    )
    parser.addoption(
        "--full",
        action="store_true",
        help="import the whole of the largest real input, not a part, and let random tests go on for longer",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what makes calls on the transports that it is to be run on."""
    if "transport" in metafunc.fixturenames:
        wanted, full = (metafunc.config.getoption(option) for option in ("--transport", "--full"))
        metafunc.parametrize(
            "transport", transports_of(metafunc.definition, wanted, full=full), indirect=True, scope="module"
        )


@pytest.fixture(scope="module")
def transport(request: pytest.FixtureRequest) -> Iterator[TransportName]:
    """
    Choose the transport of calls.

    Servers of this process, and commands that a test starts, take it unless they are given another.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transports, "is_reached_by_this_host_only", lambda _: request.param == "native")
        patch.setenv(CARRIED_BY, request.param)
        yield request.param


@pytest.fixture(scope="module")
def servers_without_numba() -> Iterator[None]:
    """
    Let servers that tests start as processes keep their kernels plain.

    They start in half the time of a processor, and on few rows nothing else differs.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests/support/without_numba"), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A PostgreSQL server for this whole run, one for each worker."""
    with running_server(lambda: request.getfixturevalue("data_folder_template")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: DatabaseServer) -> Iterator[str]:
    """The name of a database with the whole schema and no rows, to be copied and left alone."""
    with postgres.migrated_template() as name:
        yield name


@pytest.fixture
async def database_url(postgres: DatabaseServer, migrated_template: str) -> AsyncIterator[str]:
    """The URL of a new database of the test's own, with the whole schema and no rows."""
    async with postgres.new_database(migrated_template) as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres: DatabaseServer) -> AsyncIterator[str]:
    """The URL of a new database of the test's own without any schema."""
    async with postgres.new_database() as url:
        yield url


@pytest.fixture
async def connection(database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection to ``database_url``."""
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """A new folder that the user who runs PostgreSQL may enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def data_folder_template() -> Iterator[Path]:
    """The data folder of a stopped server with the whole schema and no rows, to be copied."""
    with open_folder() as folder:
        server = EmbeddedPostgres(folder / "database", durable=False)
        run_apart(server.start())
        run_apart(migrate.upgrade(server.url))
        run_apart(server.stop())
        yield folder / "database"


@pytest.fixture
def data_folder(reachable_folder: Path, data_folder_template: Path) -> Path:
    """A data folder of the test's own, with the schema and no rows; its server does not run."""
    folder = reachable_folder / "database"
    copy_with_owners(data_folder_template, folder)
    return folder


@pytest.fixture
async def own_postgres(data_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A running server of the test's own, to stop, crash and start, with the schema and no rows."""
    async with EmbeddedPostgres(data_folder, durable=False) as server:
        yield server
