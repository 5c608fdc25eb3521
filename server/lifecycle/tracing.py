"""Where the spans of calls go: an OTLP receiver, as OpenTelemetry's variables say."""

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING

import structlog

from server.lifecycle.stopping import ClosingTime

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from server.rpc.tracing import CallTracer

log = structlog.get_logger(__name__)

# The longest wait for the receiver when the process stops, and its part of the time that is left.
_FLUSH, _FLUSH_SHARE = timedelta(seconds=2), 4
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class TracingError(Exception):
    """Spans can't be exported; the message says what to do."""


def check_tracing() -> None:
    """Raise ``TracingError`` when spans can't be exported from here."""
    try:
        is_installed = find_spec("opentelemetry.exporter.otlp.proto.grpc") and find_spec("opentelemetry.sdk")
    except ModuleNotFoundError:
        is_installed = None
    if not is_installed:
        raise TracingError(
            "tracing is not installed: install the extra 'tracing' too, "
            "for example with pip install 'depgraph[server,tracing]'"
        )
    for name in _PROTOCOLS:
        if (protocol := os.environ.get(name, "grpc")) not in {"", "grpc"}:
            raise TracingError(f"spans are sent over grpc only: {name} is '{protocol}'")


@asynccontextmanager
async def call_tracer(
    closing: ClosingTime, *, enabled: bool, worker: int | None = None
) -> "AsyncIterator[CallTracer | None]":
    """
    Give what makes the spans of calls, None = not ``enabled``; at the end send the last spans.

    The receiver, sampling and all else come from OpenTelemetry's environment variables. A receiver
    that is away costs nothing but its spans. Raises ``TracingError``.
    """
    if not enabled:
        yield None
        return
    check_tracing()
    # Imported late: it may not be installed.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from server.rpc.tracing import CallTracer  # noqa: PLC0415

    release = version("depgraph")
    this = {"service.name": "depgraph", "service.version": release, "service.instance.id": str(uuid.uuid4())}
    if worker is not None:
        this["depgraph.worker"] = str(worker)
    try:
        resource = Resource.create().merge(Resource(this)).merge(OTELResourceDetector().detect())
        exporter = OTLPSpanExporter()
        processor = BatchSpanProcessor(exporter)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    except Exception as error:
        raise TracingError(f"tracing can't start, check the variables OTEL_*: {error}") from error
    provider.add_span_processor(processor)
    # It warns of headers that it can't read, and so would let any caller fill the log.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
    try:
        yield CallTracer(provider.get_tracer("depgraph", release))
    finally:
        await _flush(processor.shutdown, exporter, min(_FLUSH, closing.left / _FLUSH_SHARE))


async def _flush(shut_down: Callable[[], None], exporter: "SpanExporter", within: timedelta) -> None:
    """Send what is left, and close; give up after ``within``."""
    # A daemon, since the process must end even if the receiver never answers.
    flushing = Thread(target=shut_down, name="last spans", daemon=True)
    flushing.start()
    await asyncio.to_thread(flushing.join, within.total_seconds())
    if flushing.is_alive():
        log.warning("the last spans were not sent in time", waited_seconds=within.total_seconds())
        # Ends the call in progress.
        await asyncio.to_thread(exporter.shutdown)
        await asyncio.to_thread(flushing.join, within.total_seconds())
