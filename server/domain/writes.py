"""Who wrote what: the calls that write, and the account that is kept of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class WriteCounts(NamedTuple):
    """How many rows a call changed, as its answer says."""

    services_created: int = 0
    services_updated: int = 0
    services_deleted: int = 0
    dependencies_created: int = 0
    dependencies_updated: int = 0
    dependencies_deleted: int = 0
    alerts_created: int = 0
    alerts_updated: int = 0


class Write(NamedTuple):
    """
    One call that wrote.

    ``principal`` is empty for a caller without an identity; ``method`` is the full name without the
    leading slash; ``revision`` is a token.
    """

    id: int
    written_at: datetime
    principal: str
    method: str
    revision: str
    counts: WriteCounts


class WriteKey(NamedTuple):
    """Position in the account, newest first: time (UTC) and id of the last write shown."""

    written_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class WritePage:
    """Some writes, newest first, and where the next page starts (None = no more)."""

    writes: tuple[Write, ...]
    next: WriteKey | None


class WritingCall(NamedTuple):
    """
    The call of a method that writes: the method's full name, and the peer's address.

    ``is_periodic``: it comes again and again by itself, so it counts as a write only if it changed
    a row in more than the time of an observation.
    """

    method: str
    peer: str
    is_periodic: bool = False


_current: ContextVar[WritingCall | None] = ContextVar("writing call", default=None)


def writing_call() -> WritingCall | None:
    """Return the call in progress if its method writes; None = the server writes by itself."""
    return _current.get()


@contextmanager
def writing_for(call: WritingCall) -> Iterator[None]:
    """Make ``writing_call`` return this call while the context lasts."""
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)
