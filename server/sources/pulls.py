"""One pull of each kind of source: fetch, then read as a file of the format is read."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from server.formats.backstage import backstage_reading
from server.formats.documents import FormatError, kind_of
from server.formats.jaeger import read_jaeger
from server.formats.kiali import read_kiali
from server.formats.native import MAX_ITEMS
from server.formats.reading import Reading
from server.sources.files import read_files
from server.sources.http import MAX_BYTES, Http
from server.sources.prometheus import pull_prometheus
from server.sources.schedule import Gathered, gathered
from server.sources.source import PullError, Source

T = TypeVar("T")

_BACKSTAGE = "/api/catalog/entities/by-query"
_BACKSTAGE_PAGE = "500"
_MOST_PAGES = 2_000
_DEPENDENCIES = {"jaeger": "/api/dependencies", "zipkin": "/api/v2/dependencies"}
_JOBS = {"jaeger": "Spark job (jaeger-spark-dependencies)", "zipkin": "job zipkin-dependencies"}


async def gather(source: Source, max_items: int = MAX_ITEMS) -> Gathered:
    """Return what a source holds now as reports of ``max_items`` items; raises ``PullError``."""
    at = Timestamp()
    at.GetCurrentTime()
    return gathered(source, await pull(source), at, max_items)


async def pull(source: Source, *, max_bytes: int = MAX_BYTES) -> Reading:
    """Return what a source holds now; raises ``PullError``. ``max_bytes``: more is refused."""
    if not source.url:
        return await _read(source, read_files, source, max_bytes)
    async with Http.opened(source, max_bytes) as http:
        match source.kind:
            case "prometheus":
                return await pull_prometheus(source, http)
            case "kiali":
                return await _pull_kiali(source, http)
            case "backstage":
                return await _pull_backstage(source, http)
            case _:
                return await _pull_dependencies(source, http)


async def _read(source: Source, work: Callable[..., T], *content: Any) -> T:
    """Read in a thread: a large answer takes a second, for which calls should not wait."""
    try:
        return await asyncio.to_thread(work, *content)
    except FormatError as error:
        where = f"{source.url}: " if source.url else ""
        raise PullError(f"{where}{error}") from None


async def _pull_dependencies(source: Source, http: Http) -> Reading:
    """Ask Jaeger or Zipkin for the calls of the window; no call at all is an error."""
    now, back = int(time.time() * 1_000), int(source.window.total_seconds() * 1_000)
    raw = await http.get(_DEPENDENCIES[source.kind], {"endTs": str(now), "lookback": str(back)})
    reading = await _read(source, read_jaeger, raw, source.names)
    if not reading.element_count:
        raise PullError(
            f"{source.url} knows no call of the window ({source.window}): where it stores traces, it knows "
            f"none until its {_JOBS[source.kind]} has run; give a longer window, too"
        )
    return reading


async def _pull_kiali(source: Source, http: Http) -> Reading:
    query = {
        "namespaces": ",".join(source.namespaces or await _namespaces(source, http)),
        "graphType": _graph_type(source.names.template),
        "includeIdleEdges": "false",
        "injectServiceNodes": "true",
        "duration": f"{int(source.window.total_seconds())}s",
    }
    return await _read(source, read_kiali, await http.get("/api/namespaces/graph", query), source.names)


async def _namespaces(source: Source, http: Http) -> list[str]:
    """List all namespaces that Kiali shows to the one who asks."""
    listed = await _read(source, _document, await http.get("/api/namespaces", {}), list)
    names = [str(each["name"]) for each in listed if isinstance(each, dict) and "name" in each]
    if not names:
        raise PullError(f"{source.url} shows no namespace: give namespaces, or credentials that may see them")
    return names


def _graph_type(template: str) -> str:
    """Choose the nodes of Kiali's graph: the coarsest ones that have what names are made of."""
    if "{workload}" in template:
        return "workload"
    return "versionedApp" if "{version}" in template else "app"


async def _pull_backstage(source: Source, http: Http) -> Reading:
    """Read the catalog page by page; references lead from one page to another."""
    entities: list[Any] = []
    query = {"limit": _BACKSTAGE_PAGE}
    for _ in range(_MOST_PAGES):
        page = await _read(source, _document, await http.get(_BACKSTAGE, query), dict)
        items, info = page.get("items"), page.get("pageInfo")
        if not isinstance(items, list):
            raise PullError(f"{source.url}: expected a page with items, found {kind_of(page)}")
        entities += items
        cursor = info.get("nextCursor") if isinstance(info, dict) else None
        if not cursor:
            return await _read(source, backstage_reading, entities, source.names)
        if query.get("cursor") == cursor:
            break
        query = {"limit": _BACKSTAGE_PAGE, "cursor": str(cursor)}
    raise PullError(f"{source.url}: the catalog has no last page")


def _document(raw: bytes, kind: type[T]) -> T:
    """Read JSON of one kind; raises ``FormatError``."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise FormatError("the answer is no JSON") from None
    if not isinstance(document, kind):
        wanted = "a list" if kind is list else "an object"
        raise FormatError(f"expected {wanted}, found {kind_of(document)}")
    return document
