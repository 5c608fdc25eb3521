"""Where the nodes of maps are drawn: places that stay as they are while the map does."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from graphcore.analysis.counted_calls import PAIRS, CountedCalls
from graphcore.analysis.map_layout import Places, Pulls, map_layout

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


class MapPlaces:
    """
    Chooses places for the nodes of maps, aside, and keeps them.

    Equal content has equal places. A map that has changed begins with the places that its view
    (the same grouping, the same inside) had last, so that nodes move a little only.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Content, asyncio.Task[Places]] = OrderedDict()
        self._latest: OrderedDict[_View, tuple[tuple[Name, ...], Places]] = OrderedDict()

    async def of(
        self, view: _View, names: list[Name], calls: CountedCalls
    ) -> tuple[list[float], list[float]]:
        """Return x and y of each node."""
        weight = np.frexp(calls.counts[:, PAIRS].astype(float))[1]
        content = _Content(tuple(names), *(each.tobytes() for each in (calls.source, calls.target, weight)))
        task = self._kept.get(content)
        if task is None:
            pulls = Pulls(calls.source, calls.target, weight.astype(float))
            former = self._former(view, content.names)
            task = asyncio.create_task(asyncio.to_thread(map_layout, len(names), pulls, former))
            _keep(self._kept, content, task)
        # Other callers still wait for it when this one is cancelled.
        places = await asyncio.shield(task)
        _keep(self._kept, content, task)
        _keep(self._latest, view, (content.names, places))
        x, y = places.tolist()
        return x, y

    def _former(self, view: _View, names: tuple[Name, ...]) -> Places | None:
        latest = self._latest.get(view)
        if latest is None:
            return None
        place_of = dict(zip(latest[0], latest[1].T, strict=True))
        unknown = np.full(2, np.nan)
        return np.array([place_of.get(name, unknown) for name in names]).reshape(-1, 2).T.copy()


def _keep(kept: "OrderedDict[Key, Value]", key: Key, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
