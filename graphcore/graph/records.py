"""
What goes into a graph: rows of the three tables and sets of changes to them.

And the errors that graphs raise.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class ServiceRecord(NamedTuple):
    """
    A service: ``key`` is its permanent identity (a row id), ``name`` is unique but may change.

    ``payload`` and ``encoded_id`` are opaque: the graph keeps them, compares them with ``==`` and
    hands them back. A server puts its encoded record and its encoded id there. ``kind`` is opaque,
    too: one of 8 bits, by which filters leave services out, or 0.
    """

    key: Hashable
    name: str
    payload: object = None
    encoded_id: object = None
    kind: int = 0


class DependencyRecord(NamedTuple):
    """
    A dependency: the service with key ``source`` calls the one with key ``target``.

    ``flags`` is a plain ``int`` of ``EdgeFlag`` bits, ``confidence`` lies between 0 and 1,
    ``payload`` is opaque. Parallel dependencies between two services have different keys.
    """

    key: Hashable
    source: Hashable
    target: Hashable
    flags: int = 0
    confidence: float = 1.0
    payload: object = None


class AliasRecord(NamedTuple):
    """
    Another name of the service with key ``service``, unique among aliases.

    ``payload`` is opaque.
    """

    key: Hashable
    name: str
    service: Hashable
    payload: object = None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """
    The difference between two states of the tables, in no particular order.

    Upserts hold whole records, removals hold keys. A key that is both removed and upserted is
    upserted; of two upserts with one key the later one counts.
    """

    upserted_services: Sequence[ServiceRecord] = ()
    removed_services: Sequence[Hashable] = ()
    upserted_dependencies: Sequence[DependencyRecord] = ()
    removed_dependencies: Sequence[Hashable] = ()
    upserted_aliases: Sequence[AliasRecord] = ()
    removed_aliases: Sequence[Hashable] = ()


class UnknownServiceError(LookupError):
    """The graph holds no service with this name or key."""

    def __init__(self, wanted: object) -> None:
        super().__init__(f"no service {wanted!r} in the graph")
        self.wanted = wanted


class DuplicateNameError(ValueError):
    """A change set would leave two services, or two aliases, with one name; nothing has changed."""

    def __init__(self, name: str, of: str = "services") -> None:
        super().__init__(
            f"two {of} would be called {name!r}; names are unique, so rename or remove one of them"
        )
        self.name = name
