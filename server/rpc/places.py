"""Places for calls in progress, so many of each kind: shared by all callers, or for each caller."""

from collections.abc import Callable, Sequence

from server.config import flag
from server.domain.errors import OverloadedError


class Limit:
    """
    The places of calls in progress, and the error for calls beyond them.

    While less than half of them are taken, it does not matter by whom. From then on they are
    counted by share, so that one caller alone can't keep others out: when all are taken, a caller
    that has less than its share of them gets one of the spare places.
    """

    __slots__ = ("_held", "_spare", "full", "in_progress", "most")

    def __init__(self, most: int, what: str, limit: str) -> None:
        self.most = most
        self.in_progress = 0
        self._spare = max(1, most // 4)
        self._held: dict[str, int] = {}
        # Made once: it is needed most when there is least time.
        self.full = OverloadedError(
            f"the server answers {most:,} {what} at once, as many as it may: "
            f"try again, ask another replica, or have its {flag(limit)} raised",
            limit=limit,
        )

    @property
    def is_full(self) -> bool:
        """Whether there are only spare places, at most."""
        return self.in_progress >= self.most

    def has_room_for(self, share: str) -> bool:
        """Whether a call of this caller gets a place now."""
        if self.in_progress < self.most:
            return True
        is_below_its_share = self._held.get(share, 0) * (len(self._held) + 1) < self.most
        return is_below_its_share and self.in_progress < self.most + self._spare

    def take(self, share: Callable[[], str]) -> str | None:
        """Take a place, return whose it is, None = no matter; raises ``OverloadedError``."""
        if self.in_progress < self.most // 2:
            self.in_progress += 1
            return None
        name = share()
        if not self.has_room_for(name):
            raise self.full
        self.in_progress += 1
        self._held[name] = self._held.get(name, 0) + 1
        return name

    def give_back(self, name: str | None) -> None:
        """Give back a place that ``take`` gave."""
        self.in_progress -= 1
        if name is not None:
            _count_down(self._held, name)


class LimitOfEach:
    """The calls in progress of each caller, and the error for calls beyond their limit."""

    __slots__ = ("_held", "full", "most")

    is_full = False

    def __init__(self, most: int, what: str, limit: str) -> None:
        self.most = most
        self._held: dict[str, int] = {}
        self.full = OverloadedError(
            f"this caller has {most:,} {what} open at once, as many as it may: "
            f"end some, or have the server's {flag(limit)} raised",
            limit=limit,
        )

    def has_room_for(self, share: str) -> bool:
        """Whether a call of this caller gets a place now."""
        return self._held.get(share, 0) < self.most

    def take(self, share: Callable[[], str]) -> str:
        """Count a call in; raises ``OverloadedError``."""
        name = share()
        if not self.has_room_for(name):
            raise self.full
        self._held[name] = self._held.get(name, 0) + 1
        return name

    def give_back(self, name: str | None) -> None:
        """Count a call out."""
        _count_down(self._held, name or "")


def _count_down(held: dict[str, int], name: str) -> None:
    if held[name] > 1:
        held[name] -= 1
    else:
        del held[name]


class Slot:
    """The places of one call in progress."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[tuple[Limit | LimitOfEach, str | None]] = []

    def take(self, limits: Sequence[Limit | LimitOfEach], share: Callable[[], str]) -> None:
        """Take a place of each limit; raises ``OverloadedError``, and has none after any error."""
        try:
            for limit in limits:
                self._taken.append((limit, limit.take(share)))
        except Exception:
            self.release()
            raise

    def release(self) -> None:
        """Give the places back; further calls do nothing."""
        while self._taken:
            limit, name = self._taken.pop()
            limit.give_back(name)
