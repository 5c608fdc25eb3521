"""
Pairs of services that look like one under two names.

Two kinds of evidence: names with the same core (``name_forms``), and neighbourhoods that are nearly
equal (``neighbourhoods``). Names propose a pair, and callers and callees confirm it or speak
against it. Neighbourhoods alone propose a pair only if no third service is as like, and if it takes
two discovery sources to see both: one source would not call one service by two names.

Services of one core in two namespaces are two services. A name without a namespace may be any of
them: callers and callees decide which, or none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

from graphcore.analysis.name_forms import NameForm, NameForms, words_of
from graphcore.analysis.neighbourhoods import Likeness, Longs, NamedCalls, Neighbourhoods
from graphcore.graph.columns import batches

_Pair = tuple[int, int]

_BATCH = 4_096
# Services of one core: up to so many are compared each with each, more only with the plainest name.
_MOST_TOGETHER = 12
# A neighbourhood that more services have is a pattern, such as replicas.
_MOST_ALIKE = 8
_LEAST_NEIGHBOURS = 4
_LEAST_SAMENESS = 0.5
# A neighbourhood that comes so near to the best one leaves open which is meant.
_CROWDED = 0.8
# How sure equal names are, before neighbours are compared, and what each thing left out takes off.
_EQUAL_NAMES, _LEFT_OUT, _UNSURE, _TWO_VERSIONS = 0.95, 0.02, 0.1, 0.15
_SURE = 0.99
# What it takes off if neighbours differ: more where some service of that core has a namespace, so
# that the name of one without may mean any of them.
_DOUBT, _DOUBT_WITHOUT_NAMESPACES, _DOUBT_IN_ONE_NAMESPACE = 0.55, 0.4, 0.25
_ENOUGH_NEIGHBOURS = 2
# Of several namespaces a name is in the one whose service is so much more like it.
_CLEARLY, _LEAST_OVERLAP = 0.15, 0.25
_CALLS_THE_OTHER = 0.5
_ROLES = frozenset({"api", "server", "app", "backend"})
_SAME_BUT_ROLE, _ONE_FAMILY = 0.1, 0.45


class AliasSuggestion(NamedTuple):
    """
    Two services that look like one, by number, the one with more features first.

    ``score`` 0 to 1; ``reason`` in words.
    """

    service: int
    other: int
    score: float
    reason: str


class _Named(NamedTuple):
    """
    A pair with the same core: how sure names are, and why.

    ``rivals`` may be meant instead of one of them. ``doubt`` is what neighbours that differ take
    off.
    """

    score: float
    left_out: tuple[str, ...]
    rivals: tuple[int, ...]
    doubt: float


def suggest_aliases(calls: NamedCalls, min_score: float = 0.5) -> list[AliasSuggestion]:
    """
    List the pairs with at least ``min_score``, the most alike first, then by names.

    O(V + E log E) and the pairs compared, of which there are at most a few for each service.
    """
    named = _pairs_by_name(calls.names)
    around = Neighbourhoods(calls, _meanings(len(calls.names), named))
    compared = {pair: around.likeness(*pair) for pair in named}
    found = [
        (pair, _by_name(pair, named[pair], compared), _reason_of_names(named[pair], compared[pair]))
        for pair in named
    ]
    found += _by_neighbours(calls, around, named)
    suggestions = [_suggestion(calls, around, *each) for each in found]
    wanted = [each for each in suggestions if each.score >= min_score]
    names = calls.names
    return sorted(wanted, key=lambda each: (-each.score, names[each.service], names[each.other]))


def _suggestion(
    calls: NamedCalls, around: Neighbourhoods, pair: _Pair, score: float, reason: str
) -> AliasSuggestion:
    first, second = sorted(pair, key=lambda service: (-around.size(service), calls.names[service]))
    if around.call_each_other(*pair):
        return AliasSuggestion(
            first, second, round(score * _CALLS_THE_OTHER, 3), f"{reason}; but one calls the other"
        )
    return AliasSuggestion(first, second, round(score, 3), reason)


def _pairs_by_name(names: list[str]) -> dict[_Pair, _Named]:
    pairs: dict[_Pair, _Named] = {}
    for members in _by_shared_core(names):
        some_have_namespaces = any(form.qualifiers for _, form in members)
        for one, other in _proposed(members):
            if one[0] == other[0]:
                continue
            named = _compared_names(one, other, members, some_have_namespaces=some_have_namespaces)
            pair = min(one[0], other[0]), max(one[0], other[0])
            if named is not None and (pair not in pairs or named.score > pairs[pair].score):
                pairs[pair] = named
    return pairs


_Member = tuple[int, NameForm]


def _by_shared_core(names: list[str]) -> Iterable[list[_Member]]:
    """
    Group the services by cores that several have.

    Names are read again for that: to keep all forms would make the garbage collector of a large
    graph stop everything for a tenth of a second.
    """
    forms = NameForms(names)
    keys = [tuple(form.key for form in forms.of(name)) for name in names]
    counts: Counter[str] = Counter()
    for batch in batches(keys, _BATCH):
        # Other threads wait for the end of an update.
        counts.update(chain.from_iterable(batch))
    cores: defaultdict[str, list[_Member]] = defaultdict(list)
    for service, some in enumerate(keys):
        if any(counts[key] > 1 for key in some):
            for form in forms.of(names[service]):
                if counts[form.key] > 1:
                    cores[form.key].append((service, form))
    return cores.values()


def _proposed(members: list[_Member]) -> Iterator[tuple[_Member, _Member]]:
    if len(members) <= _MOST_TOGETHER:
        yield from combinations(members, 2)
        return
    groups: defaultdict[frozenset[str], list[_Member]] = defaultdict(list)
    for member in members:
        groups[member[1].qualifiers].append(member)
    plainest = [min(group, key=lambda member: len(member[1].left_out)) for group in groups.values()]
    for first, group in zip(plainest, groups.values(), strict=True):
        yield from ((first, member) for member in group if member is not first)
    yield from combinations(
        sorted(plainest, key=lambda member: len(member[1].qualifiers))[:_MOST_TOGETHER], 2
    )


def _compared_names(
    first: _Member, second: _Member, members: list[_Member], *, some_have_namespaces: bool
) -> _Named | None:
    """Say how sure two names with one core are; None if they are of two namespaces."""
    one, other = first[1], second[1]
    less, more = sorted((one, other), key=lambda form: len(form.qualifiers))
    if not less.qualifiers <= more.qualifiers:
        return None
    left_out = tuple(dict.fromkeys((*one.left_out, *other.left_out)))
    score = _EQUAL_NAMES - _LEFT_OUT * len(left_out)
    is_sure = one.is_sure and other.is_sure
    score -= _UNSURE * (not is_sure)
    score -= _TWO_VERSIONS * (bool(one.version and other.version) and one.version != other.version)
    rivals = tuple(
        service
        for service, form in (() if less.qualifiers == more.qualifiers else members)
        if service not in (first[0], second[0])
        and less.qualifiers < form.qualifiers
        and not (form.qualifiers <= more.qualifiers or more.qualifiers <= form.qualifiers)
    )
    in_one = is_sure and bool(less.qualifiers) and less.qualifiers == more.qualifiers
    doubt = _DOUBT_WITHOUT_NAMESPACES
    if some_have_namespaces:
        doubt = _DOUBT_IN_ONE_NAMESPACE if in_one else _DOUBT
    return _Named(score, left_out, rivals, doubt)


def _meanings(count: int, named: Mapping[_Pair, _Named]) -> Longs:
    """Give services of one unmistakable name the same number."""
    stands_for = list(range(count))

    def root(service: int) -> int:
        while stands_for[service] != service:
            stands_for[service] = stands_for[stands_for[service]]
            service = stands_for[service]
        return service

    for (one, other), names in named.items():
        if not names.rivals:
            stands_for[root(other)] = root(one)
    return np.fromiter(map(root, range(count)), np.int64, count)


def _by_name(pair: _Pair, names: _Named, compared: Mapping[_Pair, Likeness]) -> float:
    """Say how sure a pair of names is, now that neighbours are compared."""
    likeness = compared[pair]
    if names.rivals:
        best = max((_overlap(compared, each, rival) for rival in names.rivals for each in pair), default=0.0)
        is_clear = likeness.overlap >= _LEAST_OVERLAP and likeness.overlap - best >= _CLEARLY
        return 0.55 + 0.4 * likeness.overlap if is_clear else 0.3 + 0.15 * likeness.overlap
    strength = min(1.0, likeness.least / _ENOUGH_NEIGHBOURS)
    for_it = (_SURE - names.score) * likeness.overlap
    return names.score + strength * (for_it - names.doubt * (1.0 - likeness.overlap))


def _overlap(compared: Mapping[_Pair, Likeness], one: int, other: int) -> float:
    likeness = compared.get((min(one, other), max(one, other)))
    return 0.0 if likeness is None else likeness.overlap


def _by_neighbours(
    calls: NamedCalls, around: Neighbourhoods, named: Mapping[_Pair, _Named]
) -> Iterator[tuple[_Pair, float, str]]:
    candidates = {
        pair: likeness
        for pair in around.alike(_LEAST_NEIGHBOURS, _MOST_ALIKE)
        if (likeness := around.likeness(*pair)).sameness >= _LEAST_SAMENESS
    }
    crowd: defaultdict[int, list[float]] = defaultdict(list)
    for pair, likeness in candidates.items():
        for service in pair:
            crowd[service].append(likeness.sameness * likeness.apart)
    for pair, likeness in candidates.items():
        if pair in named or likeness.matches < _LEAST_NEIGHBOURS:
            continue
        evidence = likeness.sameness * likeness.apart
        if any(sum(other >= _CROWDED * evidence for other in crowd[service]) > 1 for service in pair):
            continue
        score = 0.3 + 0.6 * evidence + _family(calls.names, pair)
        yield pair, max(score, 0.0), f"the names differ; {_shared(likeness)}"


def _family(names: list[str], pair: _Pair) -> float:
    """Add for names that say the same but for a role, take off for members of one family."""
    one, other = (Counter(word.removesuffix("s") for word in words_of(names[service])) for service in pair)
    if not one & other:
        return 0.0
    return _SAME_BUT_ROLE if ((one - other) + (other - one)).keys() <= _ROLES else -_ONE_FAMILY


def _reason_of_names(names: _Named, likeness: Likeness) -> str:
    without = f" without {_listed(names.left_out)}" if names.left_out else " but for case and separators"
    rivals = "; other namespaces have a service of that name, too" if names.rivals else ""
    return f"equal names{without}{rivals}; {_shared(likeness)}"


def _listed(parts: tuple[str, ...]) -> str:
    *rest, last = parts
    return f"{', '.join(rest)} and {last}" if rest else last


def _shared(likeness: Likeness) -> str:
    if not likeness.least:
        return "no callers or callees to compare"
    return f"{likeness.matches} of {likeness.least} callers and callees in common"
