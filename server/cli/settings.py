"""The one place that reads flags and environment; what is wrong is refused with the name of the flag."""

import math
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from server.config import Settings, TransportName

DEFAULTS = Settings()
GRACE = DEFAULTS.limits.grace.total_seconds()
WORKER_TIMEOUT = DEFAULTS.worker_timeout.total_seconds()
# Linux holds 107 bytes of a socket's path, macOS 103.
MAX_SOCKET_PATH_BYTES = 103
MAX_PORT = 65_535
A_DAY = 86_400.0

VISIBLE_TO_ALL = (
    "warning: every user of this machine can see the password in --database-url (ps): give the URL in the environment "
    "variable DATABASE_URL, or leave the password out and keep it in a password file (passfile=FILE in the URL, "
    "PGPASSFILE, ~/.pgpass)"
)

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):(?P<port>[0-9]{1,5})", re.ASCII)


def checked_listen(value: str) -> str:
    """Accept ``HOST:PORT`` (port 0 = any free one), ``[IPV6]:PORT`` or ``unix:PATH``; ``BadParameter`` otherwise."""
    if value.startswith("unix:"):
        return _checked_socket(value)
    return _checked_host_port(value, lowest_port=0)


def checked_address(value: str) -> str:
    """Accept what a client can call: like ``checked_listen``, but no port 0."""
    if value.startswith("unix:"):
        return _checked_socket(value)
    return _checked_host_port(value, lowest_port=1)


def checked_database_url(value: str | None) -> str | None:
    """Accept a URL that ``server.postgres`` reads; ``BadParameter`` otherwise, without showing it: it may hold a password."""
    if value is None:
        return None
    from server.postgres.errors import DatabaseUrlError
    from server.postgres.url import parse_database_url

    try:
        parse_database_url(value)
    except DatabaseUrlError as error:
        raise typer.BadParameter(str(error)) from None
    return value


def _database_url(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Check the URL, and warn when everybody on the machine can read its password in the list of processes."""
    url = checked_database_url(value)
    source = context.get_parameter_source(parameter.name or "")
    if url is not None and source is not None and source.name == "COMMANDLINE":
        from server.postgres.url import shows_secret

        if shows_secret(url):
            typer.echo(VISIBLE_TO_ALL, err=True)
    return url


def checked_metrics_listen(value: str | None) -> str | None:
    """Accept ``HOST:PORT`` (port 0 = any free one) or ``[IPV6]:PORT``; ``BadParameter`` otherwise."""
    return None if value is None else _checked_host_port(value, lowest_port=0)


def checked_seconds(value: float) -> float:
    """Accept what is a number, which ranges do not ask; ``BadParameter`` otherwise."""
    if math.isnan(value):
        raise typer.BadParameter("'nan' is no number of seconds")
    return value


def checked_workers(workers: int, listen: str) -> int:
    """Accept more than one only where they can share an address; ``BadParameter`` otherwise."""
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


def checked_transport(wanted: TransportName, listen: str) -> TransportName:
    """Accept what is installed; ``BadParameter`` otherwise. The transport of "auto" is chosen here."""
    from server.rpc.transport import TransportMissingError, transport_for

    try:
        return transport_for(wanted, listen)
    except TransportMissingError as error:
        raise typer.BadParameter(str(error), param_hint="--transport") from None


def _checked_socket(value: str) -> str:
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


Listen = Annotated[
    str,
    typer.Option(
        "--listen",
        envvar="DEPGRAPH_LISTEN",
        metavar="HOST:PORT|unix:PATH",
        callback=checked_listen,
        help="Where to listen; port 0 = any free one.",
    ),
]
Transport = Annotated[
    TransportName,
    typer.Option(
        "--transport",
        envvar="DEPGRAPH_TRANSPORT",
        show_envvar=True,
        help="What carries calls: native is several times faster, and for trusted callers only (docs/transport.md); grpcio is for all. "
        "auto: native where only this host can connect (loopback, Unix socket), grpcio elsewhere.",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="DATABASE_URL",
        metavar="URL",
        callback=_database_url,
        show_envvar=True,
        help="PostgreSQL to use. Without one: an embedded PostgreSQL in the data folder. A password belongs into the "
        "environment variable or a password file: the command line is shown to every user of the machine.",
    ),
]
DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="DEPGRAPH_DATA_DIR",
        metavar="DIR",
        file_okay=False,
        help="Folder of the embedded PostgreSQL.",
    ),
]
SeedFile = Annotated[
    Path | None,
    typer.Option(
        "--seed-file",
        envvar="DEPGRAPH_SEED_FILE",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="Graph to take in, in the json format of 'depgraph import', when the database holds none.",
    ),
]
Migrate = Annotated[
    bool,
    typer.Option("--migrate/--no-migrate", help="Bring the schema up to date, or only check that it is."),
]
MetricsListen = Annotated[
    str | None,
    typer.Option(
        "--metrics-listen",
        envvar="DEPGRAPH_METRICS_LISTEN",
        metavar="HOST:PORT",
        callback=checked_metrics_listen,
        help="Where to serve figures for Prometheus, at /metrics; port 0 = any free one. Without it: nowhere.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        envvar="DEPGRAPH_WORKERS",
        metavar="N",
        min=1,
        help="Processes that answer calls at one HOST:PORT, each with the whole graph in memory.",
    ),
]
WorkerTimeout = Annotated[
    float,
    typer.Option(
        "--worker-timeout",
        envvar="DEPGRAPH_WORKER_TIMEOUT",
        metavar="SECONDS",
        min=1,
        max=A_DAY,
        callback=checked_seconds,
        help="A worker that does not answer the supervisor for so long is killed and started again.",
    ),
]
Grace = Annotated[
    float,
    typer.Option(
        "--grace",
        envvar="DEPGRAPH_GRACE",
        metavar="SECONDS",
        min=0,
        max=A_DAY,
        callback=checked_seconds,
        help="How long running calls may go on when the server is stopped. It has ended 2 s later.",
    ),
]
KernelCache = Annotated[
    Path | None,
    typer.Option(
        "--kernel-cache",
        envvar="DEPGRAPH_KERNEL_CACHE",
        metavar="DIR",
        file_okay=False,
        help="Where to keep compiled kernels, if not beside the program or in the user's cache.",
    ),
]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", envvar="DEPGRAPH_LOG_LEVEL", help="The least that is logged.")
]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        envvar="DEPGRAPH_LOG_FORMAT",
        help="How it is logged, on stderr; auto = text on a terminal, json otherwise.",
    ),
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="DEPGRAPH_ADDRESS",
        metavar="HOST:PORT|unix:PATH",
        callback=checked_address,
        help="The server to ask.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
