"""Ctrl-C is heard where the program looks for it."""

import signal
from collections.abc import Iterator

import pytest

from server.cli.ingest import deferred_interrupts


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def work(done: list[str], *, looks: bool) -> None:
    with deferred_interrupts() as check_interrupt:
        press_ctrl_c()
        done.append("pressed")
        if looks:
            check_interrupt()
            done.append("looked")


def fail() -> None:
    with deferred_interrupts():
        press_ctrl_c()
        raise LookupError


@pytest.mark.parametrize("looks", [True, False], ids=["at the next look", "at the end"])
def test_ctrl_c_interrupts_at_the_next_check_or_at_the_end(looks: bool) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        work(done, looks=looks)
    assert done == ["pressed"]


def test_an_error_goes_before_ctrl_c() -> None:
    with pytest.raises(LookupError):
        fail()


def test_after_the_body_ctrl_c_interrupts_at_once() -> None:
    with deferred_interrupts():
        pass
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


@pytest.fixture
def ctrl_c_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_ignored")
def test_ctrl_c_that_was_ignored_stays_ignored() -> None:
    done: list[str] = []
    work(done, looks=True)
    assert done == ["pressed", "looked"]
