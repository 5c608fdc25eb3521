"""The log on stderr: records of structlog and of the standard library in the same form."""

import logging
import os
import sys
import threading
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from server.cli.options import LogFormat, LogLevel

# People need no microseconds.
_SECONDS = "%Y-%m-%d %H:%M:%SZ"
# How gRPC's message begins when it could not send.
_NOT_SENT = 'Failed "execute_batch"'


def configure_logging(level: LogLevel, form: LogFormat, worker: int | None = None) -> None:
    """
    Send every record of ``level`` and above to stderr: text for people, or one JSON object a line.

    ``worker`` stands in every record, unless it is None.
    """
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt=_SECONDS if as_text else "iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        *([] if worker is None else [_naming(worker)]),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(as_text=as_text))
    )
    handler.addFilter(_is_worth_a_line)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # The command reports each migration itself.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # A line for each request, with its address.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    _log_what_python_prints()


def _log_what_python_prints() -> None:
    """Log warnings, and errors that no code catches, as everything else."""
    log = structlog.get_logger("python")
    logging.captureWarnings(capture=True)

    def unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("unexpected error", exc_info=(kind, error, trace))

    def in_a_thread(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is not None and failed.exc_type is not SystemExit:
            unexpected(failed.exc_type, failed.exc_value, failed.exc_traceback)

    def unraisable(failed: "sys.UnraisableHookArgs") -> None:
        if failed.exc_value is not None:
            unexpected(failed.exc_type, failed.exc_value, failed.exc_traceback)

    sys.excepthook, threading.excepthook, sys.unraisablehook = unexpected, in_a_thread, unraisable


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """
    Leave out the error that gRPC logs when a caller leaves while the end of an answer is sent.

    gRPC sends the end after our code is done, so only the log can leave it out. A failure for
    another reason has another message.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is None or not record.name.startswith("grpc."):
        return True
    import grpc.aio

    return not (isinstance(error, grpc.aio.InternalError) and str(error).startswith(_NOT_SENT))


def _naming(worker: int) -> Processor:
    """Name the worker; no context variable, since records come from threads too."""

    def name(_logger: WrappedLogger, _method: str, record: EventDict) -> EventDict:
        record.setdefault("worker", worker)
        return record

    return name


def _rendering(*, as_text: bool) -> list[Processor]:
    """Render tracebacks without local variables, which hold passwords and callers' rows."""
    drop_internals = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if as_text:
        console = structlog.dev.ConsoleRenderer(
            pad_event_to=0,
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
            exception_formatter=structlog.dev.plain_traceback,
        )
        return [drop_internals, console]
    return [
        drop_internals,
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        structlog.processors.JSONRenderer(),
    ]
