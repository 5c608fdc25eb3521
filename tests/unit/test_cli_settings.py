"""No I/O: what the flags of the command accept, and that a refusal names what is wrong."""

import math
from typing import Literal

import pytest
import typer
from typer.testing import CliRunner

from server.cli.failures import sentence
from server.cli.options import DatabaseUrl
from server.cli.validation import (
    EXPOSED_URL_WARNING,
    checked_address,
    checked_database_url,
    checked_listen,
    checked_seconds,
)


@pytest.mark.parametrize(
    "value",
    [
        "127.0.0.1:50051",
        "0.0.0.0:0",
        "localhost:1",
        "[::1]:50051",
        "[::]:0",
        "unix:/run/depgraph.sock",
        "unix:here",
    ],
)
def test_an_address_to_listen_on_is_taken_as_it_is(value: str) -> None:
    assert checked_listen(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "50051",
        ":50051",
        "host",
        "host:",
        "host:port",
        "host:65536",
        "host:-1",
        "::1:50051",
        "a b:1",
        "host:1 ",
        "unix:",
    ],
)
def test_what_is_no_address_is_refused_with_its_value(value: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        checked_listen(value)
    assert repr(value) in str(refusal.value)


def test_a_socket_path_longer_than_the_system_takes_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="longer than 103 bytes"):
        checked_listen("unix:/" + "ä" * 52)


def test_what_is_no_number_is_no_length_of_time() -> None:
    with pytest.raises(typer.BadParameter, match="nan"):
        checked_seconds(math.nan)
    assert checked_seconds(0.5) == 0.5


def test_nobody_can_call_port_zero() -> None:
    with pytest.raises(typer.BadParameter, match="the port must be 1 to 65535"):
        checked_address("localhost:0")


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://u:p@localhost:5432/graph",
        "postgres://localhost/graph",
        "postgresql:///graph?host=/run/postgresql",
    ],
)
def test_a_postgresql_url_is_taken_as_it_is(value: str) -> None:
    assert checked_database_url(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "localhost",
        "mysql://u:hunter2@localhost/graph",
        "postgresql://u:hunter2@localhost:port/graph",
        "u:hunter2@host",
    ],
)
def test_another_url_is_refused_without_showing_its_password(value: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        checked_database_url(value)
    assert "hunter2" not in str(refusal.value)


def test_no_url_means_the_embedded_database() -> None:
    assert checked_database_url(None) is None


def test_a_wrong_choice_is_refused_without_the_validators_own_words() -> None:
    app = typer.Typer()

    @app.command()
    def choose(level: Literal["high", "low"]) -> None:
        raise AssertionError(level)

    with pytest.raises(typer.TyperException) as refusal:
        app(["middle"], standalone_mode=False)
    assert sentence(refusal.value) == "Invalid value for 'level': 'middle' is not one of 'high', 'low'."


@pytest.mark.parametrize(
    ("arguments", "environment", "warned"),
    [
        (["--database-url", "postgresql://u:hunter2@db/graph"], {}, True),
        (["--database-url", "postgresql://u@db/graph?password=hunter2"], {}, True),
        (["--database-url", "postgresql://u@db/graph?sslpassword=hunter2"], {}, True),
        (["--database-url", "postgresql://u@db/graph?passfile=/run/secrets/db"], {}, False),
        ([], {"DATABASE_URL": "postgresql://u:hunter2@db/graph"}, False),
        ([], {}, False),
    ],
)
def test_a_password_on_the_command_line_is_warned_of_and_not_shown(
    arguments: list[str], environment: dict[str, str], *, warned: bool
) -> None:
    app = typer.Typer()

    @app.command()
    def command(database_url: DatabaseUrl = None) -> None:
        typer.echo(database_url)

    ran = CliRunner().invoke(app, arguments, env={"DATABASE_URL": None, **environment})
    assert ran.exit_code == 0
    assert ran.stderr.splitlines() == ([EXPOSED_URL_WARNING] if warned else [])
    assert "hunter2" not in EXPOSED_URL_WARNING
