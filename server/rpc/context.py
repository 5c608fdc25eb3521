"""What handlers and the answering layer do with the context of a call, whose caller may be gone."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NoReturn, TypeAlias

import grpc

from server.domain.errors import DomainError
from server.rpc.errors import status_and_metadata

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
TimeLeft: TypeAlias = Callable[[], timedelta | None]

# The part of a call's deadline that is kept back, so that the caller learns the reason in time.
_LONGEST_MARGIN = 0.1
_MARGIN_SHARE = 0.1
# gRPC cancels a call within milliseconds after its caller is gone.
_CANCELLED_WITHIN_SECONDS = 5


def time_left(context: Context) -> timedelta | None:
    """Return how long a call may wait: a little less than its caller does. None = no deadline."""
    remaining: float | None = context.time_remaining()
    if remaining is None:
        return None
    return timedelta(seconds=remaining - min(_LONGEST_MARGIN, remaining * _MARGIN_SHARE))


async def begin_answer(context: Context) -> None:
    """
    Send the metadata of a stream's answer, before its first message.

    Otherwise gRPC sends them along with the first message. A call that is interrupted during that
    write can't send a status any more: gRPC would send the metadata again, which fails. So an
    interruption waits until the metadata are sent, which does not depend on the reader.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    sending.add_done_callback(_retrieve_error)
    try:
        await asyncio.wait((sending,))
    except asyncio.CancelledError:
        await asyncio.wait((sending,))
        raise
    sending.result()


async def after_failed_write() -> None:
    """
    Wait until gRPC cancels this call; return when it does not.

    A write fails when the caller is gone, and gRPC reports the failure before or after it cancels
    the call. It logs a failure that comes first as an error with a traceback, and a cancellation
    not at all. So a call whose write failed waits here for the cancellation. Without a
    cancellation the failure has another cause.
    """
    await asyncio.sleep(_CANCELLED_WITHIN_SECONDS)


async def abort(context: Context, error: DomainError) -> NoReturn:
    """Send an error's status; raises ``AbortError``, or ``CancelledError`` without a caller."""
    try:
        await _sent(context.abort(*status_and_metadata(error)))
    finally:
        # gRPC keeps the abort with this frame. A reference here would close a cycle.
        del context


async def abort_unimplemented(context: Context) -> NoReturn:
    """Answer a call of a method that has no handler; raises as ``abort`` does."""
    await _sent(context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server does not implement the method"))


async def _sent(aborting: Awaitable[NoReturn]) -> NoReturn:
    try:
        await aborting
    except grpc.aio.InternalError as failure:
        # gRPC does not cancel a call whose status it could not send, but accepts a cancellation.
        raise asyncio.CancelledError("the caller is gone") from failure


def _retrieve_error(sending: "asyncio.Future[None]") -> None:
    """Keep asyncio from logging the error if ``begin_answer`` was interrupted twice."""
    if not sending.cancelled():
        sending.exception()
