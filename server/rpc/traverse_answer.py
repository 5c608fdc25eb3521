"""Walks as answers: joined from records that stand ready in the graph."""

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from graphcore import DependencyGraph, UnknownServiceError, traverse
from server.domain.errors import ResponseTooLargeError, ServiceNotFoundError
from server.rpc.answer_fields import TRAVERSE_TRUNCATED, depths_field, packed_depths
from server.rpc.decode_graph import TraverseQuestion
from server.rpc.validate import shown
from server.wire import records

if TYPE_CHECKING:
    from server.domain.dependencies import DependencyRow
    from server.domain.services import Service

_NO_RECORDS: NDArray[np.object_] = np.empty(0, object)
# Records joined before the size is looked at: few enough that nothing huge is built in vain, many enough to cost nothing.
_RECORDS_A_LOOK = 256


class Walked(NamedTuple):
    """
    What a walk found: records of the answer's fields, the depths packed; stays as it is while the graph moves on.

    ``services`` is empty when only ids were asked for.
    """

    services: NDArray[np.object_]
    briefs: NDArray[np.object_]
    depths: bytes
    dependencies: NDArray[np.object_]
    truncated: bytes

    def joined(self, freshness: bytes, limit: int) -> bytes | None:
        """Join the answer, with its freshness as a field; None = it would take more than ``limit`` bytes. O(answer)."""
        parts = [
            *self.services.tolist(),
            *self.briefs.tolist(),
            depths_field(self.depths),
            *self.dependencies.tolist(),
            self.truncated,
            freshness,
        ]
        if len(parts) <= _RECORDS_A_LOOK:
            whole = b"".join(parts)
            return whole if len(whole) <= limit else None
        pieces, room = [], limit
        for start in range(0, len(parts), _RECORDS_A_LOOK):
            piece = b"".join(parts[start : start + _RECORDS_A_LOOK])
            room -= len(piece)
            if room < 0:
                return None
            pieces.append(piece)
        return b"".join(pieces)


def walk(graph: DependencyGraph, question: TraverseQuestion) -> Walked:
    """Walk and take references to the records of what was found; raises ``ServiceNotFoundError``."""
    try:
        found = traverse(
            graph,
            question.service_id,
            question.direction,
            question.max_depth,
            question.edge_filter,
            max_services=question.max_services,
            with_dependencies=question.full,
        )
    except UnknownServiceError:
        name = question.service_id
        raise ServiceNotFoundError(f"no service named {shown(name)}", service_id=name) from None
    services = [records.service_record(cast("Service", record.payload)) for record in found.services]
    dependencies = [
        records.dependency_record(cast("DependencyRow", payload), source, target)
        for source, target, payload in found.dependencies
    ]
    return Walked(
        np.array(services, object) if question.full else _NO_RECORDS,
        np.array([records.service_brief(record.name) for record in found.services], object),
        packed_depths([found.depths.count(depth) for depth in range(1, 11)]),
        np.array(dependencies, object),
        TRAVERSE_TRUNCATED if found.truncated else b"",
    )


def too_large(walked: Walked, limit: int) -> ResponseTooLargeError:
    """Say how large an answer is, and what to do instead."""
    ways = ["stream it with StreamTraverse", "set max_services"]
    if len(walked.services):
        ways.append("ask for TRAVERSAL_VIEW_IDS")
    return ResponseTooLargeError(
        f"the answer holds {len(walked.briefs):,} services and {len(walked.dependencies):,} dependencies, "
        f"more than fit the response limit of {limit:,} bytes: {', or '.join(ways)}",
        limit_bytes=str(limit),
    )
