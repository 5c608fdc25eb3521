"""What a strongly connected component is to those who ask."""

from dataclasses import dataclass, field


class Memo:
    """
    What somebody made of a component, such as its encoded form; opaque to the graph.

    It is forgotten as soon as it is out of date: ``members`` with the names of the members, ``whole`` with the component.
    """

    __slots__ = ("members", "whole")

    def __init__(self, members: object = None) -> None:
        self.members = members
        self.whole: object = None


@dataclass(frozen=True, slots=True)
class Component:
    """
    Services that all reach each other over dependencies that are not stale.

    ``members`` are sorted names; ``edge_count`` counts the dependencies between them that are not stale, parallel ones each.
    """

    members: tuple[str, ...]
    edge_count: int
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def is_cycle(self) -> bool:
        """Whether the members call each other in a circle, which a service alone does not."""
        return len(self.members) > 1
