"""Enums of the contract and the words that the domain has for their values."""

from depgraph.v1 import alert_service_pb2, graph_service_pb2, types_pb2
from graphcore import Direction
from server.domain.alerts import ALERT_EVENT_KINDS, ALERT_STATUSES, AlertEventKind, AlertStatus
from server.domain.consistency import FeedState
from server.domain.detection import DetectionRole
from server.domain.watching import WatchEvent
from server.wire.words import (
    BACKOFF_STRATEGY,
    COMMUNICATION_MODE,
    CRITICALITY,
    DEPENDENCY_CRITICALITY,
    DISCOVERY_SOURCE,
    EnumWords,
)

__all__ = [
    "ALERT_EVENT_KIND",
    "ALERT_STATUS",
    "BACKOFF_STRATEGY",
    "COMMUNICATION_MODE",
    "CRITICALITY",
    "DEPENDENCY_CRITICALITY",
    "DETECTION_ROLE",
    "DIRECTION",
    "DISCOVERY_SOURCE",
    "FEED_STATE",
    "TRAVERSAL_VIEW",
    "WATCH_EVENT",
    "EnumWords",
]

ALERT_STATUS: EnumWords[AlertStatus, types_pb2.AlertStatus.ValueType] = EnumWords(
    types_pb2.AlertStatus, "ALERT_STATUS", ALERT_STATUSES
)
ALERT_EVENT_KIND: EnumWords[AlertEventKind, alert_service_pb2.AlertEventKind.ValueType] = EnumWords(
    alert_service_pb2.AlertEventKind, "ALERT_EVENT_KIND", ALERT_EVENT_KINDS
)
DIRECTION: EnumWords[str, graph_service_pb2.Direction.ValueType] = EnumWords(
    graph_service_pb2.Direction, "DIRECTION", [direction.value for direction in Direction]
)
TRAVERSAL_VIEW: EnumWords[str, graph_service_pb2.TraversalView.ValueType] = EnumWords(
    graph_service_pb2.TraversalView, "TRAVERSAL_VIEW", ["full", "ids"]
)
WATCH_EVENT: EnumWords[str, graph_service_pb2.WatchEvent.ValueType] = EnumWords(
    graph_service_pb2.WatchEvent, "WATCH_EVENT", [event.value for event in WatchEvent]
)
FEED_STATE: EnumWords[str, graph_service_pb2.FeedState.ValueType] = EnumWords(
    graph_service_pb2.FeedState, "FEED_STATE", [state.value for state in FeedState]
)
DETECTION_ROLE: EnumWords[str, graph_service_pb2.DetectionRole.ValueType] = EnumWords(
    graph_service_pb2.DetectionRole, "DETECTION_ROLE", [role.value for role in DetectionRole]
)
