"""Flags and environment of the feed; lengths of time are seconds."""

from typing import Annotated

import typer

from server.config import FeedSettings

_FEED = FeedSettings()
POLL_INTERVAL = _FEED.poll_interval.total_seconds()
AUDIT_INTERVAL = _FEED.audit_interval.total_seconds()
KEEP_LOG = _FEED.keep_log.total_seconds()
MAX_LOG_ROWS = _FEED.max_log_rows
PRUNE_INTERVAL = _FEED.prune_interval.total_seconds()

PollInterval = Annotated[
    float,
    typer.Option(
        "--poll-interval",
        envvar="DEPGRAPH_POLL_INTERVAL",
        metavar="SECONDS",
        min=0.01,
        help="How often to look for changes unasked.",
    ),
]
KeepLog = Annotated[
    float,
    typer.Option(
        "--keep-log",
        envvar="DEPGRAPH_KEEP_LOG",
        metavar="SECONDS",
        min=0,
        help="How long changes stay in the log for replicas and watchers that are away.",
    ),
]
MaxLogRows = Annotated[
    int,
    typer.Option(
        "--max-log-rows",
        envvar="DEPGRAPH_MAX_LOG_ROWS",
        metavar="ROWS",
        min=1,
        help="When the log holds more, changes go earlier.",
    ),
]
PruneInterval = Annotated[
    float,
    typer.Option(
        "--prune-interval",
        envvar="DEPGRAPH_PRUNE_INTERVAL",
        metavar="SECONDS",
        min=0.1,
        help="How often the log is pruned.",
    ),
]
AuditInterval = Annotated[
    float,
    typer.Option(
        "--audit-interval",
        envvar="DEPGRAPH_AUDIT_INTERVAL",
        metavar="SECONDS",
        min=0,
        help="How often memory is compared with the tables, on average; 0 = never.",
    ),
]
