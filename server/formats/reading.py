"""What a file or an answer of another system comes to, in the words of the contract."""

from dataclasses import dataclass

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Entries that can't be used for the same reason; ``first`` is the position of one, from 0."""

    reason: str
    count: int
    first: int

    def __str__(self) -> str:
        """Describe them in a line."""
        if self.count == 1:
            return f"entry {self.first} skipped: {self.reason}"
        return f"{self.count:,} entries skipped, the first is entry {self.first}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What one file or one pull holds.

    - ``report``: of any size; ``native.batches`` cuts it. Nothing is in it that the source does not
      say: a service of which only the name is known is a node of unknown criticality.
    - ``element_count``: the elements (entries, series, objects) that were looked at, skipped ones
      included.
    - ``skipped``: those that could not be used, by reason.
    """

    report: IngestGraphRequest
    element_count: int
    skipped: tuple[Skipped, ...] = ()
