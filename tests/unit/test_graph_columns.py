"""Sharded dicts behave as dicts; names are sorted as Python sorts them. No I/O."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore.graph import name_order as name_sorting
from graphcore.graph.columns import ShardedDict
from graphcore.graph.name_order import name_order, sorted_names
from tests.support.kernel_forms import FORMS, kernels_in_form

ENTRIES = st.lists(st.tuples(st.binary(max_size=2), st.integers()), max_size=80)


@given(ENTRIES, st.lists(st.binary(max_size=2), max_size=40))
def test_a_sharded_dict_equals_a_dict_through_updates_and_pops(
    entries: list[tuple[bytes, int]], taken: list[bytes]
) -> None:
    plain, sharded = dict(entries), ShardedDict[bytes, int]()
    sharded.update(entries)
    assert [sharded.pop(key) for key in taken] == [plain.pop(key, None) for key in taken]
    assert dict(sharded.items()) == plain
    assert len(sharded) == len(plain)
    for key in [key for key, _ in entries] + taken:
        assert (key in sharded) is (key in plain)
        assert sharded.get(key) == plain.get(key)


def test_indexing_an_absent_key_raises() -> None:
    sharded = ShardedDict[bytes, int]()
    sharded.update([(b"a", 1)])
    assert sharded[b"a"] == 1
    with pytest.raises(KeyError):
        sharded[b"b"]


@given(ENTRIES)
def test_a_copy_of_a_sharded_dict_is_independent(entries: list[tuple[bytes, int]]) -> None:
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


LETTERS = "ab\u00e9\u03a9\ud7ff\ue000\U0001f600 ~"


def names(count: int) -> list[str]:
    chooser = random.Random(count)  # noqa: S311 - the same names each time
    return ["".join(chooser.choices(LETTERS, k=chooser.randrange(1, 12))) for _ in range(count)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 3, 500])
def test_the_kernel_sorts_names_as_python_does(
    form: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_sorting, "_WORTH_A_KERNEL", 0)
    given = names(count)
    with kernels_in_form(form):
        order = name_order(given).tolist()
    assert [given[place] for place in order] == sorted(given)


@pytest.mark.parametrize("count", [0, 10, 800])
def test_few_and_many_names_are_sorted_alike(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(name_sorting, "_WORTH_A_KERNEL", 100)
    assert sorted_names(names(count)) == sorted(names(count))
