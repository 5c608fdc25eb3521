"""No I/O: what options accept, and that a refusal names what is wrong."""

import math
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
import typer
from typer.testing import CliRunner

from server.cli.failures import sentence
from server.cli.options import DatabaseUrl, DataDir
from server.cli.validation import (
    EXPOSED_URL_WARNING,
    checked_address,
    checked_burst,
    checked_database_url,
    checked_keep,
    checked_listen,
    checked_rate,
    checked_seconds,
    checked_staleness,
)
from server.config import Settings, StalenessSettings


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
def test_a_valid_listen_address_is_accepted_unchanged(value: str) -> None:
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
def test_an_invalid_address_is_refused_with_its_value(value: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        checked_listen(value)
    assert repr(value) in str(refusal.value)


def test_a_socket_path_longer_than_the_system_takes_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="longer than 103 bytes"):
        checked_listen("unix:/" + "ä" * 52)


def test_nan_seconds_are_refused() -> None:
    with pytest.raises(typer.BadParameter, match="nan"):
        checked_seconds(math.nan)
    assert checked_seconds(0.5) == 0.5


def test_port_zero_is_refused_as_the_address_of_a_server() -> None:
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
def test_a_postgresql_url_is_accepted_unchanged(value: str) -> None:
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
def test_an_invalid_url_is_refused_without_showing_its_password(value: str) -> None:
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
def test_a_password_on_the_command_line_prints_a_warning_without_it(
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


@pytest.mark.parametrize(
    ("command", "arguments", "environment", "code"),
    [
        ("restore", ["--data-dir", "trial"], {"DATABASE_URL": "postgresql://u:hunter2@db/graph"}, 2),
        ("restore", ["--data-dir", "trial"], {"DATABASE_URL": ""}, 0),
        ("restore", ["--data-dir", "trial", "--database-url", "postgresql://db/graph"], {}, 0),
        ("restore", [], {"DATABASE_URL": "postgresql://db/graph", "DEPGRAPH_DATA_DIR": "trial"}, 0),
        ("serve", ["--data-dir", "kernels"], {"DATABASE_URL": "postgresql://db/graph"}, 0),
    ],
)
def test_a_url_in_the_environment_does_not_replace_the_folder_of_the_command_line(
    command: str, arguments: list[str], environment: dict[str, str], code: int
) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)

    @app.command(command)
    def run(database_url: DatabaseUrl = None, data_dir: DataDir = Path()) -> None:
        """Do nothing."""

    ran = CliRunner().invoke(app, [command, *arguments], env={"DATABASE_URL": None, **environment})
    assert ran.exit_code == code
    assert ("DATABASE_URL" in ran.stderr) == (code == 2)
    assert "hunter2" not in ran.stderr


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    settings = checked_staleness([f"kubernetes={text}"], [f"service_mesh={text}"], text)

    assert settings == StalenessSettings(
        stale_after={"kubernetes": length}, half_life={"service_mesh": length}, sweep_interval=length
    )


def test_each_source_has_its_own_duration_and_none_means_never() -> None:
    settings = checked_staleness(["manual=none", "otel_service_graph=7d"], ["manual=none"], "1m")

    assert settings.stale_after == {"manual": None, "otel_service_graph": timedelta(days=7)}
    assert settings.half_life == {"manual": None}
    assert settings.is_active


def test_what_a_source_discovered_is_removed_after_a_duration_but_not_what_is_manual() -> None:
    settings = checked_staleness(None, None, "1m", ["kubernetes=90d", "manual=none"])
    assert settings.remove_after == {"kubernetes": timedelta(days=90), "manual": None}
    assert settings.is_active

    with pytest.raises(typer.BadParameter, match="belong to people") as refused:
        checked_staleness(None, None, "1m", ["manual=90d"])

    assert refused.value.param_hint == "--remove-after"


def test_without_flags_staleness_is_inactive() -> None:
    assert checked_staleness(None, None, "1m") == StalenessSettings()
    assert not StalenessSettings().is_active


@pytest.mark.parametrize("flag", ["--stale-after", "--confidence-half-life", "--remove-after"])
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["7d"], "expected SOURCE=DURATION with one of the sources manual, otel_service_graph, kubernetes"),
        (["rumour=7d"], "'rumour=7d': expected SOURCE=DURATION"),
        (["=7d"], "expected SOURCE=DURATION"),
        (["Manual=7d"], "expected SOURCE=DURATION"),
        (["manual=7d", "manual=8d"], "'manual=8d': manual was given before"),
        (["manual="], "'' is no duration: expected a whole number and a unit, such as 90s, 30m"),
        (["manual=7"], "'7' is no duration"),
        (["manual=1.5h"], "'1.5h' is no duration"),
        (["manual=-1h"], "'-1h' is no duration"),
        (["manual=7 d"], "'7 d' is no duration"),
        (["manual=7D"], "'7D' is no duration"),
        (["manual=0s"], "'0s': a duration must be longer than 0 and at most 36500 days, or none"),
        (["manual=36501d"], "at most 36500 days"),
        (["manual=999999999999w"], "at most 36500 days"),
    ],
)
def test_an_invalid_duration_is_refused_with_the_name_of_the_flag(
    flag: str, values: list[str], complaint: str
) -> None:
    stale_after, half_life, remove_after = (
        values if flag == each else None
        for each in ("--stale-after", "--confidence-half-life", "--remove-after")
    )

    with pytest.raises(typer.BadParameter) as refused:
        checked_staleness(stale_after, half_life, "1m", remove_after)

    assert complaint in refused.value.message
    assert refused.value.param_hint == flag


@pytest.mark.parametrize("interval", ["60", "none", "0m", ""])
def test_an_invalid_sweep_interval_is_refused(interval: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        checked_staleness(None, None, interval)

    assert refused.value.param_hint == "--sweep-interval"


@pytest.mark.parametrize(
    ("text", "kept"), [("0", timedelta(0)), ("1s", timedelta(seconds=1)), ("90d", timedelta(days=90))]
)
def test_writes_and_history_are_kept_for_a_duration_or_not_at_all(text: str, kept: timedelta) -> None:
    assert checked_keep(text, "--keep-history") == kept


@pytest.mark.parametrize("text", ["", "0d", "90", "none", "-1d"])
def test_an_invalid_time_to_keep_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        checked_keep(text, "--keep-history")

    assert refused.value.param_hint == "--keep-history"
    assert "or 0 to keep none" in refused.value.message


def test_settings_survive_pickling() -> None:
    settings = Settings(
        staleness=checked_staleness(["manual=7d"], ["service_mesh=3d"], "5m", ["kubernetes=90d"])
    )

    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


def test_a_rate_that_is_no_number_is_refused() -> None:
    assert checked_rate(None) is None
    assert checked_rate(2.5) == 2.5
    with pytest.raises(typer.BadParameter, match="nan"):
        checked_rate(math.nan)


def test_a_burst_without_a_rate_is_refused() -> None:
    assert checked_burst(None, None) is None
    assert checked_burst(10, 2.5) == 10
    with pytest.raises(typer.BadParameter, match="--rate-limit") as refusal:
        checked_burst(10, None)
    assert refusal.value.param_hint == "--rate-burst"
