"""The last value of each series of OTLP, and whether a point shows that its dependency was used."""

import gc
import math
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Generic, Protocol, TypeVar

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    DataPointFlags,
    NumberDataPoint,
)

from server.formats.naming import NameRules
from server.formats.reading import Call
from server.formats.servicegraph import call_of
from server.rpc.otlp.decoding import Points, digest

NANOS: Final = 1_000_000_000
NO_VALUE: Final = "no recorded value"
UNLABELLED: Final = "no attributes client and server"
LATE: Final = "older than the last point of its series"
FULL: Final = "more series than the server keeps (--max-otlp-series)"
# The points of one collection have nearly one time, though they may come in several requests.
_ONE_COLLECTION_NANOS = 5 * NANOS
_YOUNG_NANOS = 5 * 60 * NANOS
# What sent nothing for so long makes room for others.
_IDLE_SECONDS = 15 * 60
_FROZEN_TOGETHER = 5_000
_NO_RECORDED_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


@dataclass(slots=True)
class Tally:
    """
    What became of points: how many came, and how many showed that a dependency was used.

    - ``rejected``: bad ones by reason, of which the exporter learns.
    - ``skipped``: ones that can't be used by reason, which is no fault of the exporter.
    """

    points: int = 0
    observed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def leave_out(self, reason: str, count: int, *, is_bad: bool) -> None:
        """Count points that were not read."""
        if count:
            self.points += count
            (self.rejected if is_bad else self.skipped)[reason] += count

    def add(self, other: "Tally") -> None:
        """Count the points of another one, too."""
        self.points += other.points
        self.observed += other.observed
        self.rejected.update(other.rejected)
        self.skipped.update(other.skipped)


@dataclass(slots=True)
class _Series:
    """A call, or why there is none; value and time of its last point (0 = there is none)."""

    call: Call | str
    seen: float
    value: float = 0
    time: int = 0


@dataclass(slots=True)
class _Stream:
    """When the process began to follow a sum of one exporter: the time of its first point."""

    since: int
    seen: float


class _Seen(Protocol):
    seen: float


Entry = TypeVar("Entry", bound=_Seen)


