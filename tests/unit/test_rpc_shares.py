"""Who counts as one caller, turns, and rates of calls."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from server.config import Limits
from server.domain.caller import ANYONE, Caller
from server.domain.errors import RateLimitedError
from server.rpc.shares import FairLock, Rates, Turns, share_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still until ``now`` is changed."""
    stopped = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr("server.rpc.shares.time.perf_counter", lambda: stopped.now)
    return stopped


def order(turns: Turns, waiting: "dict[asyncio.Future[None], str]", count: int) -> str:
    """Give so many turns; returns whose they were."""
    return "".join(waiting[turns.next()] for _ in range(count))


async def test_callers_have_one_turn_after_the_other_and_so_have_their_connections() -> None:
    turns = Turns()
    waiting = {
        turns.add(name, connection): connection for name, connection in ("aA", "aA", "aB", "aC", "bD", "bD")
    }
    assert len(turns) == 6
    assert order(turns, waiting, 6) == "ADBDCA"
    assert not turns


async def test_a_caller_that_waits_for_no_other_turn_comes_first_four_times_in_a_row() -> None:
    turns = Turns()
    waiting = {turns.add("greedy", "x"): "x" for _ in range(4)}
    assert order(turns, waiting, 1) == "x"
    waiting |= {turns.add(name, name): name for name in "abcdef"}
    assert order(turns, waiting, 9) == "abcxdefxx"


async def test_who_waits_for_a_lock_gets_it_by_turns() -> None:
    lock, got = FairLock(), list[str]()

    async def work(name: str) -> None:
        await lock.acquire(name, name)
        got.append(name)
        await asyncio.sleep(0)
        lock.release()

    await asyncio.gather(*(work(name) for name in "aaab"))
    assert "".join(got) == "aaba"
    await work("c")


async def test_who_is_cancelled_while_waiting_for_a_lock_passes_it_on() -> None:
    lock = FairLock()
    await lock.acquire("a", "a")
    waiting = [asyncio.create_task(lock.acquire("a", "a")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    lock.release()
    # It has the lock by now, and does not know it.
    waiting[1].cancel()
    await waiting[2]
    assert waiting[0].cancelled()
    assert waiting[1].cancelled()
    lock.release()
    await lock.acquire("a", "a")


def share(peer: str, caller: Caller = ANYONE) -> str:
    context: Any = SimpleNamespace(peer=lambda: peer)
    return share_of(caller, context)


def taken(rates: Rates, who: str, most: int = 1_000) -> int:
    """Take tokens until there is none; returns how many there were."""
    for count in range(most):
        try:
            rates.take(who)
        except RateLimitedError:
            return count
    return most


def test_connections_of_a_principal_share_and_those_of_others_do_not() -> None:
    caller = Caller("shop", frozenset({"reader"}))
    assert share("ipv4:10.0.0.1:5", caller) == share("ipv4:10.0.0.2:6", caller) == "shop"
    assert share("ipv4:10.0.0.1:5") != "shop"


def test_connections_without_an_identity_share_by_address() -> None:
    assert share("ipv4:10.0.0.1:5") == share("ipv4:10.0.0.1:6")
    assert share("ipv4:10.0.0.1:5") != share("ipv4:10.0.0.2:5")
    assert share("unix:") == share("unix:1") == share("unix:2")


def test_addresses_of_an_ipv6_network_share() -> None:
    assert share("ipv6:[2001:db8:0:1::1]:5") == share("ipv6:%5B2001:db8:0:1:ffff::2%5D:6")
    assert share("ipv6:[2001:db8:0:1::1]:5") != share("ipv6:[2001:db8:0:2::1]:5")
    assert share("ipv6:[fe80::1%25eth0]:5") == share("ipv6:[fe80::2]:5")


def test_an_ipv4_address_is_the_same_by_an_ipv6_socket() -> None:
    assert share("ipv6:[::ffff:10.0.0.1]:5") == share("ipv4:10.0.0.1:5")
    assert share("ipv6:[::ffff:10.0.0.1]:5") != share("ipv6:[::ffff:10.0.0.2]:5")


def test_a_principal_can_not_be_named_like_an_address() -> None:
    assert share("ipv4:10.0.0.1:5") != share("unix:", Caller("ipv4:10.0.0.1", frozenset()))


def test_a_caller_may_make_the_calls_of_a_burst_at_once_and_then_those_of_its_rate(clock: Any) -> None:
    rates = Rates(rate=10, burst=5)
    assert taken(rates, "a") == 5
    clock.now += 0.35
    assert taken(rates, "a") == 3
    clock.now += 60
    assert taken(rates, "a") == 5


def test_the_burst_is_a_second_s_worth_by_default(clock: Any) -> None:
    for rate, burst in ((0.5, 1), (1, 1), (2.5, 3), (100, 100)):
        rates = Rates.of(Limits(rate_limit=rate))
        assert rates is not None
        assert taken(rates, "a") == burst
    assert Rates.of(Limits(rate_burst=3)) is None


def test_callers_have_rates_of_their_own(clock: Any) -> None:
    rates = Rates(rate=10, burst=2)
    assert taken(rates, "a") == 2
    assert taken(rates, "b") == 2


def test_a_refused_call_says_when_there_is_a_token(clock: Any) -> None:
    rates = Rates(rate=4, burst=1)
    rates.take("a")
    clock.now += 0.1
    with pytest.raises(RateLimitedError) as refused:
        rates.take("a")
    wait = refused.value.retry_after.total_seconds()
    assert 0.15 <= wait <= 0.15 + 0.25 / 16
    clock.now += wait
    rates.take("a")


def test_refused_calls_use_no_tokens(clock: Any) -> None:
    rates = Rates(rate=1, burst=1)
    rates.take("a")
    for _ in range(100):
        assert taken(rates, "a") == 0
    clock.now += 1
    assert taken(rates, "a") == 1


def test_full_buckets_are_forgotten_once_there_are_many(clock: Any) -> None:
    rates = Rates(rate=100, burst=1)
    for number in range(25_000):
        rates.take(str(number))
        clock.now += 0.001
    assert len(rates) <= 10_001
    # Another 10 ms later there is a token again, whether or not its bucket was forgotten.
    assert taken(rates, "0") == 1


def test_callers_beyond_those_that_are_kept_share_one_rate(clock: Any) -> None:
    rates = Rates(rate=1, burst=2)
    for number in range(10_000):
        rates.take(str(number))
    assert taken(rates, "invented") == 2
    assert taken(rates, "another invented") == 0
    assert taken(rates, "0") == 1
    assert len(rates) <= 10_001
    clock.now += 3
    assert taken(rates, "another invented") == 2


def test_rates_of_any_size_let_a_first_call_pass(clock: Any) -> None:
    for rate in (0.001, 1 / 3, 7, 1e6):
        assert taken(Rates(rate, burst=1), "a", most=1) == 1
        assert taken(Rates(rate, burst=3), "a", most=3) == 3
