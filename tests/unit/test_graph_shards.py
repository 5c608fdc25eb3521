"""A dict in pieces behaves as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore.graph.columns import ShardedDict

ENTRIES = st.lists(st.tuples(st.binary(max_size=2), st.integers()), max_size=80)


@given(ENTRIES, st.lists(st.binary(max_size=2), max_size=40))
def test_what_is_put_is_there_until_it_is_taken(entries: list[tuple[bytes, int]], taken: list[bytes]) -> None:
    plain, sharded = dict(entries), ShardedDict[bytes, int]()
    sharded.update(entries)
    assert [sharded.pop(key) for key in taken] == [plain.pop(key, None) for key in taken]
    assert dict(sharded.items()) == plain
    assert len(sharded) == len(plain)
    for key in [key for key, _ in entries] + taken:
        assert (key in sharded) is (key in plain)
        assert sharded.get(key) == plain.get(key)


def test_a_key_that_is_not_here_is_an_error_where_one_must_be() -> None:
    sharded = ShardedDict[bytes, int]()
    sharded.update([(b"a", 1)])
    assert sharded[b"a"] == 1
    with pytest.raises(KeyError):
        sharded[b"b"]


@given(ENTRIES)
def test_a_copy_goes_its_own_way(entries: list[tuple[bytes, int]]) -> None:
    sharded = ShardedDict[bytes, int]()
    sharded.update(entries)
    copying = sharded.copying()
    while True:
        try:
            next(copying)
        except StopIteration as ended:
            copy = ended.value
            break
    assert dict(copy) == dict(sharded) == dict(entries)
    for key in dict(entries):
        copy.pop(key)
    assert dict(sharded) == dict(entries)
