"""GetNeighbourhood against walks over rows in dictionaries, counted by brute force. No I/O."""

import asyncio
from collections import Counter, defaultdict
from uuid import UUID

from hypothesis import strategies as st

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import Direction
from server.domain.live_graph import MinimizeLatency
from server.rpc.graph.neighbourhood import neighbourhood_answer
from server.rpc.graph.neighbourhood_question import GroupName, NeighbourhoodQuestion
from tests.support import effective
from tests.support.graphs import edge_filter, filters
from tests.support.kernel_forms import given_in_both_forms
from tests.support.pictures import FRESHNESS, LIMIT, PictureWorld, counted, criticality, picture_worlds
from tests.support.rows import PlainEdge, PlainFilter

SIDES = {0: pb.DIRECTION_UPSTREAM, 1: pb.DIRECTION_DOWNSTREAM}
GROUPS = st.builds(
    GroupName,
    st.integers(0, 1),
    st.integers(1, 3),
    st.sampled_from(["", "web", "pay", "gone"]),
    st.just(False),
)
# Depth, most services, most teams, opened groups.
BOUNDS = st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 3), st.lists(GROUPS, max_size=2))

Place = tuple[int, int, int]


class Model:
    """What the neighbourhood of a service is, by the rules of the contract."""

    def __init__(
        self, world: PictureWorld, start: UUID, way: Direction, depth: int, chosen: PlainFilter
    ) -> None:
        self.world, self.start = world, start
        self.names = {service.name: key for key, service in world.rows.services.items()}
        self.leads = effective.leading(world.rows, chosen)
        self.walks = [
            effective.reached(world.rows, start, side, depth, chosen) if way.value in {side, "both"} else None
            for side in ("upstream", "downstream")
        ]
        self.counts = [len(walk.depths) if walk else 0 for walk in self.walks]
        self.crossed = set().union(*(walk.edges for walk in self.walks if walk))
        self.places: dict[UUID, Place] = {}
        for name, key in self.names.items():
            up, down = (walk.depths.get(name, 0) if walk else 0 for walk in self.walks)
            if up or down:
                is_up = up > 0 and (not down or up <= down)
                self.places[key] = (0, up, down) if is_up else (1, down, up)

    def callers(self, key: UUID) -> int:
        """Count the services that call one, over what is not stale."""
        return len({source for source, target in fresh_calls(self.world) if target == key})

    def groups(self, max_teams: int) -> dict[UUID, GroupName]:
        """The group that each service would be in."""
        sizes: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        for key, (side, depth, _) in self.places.items():
            sizes[side, depth][self.world.team(key)] += 1
        own = {
            place: [team for _, team in sorted((-size, team) for team, size in teams.items())][:max_teams]
            for place, teams in sizes.items()
        }
        return {
            key: GroupName(side, depth, team, False)
            if (team := self.world.team(key)) in own[side, depth]
            else GroupName(side, depth, "", True)
            for key, (side, depth, _) in self.places.items()
        }

    def order(self, key: UUID, opened: list[GroupName], group: GroupName) -> tuple[object, ...]:
        """Sort what is shown first to the front."""
        place, rank = self.places[key], self.world.rank(key)
        return group not in opened, place[1], rank, -self.callers(key), self.world.rows.name(key)


@given_in_both_forms(60, picture_worlds(), st.data(), st.sampled_from(Direction), filters(), BOUNDS)
def test_a_neighbourhood_shows_the_foremost_services_and_counts_all_others(
    world: PictureWorld,
    data: st.DataObject,
    way: Direction,
    chosen: PlainFilter,
    bounds: tuple[int, int, int, list[GroupName]],
) -> None:
    start = data.draw(st.sampled_from(list(world.rows.services)))
    depth, most, max_teams, opened = bounds
    question = NeighbourhoodQuestion(
        world.rows.name(start),
        way,
        depth,
        edge_filter(chosen),
        most,
        max_teams,
        tuple(opened),
        MinimizeLatency(),
    )
    graph = world.graph()
    answer = pb.GetNeighbourhoodResponse.FromString(
        asyncio.run(neighbourhood_answer(graph, question, FRESHNESS, LIMIT))
    )
    # It walks in a thread: the scratch arrays of other walks are not its own.
    assert graph.index.walks.used == 0
    model = Model(world, start, way, depth, chosen)
    assert answer.center.service_id == world.rows.name(start)
    assert [answer.upstream_count, answer.downstream_count] == model.counts
    groups = model.groups(max_teams)
    order = sorted(groups, key=lambda key: model.order(key, opened, groups[key]))
    shown = sorted(order[:most], key=lambda key: (*model.places[key][:2], world.rows.name(key)))
    assert [
        (each.service.service_id, each.direction, each.depth, each.other_depth) for each in answer.neighbours
    ] == [
        (world.rows.name(key), SIDES[side], near, far)
        for key in shown
        for side, near, far in [model.places[key]]
    ]
    check_groups(answer, model, {key: groups[key] for key in order[most:]})
    check_calls(answer, model, shown, {key: groups[key] for key in order[most:]})


