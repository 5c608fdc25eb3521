"""What points of OTLP come to as reports of a discovery source."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, ReportDetails
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
from server.config import Limits
from server.domain.reports import OBSERVATION_GRANULARITY, IngestBatch
from server.domain.services import name_problem
from server.formats.naming import NameRules
from server.formats.reading import Call, Draft, Reading, Skipped
from server.rpc.dependency.reports import ingest_batch
from server.rpc.otlp.series import NANOS, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpRules:
    """
    How points become dependencies.

    - ``reporter``: the name under which reports are recorded. Callers with an identity have records
      of their own, named ``reporter/principal``.
    - ``confidence``: that of the dependencies; None = the default.
    - ``granularity``: an observation that renews a dependency by less is not written; not 0.
    """

    reporter: str = "otlp"
    names: NameRules = NameRules()  # noqa: RUF009 - it is frozen
    confidence: float | None = None
    granularity: timedelta = OBSERVATION_GRANULARITY

    def reporter_of(self, principal: str) -> str:
        """Name the record of a caller's reports; empty = it has no identity."""
        name = f"{self.reporter}/{principal}"
        return self.reporter if not principal or name_problem(name) else name


@dataclass(frozen=True, slots=True)
class Report:
    """A report to write, and the calls in it with the times of their observations."""

    batch: IngestBatch
    calls: Mapping[Call, int]


def reports(
    calls: Mapping[Call, int], details: ReportDetails, rules: OtlpRules, principal: str
) -> list[Report]:
    """
    Make the reports of calls with their times, or a report of nothing but the details. O(calls).

    A report has one time, that of its latest call. So calls stand together whose times are in one
    interval of the granularity: none gets a time that is more wrong than that. The last report has
    the details.
    """
    interval = rules.granularity.total_seconds() * NANOS
    in_order = sorted(calls.items(), key=lambda each: each[1])
    groups = [dict(group) for _, group in groupby(in_order, key=lambda each: each[1] // interval)] or [{}]
    made = []
    for place, group in enumerate(groups, 1):
        request = _request(group, rules)
        request.reporter = rules.reporter_of(principal)
        request.details.CopyFrom(details if place == len(groups) else ReportDetails(more=True))
        made.append(Report(ingest_batch(request, Limits(), now=datetime.now(UTC)), group))
    return made


def _request(calls: Mapping[Call, int], rules: OtlpRules) -> IngestGraphRequest:
    draft = Draft(DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH)
    for call in calls:
        draft.take(call)
    request = draft.reading().report
    request.observation_granularity.FromTimedelta(rules.granularity)
    if calls:
        request.observe_time.FromNanoseconds(max(calls.values()))
    if rules.confidence is not None:
        for edge in request.edges:
            edge.confidence_score = rules.confidence
    return request


def details_of(tally: Tally) -> ReportDetails:
    """Count points for the record of a reporter: those that came, and those that can't be used."""
    unused = tally.rejected + tally.skipped
    skipped = (Skipped(reason=reason, count=count, first=0) for reason, count in unused.most_common())
    nothing = IngestGraphRequest()
    return Reading(report=nothing, element_count=tally.points, skipped=tuple(skipped)).details()
