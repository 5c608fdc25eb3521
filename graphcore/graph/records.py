"""What goes into a graph: rows of the two tables, sets of changes to them, and the errors of both."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class ServiceRecord(NamedTuple):
    """
    A service: ``key`` identifies it for good (a row id), ``name`` is what callers use, unique but changeable.

    ``payload`` is opaque to the graph: it is kept, compared with ``==`` and handed back. So is ``brief``, what stands for the
    service in answers that hold no more than names.
    """

    key: Hashable
    name: str
    payload: object = None
    brief: object = None


class DependencyRecord(NamedTuple):
    """
    A dependency: the service with key ``source`` calls the one with key ``target``.

    ``flags`` is a plain ``int`` of ``EdgeFlag`` bits, ``confidence`` lies between 0 and 1, ``payload`` is opaque as a service's.
    Several dependencies between one pair are several keys.
    """

    key: Hashable
    source: Hashable
    target: Hashable
    flags: int = 0
    confidence: float = 1.0
    payload: object = None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """
    Everything that differs between two states of the tables, in no particular order.

    Upserts hold whole records as they are afterwards; removals hold keys. A key both removed and upserted is
    upserted; a key upserted twice is what the later record says.
    """

    upserted_services: Sequence[ServiceRecord] = ()
    removed_services: Sequence[Hashable] = ()
    upserted_dependencies: Sequence[DependencyRecord] = ()
    removed_dependencies: Sequence[Hashable] = ()


class UnknownServiceError(LookupError):
    """The graph holds no service of this name or key."""

    def __init__(self, wanted: object) -> None:
        super().__init__(f"no service {wanted!r} in the graph")
        self.wanted = wanted


class DuplicateNameError(ValueError):
    """A change set would leave two services with one name; nothing of it was applied."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"two services would be called {name!r}; names are unique, so rename or remove one of them"
        )
        self.name = name
