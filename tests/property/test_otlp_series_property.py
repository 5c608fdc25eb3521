"""Which points show that a dependency was used, against the whole history of each series."""

from datetime import timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from server.formats.naming import NameRules
from server.rpc.otlp.decoding import Points
from server.rpc.otlp.series import NANOS, SeriesBook, Tally
from tests.support.examples import examples

DELTA, CUMULATIVE = 1, 2
EXACT = timedelta(seconds=90)
MINUTE = 60 * NANOS
LONG_AGO = 1_000 * MINUTE
CLOCK = 2_000 * MINUTE


class Sent(NamedTuple):
    """A point: whose it is, when the counter began and the point was made, in half minutes."""

    resource: str
    server: str
    temporality: int
    start: int
    time: int
    value: int

    @property
    def series(self) -> tuple[str, str, int, int]:
        return (self.resource, self.server, self.temporality, self.start)


sent = st.builds(
    Sent,
    resource=st.sampled_from("xxy"),
    server=st.sampled_from("bc"),
    temporality=st.sampled_from([CUMULATIVE, CUMULATIVE, DELTA]),
    # Few, so that series have several points.
    start=st.sampled_from([0, 7, 12]),
    time=st.integers(0, 25),
    value=st.integers(0, 3),
)


def nanos(half_minutes: int) -> int:
    return LONG_AGO + half_minutes * MINUTE // 2


def expected(point: Sent, before: list[Sent]) -> int:
    """When a point shows its call to be used, by all that came before it; 0 = it shows nothing."""
    if not point.value:
        return 0
    if point.temporality == DELTA:
        return nanos(point.time)
    # A point that is older than one before it was sent again, or late: it changes nothing.
    earlier = [one for one in before if one.series == point.series]
    newest = max((one.time for one in earlier), default=None)
    if newest is not None:
        [*_, last] = [one for one in earlier if one.time == newest]
        return nanos(point.time) if point.time > newest and last.value != point.value else 0
    # The exporter's other series of the same counter tell whether this one is new.
    others = [
        one
        for one in before
        if (one.resource, one.temporality, one.start) == (point.resource, CUMULATIVE, point.start)
    ]
    if others and point.time > others[0].time:
        return nanos(point.time)
    if not point.start <= point.time <= point.start + 10:
        return 0
    return nanos(point.time) if point.time <= point.start + 3 else nanos(point.start)


@examples(300)
@given(st.lists(sent, max_size=30))
def test_points_show_what_their_history_says(points: list[Sent]) -> None:
    book, tally = SeriesBook(NameRules(), 100, EXACT), Tally()
    for place, point in enumerate(points):
        made = NumberDataPoint(
            attributes=[
                KeyValue(key=key, value=AnyValue(string_value=value))
                for key, value in (("client", "a"), ("server", point.server))
            ],
            start_time_unix_nano=nanos(point.start),
            time_unix_nano=nanos(point.time),
            as_int=point.value,
        )
        part = Points(point.resource.encode(), point.temporality, is_monotonic=True, points=[made])
        shown = book.read(part, float(place), CLOCK, tally)
        times = [time for call, time in shown if call.links[0].target == point.server]
        wanted = expected(point, points[:place])
        assert times == ([wanted] if wanted else [])
    assert tally.points == len(points)
    assert len(book) == len({(point.series[:3], point.start * (point.temporality - 1)) for point in points})
