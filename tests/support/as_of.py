"""Questions about a graph that every method with a consistency can be asked, now and as of then."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import (  # noqa: F401 - registers the methods of the services
    analysis_service_pb2,
    catalog_service_pb2,
    graph_service_pb2,
)

SERVICES = ("GraphService", "AnalysisService", "CatalogService")
UNSET_THEN = {"lastObservedTime", "updateTime"}

WHERE = {"serviceId": "checkout"}
WALK = {**WHERE, "direction": "DIRECTION_BOTH"}
QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "Traverse": [
        {**WALK, "maxDepth": 5, "includeStale": True},
        {**WALK, "effective": True, "includeStale": True},
        {**WALK, "view": "TRAVERSAL_VIEW_IDS", "filter": {"minConfidence": 0.8}},
        {**WALK, "serviceId": "till"},
    ],
    "StreamTraverse": [{**WALK, "maxDepth": 5}, {**WALK, "effective": True}],
    "GetAdjacencyList": [{}, {"includeStale": True}],
    "ListComponents": [{}, {"minSize": 1}],
    "GetComponent": [WHERE, {"serviceId": "till"}],
    "SearchServices": [{"query": "c"}, {"query": "till"}],
    "GetNeighbourhood": [WHERE, {**WHERE, "includeStale": True}],
    "GetMap": [{}, {"inside": "shop"}],
    "AnalyzeImpact": [{"serviceId": "cart"}, {"serviceId": "cart", "effective": True}],
    "FindPaths": [
        {"sourceServiceId": "web", "targetServiceId": "stock"},
        {"sourceServiceId": "web", "targetServiceId": "stock", "effective": True},
    ],
    "AuditPaths": [{"maxAttempts": 2}, {"maxAttempts": 2, "effective": True}],
    "ListDrift": [{}, {"kind": "DRIFT_KIND_NOT_OBSERVED", "serviceId": "till"}],
    "CheckChange": [
        {
            "added": [
                {
                    "sourceServiceId": "payments",
                    "targetServiceId": "cart",
                    "communicationMode": "COMMUNICATION_MODE_SYNC",
                }
            ]
        }
    ],
    "SuggestCuts": [WHERE],
    "SuggestAliases": [{"minScore": 0.1}],
}
"""By method; ``BatchTraverse`` asks the questions of ``Traverse``."""


def methods_with_consistency() -> Iterator[MethodDescriptor]:
    """All methods whose requests, or requests within them, say how fresh an answer must be."""
    for service in SERVICES:
        for method in Default().FindServiceByName(f"depgraph.v1.{service}").methods:
            if "consistency" in fields_below(method.input_type):
                yield method


def fields_below(message: Descriptor, seen: frozenset[str] = frozenset()) -> set[str]:
    """Names of all fields of a message and of those in it."""
    if message.full_name in seen:
        return set()
    names = {field.name for field in message.fields}
    for field in message.fields:
        if field.message_type is not None:
            names |= fields_below(field.message_type, seen | {message.full_name})
    return names


async def ask(
    channel: grpc.aio.Channel, method: MethodDescriptor, said: dict[str, Any], as_of: Timestamp | None
) -> list[Any]:
    """Ask, now (fully consistent) or as of then; returns the messages of the answer."""
    request: Any = ParseDict(said, GetMessageClass(method.input_type)())
    for each in request.requests if method.name == "BatchTraverse" else [request]:
        if as_of is None:
            each.consistency.fully_consistent = True
        else:
            each.consistency.as_of.CopyFrom(as_of)
    path = f"/{method.containing_service.full_name}/{method.name}"
    decode = GetMessageClass(method.output_type).FromString
    if method.server_streaming:
        return [each async for each in channel.unary_stream(path, _encoded, decode)(request)]
    return [await channel.unary_unary(path, _encoded, decode)(request)]


def questions_of(method: MethodDescriptor) -> list[dict[str, Any]]:
    """The questions of a method."""
    if method.name == "BatchTraverse":
        return [{"requests": QUESTIONS["Traverse"]}]
    return QUESTIONS[method.name]


def content(answer: list[Any], unset: frozenset[str] | set[str] = frozenset(UNSET_THEN)) -> Any:
    """
    What an answer says, but for its freshness and the times that are not known of then.

    Lists are sorted: the order of services with the same depth, say, is no particular one.
    """
    return [_plain(MessageToDict(each), unset | {"freshness"}) for each in answer]


def keys_in(answer: list[Message]) -> set[str]:
    """The names of all fields that are set in an answer, at any depth."""
    return {key for each in answer for key in _keys(MessageToDict(each))}


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


def _plain(value: Any, left_out: set[str] | frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner, left_out) for key, inner in value.items() if key not in left_out}
    if isinstance(value, list):
        told = [_plain(each, left_out) for each in value if not _tells_of_times(each)]
        return sorted(told, key=lambda each: json.dumps(each, sort_keys=True))
    return value


def _tells_of_times(value: Any) -> bool:
    """Whether it is the provenance of a time."""
    return isinstance(value, dict) and value.get("field") in {"last_observed_time", "update_time"}


def _encoded(request: Message) -> bytes:
    return request.SerializeToString()