class Kept(Generic[Entry]):
    """
    At most so many entries by their digests.

    Entries that were not used for a quarter of an hour make room for new ones, the oldest first.
    Entries in use never do: exporters send all of their series in turn, so each would be dropped
    just before it is needed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Entry | None:
        """Look an entry up, which counts as its use."""
        entry = self._entries.get(key)
        if entry is not None and entry.seen != now:
            entry.seen = now
            self._entries.move_to_end(key)
        return entry

    def add(self, key: bytes, entry: Entry) -> bool:
        """Keep an entry if there is room for it."""
        if len(self._entries) >= self._most:
            oldest, unused = next(iter(self._entries.items()))
            if unused.seen > entry.seen - _IDLE_SECONDS:
                return False
            del self._entries[oldest]
        self._entries[key] = entry
        return True


class SeriesBook:
    """
    Decides of each point whether it shows that its dependency was used.

    - A point of a *delta* sum does if it is more than 0.
    - A point of a *cumulative* sum does if its value differs from the last one of its series, and
      is more than 0: it rose, or the counter began anew. The series of two exporters are two: they
      differ in resource, scope or the time at which they began to count.
    - The first point of a cumulative series shows it if the counter began within five minutes, or
      if the process has followed the exporter's other series for a while: the series is new then.
      Otherwise it may have stood still for weeks: a restart of this process would bring
      dependencies back that are not used any more.

    A dependency was used when its point was made. The exception is the first point of a counter
    that began longer than ``granularity`` before: all that is known then is that it was used since.

    A last time that lies ahead of this clock is none to compare with: the exporter's was wrong, and
    once it is set right its points would count as late for as long as it was ahead.
    """

    def __init__(self, names: NameRules, most: int, granularity: timedelta) -> None:
        self._names = names
        self._exact = int(granularity.total_seconds() * NANOS)
        self._series: Kept[_Series] = Kept(most)
        self._streams: Kept[_Stream] = Kept(most)
        self._added = 0

    def __len__(self) -> int:
        return len(self._series)

    def read(self, part: Points, now: float, clock: int, tally: Tally) -> list[tuple[Call, int]]:
        """
        Return the calls that points show, with their times in nanoseconds since 1970.

        The request came at ``now``, of a clock that never goes back, and at ``clock`` since 1970.
        """
        tally.points += len(part.points)
        if problem := _problem_of_sum(part):
            tally.rejected[problem] += len(part.points)
            return []
        is_delta = part.temporality == AGGREGATION_TEMPORALITY_DELTA
        calls = []
        for point in part.points:
            if point.flags & _NO_RECORDED_VALUE:
                tally.skipped[NO_VALUE] += 1
            elif problem := _problem(point):
                tally.rejected[problem] += 1
            elif shown := self._shown(part.stream, point, now, clock, tally, is_delta=is_delta):
                calls.append(shown)
        tally.observed += len(calls)
        return calls

    def _shown(
        self, stream: bytes, point: NumberDataPoint, now: float, clock: int, tally: Tally, *, is_delta: bool
    ) -> tuple[Call, int] | None:
        """Return the call that a point shows, and when it was used."""
        # The interval of a delta is another with each point.
        start = b"" if is_delta else point.start_time_unix_nano.to_bytes(8)
        attributes = [attribute.SerializeToString() for attribute in point.attributes]
        key = digest([stream, start, *attributes])
        series = self._series.get(key, now)
        is_new = series is None
        if series is None:
            series = _Series(self._call(point), now)
            if not self._keep(key, series) and not is_delta:
                tally.skipped[FULL] += 1
                return None
        call, time, value = series.call, point.time_unix_nano, _value(point)
        if isinstance(call, str):
            reasons = tally.rejected if call == UNLABELLED else tally.skipped
            reasons[call] += 1
            return None
        if is_delta:
            return (call, time) if value > 0 else None
        if time < series.time <= clock:
            tally.skipped[LATE] += 1
            return None
        if is_new:
            used = self._used_first(stream + start, point, now, clock)
        else:
            used = time if value != series.value and time != series.time else 0
        series.value, series.time = value, time
        return (call, used) if used and value > 0 else None

    def _keep(self, key: bytes, series: _Series) -> bool:
        is_kept = self._series.add(key, series)
        self._added += is_kept
        if is_kept and not self._added % _FROZEN_TOGETHER:
            # Garbage collections would look through all series: a tenth of a second for 100,000.
            gc.freeze()
        return is_kept

    def _used_first(self, stream: bytes, point: NumberDataPoint, now: float, clock: int) -> int:
        """Return when a series with this first point was used, 0 = perhaps long ago."""
        time, start = point.time_unix_nano, point.start_time_unix_nano
        followed = self._streams.get(stream, now)
        if followed is None:
            self._streams.add(stream, _Stream(time, now))
        elif time < followed.since and followed.since > clock:
            followed.since = time
        elif time > followed.since + _ONE_COLLECTION_NANOS:
            return time
        if not 0 < start <= time <= start + _YOUNG_NANOS:
            return 0
        return time if time <= start + self._exact else start

    def _call(self, point: NumberDataPoint) -> Call | str:
        labels = {attribute.key: _text(attribute.value) for attribute in point.attributes}
        return call_of(labels, self._names) if labels.keys() >= {"client", "server"} else UNLABELLED


def _problem_of_sum(part: Points) -> str:
    if part.temporality not in {AGGREGATION_TEMPORALITY_CUMULATIVE, AGGREGATION_TEMPORALITY_DELTA}:
        return "a sum without temporality"
    return "" if part.is_monotonic else "a sum that may fall"


def _problem(point: NumberDataPoint) -> str:
    if not point.time_unix_nano:
        return "no time"
    if not point.HasField("as_int") and not point.HasField("as_double"):
        return "no value"
    value = _value(point)
    return "" if 0 <= value < math.inf else "a value that is no count"


def _value(point: NumberDataPoint) -> float:
    return point.as_int or point.as_double


def _text(value: AnyValue) -> str:
    """Write the value of an attribute as text; lists and the like have none."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind)) if kind in {"int_value", "double_value"} else ""
