"""``depgraph serve``."""

from datetime import timedelta

import typer

from server.cli.failures import CommandError, database_failures
from server.cli.feed_settings import (
    AUDIT_INTERVAL,
    KEEP_LOG,
    MAX_LOG_ROWS,
    POLL_INTERVAL,
    PRUNE_INTERVAL,
    AuditInterval,
    KeepLog,
    MaxLogRows,
    PollInterval,
    PruneInterval,
)
from server.cli.settings import (
    DEFAULTS,
    DatabaseUrl,
    DataDir,
    Listen,
    LogFormatOption,
    LogLevelOption,
    MetricsListen,
    Migrate,
    SeedFile,
)
from server.config import FeedSettings, Settings


def serve(
    *,
    listen: Listen = DEFAULTS.listen,
    database_url: DatabaseUrl = DEFAULTS.database_url,
    data_dir: DataDir = DEFAULTS.data_dir,
    seed_file: SeedFile = DEFAULTS.seed_file,
    migrate: Migrate = DEFAULTS.migrate,
    metrics_listen: MetricsListen = DEFAULTS.metrics_listen,
    poll_interval: PollInterval = POLL_INTERVAL,
    audit_interval: AuditInterval = AUDIT_INTERVAL,
    keep_log: KeepLog = KEEP_LOG,
    max_log_rows: MaxLogRows = MAX_LOG_ROWS,
    prune_interval: PruneInterval = PRUNE_INTERVAL,
    log_level: LogLevelOption = "info",
    log_format: LogFormatOption = "auto",
) -> None:
    """Run the server; says 'serving on ADDRESS' when the graph is in memory. SIGTERM or Ctrl-C stops it."""
    from server.app import run
    from server.cli.logs import configure_logging
    from server.lifecycle.schema import SchemaBehindError

    configure_logging(log_level, log_format)
    settings = Settings(
        listen=listen,
        database_url=database_url,
        data_dir=data_dir,
        seed_file=seed_file,
        migrate=migrate,
        metrics_listen=metrics_listen,
        feed=FeedSettings(
            poll_interval=timedelta(seconds=poll_interval),
            audit_interval=timedelta(seconds=audit_interval),
            keep_log=timedelta(seconds=keep_log),
            max_log_rows=max_log_rows,
            prune_interval=timedelta(seconds=prune_interval),
        ),
    )
    try:
        with database_failures():
            code = run(settings, lambda sentence: typer.echo(sentence, err=True))
    except SchemaBehindError as error:
        raise CommandError(str(error)) from error
    raise typer.Exit(code)
