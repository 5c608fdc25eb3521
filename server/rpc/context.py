"""What handlers ask of gRPC about a call."""

import asyncio
from datetime import timedelta
from typing import Any, TypeAlias

import grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

# What is kept back of a call's deadline, so that the caller learns why before giving up by itself.
_LONGEST_MARGIN = 0.1
_MARGIN_SHARE = 0.1


def time_left(context: Context) -> timedelta | None:
    """Tell how long a call may wait, a little less than its caller does; None = no deadline."""
    remaining: float | None = context.time_remaining()
    if remaining is None:
        return None
    return timedelta(seconds=remaining - min(_LONGEST_MARGIN, remaining * _MARGIN_SHARE))


async def begin_answer(context: Context) -> None:
    """
    Send the metadata of a stream's answer, before its first message.

    gRPC sends them along with the first message otherwise. Who is interrupted then can send no status any more: gRPC would send the
    metadata again, which fails. So an interruption waits until they are sent, which waits for no reader.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    sending.add_done_callback(_look_at_error)
    try:
        await asyncio.wait((sending,))
    except asyncio.CancelledError:
        await asyncio.wait((sending,))
        raise
    sending.result()


def _look_at_error(sending: "asyncio.Future[None]") -> None:
    """Keep asyncio from logging an error as never retrieved: the call may be interrupted twice, and its caller gone."""
    if not sending.cancelled():
        sending.exception()
