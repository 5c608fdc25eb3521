"""The queue of services to look at, each at most once: a ring buffer."""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.cuts.layout import HEAD, HELD, QUEUE, QUEUED, WAYS


@kernel("void(int32[:, ::1], int64[::1], int64)")
def wait(waiting: Any, counters: Any, node: int) -> None:
    """Put a service into the queue, unless it is there."""
    if waiting[QUEUED, node] == 0:
        waiting[QUEUED, node] = 1
        waiting[QUEUE, (counters[HEAD] + counters[HELD]) % waiting.shape[1]] = node
        counters[HELD] += 1


@kernel(f"void({WAYS}, int64, int32[:, ::1], int64[::1])")
def wait_around(
    start: Any,
    target: Any,
    source: Any,
    back_start: Any,
    back: Any,
    node: int,
    waiting: Any,
    counters: Any,
) -> None:
    """Put the neighbours of a service into the queue."""
    for place in range(start[node], start[node + 1]):
        wait(waiting, counters, target[place])
    for position in range(back_start[node], back_start[node + 1]):
        wait(waiting, counters, source[back[position]])
