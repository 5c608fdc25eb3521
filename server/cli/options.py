"""Options of ``depgraph serve``, those that several commands share, and their variables."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from server.cli.validation import (
    checked_confidence,
    checked_host_port,
    checked_private_database_url,
    checked_seconds,
)
from server.config import Settings

DEFAULTS = Settings()
GRACE = DEFAULTS.limits.grace.total_seconds()
WORKER_TIMEOUT = DEFAULTS.worker_timeout.total_seconds()
POLL_INTERVAL = DEFAULTS.feed.poll_interval.total_seconds()
AUDIT_INTERVAL = DEFAULTS.feed.audit_interval.total_seconds()
KEEP_LOG = DEFAULTS.feed.keep_log.total_seconds()
PRUNE_INTERVAL = DEFAULTS.feed.prune_interval.total_seconds()
SWEEP_INTERVAL = "1m"
KEEP_WRITES = "90d"
KEEP_HISTORY = "90d"

DAY = 86_400.0

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]


def setting(name: str, help_text: str, **details: Any) -> Any:
    """Define ``--some-name``, which ``DEPGRAPH_SOME_NAME`` in the environment sets too."""
    variable = f"DEPGRAPH_{name.replace('-', '_').upper()}"
    return typer.Option(f"--{name}", envvar=variable, help=help_text, **details)


def seconds(name: str, help_text: str, least: float, most: float | None = None) -> Any:
    """Define a setting in seconds."""
    return setting(name, help_text, metavar="SECONDS", min=least, max=most, callback=checked_seconds)


# Shared by several commands.
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ChangeFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The change, plain or gzip; - = standard input.")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="DATABASE_URL",
        metavar="URL",
        callback=checked_private_database_url,
        show_envvar=True,
        help="PostgreSQL to use. Default: an embedded PostgreSQL in --data-dir. Give a password in the "
        "environment variable or a password file: every user of the machine can see the command line.",
    ),
]
DataDir = Annotated[
    Path, setting("data-dir", "Folder of the embedded PostgreSQL.", metavar="DIR", file_okay=False)
]
KernelCache = Annotated[
    Path | None,
    setting(
        "kernel-cache",
        "Folder of compiled kernels. Default: beside the program, or in the user's cache.",
        metavar="DIR",
        file_okay=False,
    ),
]

# The process.
SeedFile = Annotated[
    Path | None,
    setting(
        "seed-file",
        "Graph to import when the database is empty, in the json format of 'depgraph import'.",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]
Sources = Annotated[
    Path | None,
    setting(
        "sources",
        "TOML file of sources to pull dependencies from (docs/connect.md). Default: none.",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]
Migrate = Annotated[
    bool,
    typer.Option(
        "--migrate/--no-migrate", help="Migrate the schema at start, or only check that it is current."
    ),
]
MetricsListen = Annotated[
    str | None,
    setting(
        "metrics-listen",
        "Address that serves Prometheus metrics, at /metrics; port 0 = any free one. Default: none.",
        metavar="HOST:PORT",
        callback=checked_host_port,
    ),
]
Tracing = Annotated[
    bool,
    typer.Option(
        "--tracing/--no-tracing",
        envvar="DEPGRAPH_TRACING",
        help="Send a span of each call to an OTLP receiver, over gRPC, as the variables OTEL_* say. "
        "Needs the extra 'tracing'.",
    ),
]
Workers = Annotated[
    int,
    setting(
        "workers",
        "Number of server processes on one HOST:PORT, each with the whole graph in memory.",
        metavar="N",
        min=1,
    ),
]
WorkerTimeout = Annotated[
    float,
    seconds(
        "worker-timeout",
        "Kill and restart a worker that does not answer the supervisor for this long.",
        1,
        DAY,
    ),
]
Grace = Annotated[
    float,
    seconds(
        "grace",
        "How long running calls may go on when the server stops. It exits at most 2 s later.",
        0,
        DAY,
    ),
]
LogLevelOption = Annotated[LogLevel, setting("log-level", "Lowest level that is logged.")]
LogFormatOption = Annotated[
    LogFormat,
    setting("log-format", "Format of the log on stderr; auto = text on a terminal, json otherwise."),
]

# The feed.
PollInterval = Annotated[
    float, seconds("poll-interval", "How often to poll for changes, besides notifications.", 0.01)
]
AuditInterval = Annotated[
    float,
    seconds("audit-interval", "How often to compare memory with the tables, on average; 0 = never.", 0),
]
KeepLog = Annotated[
    float,
    seconds("keep-log", "How long the change log keeps changes for replicas and watchers that are away.", 0),
]
MaxLogRows = Annotated[
    int,
    setting(
        "max-log-rows",
        "Prune changes earlier when the change log holds more rows than this.",
        metavar="ROWS",
        min=1,
    ),
]
PruneInterval = Annotated[float, seconds("prune-interval", "How often to prune the change log.", 0.1)]
KeepWrites = Annotated[
    str,
    setting(
        "keep-writes",
        "How long the account of who wrote what keeps a call that wrote; 0 = keep none.",
        metavar="DURATION",
    ),
]
KeepHistory = Annotated[
    str,
    setting(
        "keep-history",
        "How long former states of the graph can be asked for; 0 = keep no history.",
        metavar="DURATION",
    ),
]

# Staleness and detection.
StaleAfter = Annotated[
    list[str] | None,
    setting(
        "stale-after",
        "Mark dependencies of a discovery source stale when not observed for this long, "
        "such as otel_service_graph=7d; repeatable. Default: never.",
        metavar="SOURCE=DURATION",
    ),
]
ConfidenceHalfLife = Annotated[
    list[str] | None,
    setting(
        "confidence-half-life",
        "Time in which the confidence of unobserved dependencies halves, such as service_mesh=3d; "
        "repeatable. SOURCE=none restores decayed confidence. Default: no decay.",
        metavar="SOURCE=DURATION",
    ),
]
RemoveAfter = Annotated[
    list[str] | None,
    setting(
        "remove-after",
        "Remove stale dependencies of a discovery source when not observed for this long, such as "
        "otel_service_graph=90d, and discovered services that are left alone; repeatable. Default: never.",
        metavar="SOURCE=DURATION",
    ),
]
SweepInterval = Annotated[
    str,
    setting(
        "sweep-interval",
        "How often to mark dependencies stale, let confidence decay, and remove.",
        metavar="DURATION",
    ),
]
Detect = Annotated[
    bool,
    typer.Option(
        "--detect/--no-detect",
        envvar="DEPGRAPH_DETECT",
        help="Keep an alert for each circular dependency; of several processes on one database one does.",
    ),
]
MinCycleConfidence = Annotated[
    float,
    setting(
        "min-cycle-confidence",
        "Ignore dependencies of less confidence when detecting circular dependencies; "
        "give all processes on one database the same.",
        metavar="NUMBER",
        callback=checked_confidence,
    ),
]