@given_in_both_forms(25, picture_worlds())
def test_without_a_name_the_most_critical_service_with_most_neighbours_is_in_the_middle(
    world: PictureWorld,
) -> None:
    question = NeighbourhoodQuestion(
        "", Direction.BOTH, 1, edge_filter(PlainFilter()), 1, 1, (), MinimizeLatency()
    )
    answer = pb.GetNeighbourhoodResponse.FromString(
        asyncio.run(neighbourhood_answer(world.graph(), question, FRESHNESS, LIMIT))
    )
    ends = Counter(end for call in fresh_calls(world) for end in call)
    first = min(world.rows.services, key=lambda key: (world.rank(key), -ends[key], world.rows.name(key)))
    assert answer.center.service_id == world.rows.name(first)


def fresh_calls(world: PictureWorld) -> set[tuple[UUID, UUID]]:
    """Return the caller and the callee of each call that is not stale."""
    return {(edge.source, edge.target) for edge in world.rows.joined_edges() if not edge.stale}


def check_groups(answer: pb.GetNeighbourhoodResponse, model: Model, left: dict[UUID, GroupName]) -> None:
    """Every service that is not shown is in one group, and they stand in order."""
    world = model.world
    names = sorted(set(left.values()), key=lambda group: (*group[:2], group.other_teams, group.team))
    assert [selected(each.selector) for each in answer.groups] == names
    for name, group in zip(names, answer.groups, strict=True):
        members = [key for key, its in left.items() if its == name]
        assert group.service_count == len(members)
        assert group.team_count == len({world.team(key) for key in members})
        assert group.highest_criticality == criticality(min(map(world.rank, members)))
    total = len(answer.neighbours) + sum(group.service_count for group in answer.groups)
    assert total == len(model.places)


def selected(selector: pb.GroupSelector) -> GroupName:
    side = {number: side for side, number in SIDES.items()}[selector.direction]
    return GroupName(side, selector.depth, selector.team, selector.other_teams)


def check_calls(
    answer: pb.GetNeighbourhoodResponse, model: Model, shown: list[UUID], left: dict[UUID, GroupName]
) -> None:
    """Each crossed pair is a dependency, or counted between two ends, or inside a group."""
    numbers = {selected(group.selector): number for number, group in enumerate(answer.groups)}
    name = model.world.rows.name
    end: dict[UUID, str | int] = {key: numbers[group] for key, group in left.items()}
    end |= {key: name(key) for key in (*shown, model.start)}
    expected: dict[tuple[str | int, str | int], list[PlainEdge]] = defaultdict(list)
    for key in model.crossed:
        edge = model.leads[key]
        expected[end[edge.source], end[edge.target]].append(edge)
    single = {ends: edges for ends, edges in expected.items() if all(isinstance(each, str) for each in ends)}
    assert [
        (each.source_service_id, each.target_service_id, each.is_stale) for each in answer.dependencies
    ] == sorted((*ends, edge.stale) for ends, edges in single.items() for edge in edges)
    inner = {
        (number, number): group.inner_calls
        for number, group in enumerate(answer.groups)
        if group.HasField("inner_calls")
    }
    between = {(ended(each.source), ended(each.target)): each.calls for each in answer.group_calls}
    assert len(between) == len(answer.group_calls)
    assert inner | between == {ends: counted(edges) for ends, edges in expected.items() if ends not in single}


def ended(end: pb.CallEnd) -> str | int:
    return end.service_id if end.HasField("service_id") else end.group
