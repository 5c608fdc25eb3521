"""An HTTP endpoint on a thread of its own, so that a scrape never holds up the event loop."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import CollectorRegistry, start_http_server

log = structlog.get_logger(__name__)


class MetricsListenError(OSError):
    """The metrics can't be served at the address in the settings."""


class MetricsEndpoint:
    """Serves a registry at ``http://HOST:PORT/metrics`` while entered; port 0 = any free port."""

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        self._listen = listen
        self._registry = registry
        self.address = ""

    async def __aenter__(self) -> Self:
        host, _, port = self._listen.rpartition(":")
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), self._registry)
        except OSError as error:
            reason = error.strerror or str(error)
            raise MetricsListenError(f"can't serve metrics on {self._listen}: {reason}") from None
        self._server.handle_error = _log_failure  # type: ignore[assignment, method-assign]
        self.address = f"{host}:{self._server.server_port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _log_failure(_request: object, client_address: object) -> None:
    """Take the place of what prints a traceback for every scraper that hangs up."""
    error = sys.exception()
    if not isinstance(error, ConnectionError):
        log.error("a scrape failed", client=client_address, exc_info=error)


@asynccontextmanager
async def metrics_endpoint(
    listen: str | None, registry: CollectorRegistry, report: Callable[[str], None]
) -> AsyncIterator[str]:
    """Serve a registry while the context lasts, and give the address; None = do not, ``""``."""
    if listen is None:
        yield ""
        return
    async with MetricsEndpoint(listen, registry) as endpoint:
        report(f"metrics at http://{endpoint.address}/metrics")
        yield endpoint.address
