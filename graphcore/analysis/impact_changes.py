"""How a change of calls changes blast radii."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import CallGraph, CallRows, Cells, Numbers
from graphcore.analysis.proposed_change import Numbering
from graphcore.kernels.what_if import upstream
from graphcore.kernels.what_if.upstream import ADDED, BEFORE, BITS, BLOCK, BYTE, REMOVED, WORDS

LISTED = 100
"""Names in each list."""

MOST_WORDS = 200_000_000
"""Words of masks to read: 0.5 s."""

EXACT_PAIRS = 10
"""Up to this many changed pairs are examined one by one, by two searches each."""

_NO_PAIRS: Numbers = np.empty((2, 0), np.int32)

_WORD, _BIT = np.arange(BLOCK) // BITS, np.int64(1) << (np.arange(BLOCK) % BITS)


@dataclass(frozen=True, slots=True)
class ImpactChange:
    """
    The size of a blast radius ``before`` and ``after``, without the service itself.

    ``added`` and ``removed`` are sorted names, at most LISTED of each.
    """

    name: str
    before: int
    after: int
    added: tuple[str, ...]
    added_count: int
    removed: tuple[str, ...]
    removed_count: int


@dataclass(frozen=True, slots=True)
class ImpactChanges:
    """The services whose blast radius changes most; ``truncated``: not all were examined."""

    changes: tuple[ImpactChange, ...]
    count: int
    truncated: bool


class _Reachers:
    """
    Finds the services that reach given cells before and after, BLOCK cells at a time.

    The services of a cell are reached by the same services, so it is enough to compare cells.
    """

    def __init__(self, before: CallGraph, after: CallGraph) -> None:
        self.cells = Cells.of(before.strong, after.strong)
        self._before = before.condensed()
        self._after = after.condensed()

    @property
    def cost(self) -> int:
        """Words of masks to read for a block."""
        calls = len(self._before.target) + len(self._after.target)
        return WORDS * (calls + len(self._before) + len(self._after) + 4 * len(self.cells.size))

    def masks(self, block: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Mark the cells of ``block`` that each component reaches before, and after: a bit each."""
        before, after = self.cells.groups[:, block]
        return _masks(self._before, before), _masks(self._after, after)

    def counts(self, block: Numbers) -> NDArray[np.int64]:
        """Count the services that reach each cell: rows BEFORE, ADDED, REMOVED."""
        counts: NDArray[np.int64] = np.zeros((REMOVED + 1, BLOCK), np.int64)
        lanes: NDArray[np.int64] = np.zeros((REMOVED + 1, WORDS, BYTE + 1), np.int64)
        cells = self.cells
        upstream.count_changes.run(*self.masks(block), cells.size, cells.groups, lanes, counts)
        return counts[:, : len(block)]


