"""The criticality of services, and what groups them: their team, or a text of their metadata."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1.types_pb2 import CRITICALITY_UNKNOWN
from server import wire
from server.concurrency import CooperativeYield

# Read in a few tenths of a millisecond.
_SERVICES_A_BATCH = 1_024


class Labels(NamedTuple):
    """
    The criticality of each service, 1 (critical) to 5, and its label as a position in ``labels``.

    ``labels`` are sorted; the first is "", of services without one.
    """

    criticality: NDArray[np.int8]
    label: NDArray[np.int32]
    labels: list[str]


async def labels_of(records: NDArray[np.object_], metadata_key: str = "") -> Labels:
    """
    Read the labels of services: the text under a key of their metadata, or their team.

    Other calls run meanwhile. O(bytes), 0.3 µs a service.
    """
    criticalities: NDArray[np.int8] = np.empty(len(records), np.int8)
    label: NDArray[np.int32] = np.empty(len(records), np.int32)
    numbers: dict[bytes, int] = {b"": 0}
    yielding = CooperativeYield()
    for start in range(0, len(records), _SERVICES_A_BATCH):
        batch = slice(start, start + _SERVICES_A_BATCH)
        criticality, labels = wire.read_labels(records[batch].tolist(), metadata_key)
        for each in set(labels):
            numbers.setdefault(each, len(numbers))
        criticalities[batch] = np.where(criticality == 0, CRITICALITY_UNKNOWN, criticality)
        label[batch] = list(map(numbers.__getitem__, labels))
        await yielding.checkpoint()
    texts = {each.decode(): number for each, number in numbers.items()}
    labels_in_order = sorted(texts)
    place_of: NDArray[np.int32] = np.empty(len(texts), np.int32)
    place_of[[texts[each] for each in labels_in_order]] = np.arange(len(texts), dtype=np.int32)
    return Labels(criticalities, place_of[label], labels_in_order)
