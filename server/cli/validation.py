"""Checks of option values; each ``checked_…`` raises ``BadParameter`` for a wrong one."""

import math
import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import typer

from server.config import StalenessSettings
from server.domain.dependencies import DISCOVERY_SOURCES, DiscoverySource
from server.domain.tables import duration_of

# Linux holds 107 bytes of a socket's path, macOS 103.
MAX_SOCKET_PATH_BYTES = 103
MAX_PORT = 65_535
NOWHERE = "none"
MAX_DURATION = timedelta(days=36_500)

EXPOSED_URL_WARNING = (
    "warning: every user of this machine can see the password in --database-url (ps): give the URL in "
    "the environment variable DATABASE_URL, or leave the password out and keep it in a password file "
    "(passfile=FILE in the URL, PGPASSFILE, ~/.pgpass)"
)

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):(?P<port>[0-9]{1,5})", re.ASCII)
_NEVER = "none"


def checked_listen(value: str) -> str:
    """Accept ``HOST:PORT`` (port 0 = any free one), ``[IPV6]:PORT``, ``unix:PATH`` or "none"."""
    return value if value == NOWHERE else _checked_host_port_or_socket(value, lowest_port=0)


def checked_address(value: str) -> str:
    """Accept what a client can call: like ``checked_listen``, but no port 0."""
    return _checked_host_port_or_socket(value, lowest_port=1)


def checked_host_port(value: str | None) -> str | None:
    """Accept ``HOST:PORT`` (port 0 = any free one) or ``[IPV6]:PORT``."""
    return None if value is None else _checked_host_port(value, lowest_port=0)


def checked_database_url(value: str | None) -> str | None:
    """Accept a URL that ``server.postgres`` reads; errors don't show it: it may hold a password."""
    if value is None:
        return None
    from server.postgres.causes import DatabaseUrlError
    from server.postgres.url import parse_database_url

    try:
        parse_database_url(value)
    except DatabaseUrlError as error:
        raise typer.BadParameter(str(error)) from None
    return value


def checked_private_database_url(
    context: typer.Context, parameter: typer.CallbackParam, value: str | None
) -> str | None:
    """
    Check the URL; warn, or note in ``meta``, if all users see a password on the command line.

    ``serve`` keeps more in its data folder than a database. For other commands a folder on the
    command line names the database, which a URL in the environment must not replace unseen.
    """
    url = checked_database_url(value)
    if url is None:
        return None
    is_given = _is_on_command_line(context, parameter.name or "")
    if not is_given and context.info_name != "serve" and _is_on_command_line(context, "data_dir"):
        raise typer.BadParameter(
            "the variable DATABASE_URL names another database: unset it, or leave --data-dir out",
            param_hint="--data-dir",
        )
    if is_given:
        from server.postgres.url import shows_secret

        if shows_secret(url):
            # The server logs it: whatever it prints is a line of the log.
            if context.info_name == "serve":
                context.meta[EXPOSED_URL_WARNING] = True
            else:
                typer.echo(EXPOSED_URL_WARNING, err=True)
    return url


def checked_private_token(
    context: typer.Context, parameter: typer.CallbackParam, value: str | None
) -> str | None:
    """Warn if all users see the token on the command line."""
    if value is not None and _is_on_command_line(context, parameter.name or ""):
        typer.echo(
            "warning: every user of this machine can see --token (ps): give a file (--token-file), or the "
            "environment variable DEPGRAPH_TOKEN",
            err=True,
        )
    return value


def checked_guarding_file(parameter: typer.CallbackParam, value: Path | None) -> Path | None:
    """Refuse a variable that is set but empty: without its file the server would be open."""
    if value is None and os.environ.get(str(parameter.envvar)) == "":
        raise typer.BadParameter(f"the variable {parameter.envvar} is empty: give a file, or unset it")
    return value


def checked_sources(value: Path | None) -> Path | None:
    """Accept a sources file that can be used."""
    if value is None:
        return None
    from server.sources.config import SourcesFileError, load_sources

    try:
        load_sources(value)
    except SourcesFileError as error:
        raise typer.BadParameter(str(error)) from None
    return value.absolute()


def _is_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def checked_seconds(value: float) -> float:
    """Accept a number; the range of an option lets NaN pass."""
    if math.isnan(value):
        raise typer.BadParameter("'nan' is no number of seconds")
    return value


