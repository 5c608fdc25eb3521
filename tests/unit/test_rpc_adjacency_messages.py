"""The adjacency list as messages: one a service, or several for one with very many targets."""

from datetime import timedelta

import pytest

from server.domain.consistency import Freshness
from server.rpc.adjacency_messages import adjacency_messages

FRESHNESS = Freshness("revision", timedelta(milliseconds=3))


def test_each_service_has_its_message_without_any_targets_too() -> None:
    messages = list(adjacency_messages([("a", ("b", "c")), ("b", ())], FRESHNESS, 1_000))
    assert [(message.service_id, list(message.target_service_ids)) for message in messages] == [
        ("a", ["b", "c"]),
        ("b", []),
    ]
    assert [message.HasField("freshness") for message in messages] == [True, False]


@pytest.mark.parametrize("letter", ["x", "漢"])
def test_very_many_targets_come_in_several_messages_of_the_same_service(letter: str) -> None:
    targets = tuple(f"{letter * 20}{place:05}" for place in range(1_000))
    messages = list(adjacency_messages([("hub", targets), ("leaf", ())], FRESHNESS, 4_000))
    assert [message.service_id for message in messages] == ["hub"] * (len(messages) - 1) + ["leaf"]
    assert tuple(name for message in messages for name in message.target_service_ids) == targets
    assert all(message.ByteSize() <= 4_000 + 100 for message in messages)
