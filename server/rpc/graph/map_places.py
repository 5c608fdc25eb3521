"""Where the nodes of maps are drawn: places that stay as they are while the map does."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.counted_calls import PAIRS, CountedCalls
from graphcore.analysis.map_layout import Former, Places, Pulls, map_layout

Name: TypeAlias = tuple[str, str]
_View: TypeAlias = tuple[str, str | None]

Key = TypeVar("Key")
Value = TypeVar("Value")

# Pictures and views whose places are kept, some 10 KB each.
_MOST_KEPT = 64


class _Content(NamedTuple):
    """
    What places depend on: the names of nodes, and which of them call each other how much.

    Pulls grow with the number of digits (in base 2) of the number of calls, so that one call more
    seldom changes anything.
    """

    names: tuple[Name, ...]
    source: bytes
    target: bytes
    weight: bytes


class _Drawn(NamedTuple):
    """Where a node was drawn, and the nodes that pulled at it, how much."""

    place: NDArray[np.float64]
    neighbours: frozenset[tuple[Name, int]]


class MapPlaces:
    """
    Chooses places for the nodes of maps, in a thread, and keeps them.

    Equal content has equal places. In a map that has changed, nodes stay where its view (the same
    grouping, the same inside) had them last, but for new ones and those whose calls have changed.
    A map of which fewer than half of the nodes were drawn before gets new places.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Content, asyncio.Task[Places]] = OrderedDict()
        self._latest: OrderedDict[_View, dict[Name, _Drawn]] = OrderedDict()

    async def of(
        self, view: _View, names: list[Name], calls: CountedCalls, *, is_past: bool = False
    ) -> tuple[list[float], list[float]]:
        """
        Return x and y of each node.

        ``is_past``: nodes stay where the map of now has them, which takes no note of this one.
        """
        weight = np.frexp(calls.counts[:, PAIRS].astype(float))[1]
        content = _Content(tuple(names), *(each.tobytes() for each in (calls.source, calls.target, weight)))
        # Up to 300² calls: too many for the event loop.
        neighbours = await asyncio.to_thread(_neighbours, names, calls, weight)
        task = self._kept.get(content)
        if task is None:
            pulls = Pulls(calls.source, calls.target, weight.astype(float))
            former = self._former(view, names, neighbours)
            task = asyncio.create_task(asyncio.to_thread(map_layout, len(names), pulls, former))
        _keep(self._kept, content, task)
        # Other callers still wait for it when this one is cancelled.
        places = await asyncio.shield(task)
        if not is_past:
            drawn = map(_Drawn, places.T, neighbours)
            _keep(self._latest, view, dict(zip(names, drawn, strict=True)))
        x, y = places.tolist()
        return x, y

    def _former(
        self, view: _View, names: list[Name], neighbours: list[frozenset[tuple[Name, int]]]
    ) -> Former | None:
        latest = self._latest.get(view, {})
        known = [latest.get(name) for name in names]
        if 2 * (len(names) - known.count(None)) < len(names) or not latest:
            return None
        unknown = np.full(2, np.nan)
        places = np.array([unknown if each is None else each.place for each in known]).reshape(-1, 2).T
        changed = [
            each is None or each.neighbours != now for each, now in zip(known, neighbours, strict=True)
        ]
        return Former(places, np.array(changed, np.bool_))


def _neighbours(
    names: list[Name], calls: CountedCalls, weight: NDArray[np.int32]
) -> list[frozenset[tuple[Name, int]]]:
    found: list[set[tuple[Name, int]]] = [set() for _ in names]
    for source, target, pull in zip(
        *(each.tolist() for each in (calls.source, calls.target, weight)), strict=True
    ):
        found[source].add((names[target], pull))
        found[target].add((names[source], -pull))
    return list(map(frozenset, found))


def _keep(kept: "OrderedDict[Key, Value]", key: Key, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
