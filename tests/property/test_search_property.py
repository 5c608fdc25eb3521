"""SearchServices against a plain scan of all names, and distances by their definition. No I/O."""

import asyncio
from functools import cache
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import graph_service_pb2 as pb
from graphcore.analysis.name_search import NameSearch, differences
from server.domain.live_graph import MinimizeLatency
from server.rpc.graph.search import SearchQuestion, search_answer
from tests.support.examples import examples
from tests.support.kernel_forms import given_in_both_forms
from tests.support.pictures import FRESHNESS, LIMIT, Owner, PictureWorld
from tests.support.rows import PlainAlias, PlainEdge, PlainService, Tables

# Few letters, so that texts are found in names; a capital, a digit, a separator, and a letter that
# folds to two.
LETTERS = "abA1-ß"
NAMES = st.text(LETTERS, min_size=1, max_size=6)
CRITICALITIES = ("critical", "high", "medium", "low", "unknown")


@st.composite
def named_worlds(draw: st.DrawFn) -> PictureWorld:
    """Draw services and aliases with short names, and who calls whom."""
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    keys = [UUID(int=number + 1) for number in range(len(names))]
    services = {key: PlainService(key, name) for key, name in zip(keys, names, strict=True)}
    others = draw(st.lists(NAMES.filter(lambda name: name not in names), max_size=4, unique=True))
    aliases = {
        key: PlainAlias(key, name, draw(st.sampled_from(keys)))
        for key, name in zip((UUID(int=100 + number) for number in range(len(others))), others, strict=True)
    }
    pairs = draw(st.sets(st.tuples(st.sampled_from(keys), st.sampled_from(keys)), max_size=10))
    stale = draw(st.booleans())
    edges = [
        PlainEdge(UUID(int=1_000 + number), *pair, stale=stale and number % 2 == 0)
        for number, pair in enumerate(sorted(pairs))
        if pair[0] != pair[1]
    ]
    owner = st.builds(
        Owner, st.sampled_from((None, "web", "pay")), st.sampled_from(CRITICALITIES), st.just(None)
    )
    rows = Tables(services, {edge.key: edge for edge in edges}, aliases)
    return PictureWorld(rows, {key: draw(owner) for key in keys})


def match_of(name: str, query: str) -> int | None:
    """How a query stands in a name; None = not at all."""
    folded, text = name.casefold(), query.casefold()
    places = [at for at in range(len(folded) - len(text) + 1) if folded[at : at + len(text)] == text]
    if not places:
        return None
    if 0 in places:
        return pb.MATCH_KIND_EXACT if folded == text else pb.MATCH_KIND_PREFIX
    begins = any(is_beginning(folded, at) for at in places)
    if not begins and len(folded) == len(name):
        begins = any(is_capital(name, at) for at in places)
    return pb.MATCH_KIND_WORD if begins else pb.MATCH_KIND_SUBSTRING


def is_beginning(folded: str, at: int) -> bool:
    before = folded[at - 1]
    return not before.isalnum() or before.isdigit() != folded[at].isdigit()


def is_capital(name: str, at: int) -> bool:
    following = name[at + 1 : at + 2]
    return name[at].isupper() and (not name[at - 1].isupper() or following.islower())


@cache
def distance(one: str, other: str) -> int:
    """Count the changes between two texts, by definition."""
    if not one or not other:
        return len(one) + len(other)
    ways = [
        distance(one[:-1], other) + 1,
        distance(one, other[:-1]) + 1,
        distance(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    ]
    if one[-2:] == other[-2:][::-1] and len(one) > 1 and len(other) > 1:
        ways.append(distance(one[:-2], other[:-2]) + 1)
    return min(ways)


def nearest(name: str, text: str) -> int:
    """The distance of a text to the nearest piece of a name."""
    folded = name.casefold()
    pieces = {folded[begin:end] for begin in range(len(folded) + 1) for end in range(begin, len(folded) + 1)}
    return min(distance(piece, text.casefold()) for piece in pieces)


@examples(100)
@given(st.lists(NAMES, max_size=4), NAMES)
def test_a_difference_is_the_distance_to_the_nearest_piece(names: list[str], text: str) -> None:
    assert differences(names, text, len(text.casefold())).tolist() == [nearest(name, text) for name in names]


@pytest.mark.parametrize(
    ("name", "is_word"), [("webPay", True), ("HTTPPay", True), ("webPAY", True), ("XPAY", False)]
)
def test_a_word_begins_at_a_capital_behind_a_small_letter_or_before_one(name: str, is_word: bool) -> None:
    assert NameSearch("pay").is_word(name) == is_word


@given_in_both_forms(
    80, named_worlds(), st.text(LETTERS, max_size=5), st.sampled_from(["", "web"]), st.integers(1, 5)
)
def test_a_search_finds_what_a_scan_of_all_names_finds(
    world: PictureWorld, query: str, team: str, most: int
) -> None:
    question = SearchQuestion(query, team, None, most, MinimizeLatency())
    answer = pb.SearchServicesResponse.FromString(
        asyncio.run(search_answer(world.graph(), question, FRESHNESS, LIMIT))
    )
    found = expected(world, query, team)
    callers, callees = called(world)
    ordered = sorted(
        found.items(),
        key=lambda item: (
            *item[1][:2],
            world.rank(item[0]),
            -callers[item[0]],
            world.rows.name(item[0]),
        ),
    )
    assert [
        (each.service.service_id, each.match_kind, each.alias, each.caller_count, each.callee_count)
        for each in answer.matches
    ] == [
        (world.rows.name(key), kind, alias, callers[key], callees[key])
        for key, (kind, _, _, alias) in ordered[:most]
    ]
    assert answer.match_count == len(found)


def expected(world: PictureWorld, query: str, team: str) -> dict[UUID, tuple[int, int, bool, str]]:
    """The best match of each service: kind, distance, whether an alias matches, and which."""
    rows = world.rows
    names = [(service.name, key, "") for key, service in rows.services.items()]
    names += [(alias.name, alias.service, alias.name) for alias in rows.aliases.values()]
    names = [each for each in names if not team or world.team(each[1]) == team]
    holding = [
        (key, (kind, 0, alias != "", alias)) for name, key, alias in names if (kind := match_of(name, query))
    ]
    most = min(3, len(query) // 3)
    if not holding and most:
        holding = [
            (key, (int(pb.MATCH_KIND_SIMILAR), far, alias != "", alias))
            for name, key, alias in names
            if (far := nearest(name, query)) <= most
        ]
    best: dict[UUID, tuple[int, int, bool, str]] = {}
    for key, match in holding:
        best[key] = min(best.get(key, match), match)
    return best


def called(world: PictureWorld) -> tuple[dict[UUID, int], dict[UUID, int]]:
    pairs = {(edge.source, edge.target) for edge in world.rows.joined_edges() if not edge.stale}
    keys = world.rows.services
    return (
        {key: len([pair for pair in pairs if pair[1] == key]) for key in keys},
        {key: len([pair for pair in pairs if pair[0] == key]) for key in keys},
    )
