"""
The fields that answers of ``GraphService`` are joined from, by name.

A message is its fields in a row, and a repeated field its items in a row: an answer can be put together from records that were made when
the rows changed (``server.wire``), and what stands here is what goes between them.
"""

from collections.abc import Iterable
from functools import lru_cache
from operator import mul

from google.protobuf.message import Message

from depgraph.v1 import analysis_service_pb2, types_pb2
from depgraph.v1 import graph_service_pb2 as pb
from server.domain.consistency import Freshness
from server.domain.watching import WatchEvent
from server.rpc import enums
from server.wire.fields import field, varint

_VARINT, _LENGTH_DELIMITED = 0, 2
_SECONDS_A_DAY = 86_400


def _tag(message: type[Message], name: str, wire_type: int = _LENGTH_DELIMITED) -> bytes:
    return varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type)


TRAVERSE_DEPTHS = _tag(pb.TraverseResponse, "depths")
TRAVERSE_TRUNCATED = _tag(pb.TraverseResponse, "truncated", _VARINT) + b"\x01"
TRAVERSE_FRESHNESS = _tag(pb.TraverseResponse, "freshness")

BATCH_RESULT = _tag(pb.BatchTraverseResponse, "responses")
BATCH_FRESHNESS = _tag(pb.BatchTraverseResponse, "freshness")
RESULT_TRAVERSAL = _tag(pb.BatchTraverseResult, "traversal")
RESULT_ERROR = _tag(pb.BatchTraverseResult, "error")

COMPONENT = _tag(pb.GetComponentResponse, "component")
COMPONENT_FRESHNESS = _tag(pb.GetComponentResponse, "freshness")
COMPONENT_TOKEN = _tag(pb.GetComponentResponse, "next_page_token")
COMPONENT_MEMBER = _tag(pb.Component, "members")
COMPONENT_SIZE = _tag(pb.Component, "size", _VARINT)
COMPONENT_EDGE_COUNT = _tag(pb.Component, "edge_count", _VARINT)
COMPONENT_IS_CYCLE = _tag(pb.Component, "is_cycle", _VARINT) + b"\x01"

# Their ``components`` have the number of ``GetComponentResponse.component``, so one record serves both.
COMPONENTS_TOKEN = _tag(pb.ListComponentsResponse, "next_page_token")
COMPONENTS_TOTAL = _tag(pb.ListComponentsResponse, "total_count", _VARINT)
COMPONENTS_FRESHNESS = _tag(pb.ListComponentsResponse, "freshness")

ADJACENCY_SERVICE = _tag(pb.GetAdjacencyListResponse, "service_id")
ADJACENCY_TARGET = _tag(pb.GetAdjacencyListResponse, "target_service_ids")
ADJACENCY_FRESHNESS = _tag(pb.GetAdjacencyListResponse, "freshness")

AUDIT_FRESHNESS = _tag(analysis_service_pb2.AuditPathsResponse, "freshness")
DRIFT_FRESHNESS = _tag(analysis_service_pb2.ListDriftResponse, "freshness")
PATHS_FRESHNESS = _tag(analysis_service_pb2.FindPathsResponse, "freshness")
CHECK_FRESHNESS = _tag(analysis_service_pb2.CheckChangeResponse, "freshness")
CUTS_FRESHNESS = _tag(analysis_service_pb2.SuggestCutsResponse, "freshness")

WATCH_SERVICE = _tag(pb.WatchResponse, "upserted_services")
WATCH_REMOVED_SERVICE = _tag(pb.WatchResponse, "removed_services")
WATCH_REMOVED_DEPENDENCY = _tag(pb.WatchResponse, "removed_dependencies")
WATCH_MORE = _tag(pb.WatchResponse, "more", _VARINT) + b"\x01"
WATCH_FRESHNESS = _tag(pb.WatchResponse, "freshness")

_WATCH_EVENT = _tag(pb.WatchResponse, "event", _VARINT)
_REVISION = _tag(types_pb2.Freshness, "revision")
_LAG = _tag(types_pb2.Freshness, "lag")
_SECONDS, _NANOS = b"\x08", b"\x10"
# A duration takes two varints, so its length takes one byte.
_LAG_OF_LENGTH = tuple(_LAG + varint(length) for length in range(32))
# A depth is a number of one byte, for there are at most ten hops.
_DEPTH_BYTES = tuple(bytes((depth,)) for depth in range(1, 128))


def packed_depths(counts: Iterable[int]) -> bytes:
    """Write so many ones, so many twos and so on, as ``depths_field`` wants them."""
    return b"".join(map(mul, _DEPTH_BYTES, counts))


def depths_field(packed: bytes) -> bytes:
    """Write ``TraverseResponse.depths``."""
    return TRAVERSE_DEPTHS + varint(len(packed)) + packed if packed else b""


def watch_event_field(event: WatchEvent) -> bytes:
    """Write ``WatchResponse.event``."""
    return _WATCH_EVENT + varint(enums.WATCH_EVENT.number[event.value])


def freshness_message(freshness: Freshness) -> bytes:
    """Write a ``Freshness``."""
    lag = freshness.lag
    seconds, micros = lag.days * _SECONDS_A_DAY + lag.seconds, lag.microseconds
    duration = _NANOS + varint(micros * 1000) if micros else b""
    if seconds:
        duration = _SECONDS + varint(seconds) + duration
    return _revision_field(freshness.revision) + _LAG_OF_LENGTH[len(duration)] + duration


def traverse_freshness(freshness: Freshness) -> bytes:
    """Write ``TraverseResponse.freshness``."""
    message = freshness_message(freshness)
    return TRAVERSE_FRESHNESS + varint(len(message)) + message


# Few revisions are told at a time, and each very often.
@lru_cache(8)
def _revision_field(revision: str) -> bytes:
    return field(_REVISION, revision.encode()) if revision else b""
