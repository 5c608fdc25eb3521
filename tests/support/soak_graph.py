"""The graph of the soak: a constant part, very large services, and some for each writer."""

import random
from functools import cached_property
from uuid import UUID

import asyncpg
import networkx as nx

STILL, HUB, LARGE = "still-", "large-hub", "large-"
STILL_COUNT, LARGE_COUNT, LARGE_BYTES = 300, 24, 50_000
OWN_TARGETS = 8
_SERVICES = """
INSERT INTO services (id, service_id, team, metadata)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[])
"""
_EDGES = """
INSERT INTO service_dependencies (id, source_service_id, target_service_id, communication_mode)
SELECT edge.id, source.id, target.id, 'sync'
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS edge (id, source, target)
JOIN services AS source ON source.service_id = edge.source
JOIN services AS target ON target.service_id = edge.target
"""


def writer_name(number: int) -> str:
    """Name the service of a writer, whose dependencies change."""
    return f"writer-{number}"


def target_names(number: int) -> list[str]:
    """Name what a writer's service may depend on; the last is for writes that are given up."""
    return [f"target-{number}-{place}" for place in range(OWN_TARGETS + 1)]


async def fill(connection: asyncpg.Connection, writers: int) -> None:
    """Write the graph into empty tables."""
    model = StillModel()
    names = [*model.graph, HUB, *model.large]
    for number in range(writers):
        names += [writer_name(number), *target_names(number)]
    metadata = [f'{{"note": "{"x" * LARGE_BYTES}"}}' if name in model.large else "{}" for name in names]
    ids = [UUID(int=place + 1) for place in range(len(names))]
    await connection.execute(_SERVICES, ids, names, [f"team of {name}" for name in names], metadata)
    edges = [(str(key), source, target) for key, (source, target) in model.keys.items()]
    large = [(str(UUID(int=2_000_000 + place)), HUB, name) for place, name in enumerate(model.large)]
    await connection.execute(_EDGES, *map(list, zip(*edges, *large, strict=True)))


class StillModel:
    """What is true of the constant part, by networkx; the same in every process."""

    def __init__(self) -> None:
        self.large = [f"{LARGE}{place}" for place in range(LARGE_COUNT)]
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.graph.add_nodes_from(f"{STILL}{place}" for place in range(STILL_COUNT))
        dice = random.Random(1)  # noqa: S311 - the same graph every time
        for place in range(STILL_COUNT - 1):
            for _ in range(3):
                further = dice.randint(place + 1, min(place + 40, STILL_COUNT - 1))
                self.graph.add_edge(f"{STILL}{place}", f"{STILL}{further}")
            # A way back closes a circle now and then.
            if place % 20 == 19:
                self.graph.add_edge(f"{STILL}{place}", f"{STILL}{place - 10}")
        self.keys = {UUID(int=1_000_000 + place): edge for place, edge in enumerate(self.graph.edges)}

    def depths(self, start: str, hops: int, *, downstream: bool) -> dict[str, int]:
        """Count the hops to each service within reach, the start among them."""
        graph = self.graph if downstream else self.graph.reverse(copy=False)
        return dict(nx.single_source_shortest_path_length(graph, start, hops))

    def crossed(self, depths: dict[str, int], hops: int, *, downstream: bool) -> set[tuple[str, str]]:
        """Name the ends of the dependencies that a walk goes over."""
        near = [name for name, depth in depths.items() if depth < hops]
        edges = self.graph.out_edges(near) if downstream else self.graph.in_edges(near)
        return set(edges)

    @cached_property
    def components(self) -> list[list[str]]:
        """List the strongly connected components of two or more, largest first, members by name."""
        found = [sorted(component) for component in nx.strongly_connected_components(self.graph)]
        return sorted((one for one in found if len(one) > 1), key=lambda one: (-len(one), one[0]))

    def component_of(self, name: str) -> list[str]:
        """List who shares a component with a service, by name."""
        return next((one for one in self.components if name in one), [name])
