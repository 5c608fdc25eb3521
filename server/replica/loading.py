"""A graph that is being read as a whole."""

import time
from collections.abc import Callable, Sequence

from graphcore import ChangeSet, DependencyGraph
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.replica.comparing import LoadComparison
from server.replica.records import dependency_record, service_record


class Load:
    """
    A graph being read aside, compared on the way with the one that answers if anybody watches that.

    ``settled`` is called after every page: what was read until then will stay for long.
    """

    def __init__(
        self, comparison: LoadComparison | None = None, settled: Callable[[], None] = lambda: None
    ) -> None:
        self.graph = DependencyGraph()
        self.comparison = comparison
        self._settled = settled
        self.began = time.monotonic()

    def add_services(self, rows: Sequence[Service]) -> None:
        """Take in a page of services."""
        self.graph.apply(ChangeSet(upserted_services=[service_record(row) for row in rows]))
        if self.comparison is not None:
            self.comparison.add_services(rows)
        self._settled()

    def add_dependencies(self, rows: Sequence[DependencyRow]) -> None:
        """Take in a page of dependencies."""
        self.graph.apply(ChangeSet(upserted_dependencies=[dependency_record(row) for row in rows]))
        if self.comparison is not None:
            self.comparison.add_dependencies(rows, self.graph)
        self._settled()