def checked_rate(value: float | None) -> float | None:
    """Accept a number; the range of an option lets NaN pass."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("'nan' is no number of calls a second")
    return value


def checked_burst(burst: int | None, rate: float | None) -> int | None:
    """Accept a burst only where there is a rate."""
    if burst is not None and rate is None:
        raise typer.BadParameter(
            "there is no rate to exceed: give --rate-limit too", param_hint="--rate-burst"
        )
    return burst


def checked_confidence(value: float) -> float:
    """Accept a number from 0 to 1."""
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{value} is no confidence: expected a number from 0 to 1")
    return value


def checked_workers(workers: int, listen: str) -> int:
    """Accept several workers only where they can share an address."""
    from server.rpc.listening import CAN_SHARE_PORTS, is_socket_path

    if workers > 1 and is_socket_path(listen):
        raise typer.BadParameter(
            f"{workers} workers can't share a Unix socket: listen on HOST:PORT, or have one worker",
            param_hint="--workers",
        )
    if workers > 1 and not CAN_SHARE_PORTS:
        raise typer.BadParameter(
            "this system has no SO_REUSEPORT, by which workers share a port: have one worker",
            param_hint="--workers",
        )
    return workers


def checked_tracing(*, wanted: bool) -> bool:
    """Accept tracing where it is installed."""
    from server.lifecycle.tracing import TracingError, check_tracing

    try:
        if wanted:
            check_tracing()
    except TracingError as error:
        raise typer.BadParameter(str(error), param_hint="--tracing") from None
    return wanted


def checked_staleness(
    stale_after: Sequence[str] | None,
    half_life: Sequence[str] | None,
    sweep_interval: str,
    remove_after: Sequence[str] | None = None,
) -> StalenessSettings:
    """Read the flags of staleness, each by its name."""
    removed = _durations_by_source(remove_after or (), "--remove-after")
    if removed.get("manual") is not None:
        raise typer.BadParameter(
            "manual dependencies belong to people, and are never removed", param_hint="--remove-after"
        )
    return StalenessSettings(
        stale_after=_durations_by_source(stale_after or (), "--stale-after"),
        half_life=_durations_by_source(half_life or (), "--confidence-half-life"),
        remove_after=removed,
        sweep_interval=_duration(sweep_interval, "--sweep-interval"),
    )


def checked_keep(text: str, option: str) -> timedelta:
    """Read ``--keep-writes`` or ``--keep-history``: a duration, or 0."""
    return timedelta(0) if text == "0" else _duration(text, option, ", or 0 to keep none")


def _checked_host_port_or_socket(value: str, lowest_port: int) -> str:
    if not value.startswith("unix:"):
        return _checked_host_port(value, lowest_port)
    path = value.removeprefix("unix:").removeprefix("//")
    if not path or "\0" in path:
        raise typer.BadParameter(f"{value!r} names no socket: expected unix:PATH")
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise typer.BadParameter(f"the socket's path is longer than {MAX_SOCKET_PATH_BYTES} bytes: {value!r}")
    return value


def _checked_host_port(value: str, lowest_port: int) -> str:
    match = _HOST_PORT.fullmatch(value)
    if match is None:
        raise typer.BadParameter(f"{value!r} is no address: expected HOST:PORT, [IPV6]:PORT or unix:PATH")
    if not lowest_port <= int(match["port"]) <= MAX_PORT:
        raise typer.BadParameter(f"{value!r}: the port must be {lowest_port} to {MAX_PORT}")
    return value


def _durations_by_source(values: Sequence[str], flag: str) -> dict[DiscoverySource, timedelta | None]:
    found: dict[DiscoverySource, timedelta | None] = {}
    for value in values:
        word, equals, length = value.partition("=")
        source = next((known for known in DISCOVERY_SOURCES if known == word), None)
        if not equals or source is None:
            known = ", ".join(DISCOVERY_SOURCES)
            raise typer.BadParameter(
                f"{value!r}: expected SOURCE=DURATION with one of the sources {known}", param_hint=flag
            )
        if source in found:
            raise typer.BadParameter(f"{value!r}: {source} was given before", param_hint=flag)
        found[source] = None if length == _NEVER else _duration(length, flag, f", or {_NEVER}")
    return found


def _duration(text: str, flag: str, alternative: str = "") -> timedelta:
    found = duration_of(text)
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: expected a whole number and a unit, "
            f"such as 90s, 30m, 12h, 7d or 4w{alternative}",
            param_hint=flag,
        )
    if not timedelta(0) < found <= MAX_DURATION:
        raise typer.BadParameter(
            f"{text!r}: a duration must be longer than 0 and at most {MAX_DURATION.days} days{alternative}",
            param_hint=flag,
        )
    return found
