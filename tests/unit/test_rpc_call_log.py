"""The log of calls: repeated calls are counted, and no call is lost."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.rpc.call_log import CallLog
from tests.support.eventually import eventually

METHOD = "/depgraph.v1.GraphService/Traverse"
AT_ONCE = timedelta(0)


def peer(name: str) -> Any:
    return cast("Any", SimpleNamespace(peer=lambda: name))


def lines_of(lines: list[EventDict], event: str) -> list[EventDict]:
    return [line for line in lines if line["event"] == event]


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def call_log() -> CallLog:
    """Its window does not end by itself while a test runs."""
    return CallLog(timedelta(hours=1))


def fail_at_one_place(depth: int = 0) -> None:
    if depth:
        fail_at_one_place(depth - 1)
    raise RuntimeError("a defect")


def fail_at_another_place() -> None:
    raise RuntimeError("a defect")


def failed(call_log: CallLog, defect: Any, *arguments: int) -> str:
    """Note the error of a defect; return its id."""
    try:
        defect(*arguments)
    except RuntimeError as error:
        return call_log.failed(METHOD, error).metadata["error_id"]
    raise AssertionError


async def test_ten_thousand_equal_calls_are_two_lines(call_log: CallLog, logged: list[EventDict]) -> None:
    for number in range(10_000):
        call_log.ended(METHOD, "NOT_FOUND", 0.004 if number == 17 else 0.001, peer(f"peer {number}"))
    [first] = logged
    assert (first["event"], first["log_level"], first["method"]) == ("call", "info", METHOD)
    assert (first["code"], first["duration_ms"], first["peer"]) == ("NOT_FOUND", 1, "peer 0")
    call_log.close()
    [_, rest] = logged
    assert (rest["event"], rest["log_level"], rest["method"]) == ("more such calls", "info", METHOD)
    assert (rest["code"], rest["count"]) == ("NOT_FOUND", 9_999)
    assert (rest["longest_ms"], rest["peer_of_longest"]) == (4, "peer 17")


async def test_methods_and_codes_are_counted_apart(call_log: CallLog, logged: list[EventDict]) -> None:
    kinds = [(METHOD, "NOT_FOUND"), (METHOD, "UNAVAILABLE"), ("/other", "NOT_FOUND")]
    for method, code in kinds * 3:
        call_log.ended(method, code, 0.001, peer("a"))
    call_log.close()
    for event in ("call", "more such calls"):
        assert [(line["method"], line["code"]) for line in lines_of(logged, event)] == kinds
        assert [line["log_level"] for line in lines_of(logged, event)] == ["info", "warning", "info"]


async def test_a_call_that_does_not_repeat_is_logged_once(call_log: CallLog, logged: list[EventDict]) -> None:
    call_log.ended(METHOD, "NOT_FOUND", 0.001, peer("a"))
    call_log.close()
    assert [line["event"] for line in logged] == ["call"]


async def test_counts_are_logged_when_calls_stop(logged: list[EventDict]) -> None:
    call_log = CallLog(AT_ONCE)
    for _ in range(3):
        call_log.ended(METHOD, "NOT_FOUND", 0.001, peer("a"))
    await eventually(lambda: len(logged) == 2)
    assert logged[1]["count"] == 2


async def test_the_first_call_after_a_window_is_logged(logged: list[EventDict]) -> None:
    call_log = CallLog(AT_ONCE)
    for _ in range(3):
        call_log.ended(METHOD, "NOT_FOUND", 0.001, peer("a"))
        call_log.ended(METHOD, "NOT_FOUND", 0.001, peer("a"))
        await eventually(lambda: len(lines_of(logged, "more such calls")) == len(lines_of(logged, "call")))
    assert [line["event"] for line in logged] == ["call", "more such calls"] * 3


async def test_after_close_every_call_is_logged(call_log: CallLog, logged: list[EventDict]) -> None:
    call_log.close()
    for _ in range(3):
        call_log.ended(METHOD, "NOT_FOUND", 0.001, peer("a"))
    assert [line["event"] for line in logged] == ["call"] * 3


async def test_successful_calls_are_not_logged(call_log: CallLog, logged: list[EventDict]) -> None:
    call_log.ended(METHOD, "OK", 0.001, peer("a"))
    call_log.close()
    assert logged == []


@pytest.fixture
def every_line() -> Iterator[None]:
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("debug"))
    yield
    structlog.configure(wrapper_class=before)


@pytest.mark.usefixtures("every_line")
async def test_at_level_debug_every_call_is_logged_and_every_error_with_its_traceback(
    call_log: CallLog, logged: list[EventDict]
) -> None:
    for code in ("OK", "NOT_FOUND") * 2:
        call_log.ended(METHOD, code, 0.001, peer("a"))
    assert [line["log_level"] for line in logged] == ["debug", "info"] * 2
    for _ in range(2):
        failed(call_log, fail_at_one_place)
    assert [line["event"] for line in logged[4:]] == ["unexpected error"] * 2


async def test_a_repeated_error_has_one_traceback_and_every_error_id_is_logged(
    call_log: CallLog, logged: list[EventDict]
) -> None:
    error_ids = [failed(call_log, fail_at_one_place) for _ in range(100)]
    first, *others = logged
    assert (first["event"], first["error_id"], first["method"]) == ("unexpected error", error_ids[0], METHOD)
    assert isinstance(first["exc_info"], RuntimeError)
    assert [line["error_id"] for line in others] == error_ids[1:]
    assert {line["event"] for line in others} == {"unexpected error again"}
    assert {line["same_as"] for line in others} == {error_ids[0]}
    assert not any("exc_info" in line for line in others)


async def test_errors_from_different_lines_each_have_a_traceback(
    call_log: CallLog, logged: list[EventDict]
) -> None:
    failed(call_log, fail_at_one_place)
    failed(call_log, fail_at_another_place)
    assert [line["event"] for line in logged] == ["unexpected error"] * 2


async def test_recursions_of_different_depth_are_the_same_error(
    call_log: CallLog, logged: list[EventDict]
) -> None:
    for depth in range(1, 6):
        failed(call_log, fail_at_one_place, depth)
    assert len(lines_of(logged, "unexpected error")) == 1


async def test_an_error_has_its_traceback_again_in_the_next_window(logged: list[EventDict]) -> None:
    call_log = CallLog(AT_ONCE)

    def tracebacks_after(_: object = None) -> int:
        failed(call_log, fail_at_one_place)
        return len(lines_of(logged, "unexpected error"))

    assert tracebacks_after() == 1
    await eventually(lambda: tracebacks_after() == 2)
