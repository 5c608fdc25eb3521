"""Options of the fault tests: how long, which dice, and where to write down what was measured."""

import json
import secrets
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.config import TransportName
from server.store.embedded import EmbeddedPostgres
from tests.support.last_landed import last_landed
from tests.support.scene import Record, Scene
from tests.support.serving import Program


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults", "fault tests (known when tests/faults is named on the command line)")
    group.addoption("--seed", type=int, help="seed of the random test; a failed run prints its own")
    group.addoption("--soak-seconds", type=float, help="let random tests and soaks run for so long each")
    group.addoption(
        "--fault-report", type=Path, help="append what was measured to a file, a JSON object a line"
    )


@pytest.fixture(autouse=True)
def carried(transport: TransportName) -> TransportName:
    """Every test here has a transport."""
    return transport


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed asked for, or a new one."""
    wanted: int | None = request.config.getoption("--seed", None)
    return secrets.randbits(32) if wanted is None else wanted


@pytest.fixture
def soak_seconds(request: pytest.FixtureRequest) -> float | None:
    """How long to go on; None = a short run."""
    wanted: float | None = request.config.getoption("--soak-seconds", None)
    return wanted


@pytest.fixture
def effort(request: pytest.FixtureRequest) -> int:
    """How many times as long as at least needed random tests go on: 1, or 3 with ``--full``."""
    return 3 if request.config.getoption("--full") else 1


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Takes a measurement: printed, and appended to the report if one was asked for."""
    path: Path | None = request.config.getoption("--fault-report", None)

    def write_down(measured: dict[str, Any]) -> None:
        line = json.dumps(measured)
        print(line)  # noqa: T201 - shown with -s, and when the test fails
        if path is not None:
            with path.open("a") as report:
                report.write(f"{line}\n")

    return write_down


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the seed of a test that failed."""
    report = yield
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if report.failed and "seed" in arguments:
        report.sections.append(("seed", f"replay with --seed {arguments['seed']}"))
    return report


@pytest.fixture
async def scene(database_url: str, seed: int, record: Record) -> AsyncIterator[Scene]:
    """A scene on the server that all tests share."""
    async with Scene.opened(database_url, seed, record) as opened:
        yield opened


@pytest.fixture
async def own_scene(own_postgres: EmbeddedPostgres, seed: int, record: Record) -> AsyncIterator[Scene]:
    """A scene on ``own_postgres``, to stop, crash and start."""
    async with Scene.opened(own_postgres.url, seed, record) as opened:
        yield opened


@pytest.fixture(scope="session")
def version_before() -> Iterator[Program]:
    """The program that landed last, to run beside this one."""
    with last_landed() as program:
        yield program
