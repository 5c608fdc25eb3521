"""The context of a call: its deadline, and writes to a caller that is gone."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from structlog.testing import capture_logs

from server.domain.errors import NotFoundError
from server.rpc import context as context_module
from server.rpc.context import begin_answer, time_left
from tests.support.answering import answering

if TYPE_CHECKING:
    from server.rpc.answering import Answering
    from server.rpc.methods import Handler

METHOD = "/depgraph.v1.GraphService/StreamTraverse"
# Of the event loop, until what can't be sent fails.
TURNS = 5


class Leaving:
    """The context of a call to whom nothing can be sent; keeps the status that was tried."""

    def __init__(self) -> None:
        self.tried = asyncio.Event()
        self.code: grpc.StatusCode | None = None

    async def write(self, _: Any) -> None:
        await self._fail()

    async def send_initial_metadata(self, _: Any) -> None:
        await self._fail()

    async def abort(self, code: grpc.StatusCode, _details: str, _metadata: Any) -> None:
        self.code = code
        await self._fail()

    def time_remaining(self) -> None:
        return None

    def peer(self) -> str:
        return "somewhere"

    async def _fail(self) -> None:
        self.tried.set()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        raise grpc.aio.InternalError('Failed "execute_batch"')


def begun(context: Leaving, answers: "Answering", behaviour: Callable[..., Any]) -> "asyncio.Future[Any]":
    """Begin a call, wrapped as the server does."""
    found: Handler = grpc.unary_stream_rpc_method_handler(behaviour, response_serializer=str.encode)
    method = answers.method(METHOD, found)
    running: asyncio.Future[Any] = asyncio.ensure_future(method.answer(b"", context))
    return running


def codes(answers: "Answering") -> dict[str, int]:
    """How many calls ended with which code."""
    [calls] = answers.counts
    assert calls.started == sum(calls.ended.values())
    return {code: count for code, count in calls.ended.items() if count}


async def one_part(request: Any, context: Any) -> AsyncIterator[str]:
    yield "part"


async def written_part(request: Any, context: Any) -> None:
    await context.write("part")


async def missing(request: Any, context: Any) -> None:
    raise NotFoundError("there is none")


@pytest.mark.parametrize("behaviour", [one_part, written_part])
async def test_a_write_that_fails_before_the_cancellation_comes_counts_as_cancelled(
    behaviour: Callable[..., Any],
) -> None:
    context, answers = Leaving(), answering()
    with capture_logs() as lines:
        call = begun(context, answers, behaviour)
        await context.tried.wait()
        call.get_loop().call_soon(call.cancel)
        with pytest.raises(asyncio.CancelledError):
            await call
    assert codes(answers) == {"CANCELLED": 1}
    assert [line["log_level"] for line in lines] == ["info"]


async def test_a_failed_write_without_a_cancellation_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context_module, "_CANCELLED_WITHIN_SECONDS", 0)
    context, answers = Leaving(), answering()
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await begun(context, answers, one_part)
    assert codes(answers) == {"INTERNAL": 1}
    assert context.code is grpc.StatusCode.INTERNAL
    [logged] = [line for line in lines if line["log_level"] == "error"]
    assert isinstance(logged["exc_info"], grpc.aio.InternalError)


async def test_a_status_that_can_not_be_sent_cancels_the_call() -> None:
    context, answers = Leaving(), answering()
    with pytest.raises(asyncio.CancelledError):
        await begun(context, answers, missing)
    assert codes(answers) == {"NOT_FOUND": 1}


@pytest.mark.parametrize("times", [1, 2])
async def test_metadata_that_fail_after_an_interruption_are_not_logged_by_asyncio(times: int) -> None:
    context, complaints = Leaving(), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
    beginning = asyncio.ensure_future(begin_answer(cast("Any", context)))
    await context.tried.wait()
    for _ in range(times):
        beginning.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await beginning
    for _ in range(2 * TURNS):
        await asyncio.sleep(0)
    # asyncio complains when the last reference goes.
    del beginning
    gc.collect()
    assert complaints == []


async def test_metadata_that_fail_raise_an_error() -> None:
    with pytest.raises(grpc.aio.InternalError):
        await begin_answer(cast("Any", Leaving()))


@pytest.mark.parametrize(("remaining", "left"), [(0.2, 0.18), (1.0, 0.9), (2.0, 1.9), (30.0, 29.9)])
def test_a_tenth_of_the_deadline_is_kept_back_but_at_most_a_tenth_of_a_second(
    remaining: float, left: float
) -> None:
    context = cast("Any", SimpleNamespace(time_remaining=lambda: remaining))
    assert time_left(context) == timedelta(seconds=left)


def test_without_a_deadline_the_time_left_is_none() -> None:
    assert time_left(cast("Any", SimpleNamespace(time_remaining=lambda: None))) is None
