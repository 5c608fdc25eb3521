"""The caller of the call in progress: who it is, and what it may do."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

from server.domain.dependencies import DISCOVERY_SOURCES, DiscoverySource

Role = Literal["reader", "ingester", "editor", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who calls.

    - ``principal``: its name; empty = it has no identity.
    - ``discovery_sources``: those that it may report for.
    - ``expires_at``: when its credential expires, in seconds since 1970; None = never.
    """

    principal: str
    roles: frozenset[Role]
    discovery_sources: frozenset[DiscoverySource] = frozenset()
    expires_at: float | None = None

    @property
    def is_admin(self) -> bool:
        """Whether it may do everything."""
        return "admin" in self.roles


ANYONE = Caller("", frozenset({"admin"}), frozenset(DISCOVERY_SOURCES))
"""The caller without an identity, where no auth file says what callers may do."""

_current: ContextVar[Caller] = ContextVar("caller", default=ANYONE)


def current_caller() -> Caller:
    """Return the caller of the call in progress; ``ANYONE`` outside of calls."""
    return _current.get()


@contextmanager
def acting_as(caller: Caller) -> Iterator[None]:
    """Make ``current_caller`` return this caller while the context lasts."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
