"""``depgraph serve``: options become ``Settings``, which one process or a supervisor runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import typer

from server.cli import access, addresses, collect_garbage_as_usual, limits, options
from server.cli.database import database_failures
from server.cli.failures import FAILED, exit_code, is_unexpected, sentence
from server.cli.limits import LIMITS
from server.cli.options import DEFAULTS
from server.cli.validation import (
    EXPOSED_URL_WARNING,
    checked_burst,
    checked_keep,
    checked_sources,
    checked_staleness,
    checked_tracing,
    checked_workers,
)
from server.config import DetectionSettings, FeedSettings, HistorySettings, Limits, Settings

# -P: a worker imports from where this process does, never from the current folder.
WORKER = (sys.executable, "-P", "-m", "server.cli.worker")


def serve(
    context: typer.Context,
    *,
    listen: addresses.Listen = DEFAULTS.listen,
    allow_plaintext: addresses.AllowPlaintext = False,
    tls_listen: addresses.TlsListen = None,
    tls_cert: addresses.TlsCert = None,
    tls_key: addresses.TlsKey = None,
    tls_client_ca: addresses.TlsClientCa = None,
    health_listen: addresses.HealthListen = None,
    http_listen: addresses.HttpListen = None,
    http_host: addresses.HttpHost = None,
    auth_file: access.AuthFile = None,
    trust_proxy: access.TrustProxy = None,
    reflection: access.Reflection = None,
    transport: addresses.Transport = DEFAULTS.transport,
    database_url: options.DatabaseUrl = DEFAULTS.database_url,
    data_dir: options.DataDir = DEFAULTS.data_dir,
    seed_file: options.SeedFile = DEFAULTS.seed_file,
    sources: options.Sources = DEFAULTS.sources,
    migrate: options.Migrate = DEFAULTS.migrate,
    metrics_listen: options.MetricsListen = DEFAULTS.metrics_listen,
    tracing: options.Tracing = DEFAULTS.tracing,
    workers: options.Workers = DEFAULTS.workers,
    worker_timeout: options.WorkerTimeout = options.WORKER_TIMEOUT,
    grace: options.Grace = options.GRACE,
    kernel_cache: options.KernelCache = DEFAULTS.kernel_cache,
    poll_interval: options.PollInterval = options.POLL_INTERVAL,
    audit_interval: options.AuditInterval = options.AUDIT_INTERVAL,
    keep_log: options.KeepLog = options.KEEP_LOG,
    max_log_rows: options.MaxLogRows = DEFAULTS.feed.max_log_rows,
    prune_interval: options.PruneInterval = options.PRUNE_INTERVAL,
    keep_writes: options.KeepWrites = options.KEEP_WRITES,
    keep_history: options.KeepHistory = options.KEEP_HISTORY,
    stale_after: options.StaleAfter = None,
    confidence_half_life: options.ConfidenceHalfLife = None,
    remove_after: options.RemoveAfter = None,
    sweep_interval: options.SweepInterval = options.SWEEP_INTERVAL,
    detect: options.Detect = DEFAULTS.detection.enabled,
    min_cycle_confidence: options.MinCycleConfidence = DEFAULTS.detection.min_confidence,
    max_question_bytes: limits.MaxQuestionBytes = LIMITS.max_question_bytes,
    max_metadata_request_bytes: limits.MaxMetadataRequestBytes = LIMITS.max_metadata_request_bytes,
    max_request_bytes: limits.MaxRequestBytes = LIMITS.max_request_bytes,
    max_otlp_request_bytes: limits.MaxOtlpRequestBytes = LIMITS.max_otlp_request_bytes,
    max_otlp_series: limits.MaxOtlpSeries = LIMITS.max_otlp_series,
    max_requests_bytes: limits.MaxRequestsBytes = LIMITS.max_requests_bytes,
    max_items: limits.MaxItems = LIMITS.max_items,
    max_response_bytes: limits.MaxResponseBytes = LIMITS.max_response_bytes,
    max_unsent_bytes: limits.MaxUnsentBytes = LIMITS.max_unsent_bytes,
    max_unsent_bytes_per_connection: limits.MaxUnsentBytesPerConnection = (
        LIMITS.max_unsent_bytes_per_connection
    ),
    max_concurrent_calls: limits.MaxConcurrentCalls = LIMITS.max_concurrent_calls,
    max_streaming_calls: limits.MaxStreamingCalls = LIMITS.max_streaming_calls,
    max_concurrent_analyses: limits.MaxConcurrentAnalyses = LIMITS.max_concurrent_analyses,
    max_watches: limits.MaxWatches = LIMITS.max_watches,
    max_streams_per_principal: limits.MaxStreamsPerPrincipal = LIMITS.max_streams_per_principal,
    rate_limit: limits.RateLimit = LIMITS.rate_limit,
    rate_burst: limits.RateBurst = LIMITS.rate_burst,
    max_streams_per_connection: limits.MaxStreamsPerConnection = LIMITS.max_streams_per_connection,
    max_connections: limits.MaxConnections = LIMITS.max_connections,
    connection_idle_timeout: limits.ConnectionIdleTimeout = limits.CONNECTION_IDLE_TIMEOUT,
    log_level: options.LogLevelOption = "info",
    log_format: options.LogFormatOption = "auto",
) -> None:
    """
    Run the server.

    It prints 'serving on ADDRESS' when the graph is in memory. SIGTERM or Ctrl-C stops it.
    """
    tls = addresses.checked_tls(tls_listen, tls_cert, tls_key, tls_client_ca, http_listen=http_listen)
    at = addresses.checked_addresses(
        listen,
        tls_listen,
        health_listen,
        http_listen,
        allow_plaintext=allow_plaintext,
        is_https=tls is not None,
    )
    from server.cli.logs import configure_logging

    configure_logging(log_level, log_format)
    if EXPOSED_URL_WARNING in context.meta:
        _report(EXPOSED_URL_WARNING)
    settings = Settings(
        listen=at.plain,
        tls_listen=at.tls,
        tls=tls,
        health_listen=at.health,
        http_listen=at.http,
        http_hosts=addresses.checked_hosts(http_host, http_listen),
        access=access.checked_access(auth_file, trust_proxy, reflection=reflection),
        transport=addresses.checked_transport(transport, at.plain),
        database_url=database_url,
        data_dir=data_dir,
        seed_file=seed_file,
        sources=checked_sources(sources),
        migrate=migrate,
        metrics_listen=metrics_listen,
        tracing=checked_tracing(wanted=tracing),
        workers=checked_workers(workers, at.plain),
        worker_timeout=timedelta(seconds=worker_timeout),
        kernel_cache=kernel_cache,
        keep_writes=checked_keep(keep_writes, "--keep-writes"),
        history=HistorySettings(keep=checked_keep(keep_history, "--keep-history")),
        feed=FeedSettings(
            poll_interval=timedelta(seconds=poll_interval),
            audit_interval=timedelta(seconds=audit_interval),
            keep_log=timedelta(seconds=keep_log),
            max_log_rows=max_log_rows,
            prune_interval=timedelta(seconds=prune_interval),
        ),
        detection=DetectionSettings(enabled=detect, min_confidence=min_cycle_confidence),
        staleness=checked_staleness(stale_after, confidence_half_life, sweep_interval, remove_after),
        limits=Limits(
            max_question_bytes=max_question_bytes,
            max_metadata_request_bytes=max_metadata_request_bytes,
            max_request_bytes=max_request_bytes,
            max_otlp_request_bytes=max_otlp_request_bytes,
            max_otlp_series=max_otlp_series,
            max_requests_bytes=max_requests_bytes,
            max_items=max_items,
            max_response_bytes=max_response_bytes,
            max_unsent_bytes=max_unsent_bytes,
            max_unsent_bytes_per_connection=max_unsent_bytes_per_connection,
            max_concurrent_calls=max_concurrent_calls,
            max_streaming_calls=max_streaming_calls,
            max_concurrent_analyses=max_concurrent_analyses,
            max_watches=max_watches,
            max_streams_per_principal=max_streams_per_principal,
            rate_limit=rate_limit,
            rate_burst=checked_burst(rate_burst, rate_limit),
            max_streams_per_connection=max_streams_per_connection,
            max_connections=max_connections,
            connection_idle_timeout=timedelta(seconds=connection_idle_timeout),
            grace=timedelta(seconds=grace),
        ),
    )
    with _failures():
        if workers == 1:
            from server.app import run

            collect_garbage_as_usual()
            run(settings, _report)
        else:
            from server.lifecycle.supervisor import supervise

            collect_garbage_as_usual()
            supervise(settings, _report, [*WORKER, log_level, log_format])


def _report(progress: str) -> None:
    import structlog

    log = structlog.get_logger("server")
    text = progress.removeprefix("warning: ")
    (log.info if text == progress else log.warning)(text)


@contextmanager
def _failures() -> Iterator[None]:
    """Log a failure: from here on, everything on stderr is a line of the log."""
    import structlog

    from server.lifecycle.database import SchemaBehindError
    from server.lifecycle.supervisor import WorkersKeepEndingError
    from server.lifecycle.tracing import TracingError

    log = structlog.get_logger("server")
    try:
        with database_failures():
            yield
    except (SchemaBehindError, TracingError, WorkersKeepEndingError) as error:
        log.error(str(error))  # noqa: TRY400 - no traceback for people
        raise typer.Exit(FAILED) from error
    except Exception as error:
        log.error(sentence(error), exc_info=is_unexpected(error))  # noqa: TRY400
        raise typer.Exit(exit_code(error)) from error