def impact_changes(
    numbering: Numbering,
    before: CallGraph,
    after: CallGraph,
    lost: Numbers,
    gained: Numbers,
    *,
    most: int,
    work: int,
) -> ImpactChanges:
    """
    Compare the blast radii that ``lost`` and ``gained`` pairs can change.

    Those are of services downstream of a target: nearest first, as many as ``work`` allows, but at
    least BLOCK cells. O(V + E) for each BLOCK of cells; compiled, it lets other threads run.
    """
    affected = _affected(before, after, lost, gained)
    if not len(affected):
        return ImpactChanges((), 0, truncated=False)
    reachers = _Reachers(before, after)
    cells = _distinct(reachers.cells.cell[affected])
    allowed = BLOCK * max(work // reachers.cost, 1)
    looked_at = cells[:allowed]
    counts = np.concatenate([reachers.counts(block) for block in _blocks(looked_at)], axis=1)
    changed = np.flatnonzero(counts[ADDED] + counts[REMOVED])
    count = int(reachers.cells.size[looked_at[changed]].sum())
    listed = _most_changed(reachers.cells, looked_at[changed], counts[:, changed], numbering, most)
    return ImpactChanges(
        tuple(_named(reachers, listed, numbering)), count, truncated=len(looked_at) < len(cells)
    )


class _Listed(NamedTuple):
    name: str
    cell: int
    before: int
    added: int
    removed: int


def _affected(before: CallGraph, after: CallGraph, lost: Numbers, gained: Numbers) -> Numbers:
    """
    List the services whose blast radius may change, nearest first.

    For more than EXACT_PAIRS pairs: all that a target reaches. Else, in the graph without lost and
    gained pairs, a pair matters to the services that its target reaches and its source does not.
    If pairs are only lost or only gained, that is exact.
    """
    if not lost.shape[1]:
        common, pairs = before.calls, gained[:, ~before.strong.is_inside(gained)]
    elif not gained.shape[1]:
        common, pairs = after.calls, lost[:, ~after.strong.is_inside(lost)]
    else:
        common, pairs = before.calls.edited(lost, _NO_PAIRS), np.concatenate((lost, gained), axis=1)
    found, _ = common.downstream(np.unique(pairs[1]))
    if not 0 < pairs.shape[1] <= EXACT_PAIRS:
        return found
    matters = np.zeros(len(common), bool)
    for source, target in pairs.T:
        reached, _ = common.downstream(target[None])
        _, anyway = common.downstream(source[None])
        matters[reached] |= anyway[reached] == 0
    return found[matters[found]]


def _distinct(numbers: Numbers) -> Numbers:
    _, first = np.unique(numbers, return_index=True)
    return numbers[np.sort(first)]


def _blocks(cells: Numbers) -> Iterator[Numbers]:
    return (cells[begin : begin + BLOCK] for begin in range(0, len(cells), BLOCK))


def _masks(calls: CallRows, groups: Numbers) -> NDArray[np.int64]:
    masks: NDArray[np.int64] = np.zeros((len(calls), WORDS), np.int64)
    places = slice(0, len(groups))
    np.bitwise_or.at(masks, (groups, _WORD[places]), _BIT[places])
    upstream.spread.run(calls.start, calls.target, masks, int(groups.min()))
    return masks


def _most_changed(
    cells: Cells, changed: Numbers, counts: NDArray[np.int64], numbering: Numbering, most: int
) -> list[_Listed]:
    """List at most ``most`` services: most added first, then most removed, then by name."""
    by_cell = np.argsort(cells.cell, kind="stable").astype(np.int32)
    ends = np.cumsum(cells.size)
    keys = list(zip((-counts[ADDED]).tolist(), (-counts[REMOVED]).tolist(), strict=True))
    order = sorted(range(len(changed)), key=keys.__getitem__)
    place_of = {int(cell): place for place, cell in enumerate(changed)}
    listed: list[_Listed] = []
    for (added, removed), places in groupby(order, keys.__getitem__):
        some = [by_cell[ends[cell] - cells.size[cell] : ends[cell]] for cell in changed[list(places)]]
        first = numbering.sorted(np.concatenate(some))[: most - len(listed)]
        for name, cell in zip(numbering.names(first), cells.cell[first].tolist(), strict=True):
            before = int(counts[BEFORE, place_of[cell]]) - 1
            listed.append(_Listed(name, cell, before, -added, -removed))
        if len(listed) >= most:
            break
    return listed


def _named(reachers: _Reachers, listed: list[_Listed], numbering: Numbering) -> Iterator[ImpactChange]:
    cells = _distinct(np.array([each.cell for each in listed], np.int32))
    lists: dict[int, list[list[str]]] = {}
    for block in _blocks(cells):
        lists.update(zip(block.tolist(), _first_names(reachers, block, numbering), strict=True))
    for name, cell, before, added_count, removed_count in listed:
        added, removed = map(tuple, lists[cell])
        after = before + added_count - removed_count
        yield ImpactChange(name, before, after, added, added_count, removed, removed_count)


def _first_names(reachers: _Reachers, block: Numbers, numbering: Numbering) -> list[list[list[str]]]:
    """List for each cell the first names that reach it only after, and only before."""
    cells, (before, after) = reachers.cells, reachers.masks(block)
    differ = (before[cells.groups[0]] != after[cells.groups[1]]).any(axis=1)
    numbers = numbering.sorted(np.flatnonzero(differ[cells.cell]).astype(np.int32))
    row: NDArray[np.int64] = np.zeros(WORDS, np.int64)
    np.bitwise_or.at(row, _WORD[: len(block)], _BIT[: len(block)])
    lists, lengths = np.empty((2, BLOCK, LISTED), np.int32), np.zeros((2, BLOCK), np.int32)
    wanted = np.stack((row, row))
    upstream.list_changes.run(before, after, cells.groups, cells.cell, numbers, wanted, lists, lengths)
    names = numbering.names
    return [
        [names(lists[kind, place, : lengths[kind, place]]) for kind in range(2)]
        for place in range(len(block))
    ]
