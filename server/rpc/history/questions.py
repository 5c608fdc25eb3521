"""DiffGraph and ListChanges: what a request asks for."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from depgraph.v1 import history_service_pb2 as pb
from graphcore import EdgeFilter
from server.domain.history import Point
from server.rpc.paging import CHANGES, ChangeKey, PageTokens, page_size
from server.rpc.questions import edge_filter, revision_of
from server.rpc.validate import Check

DEFAULT_IMPACTS, MAX_IMPACTS = 100, 1_000
_DEFAULT_HOPS, _MAX_HOPS = 2, 10


class DiffQuestion(NamedTuple):
    """Which states to compare (``later`` None = now), and which dependencies count."""

    earlier: Point
    later: Point | None
    edge_filter: EdgeFilter
    most_impacts: int


class ChangesQuestion(NamedTuple):
    """
    Which changes to list: those near ``service_id`` ("" = all), and when (``until`` None = now).

    Not ``has_since``: it is an hour before. ``after`` is the position behind the page before, which
    knows the times, too.
    """

    service_id: str
    max_hops: int
    since: datetime
    has_since: bool
    until: datetime | None
    size: int
    after: ChangeKey | None
    tokens: PageTokens[ChangeKey]


def diff_question(request: pb.DiffGraphRequest) -> DiffQuestion:
    """Read a request."""
    check, now = Check(), datetime.now(UTC)
    # Named by a keyword of Python.
    earlier = _point(check, "from", getattr(request, "from"), now)
    later = _point(check, "to", request.to, now) if request.HasField("to") else None
    if earlier is None:
        check.add("from", "is required; give a time or a revision")
    if later is None and request.HasField("to"):
        check.add("to", "is empty; give a time or a revision, or leave it unset for now")
    if isinstance(earlier, datetime) and isinstance(later, datetime) and earlier > later:
        check.add("from.time", "is after to.time")
    edges = edge_filter(check, request.filter, include_stale=request.include_stale)
    impacts = check.number("max_impacts", request.max_impacts, 0, MAX_IMPACTS, f"0 = {DEFAULT_IMPACTS}")
    check.done()
    return DiffQuestion(earlier or now, later, edges, impacts or DEFAULT_IMPACTS)


def changes_question(request: pb.ListChangesRequest) -> ChangesQuestion:
    """Read a request."""
    check, now = Check(), datetime.now(UTC)
    name = check.text("service_id", request.service_id) if request.service_id else ""
    hops = check.number("max_hops", request.max_hops, 0, _MAX_HOPS, f"unset = {_DEFAULT_HOPS}")
    since = check.past_moment("since", request.since) if request.HasField("since") else None
    until = check.past_moment("until", request.until) if request.HasField("until") else None
    if since is not None and until is not None and since > until:
        check.add("since", "is after until")
    hops = hops if request.HasField("max_hops") else _DEFAULT_HOPS
    tokens = PageTokens("changes", (name, hops, since, until), CHANGES)
    size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
    check.done()
    begin = (until or now) - timedelta(hours=1) if since is None else since
    return ChangesQuestion(name, hops, begin, since is not None, until, size, after, tokens)


def _point(check: Check, field: str, wanted: pb.PointInTime, now: datetime) -> Point | None:
    """Read a state; None = it is unset, or it is wrong."""
    match wanted.WhichOneof("point"):
        case "time":
            return check.past_moment(f"{field}.time", wanted.time)
        case "revision":
            # A stand-in for one that is wrong, so that it is not reported as missing, too.
            return revision_of(check, f"{field}.revision", wanted.revision) or now
        case None:
            return None
