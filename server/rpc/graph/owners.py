"""The criticality and the team of services, read from their encoded records."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1.types_pb2 import CRITICALITY_UNKNOWN
from server import wire
from server.concurrency import CooperativeYield

_SERVICES_A_BATCH = 64


class Owners(NamedTuple):
    """
    The criticality of each service, 1 (critical) to 5, and its team as a position in ``teams``.

    ``teams`` are sorted; the first is "", of services without a team.
    """

    criticality: NDArray[np.int8]
    team: NDArray[np.int32]
    teams: list[str]


async def owners_of(records: NDArray[np.object_]) -> Owners:
    """Read the owners of services; other calls run meanwhile. Some microseconds a service."""
    criticalities: NDArray[np.int8] = np.empty(len(records), np.int8)
    team: NDArray[np.int32] = np.empty(len(records), np.int32)
    numbers: dict[str, int] = {"": 0}
    yielding = CooperativeYield()
    for start in range(0, len(records), _SERVICES_A_BATCH):
        for place, record in enumerate(records[start : start + _SERVICES_A_BATCH].tolist(), start):
            service = wire.service_of(record)
            criticalities[place] = service.criticality or CRITICALITY_UNKNOWN
            team[place] = numbers.setdefault(service.team, len(numbers))
        await yielding.checkpoint()
    teams = sorted(numbers)
    place_of: NDArray[np.int32] = np.empty(len(teams), np.int32)
    place_of[[numbers[each] for each in teams]] = np.arange(len(teams), dtype=np.int32)
    return Owners(criticalities, place_of[team], teams)
