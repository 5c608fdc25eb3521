"""A small graph in a database whose alerts two replicas keep, beside a model of both."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from server.config import DetectionSettings
from server.store.alerts import AlertRepository
from server.store.database import Database
from tests.support.cycle_model import LEAST, Edge, Plain, cyclic_components, is_shortest
from tests.support.detecting import (
    Keeper,
    StoredAlert,
    StoredEvent,
    add_services,
    alerts_are_caught_up,
    detecting,
    stored_alerts,
    stored_events,
)

if TYPE_CHECKING:
    import networkx as nx

SETTINGS = DetectionSettings(
    min_confidence=LEAST,
    reconcile_interval=timedelta(seconds=5),
    takeover_interval=timedelta(milliseconds=20),
)
_EDGE = """source_service_id = (SELECT id FROM services WHERE service_id = $1)
    AND target_service_id = (SELECT id FROM services WHERE service_id = $2) AND discovery_source = $3"""


class CycleWorld:
    """The database, its replicas, the model, and what was seen after the step before."""

    def __init__(
        self,
        url: str,
        stack: AsyncExitStack,
        connection: asyncpg.Connection,
        people: AlertRepository,
        most_members: int,
    ) -> None:
        self.url = url
        self.most_members = most_members
        self.plain = Plain()
        self.people = people
        self.connection = connection
        self.keepers: list[tuple[Keeper, AsyncExitStack]] = []
        self._stack = stack
        self._alerts: dict[UUID, StoredAlert] = {}
        self._events: list[StoredEvent] = []
        self._graph = self.plain.digraph()

    @classmethod
    async def opened(cls, url: str, stack: AsyncExitStack, most_members: int) -> "CycleWorld":
        """Connect, and let two replicas begin that list so many members of a component."""
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        people = AlertRepository(await stack.enter_async_context(Database.open(url)))
        world = cls(url, stack, connection, people, most_members)
        stack.push_async_callback(world.close)
        await world.join()
        await world.join()
        return world

    async def close(self) -> None:
        """Let the replicas go."""
        for _, stack in self.keepers:
            await stack.aclose()

    async def join(self) -> None:
        """Let a replica begin."""
        stack = AsyncExitStack()
        joined = detecting(self.url, SETTINGS, most_members=self.most_members)
        self.keepers.append((await stack.enter_async_context(joined), stack))

    async def replace_writer(self) -> None:
        """Stop the replica that keeps the alerts, and let another begin."""
        place = next((n for n, (keeper, _) in enumerate(self.keepers) if keeper.detection.is_writer), 0)
        await self.keepers.pop(place)[1].aclose()
        await self.join()

    async def kill_writer(self) -> None:
        """End the session that has the lock."""
        await self.connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND classid = 7203411 AND objid = 2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        )

    async def add_services(self, *names: str) -> None:
        """Add services."""
        await add_services(self.connection, *names)
        self.plain.services.update(names)

    async def connect(self, path: Sequence[str], source: str) -> None:
        """Make each service of a path depend on the next, from one source, in one transaction."""
        pairs = [pair for pair in pairwise(path) if (*pair, source) not in self.plain.edges]
        await self.connection.execute(
            """INSERT INTO service_dependencies
                (source_service_id, target_service_id, communication_mode, discovery_source)
            SELECT source.id, target.id, 'sync', $3
            FROM unnest($1::text[], $2::text[]) AS pair (source, target)
            INNER JOIN services AS source ON source.service_id = pair.source
            INNER JOIN services AS target ON target.service_id = pair.target""",
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            source,
        )
        self.plain.edges.update({(*pair, source): (False, 1.0) for pair in pairs})

    async def disconnect(self, edge: Edge) -> None:
        """Remove a dependency."""
        await self.connection.execute(f"DELETE FROM service_dependencies WHERE {_EDGE}", *edge)
        del self.plain.edges[edge]

    async def alter(self, edge: Edge, confidence: float, *, stale: bool) -> None:
        """Change a dependency."""
        await self.connection.execute(
            f"UPDATE service_dependencies SET is_stale = $4, confidence_score = $5 WHERE {_EDGE}",
            *edge,
            stale,
            confidence,
        )
        self.plain.edges[edge] = stale, confidence

    async def remove(self, name: str) -> None:
        """Remove a service with its dependencies."""
        await self.connection.execute("DELETE FROM services WHERE service_id = $1", name)
        self.plain.remove(name)

    async def rename(self, old: str, new: str) -> None:
        """Call a service otherwise."""
        await self.connection.execute("UPDATE services SET service_id = $2 WHERE service_id = $1", old, new)
        self.plain.rename(old, new)

    async def touch(self) -> None:
        """Change what has nothing to do with cycles."""
        await self.connection.execute("UPDATE services SET team = 'team ' || now()")
        await self.connection.execute(
            "UPDATE service_dependencies SET timeout_ms = COALESCE(timeout_ms, 0) + 1"
        )

    async def level(self) -> dict[UUID, StoredAlert]:
        """All alerts, once they are level."""
        await alerts_are_caught_up([keeper for keeper, _ in self.keepers])
        return {alert.id: alert for alert in await stored_alerts(self.connection)}

    async def check(self, *, calm: bool = True, renamed: Collection[str] = ()) -> None:
        """
        After a step: alerts and components are the same.

        ``calm``: the step was a single change, so alerts may only change for a reason. Components
        of ``renamed`` services may have another alert.
        """
        alerts, graph = await self.level(), self.plain.digraph()
        events = await stored_events(self.connection)
        self._check_alerts(alerts, graph)
        if calm:
            news = events[len(self._events) :]
            self._check_calm(alerts, news, graph, set(renamed))
            if not renamed:
                self._check_lives_on(alerts, news, graph)
        self._alerts, self._events, self._graph = alerts, events, graph

    async def remember(self) -> None:
        """Take over what people did to alerts."""
        self._alerts = {alert.id: alert for alert in await stored_alerts(self.connection)}
        self._events = await stored_events(self.connection)

    def live(self) -> list[StoredAlert]:
        """The alerts that are not resolved, as of the last check."""
        return [alert for alert in self._alerts.values() if alert.status != "resolved"]

    def present(self) -> list[StoredAlert]:
        """The alerts of components that are there, as of the last check."""
        return [alert for alert in self._alerts.values() if alert.is_present]

    def _check_alerts(self, alerts: dict[UUID, StoredAlert], graph: "nx.DiGraph[str]") -> None:
        present = [alert for alert in alerts.values() if alert.is_present]
        whole = self._components(graph)
        assert sorted((alert.size, alert.members) for alert in present) == sorted(whole)
        for alert in alerts.values():
            assert alert.detected
            assert len(alert.members) == min(alert.size, self.most_members)
            assert alert.is_present or alert.status == "resolved"
            # Who resolved it says so; else it is live.
            assert not alert.is_present or (alert.status == "resolved") == (
                alert.resolution_notes == BY_DESIGN
            )
        for alert in present:
            members = whole[alert.size, alert.members]
            assert is_shortest(graph, alert.cycle_path, members), (alert, sorted(graph.edges))
            assert alert.cycle_path[0] == min(alert.cycle_path)

    def _check_calm(
        self,
        alerts: dict[UUID, StoredAlert],
        news: list[StoredEvent],
        graph: "nx.DiGraph[str]",
        renamed: set[str],
    ) -> None:
        by_detection = [event for event in news if event.actor == "detection"]
        stirred = {event.alert_id for event in by_detection}
        standing, whole = self._standing(alerts, graph), self._components(self._graph)
        for before in self.present():
            members = whole[before.size, before.members]
            here = standing.get(members)
            if renamed & set(members):
                continue
            if here is not None:
                # The component is as before, and so is what people decided; so is the alert unless
                # a shorter cycle exists.
                assert _decision(here) == _decision(before)
                if is_shortest(graph, before.cycle_path, members):
                    assert here == before
                    assert before.id not in stirred
            elif before.status == "resolved":
                grown = [alert for now, alert in standing.items() if set(members) < set(now)]
                assert all(alert.status != "resolved" for alert in grown)
        if cyclic_components(graph) == cyclic_components(self._graph) and not renamed:
            assert {event.kind for event in by_detection} <= OTHER_WITNESS

    def _check_lives_on(
        self, alerts: dict[UUID, StoredAlert], news: list[StoredEvent], graph: "nx.DiGraph[str]"
    ) -> None:
        """One component before and after: its alert lives on, and says if members came or went."""
        before, now = list(cyclic_components(self._graph)), list(self._standing(alerts, graph).items())
        if len(before) != 1 or len(now) != 1:
            return
        (former,) = self.present()
        ((members, alert),) = now
        if len({*former.members, *former.cycle_path}.intersection(members)) < 2:
            return
        assert alert.id == former.id or (alerts[former.id].resolution_notes or "").startswith("goes on as")
        kinds = {event.kind for event in news if event.alert_id == alert.id and event.actor == "detection"}
        assert ("grown" in kinds) == bool(set(members) - set(before[0]))
        assert ("shrunk" in kinds) == bool(set(before[0]) - set(members))

    def _standing(
        self, alerts: dict[UUID, StoredAlert], graph: "nx.DiGraph[str]"
    ) -> dict[tuple[str, ...], StoredAlert]:
        """The alerts that stand for components, by all of the members of these."""
        whole = self._components(graph)
        return {whole[alert.size, alert.members]: alert for alert in alerts.values() if alert.is_present}

    def _components(self, graph: "nx.DiGraph[str]") -> dict[tuple[int, tuple[str, ...]], tuple[str, ...]]:
        """The components by their sizes and the members that alerts list."""
        found = cyclic_components(graph)
        return {(len(members), members[: self.most_members]): members for members in found}


def _decision(alert: StoredAlert) -> tuple[object, ...]:
    return alert.status, alert.acknowledged_by, alert.resolution_notes


BY_DESIGN = "by design"
# Another alert may have the cycle that stands for a component now.
OTHER_WITNESS = {"witness_changed", "reopened", "found", "resolved", "gone"}
