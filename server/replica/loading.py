"""A graph that is being read as a whole."""

import time
from collections.abc import Sequence

from graphcore import ChangeSet, DependencyGraph
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.replica.comparing import LoadComparison
from server.replica.records import dependency_record, service_record


class Load:
    """A graph being read aside, compared on the way with the one that answers if anybody watches that."""

    def __init__(self, comparison: LoadComparison | None = None) -> None:
        self.graph = DependencyGraph()
        self.comparison = comparison
        self.began = time.monotonic()

    def add_services(self, rows: Sequence[Service]) -> None:
        """Take in a page of services."""
        self.graph.apply(ChangeSet(upserted_services=[service_record(row) for row in rows]))
        if self.comparison is not None:
            self.comparison.add_services(rows)

    def add_dependencies(self, rows: Sequence[DependencyRow]) -> None:
        """Take in a page of dependencies."""
        self.graph.apply(ChangeSet(upserted_dependencies=[dependency_record(row) for row in rows]))
        if self.comparison is not None:
            self.comparison.add_dependencies(rows, self.graph)
