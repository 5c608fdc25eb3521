"""A writer of the soak: it changes the dependencies of one service and knows each of its states."""

from collections.abc import Iterable
from random import Random

from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_ASYNC, Consistency, Dependency
from tests.support.raw_calls import Request
from tests.support.soak_graph import OWN_TARGETS, target_names, writer_name
from tests.support.soak_questions import DEPENDENCIES, TRAVERSE

# The version that each of the targets was written with last, 0 = the dependency is not there.
State = tuple[int, ...]


class Writer:
    """
    States of one service, from the first to the one that is being written.

    Memory only goes forward: an answer shows no state that is older than one seen before the call
    (``seen``), and none whose write had not begun.
    """

    def __init__(self, number: int, dice: Random) -> None:
        self.name = writer_name(number)
        self.states: list[State] = [(0,) * OWN_TARGETS]
        self.seen = 0
        self._dice = dice
        *self._targets, self._loose = target_names(number)
        self._ids: dict[int, str] = {}
        self._version = 0
        self.read = Request(TRAVERSE, self._question())

    def next_write(self) -> tuple[Request, int | None]:
        """Begin another state; returns the call that makes it and its target, None = it deletes."""
        self._version += 1
        place = self._dice.randrange(OWN_TARGETS)
        now = list(self.states[-1])
        is_there, now[place] = bool(now[place]), self._version
        if is_there and self._dice.random() < 0.4:
            now[place] = 0
            self.states.append(tuple(now))
            gone = dependencies.DeleteDependencyRequest(id=self._ids.pop(place))
            return Request(DEPENDENCIES + "DeleteDependency", gone.SerializeToString()), None
        self.states.append(tuple(now))
        return self._upsert(self._targets[place]), place

    def loose_write(self, timeout: str = "") -> Request:
        """Make a write that may or may not happen, now or later; its target is not checked."""
        return self._upsert(self._loose, timeout)

    def written(self, place: int | None, answer: bytes) -> str:
        """Take in the answer of a write, and return its revision."""
        if place is None:
            return dependencies.DeleteDependencyResponse.FromString(answer).revision
        returned = dependencies.BatchUpsertDependenciesResponse.FromString(answer)
        (dependency,) = returned.dependencies
        assert (dependency.source_service_id, dependency.timeout_ms) == (self.name, self.states[-1][place])
        self._ids[place] = dependency.id
        return returned.revision

    def own_read(self, revision: str) -> Request:
        """Ask for the state at a revision or after it."""
        return Request(TRAVERSE, self._question(revision))

    def accepts(self, answer: bytes, floor: int) -> bool:
        """Whether an answer may show its state to a call made when ``seen`` was ``floor``."""
        return self.place_of(graph.TraverseResponse.FromString(answer).dependencies, floor) is not None

    def place_of(self, shown: Iterable[Dependency], floor: int) -> int | None:
        """
        Find these dependencies among the states that may be shown, and remember that they were.

        None = they are none of them.
        """
        state = [0] * OWN_TARGETS
        for dependency in shown:
            if dependency.target_service_id != self._loose:
                state[self._targets.index(dependency.target_service_id)] = dependency.timeout_ms
        wanted = tuple(state)
        for place in range(floor, len(self.states)):
            if self.states[place] == wanted:
                self.seen = max(self.seen, place)
                return place
        return None

    def _question(self, revision: str = "") -> bytes:
        wanted = Consistency(at_least_as_fresh=revision) if revision else None
        return graph.TraverseRequest(
            service_id=self.name, direction=graph.DIRECTION_DOWNSTREAM, max_depth=1, consistency=wanted
        ).SerializeToString()

    def _upsert(self, target: str, timeout: str = "") -> Request:
        dependency = Dependency(
            source_service_id=self.name,
            target_service_id=target,
            communication_mode=COMMUNICATION_MODE_ASYNC,
            timeout_ms=self._version or 1,
        )
        wanted = dependencies.BatchUpsertDependenciesRequest(dependencies=[dependency])
        return Request(DEPENDENCIES + "BatchUpsertDependencies", wanted.SerializeToString(), timeout)
