"""One pull of each kind of source: fetch, then read as a file of the format is read."""

from server.formats.reading import Reading
from server.sources.http import MAX_BYTES, Http
from server.sources.prometheus import pull_prometheus
from server.sources.source import PullError, Source


async def pull(source: Source, *, max_bytes: int = MAX_BYTES) -> Reading:
    """Return what a source holds now; raises ``PullError``. ``max_bytes``: more is refused."""
    async with Http.opened(source, max_bytes) as http:
        match source.kind:
            case "prometheus":
                return await pull_prometheus(source, http)
            case _:
                raise PullError(f"{source.kind}: not known")
