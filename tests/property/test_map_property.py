"""GetMap against rows in dictionaries, counted by brute force. No I/O."""

import asyncio
from collections import Counter, defaultdict
from itertools import count
from uuid import UUID

from hypothesis import strategies as st

from depgraph.v1 import graph_service_pb2 as pb
from server.domain.live_graph import MinimizeLatency
from server.rpc.graph.map import MapQuestion, drawn_map, map_answer
from server.rpc.graph.map_places import MapPlaces
from tests.support import effective
from tests.support.graphs import edge_filter, filters
from tests.support.kernel_forms import given_in_both_forms
from tests.support.pictures import FRESHNESS, LIMIT, PictureWorld, counted, criticality, picture_worlds
from tests.support.rows import PlainEdge, PlainFilter

KEYS = st.sampled_from(["", "namespace"])
MOST = st.integers(2, 8)


def drawn(
    world: PictureWorld, key: str, inside: str | None, chosen: PlainFilter, most: int
) -> pb.GetMapResponse:
    question = MapQuestion(key, inside, edge_filter(chosen), most, MinimizeLatency())

    async def answer() -> bytes:
        return await map_answer(
            await drawn_map(world.graph(), question), question, FRESHNESS, LIMIT, MapPlaces()
        )

    return pb.GetMapResponse.FromString(asyncio.run(answer()))


def labels(world: PictureWorld, key: str) -> dict[UUID, str]:
    return {
        service: (owner.namespace if key else owner.team) or "" for service, owner in world.owners.items()
    }


@given_in_both_forms(40, picture_worlds(), KEYS, filters(), MOST)
def test_a_map_shows_the_largest_groups_and_counts_every_pair(
    world: PictureWorld, key: str, chosen: PlainFilter, most: int
) -> None:
    answer = drawn(world, key, None, chosen, most)
    label = labels(world, key)
    sizes = Counter(label.values())
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    own = order if len(order) <= most else order[: most - 1]
    assert [node.group for node in answer.nodes if node.HasField("group")] == own
    assert [node.others for node in answer.nodes if node.HasField("others")] == [len(order) - len(own)] * (
        len(order) > len(own)
    )
    assert (answer.group_count, answer.service_count) == (len(sizes), len(label))
    number = {service: own.index(name) if name in own else len(own) for service, name in label.items()}
    check_nodes(answer, world, number)
    check_calls(answer, number, list(effective.leading(world.rows, chosen).values()))


@given_in_both_forms(40, picture_worlds(), st.data(), KEYS, filters(), MOST)
def test_the_inside_of_a_group_shows_its_services_and_the_groups_beside(
    world: PictureWorld, data: st.DataObject, key: str, chosen: PlainFilter, most: int
) -> None:
    label = labels(world, key)
    inside = data.draw(st.sampled_from(sorted(set(label.values()))))
    answer = drawn(world, key, inside, chosen, most)
    leads = effective.leading(world.rows, chosen).values()
    pairs = [edge for edge in leads if inside in {label[edge.source], label[edge.target]}]
    beside = Counter(
        label[end] for edge in pairs for end in (edge.source, edge.target) if label[end] != inside
    )
    order = sorted(beside, key=lambda name: (-beside[name], name))
    room = max(1, most // 4)
    own_groups = order if len(order) <= room else order[: room - 1]
    callers = fresh_callers(world)
    members = sorted(
        (service for service, name in label.items() if name == inside),
        key=lambda service: (world.rank(service), -callers[service], world.rows.name(service)),
    )
    left = most - len(own_groups) - (len(own_groups) < len(order))
    own = members if len(members) <= left else members[: left - 1]
    place = count()
    number = {service: next(place) for service in own}
    assert [node.service.service_id for node in answer.nodes[: len(own)]] == list(map(world.rows.name, own))
    if len(own) < len(members):
        rest = next(place)
        number |= dict.fromkeys(members[len(own) :], rest)
        assert answer.nodes[rest].others == len(members) - len(own)
    of_group = {name: next(place) for name in own_groups}
    assert [answer.nodes[at].group for at in of_group.values()] == own_groups
    if len(own_groups) < len(order):
        rest = next(place)
        of_group |= dict.fromkeys(order[len(own_groups) :], rest)
        assert answer.nodes[rest].other_groups == len(order) - len(own_groups)
    number |= {service: of_group[name] for service, name in label.items() if name in of_group}
    assert len(answer.nodes) == next(place)
    assert len(answer.nodes) <= most
    assert (answer.group_count, answer.service_count) == (len(set(label.values())), len(members))
    check_nodes(answer, world, number)
    check_calls(answer, number, pairs)


def fresh_callers(world: PictureWorld) -> Counter[UUID]:
    pairs = {(edge.source, edge.target) for edge in world.rows.joined_edges() if not edge.stale}
    return Counter(target for _, target in pairs)


def check_nodes(answer: pb.GetMapResponse, world: PictureWorld, number: dict[UUID, int]) -> None:
    members = defaultdict(list)
    for service, node in number.items():
        members[node].append(world.rank(service))
    assert [node.service_count for node in answer.nodes] == [len(members[at]) for at in range(len(members))]
    assert [node.highest_criticality for node in answer.nodes] == [
        criticality(min(members[at])) for at in range(len(members))
    ]
    assert all(0 <= node.x <= 1 and 0 <= node.y <= 1 for node in answer.nodes)


def check_calls(answer: pb.GetMapResponse, number: dict[UUID, int], pairs: list[PlainEdge]) -> None:
    """Every pair counts between two nodes, or inside of one."""
    expected: dict[tuple[int, int], list[PlainEdge]] = defaultdict(list)
    for edge in pairs:
        expected[number[edge.source], number[edge.target]].append(edge)
    between = {(each.source, each.target): each.calls for each in answer.calls}
    inner = {
        (at, at): node.inner_calls for at, node in enumerate(answer.nodes) if node.HasField("inner_calls")
    }
    assert list(between) == sorted(between)
    assert len(between) == len(answer.calls)
    assert between | inner == {ends: counted(edges) for ends, edges in expected.items()}
