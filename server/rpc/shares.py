"""Fair shares: who counts as one caller, the order of callers that wait, and a rate for each."""

import asyncio
import math
import time
from collections import deque
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from server.config import Limits
from server.domain.caller import Caller
from server.domain.errors import RateLimitedError
from server.rpc.context import Context

# A host has all addresses of such a network to choose from, so they count as one.
_IPV6_PREFIX = 64
# Callers whose rates are kept. Those that come while so many call share one rate.
_MOST_CALLERS = 10_000
_PARTS_OF_A_WAIT = 16
_NEW_IN_A_ROW = 4
_CLOCK_SECONDS = 1e-8


def share_of(caller: Caller, context: Context) -> str:
    """Return who shares: the caller's principal, without one the address it calls from."""
    return caller.principal or _host_of(context.peer())


def _host_of(peer: str) -> str:
    """Return a peer without its port; a Unix socket has one name for all of its connections."""
    return _named(peer.rpartition(":")[0])


@lru_cache(_MOST_CALLERS)
def _named(host: str) -> str:
    """Name the network of an IPv6 address, and mark hosts, so that no principal has that name."""
    version, _, address = host.partition(":")
    if version == "ipv6":
        plain = address.replace("%5B", "[").replace("%5D", "]").strip("[]").partition("%")[0]
        known = IPv6Address(plain)
        if known.ipv4_mapped:
            return f"\0ipv4:{known.ipv4_mapped}"
        return f"\0ipv6:{known if known.is_loopback else IPv6Network((plain, _IPV6_PREFIX), strict=False)}"
    return f"\0{host}"


class Turns:
    """
    The order of those who wait: one turn for each caller, and of a caller for each connection.

    So a caller with many connections gets no more turns than one with a single one. Callers that
    wait for no other turn come first, four in a row at most: who asks now and then waits for the
    call in work, and not for a turn of those who ask all the time.
    """

    def __init__(self) -> None:
        # By share and by connection; those whose last turn is the longest ago come first.
        self._new: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}
        self._old: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}
        self._new_in_a_row = 0

    def __bool__(self) -> bool:
        return bool(self._new or self._old)

    def __len__(self) -> int:
        shares = (*tuple(self._new.values()), *tuple(self._old.values()))
        return sum(len(calls) for connections in shares for calls in tuple(connections.values()))

    def add(self, share: str, connection: str) -> "asyncio.Future[None]":
        """Have a call wait; its turn has come when the future is done."""
        turn = asyncio.get_running_loop().create_future()
        group = self._old if share in self._old else self._new
        group.setdefault(share, {}).setdefault(connection, deque()).append(turn)
        return turn

    def next(self) -> "asyncio.Future[None]":
        """Take out the next one; it is done already if its call was cancelled."""
        is_new = bool(self._new) and (self._new_in_a_row < _NEW_IN_A_ROW or not self._old)
        self._new_in_a_row = self._new_in_a_row + 1 if is_new else 0
        group = self._new if is_new else self._old
        share, connections = next(iter(group.items()))
        del group[share]
        connection, calls = next(iter(connections.items()))
        del connections[connection]
        turn = calls.popleft()
        if calls:
            connections[connection] = calls
        if connections:
            self._old[share] = connections
        return turn


class FairLock:
    """A lock that those who wait get by turns."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._is_held = False

    async def acquire(self, share: str, connection: str) -> None:
        """Wait for the lock; who is cancelled while waiting does not get it."""
        if not self._is_held:
            self._is_held = True
            return
        turn = self._turns.add(share, connection)
        try:
            await turn
        except asyncio.CancelledError:
            # It may have got the lock in the same iteration of the event loop.
            if not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the lock to the next one that still waits."""
        while self._turns:
            turn = self._turns.next()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_held = False


class Rates:
    """
    A token bucket for each caller: ``rate`` calls a second, and ``burst`` at once after a rest.

    A bucket is one number: the time at which it will be full again. One that is full is forgotten.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._depth = burst * self._interval
        self._full_at: dict[str, float] = {}
        self._next_cleaning = 0.0
        wait = self._interval / _PARTS_OF_A_WAIT
        # Made once: they are needed most when there is least time.
        self._errors = [
            RateLimitedError(
                f"this caller sends more than the {rate:,g} calls a second that each may: "
                "send fewer, or have the server's --rate-limit or --rate-burst raised",
                wait=part * wait,
            )
            for part in range(1, _PARTS_OF_A_WAIT + 1)
        ]

    @classmethod
    def of(cls, limits: Limits) -> "Rates | None":
        """Make them from the settings; None = there is no limit. The burst is a second's worth."""
        if limits.rate_limit is None:
            return None
        return cls(limits.rate_limit, limits.rate_burst or max(1, math.ceil(limits.rate_limit)))

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, share: str) -> None:
        """Take a token; raises ``RateLimitedError`` if there is none."""
        missing = self._missing(share)
        if missing > 0:
            parts = math.ceil(missing / self._interval * _PARTS_OF_A_WAIT)
            raise self._errors[min(parts, _PARTS_OF_A_WAIT) - 1]

    def _missing(self, share: str) -> float:
        """Return the seconds until there is a token; takes one and returns 0 if there is."""
        now = time.perf_counter()
        full_at = self._full_at.get(share)
        if full_at is None:
            if len(self._full_at) >= _MOST_CALLERS and not self._clean(now):
                share = ""
                full_at = self._full_at.get(share, now)
            else:
                full_at = now
        full_at = (max(now, full_at)) + self._interval
        missing = full_at - now - self._depth
        # The clock's numbers are a little off.
        if missing > _CLOCK_SECONDS:
            return missing
        self._full_at[share] = full_at
        return 0.0

    def _clean(self, now: float) -> bool:
        """Forget full buckets, now and then; returns whether there is room for another."""
        if now >= self._next_cleaning:
            self._full_at = {share: full_at for share, full_at in self._full_at.items() if full_at > now}
            self._next_cleaning = now + 1
        return len(self._full_at) < _MOST_CALLERS
