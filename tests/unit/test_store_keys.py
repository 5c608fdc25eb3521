"""Ids of new rows."""

from uuid import RFC_4122, UUID

import pytest

from server.store.batches import random_uuids


@pytest.mark.parametrize("count", [0, 1, 2, 1_000])
def test_random_uuids_are_distinct_and_as_many_as_asked_for(count: int) -> None:
    keys = [UUID(key) for key in random_uuids(count)]
    assert {(key.version, key.variant) for key in keys} <= {(4, RFC_4122)}
    assert len(set(keys)) == len(keys) == count


def test_every_other_bit_of_an_id_is_random() -> None:
    keys = [UUID(key).int for key in random_uuids(200)]
    always, ever = keys[0], 0
    for key in keys:
        always, ever = always & key, ever | key
    assert (
        f"{always ^ ever ^ (2**128 - 1):032x}" == f"{UUID('00000000-0000-f000-c000-000000000000').int:032x}"
    )
