"""What callers do when they wait for an answer or get none: timeouts and retries, read from records of dependencies by the thousand."""

import numpy as np
from numpy.typing import NDArray

from server.wire.kernels.policies import read_policies

# Records joined at a time, while no other thread runs: a few tenths of a millisecond.
_LOT = 2_048
_LONGEST_TIMEOUT = 2**31 - 1


def call_policies(
    records: NDArray[np.object_], places: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Read, out of the records in some places of a column, timeouts in milliseconds (0 = not known) and attempts (0 = no retries are known; a configuration that doesn't say how many means 3 retries).

    O(bytes); compiled, it lets other threads run most of the time.
    """
    timeouts, attempts = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    for first in range(0, len(places), _LOT):
        joined = np.frombuffer(b"".join(records.take(places[first : first + _LOT]).tolist()), np.uint8)
        read_policies.run(joined, timeouts, attempts, first)
    # Only a table without its CHECK holds others: what lies below 1 is as good as unknown.
    timeouts[timeouts > _LONGEST_TIMEOUT] = 0
    return timeouts, attempts
