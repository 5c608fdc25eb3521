"""No I/O: answers about the past have no times of now, wherever a service or dependency stands."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1 import types_pb2
from server.domain.live_graph import Freshness
from server.rpc.past_answers import UNKNOWN_THEN, of_then
from tests.support.as_of import methods_with_consistency

LIVE = Freshness("revision", timedelta(0))
PAST = Freshness("revision", timedelta(0), datetime(2026, 1, 1, tzinfo=UTC))
METHODS = {method.output_type.name: method for method in methods_with_consistency()}
RESPONSES = {name: GetMessageClass(method.output_type) for name, method in METHODS.items()}
# Fields that a past answer may not have, by name, of any message that is about the graph.
HOLDERS = {"Service", "Dependency", "EffectiveDependency"}


def fill(message: Any, depth: int = 0) -> None:
    """Set every field of a message that is not set, and every field of what it holds."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
            continue
        if field.message_type is None:
            value: Any = {"string": "x", "bool": True, "double": 0.5}.get(_kind(field), 1)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif field.message_type.GetOptions().map_entry or field.message_type.full_name.startswith("google."):
            if field.message_type.name == "Timestamp":
                getattr(message, field.name).seconds = 7
        elif field.is_repeated:
            for _ in range(2):
                fill(getattr(message, field.name).add(), depth + 1)
        else:
            fill(getattr(message, field.name), depth + 1)


def _kind(field: Any) -> str:
    return {9: "string", 8: "bool", 1: "double"}.get(field.type, "number")


def set_fields(message: Message) -> Iterator[tuple[str, str]]:
    """The messages and names of all fields of ours that are set, at any depth."""
    for field, value in message.ListFields():
        yield message.DESCRIPTOR.name, field.name
        if field.message_type is not None and field.message_type.full_name.startswith("depgraph."):
            for each in value if field.is_repeated else [value]:
                yield from set_fields(each)


def reachable(message: Descriptor, seen: dict[str, Descriptor]) -> dict[str, Descriptor]:
    """All messages in a message, by name."""
    if message.name not in seen:
        seen[message.name] = message
        for field in message.fields:
            if field.message_type is not None:
                reachable(field.message_type, seen)
    return seen


@pytest.mark.parametrize("name", RESPONSES)
async def test_no_answer_about_the_past_has_times_of_now(name: str) -> None:
    response = RESPONSES[name]()
    fill(response)
    answer = response.SerializeToString()
    assert await of_then(answer, RESPONSES[name], LIVE) is answer
    past = RESPONSES[name].FromString(await of_then(answer, RESPONSES[name], PAST))
    before, after = list(set_fields(response)), list(set_fields(past))
    assert after == [each for each in before if each[1] not in UNKNOWN_THEN]
    # An answer that has nothing to take away is not read at all.
    is_about_rows = not HOLDERS.isdisjoint(reachable(METHODS[name].output_type, {}))
    assert is_about_rows == (len(after) < len(before))


def test_every_time_in_answers_is_known_to_be_of_then_or_not() -> None:
    """A new field with a time has to be thought of: it goes into ``UNKNOWN_THEN`` or in here."""
    times = {
        (message.name, field.name)
        for method in METHODS.values()
        for message in reachable(method.output_type, {}).values()
        for field in message.fields
        if field.message_type is not None and field.message_type.name in {"Timestamp", "Duration"}
    }
    known = {(holder, name) for holder in HOLDERS for name in UNKNOWN_THEN}
    assert times - known == {
        ("Service", "create_time"),
        ("Dependency", "create_time"),
        ("Freshness", "lag"),
        ("Freshness", "as_of_time"),
        # The time of a creation, or unset.
        ("Drift", "since_time"),
    }


async def test_provenance_does_not_tell_which_source_observed_last() -> None:
    merged = types_pb2.EffectiveDependency(
        provenance=[
            types_pb2.FieldProvenance(field=field, dependency_id=field)
            for field in ("protocol", "last_observed_time", "confidence_score")
        ]
    )
    answer = pb.TraverseResponse(effective_dependencies=[merged]).SerializeToString()
    past = pb.TraverseResponse.FromString(await of_then(answer, pb.TraverseResponse, PAST))
    [then] = past.effective_dependencies
    assert [each.field for each in then.provenance] == ["protocol", "confidence_score"]


@pytest.mark.parametrize("count", [1, 3_000])
async def test_answers_of_any_size_keep_everything_else_in_its_order(count: int) -> None:
    response = pb.TraverseResponse(truncated=True, depths=range(count))
    for number in range(count):
        service = response.services.add(service_id=f"s{number}", team="t" * (number % 300))
        service.metadata["x"] = number
        service.update_time.seconds = number
        response.dependencies.add(id=str(number)).last_observed_time.seconds = number
    batch = pb.BatchTraverseResponse(responses=[pb.BatchTraverseResult(traversal=response)] * 2)
    answers = [await of_then(each.SerializeToString(), type(each), PAST) for each in (response, batch)]
    for walk in (response, *(each.traversal for each in batch.responses)):
        for service in walk.services:
            service.ClearField("update_time")
        for dependency in walk.dependencies:
            dependency.ClearField("last_observed_time")
    assert pb.TraverseResponse.FromString(answers[0]) == response
    assert pb.BatchTraverseResponse.FromString(answers[1]) == batch
