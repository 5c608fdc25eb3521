"""Which services around one a picture shows singly, and the groups that the others are in."""

from collections.abc import Callable, Sequence
from heapq import nsmallest
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.sides import Sides

Longs = NDArray[np.int64]
NamesOf = Callable[[list[int]], list[str]]


class Group(NamedTuple):
    """
    Services of one team on one side at one depth.

    ``team`` is a number; None = of all teams that have no group of their own there.
    """

    side: int
    depth: int
    team: int | None


class Arrangement(NamedTuple):
    """
    Positions of services in ``Sides``: of those that are ``shown``, by side, depth and name.

    ``names`` are theirs. ``group`` has the group of each service in ``Sides``, -1 = it is shown.
    ``groups`` are sorted by side, depth and team; the group of other teams is the last there.
    """

    shown: Longs
    names: list[str]
    group: Longs
    groups: list[Group]


class Arranging(NamedTuple):
    """
    What is known of the services in ``Sides``, by position, to arrange them by.

    ``criticality`` (the least is shown first), ``callers`` (the most is), ``team`` (a number below
    ``teams``), and the names of services by their positions.
    """

    criticality: NDArray[np.int8]
    callers: NDArray[np.int32]
    team: NDArray[np.int32]
    teams: int
    names_of: NamesOf


def arrange(
    sides: Sides, services: Arranging, opened: Sequence[Group], max_services: int, max_teams: int
) -> Arrangement:
    """
    Choose ``max_services`` services to show, and put the others into groups.

    Those of ``opened`` groups come first, then nearer ones, then more critical ones, then those
    with more callers, then by name. On each side and depth, the ``max_teams`` teams with most
    services there have groups of their own; of equal ones, those with lower numbers.

    O(V log V) for V services in ``sides``.
    """
    teams = services.teams + 1
    codes = _group_codes(sides, services, max_teams)
    opened_codes = [_code_of(group, teams) for group in opened]
    order = (~np.isin(codes, opened_codes), sides.depth, services.criticality, -services.callers)
    chosen = foremost(order, max_services, services.names_of)
    named = list(zip(services.names_of(chosen), chosen, strict=True))
    named.sort(key=lambda each: (sides.side[each[1]], sides.depth[each[1]], each[0]))
    shown = np.array([position for _, position in named], np.int64)
    is_left = np.ones(len(codes), np.bool_)
    is_left[shown] = False
    found, group_of = np.unique(codes[is_left], return_inverse=True)
    group = np.full(len(codes), -1, np.int64)
    group[is_left] = group_of
    groups = [_group_of(code, teams) for code in found.tolist()]
    return Arrangement(shown, [name for name, _ in named], group, groups)


def foremost(keys: "Sequence[NDArray[np.generic]]", count: int, names_of: NamesOf) -> list[int]:
    """
    Return the positions with the ``count`` smallest keys, best first; of equal ones by name.

    The first key goes before the others. O(n log n).
    """
    order = np.lexsort(tuple(reversed(keys)))
    if count < len(order):
        # All that are as good as the last one, for names decide between these.
        last = order[max(count - 1, 0)]
        ties = np.logical_and.reduce([key == key[last] for key in keys])
        order = np.concatenate((order[:count][~ties[order[:count]]], np.flatnonzero(ties)))
    same = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
    starts = [0, *(np.flatnonzero(same) + 1).tolist(), len(order)]
    positions = order.tolist()
    chosen: list[int] = []
    for begin, end in pairwise(starts):
        tied = positions[begin:end]
        if end - begin > 1:
            named = zip(names_of(tied), tied, strict=True)
            tied = [position for _, position in nsmallest(count - len(chosen), named)]
        chosen += tied
    return chosen[:count]


# A group as a number: side, depth and team, the last team standing for all others.
_SIDE = 1 << 8


def _group_codes(sides: Sides, services: Arranging, max_teams: int) -> Longs:
    teams = services.teams + 1
    place = sides.side.astype(np.int64) * _SIDE + sides.depth
    found, which, sizes = np.unique(place * teams + services.team, return_inverse=True, return_counts=True)
    order = np.lexsort((found, -sizes, found // teams))
    places = (found // teams)[order]
    rank = np.empty(len(found), np.int64)
    rank[order] = np.arange(len(found)) - np.searchsorted(places, places)
    others = found // teams * teams + teams - 1
    own: Longs = np.where(rank < max_teams, found, others)
    return own[which]


def _code_of(group: Group, teams: int) -> int:
    team = teams - 1 if group.team is None else group.team
    return (group.side * _SIDE + group.depth) * teams + team


def _group_of(code: int, teams: int) -> Group:
    place, team = divmod(code, teams)
    return Group(*divmod(place, _SIDE), None if team == teams - 1 else team)
