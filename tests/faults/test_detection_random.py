"""Alerts match the cyclic components whatever happens to graph, alerts and detecting processes."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from server.domain.alerts import MOST_MEMBERS
from tests.support.cycle_model import Edge
from tests.support.cycle_world import BY_DESIGN, CycleWorld
from tests.support.postgres import DatabaseServer

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

FIRST = tuple(f"s{number}" for number in range(7))
SOURCES = ("manual", "kubernetes")
KILLED = st.sampled_from((False, False, False, True))


class Detected(RuleBasedStateMachine):
    """Random edits of a graph, people and faults, each followed by a check of the alerts."""

    server: DatabaseServer
    template: str
    most_members: int

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.numbers = count(len(FIRST))
        self.world = self.run(self._open())

    async def _open(self) -> CycleWorld:
        url = await self.stack.enter_async_context(self.server.new_database(self.template))
        world = await CycleWorld.opened(url, self.stack, self.most_members)
        await world.add_services(*FIRST)
        return world

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def services(self, data: st.DataObject, at_least: int) -> list[str]:
        names = st.sampled_from(sorted(self.world.plain.services))
        return data.draw(st.lists(names, min_size=at_least, max_size=4, unique=True))

    def edge(self, data: st.DataObject) -> Edge:
        edge: Edge = data.draw(st.sampled_from(sorted(self.world.plain.edges)))
        return edge

    @rule(data=st.data(), source=st.sampled_from(SOURCES), closed=st.booleans(), killed=KILLED)
    def services_call_each_other(
        self, data: st.DataObject, source: str, *, closed: bool, killed: bool
    ) -> None:
        path = self.services(data, 2)
        self.run(self._edit(self.world.connect([*path, path[0]] if closed else path, source), killed=killed))

    @precondition(lambda self: self.world.plain.edges)
    @rule(data=st.data(), killed=KILLED)
    def a_dependency_is_removed(self, data: st.DataObject, *, killed: bool) -> None:
        self.run(self._edit(self.world.disconnect(self.edge(data)), killed=killed))

    @precondition(lambda self: self.world.plain.edges)
    @rule(data=st.data(), stale=st.booleans(), confidence=st.sampled_from((0.25, 0.5, 1.0)), killed=KILLED)
    def a_dependency_looks_otherwise(
        self, data: st.DataObject, confidence: float, *, stale: bool, killed: bool
    ) -> None:
        self.run(self._edit(self.world.alter(self.edge(data), confidence, stale=stale), killed=killed))

    @precondition(lambda self: len(self.world.plain.services) > 4)
    @rule(data=st.data(), killed=KILLED)
    def a_service_is_replaced(self, data: st.DataObject, *, killed: bool) -> None:
        (name, *_) = self.services(data, 1)
        self.run(self._edit(self.world.remove(name), killed=killed))
        self.run(self._edit(self.world.add_services(f"s{next(self.numbers)}"), killed=False))

    @rule(data=st.data(), killed=KILLED)
    def a_service_is_renamed(self, data: st.DataObject, *, killed: bool) -> None:
        (name, *_) = self.services(data, 1)
        self.run(self._rename(name, f"s{next(self.numbers)}", killed=killed))

    @rule(data=st.data(), times=st.integers(2, 4), killed=KILLED)
    def much_happens_at_once(self, data: st.DataObject, times: int, *, killed: bool) -> None:
        async def edits() -> None:
            for number in range(times):
                if number % 2 and self.world.plain.edges:
                    await self.world.disconnect(self.edge(data))
                else:
                    path = self.services(data, 2)
                    await self.world.connect([*path, path[0]], SOURCES[0])

        self.run(self._edit(edits(), killed=killed, calm=False))

    @precondition(lambda self: self.world.live())
    @rule(data=st.data(), name=st.sampled_from(("ann", "bob")))
    def somebody_acknowledges(self, data: st.DataObject, name: str) -> None:
        alert = data.draw(st.sampled_from(self.world.live()))
        self.run(self.world.people.acknowledge(alert.id, name))
        self.run(self.world.remember())

    @precondition(lambda self: self.world.live())
    @rule(data=st.data())
    def somebody_resolves(self, data: st.DataObject) -> None:
        alert = data.draw(st.sampled_from(self.world.live()))
        self.run(self.world.people.resolve(alert.id, BY_DESIGN))
        self.run(self.world.remember())

    @rule()
    def the_writer_is_stopped(self) -> None:
        self.run(self._edit(self.world.replace_writer(), killed=False))

    @rule()
    def nothing_that_matters_changes(self) -> None:
        self.run(self._edit(self.world.touch(), killed=False))

    async def _edit(self, edit: Coroutine[Any, Any, None], *, killed: bool, calm: bool = True) -> None:
        if killed:
            await self.world.kill_writer()
        await edit
        await self.world.check(calm=calm)

    async def _rename(self, old: str, new: str, *, killed: bool) -> None:
        before = {alert.id for alert in self.world.present()}
        if killed:
            await self.world.kill_writer()
        await self.world.rename(old, new)
        await self.world.check(renamed=[old, new])
        if not killed:
            assert {alert.id for alert in self.world.present()} == before


@pytest.mark.parametrize(("most_members", "stories"), [(MOST_MEMBERS, 3), (3, 2)])
def test_alerts_are_the_cyclic_components_whatever_happens(
    postgres: DatabaseServer, migrated_template: str, most_members: int, stories: int, effort: int
) -> None:
    Detected.server, Detected.template = postgres, migrated_template
    Detected.most_members = most_members
    run_state_machine_as_test(
        Detected,
        settings=settings(
            max_examples=stories * effort,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )
