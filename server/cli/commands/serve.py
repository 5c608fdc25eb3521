"""``depgraph serve``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import typer

from server.cli.detection_settings import DETECT, MIN_CYCLE_CONFIDENCE, Detect, MinCycleConfidence
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
from server.cli.limit_settings import (
    CONNECTION_IDLE_TIMEOUT,
    LIMITS,
    ConnectionIdleTimeout,
    MaxConcurrentCalls,
    MaxConnections,
    MaxItems,
    MaxMetadataRequestBytes,
    MaxQuestionBytes,
    MaxRequestBytes,
    MaxRequestsBytes,
    MaxResponseBytes,
    MaxStreamingCalls,
    MaxStreamsPerConnection,
    MaxUnsentBytes,
    MaxUnsentBytesPerConnection,
)
from server.cli.settings import (
    DEFAULTS,
    GRACE,
    WORKER_TIMEOUT,
    DatabaseUrl,
    DataDir,
    Grace,
    KernelCache,
    Listen,
    LogFormatOption,
    LogLevelOption,
    MetricsListen,
    Migrate,
    SeedFile,
    Transport,
    Workers,
    WorkerTimeout,
    checked_transport,
    checked_workers,
)
from server.cli.staleness_settings import (
    SWEEP_INTERVAL,
    ConfidenceHalfLife,
    StaleAfter,
    SweepInterval,
    checked_staleness,
)
from server.config import DetectionSettings, FeedSettings, Limits, Settings

# -P: modules are found where this process found them, never in the folder that it was started from.
WORKER = (sys.executable, "-P", "-m", "server.cli.worker")


def serve(
    *,
    listen: Listen = DEFAULTS.listen,
    transport: Transport = DEFAULTS.transport,
    database_url: DatabaseUrl = DEFAULTS.database_url,
    data_dir: DataDir = DEFAULTS.data_dir,
    seed_file: SeedFile = DEFAULTS.seed_file,
    migrate: Migrate = DEFAULTS.migrate,
    metrics_listen: MetricsListen = DEFAULTS.metrics_listen,
    workers: Workers = DEFAULTS.workers,
    worker_timeout: WorkerTimeout = WORKER_TIMEOUT,
    grace: Grace = GRACE,
    kernel_cache: KernelCache = DEFAULTS.kernel_cache,
    poll_interval: PollInterval = POLL_INTERVAL,
    audit_interval: AuditInterval = AUDIT_INTERVAL,
    keep_log: KeepLog = KEEP_LOG,
    max_log_rows: MaxLogRows = MAX_LOG_ROWS,
    prune_interval: PruneInterval = PRUNE_INTERVAL,
    stale_after: StaleAfter = None,
    confidence_half_life: ConfidenceHalfLife = None,
    sweep_interval: SweepInterval = SWEEP_INTERVAL,
    detect: Detect = DETECT,
    min_cycle_confidence: MinCycleConfidence = MIN_CYCLE_CONFIDENCE,
    max_question_bytes: MaxQuestionBytes = LIMITS.max_question_bytes,
    max_metadata_request_bytes: MaxMetadataRequestBytes = LIMITS.max_metadata_request_bytes,
    max_request_bytes: MaxRequestBytes = LIMITS.max_request_bytes,
    max_requests_bytes: MaxRequestsBytes = LIMITS.max_requests_bytes,
    max_items: MaxItems = LIMITS.max_items,
    max_response_bytes: MaxResponseBytes = LIMITS.max_response_bytes,
    max_unsent_bytes: MaxUnsentBytes = LIMITS.max_unsent_bytes,
    max_unsent_bytes_per_connection: MaxUnsentBytesPerConnection = LIMITS.max_unsent_bytes_per_connection,
    max_concurrent_calls: MaxConcurrentCalls = LIMITS.max_concurrent_calls,
    max_streaming_calls: MaxStreamingCalls = LIMITS.max_streaming_calls,
    max_streams_per_connection: MaxStreamsPerConnection = LIMITS.max_streams_per_connection,
    max_connections: MaxConnections = LIMITS.max_connections,
    connection_idle_timeout: ConnectionIdleTimeout = CONNECTION_IDLE_TIMEOUT,
    log_level: LogLevelOption = "info",
    log_format: LogFormatOption = "auto",
) -> None:
    """Run the server; says 'serving on ADDRESS' when the graph is in memory. SIGTERM or Ctrl-C stops it."""
    from server.cli.logs import configure_logging

    configure_logging(log_level, log_format)
    settings = Settings(
        listen=listen,
        transport=checked_transport(transport, listen),
        database_url=database_url,
        data_dir=data_dir,
        seed_file=seed_file,
        migrate=migrate,
        metrics_listen=metrics_listen,
        workers=checked_workers(workers, listen),
        worker_timeout=timedelta(seconds=worker_timeout),
        kernel_cache=kernel_cache,
        feed=FeedSettings(
            poll_interval=timedelta(seconds=poll_interval),
            audit_interval=timedelta(seconds=audit_interval),
            keep_log=timedelta(seconds=keep_log),
            max_log_rows=max_log_rows,
            prune_interval=timedelta(seconds=prune_interval),
        ),
        detection=DetectionSettings(enabled=detect, min_confidence=min_cycle_confidence),
        staleness=checked_staleness(stale_after, confidence_half_life, sweep_interval),
        limits=Limits(
            max_question_bytes=max_question_bytes,
            max_metadata_request_bytes=max_metadata_request_bytes,
            max_request_bytes=max_request_bytes,
            max_requests_bytes=max_requests_bytes,
            max_items=max_items,
            max_response_bytes=max_response_bytes,
            max_unsent_bytes=max_unsent_bytes,
            max_unsent_bytes_per_connection=max_unsent_bytes_per_connection,
            max_concurrent_calls=max_concurrent_calls,
            max_streaming_calls=max_streaming_calls,
            max_streams_per_connection=max_streams_per_connection,
            max_connections=max_connections,
            connection_idle_timeout=timedelta(seconds=connection_idle_timeout),
            grace=timedelta(seconds=grace),
        ),
    )
    with _failures():
        if workers == 1:
            from server.app import run

            run(settings, _report)
        else:
            from server.lifecycle.supervisor import supervise

            supervise(settings, _report, [*WORKER, log_level, log_format])


def _report(sentence: str) -> None:
    typer.echo(sentence, err=True)


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what people can do something about into a ``CommandError``."""
    from server.lifecycle.database import SchemaBehindError
    from server.lifecycle.workforce import WorkersKeepEndingError

    try:
        with database_failures():
            yield
    except (SchemaBehindError, WorkersKeepEndingError) as error:
        raise CommandError(str(error)) from error
