"""Counts of calls, for the metrics: plain numbers, since one event loop writes them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Literal, TypeAlias

# A read out of memory takes a fraction of a millisecond, a large batch seconds, and a watch as long
# as it likes.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

CallType: TypeAlias = Literal["unary", "client_stream", "server_stream", "bidi_stream"]


class MethodCalls:
    """The calls of one method; ``ended`` is by status code, ``buckets`` by ``SECONDS``."""

    __slots__ = ("buckets", "call_type", "ended", "method", "service", "started", "total_seconds")

    def __init__(self, name: str, call_type: CallType) -> None:
        self.service, _, self.method = name.removeprefix("/").partition("/")
        self.call_type = call_type
        self.started = 0
        self.ended = {"OK": 0}
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total_seconds = 0.0


class CallCounts:
    """
    Counts the calls of every known method, gRPC's own services included.

    A call that has ended, refused or not, was counted as started before. One thread counts; others
    may read meanwhile.
    """

    def __init__(self) -> None:
        self._methods: dict[str, MethodCalls] = {}
        self.refused: Counter[str] = Counter()
        """Calls that met a limit, by its name."""

    def __iter__(self) -> Iterator[MethodCalls]:
        return iter(tuple(self._methods.values()))

    def know(self, name: str, *, request_streaming: bool, response_streaming: bool) -> None:
        """Count from now on the calls of a method, by its full name."""
        types: dict[tuple[bool, bool], CallType] = {
            (False, False): "unary",
            (True, False): "client_stream",
            (False, True): "server_stream",
            (True, True): "bidi_stream",
        }
        self._methods[name] = MethodCalls(name, types[request_streaming, response_streaming])

    def start(self, name: str) -> None:
        """Count a call that begins."""
        self._methods[name].started += 1

    def end(self, name: str, code: str, seconds: float) -> None:
        """Count the end of a call; a fraction of a microsecond."""
        calls = self._methods[name]
        calls.ended[code] = calls.ended.get(code, 0) + 1
        calls.buckets[bisect_left(SECONDS, seconds)] += 1
        calls.total_seconds += seconds
