"""Large components and many of them: one alert each, with a witness that is a shortest cycle."""

import random

import asyncpg
import networkx as nx

from tests.support.cycle_model import is_shortest
from tests.support.detecting import alerts_are_caught_up, detecting, stored_alerts, stored_events
from tests.support.plain_sql import connected

SERVICES, DEPENDENCIES, MEMBERS = 1_500, 4_000, 350
PAIRS = 300


def shop() -> "nx.DiGraph[str]":
    """Some dependencies form cycles of three and more; all others lead to higher numbers."""
    chooser = random.Random(5)  # noqa: S311 - a game of dice, no secret
    names = [f"s{number:04}" for number in range(SERVICES)]
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    circle = names[:MEMBERS]
    graph.add_edges_from(zip(circle, circle[1:] + circle[:1], strict=True))
    while graph.number_of_edges() < DEPENDENCIES:
        lower, higher = sorted(chooser.sample(range(SERVICES), 2))
        # One that leads a little back: cycles of more than two.
        if higher < MEMBERS and chooser.random() < 0.2 and not graph.has_edge(names[lower], names[higher]):
            graph.add_edge(names[higher], names[lower])
        elif not graph.has_edge(names[higher], names[lower]):
            graph.add_edge(names[lower], names[higher])
    return graph


async def write(connection: asyncpg.Connection, graph: "nx.DiGraph[str]") -> None:
    await connection.execute("INSERT INTO services (service_id) SELECT unnest($1::text[])", list(graph))
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        SELECT source.id, target.id, 'sync'
        FROM unnest($1::text[], $2::text[]) AS pair (source, target)
        INNER JOIN services AS source ON source.service_id = pair.source
        INNER JOIN services AS target ON target.service_id = pair.target""",
        [source for source, _ in graph.edges],
        [target for _, target in graph.edges],
    )


async def test_350_services_among_4000_dependencies_have_one_alert_with_a_shortest_cycle(
    database_url: str, connection: asyncpg.Connection
) -> None:
    graph = shop()
    async with detecting(database_url) as keeper:
        await alerts_are_caught_up([keeper])
        await write(connection, graph)
        await alerts_are_caught_up([keeper])
        (alert,) = await stored_alerts(connection)
    (component,) = (members for members in nx.strongly_connected_components(graph) if len(members) > 1)
    assert alert.members == tuple(sorted(component))
    assert alert.size == MEMBERS
    assert is_shortest(graph, alert.cycle_path, alert.members)


async def test_hundreds_of_alerts_come_go_and_come_back_in_one_round_each(
    database_url: str, connection: asyncpg.Connection
) -> None:
    pairs = nx.DiGraph([(f"a{number:03}", f"b{number:03}") for number in range(PAIRS)])
    pairs.add_edges_from([(target, source) for source, target in list(pairs.edges)])
    async with detecting(database_url) as keeper:
        await alerts_are_caught_up([keeper])
        await write(connection, pairs)
        await alerts_are_caught_up([keeper])
        alerts = await stored_alerts(connection)
        assert [alert.status for alert in alerts] == ["open"] * PAIRS
        async with connected(database_url) as other:
            await other.execute("UPDATE service_dependencies SET is_stale = true")
        await alerts_are_caught_up([keeper])
        assert {alert.status for alert in await stored_alerts(connection)} == {"resolved"}
        await connection.execute("UPDATE service_dependencies SET is_stale = false")
        await alerts_are_caught_up([keeper])
        again = await stored_alerts(connection)
        assert [(alert.id, alert.cycle_path, alert.status) for alert in again] == [
            (alert.id, alert.cycle_path, "open") for alert in alerts
        ]
        assert keeper.detection.vitals.rounds == 3
    assert len(await stored_events(connection)) == 3 * PAIRS
