"""What a handler gets and gives: its request read, its answer serialized and counted until sent."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from types import CoroutineType
from typing import Any

import grpc

from server.config import Limits
from server.rpc.admission import UNCOUNTED_BYTES, RequestBytes, UnsentAnswers
from server.rpc.answers import noting_revision
from server.rpc.context import Context, after_failed_write
from server.rpc.methods import (
    EXPORT,
    STANDARD,
    Handler,
    behaviour_of,
    does_write,
    noting_call,
    serializer_of,
)
from server.rpc.reading import RequestReader, UnparsedReader

Answer = Callable[[Any, Context], Awaitable[Any]]


class Handling:
    """Makes functions that answer out of handlers; counts requests in work and unsent answers."""

    def __init__(self, limits: Limits, *, notes_revision: bool) -> None:
        self._limits = limits
        self._notes_revision = notes_revision
        self._large_requests = RequestBytes(limits.max_requests_bytes)
        self._unsent = UnsentAnswers(limits)

    @property
    def held_bytes(self) -> int:
        """The bytes of large requests in work."""
        return self._large_requests.held

    @property
    def unsent_bytes(self) -> int:
        """The bytes of answers that wait to be sent."""
        return self._unsent.total

    def reader(self, method: str) -> RequestReader | UnparsedReader:
        """Make what reads the requests of a method."""
        if method == EXPORT:
            return UnparsedReader(self._limits, self._large_requests)
        return RequestReader(method, self._limits, self._large_requests)

    def answer(self, method: str, handler: Handler) -> Answer:
        """Make a function that calls the handler and counts its answer until it is sent."""
        behaviour = behaviour_of(handler)
        serialize = serializer_of(handler)
        if self._notes_revision:
            serialize = noting_revision(serialize)
        # The caller of a method that writes must learn what was written.
        is_owed = does_write(method)
        if is_owed:
            behaviour = noting_call(method, behaviour)

        async def write(part: Any, context: Context) -> None:
            await self._write(serialize(part), context)

        async def answer(request: Any, context: Context) -> Any:
            given: Any = _WritingContext(context, write) if handler.response_streaming else context
            try:
                result = behaviour(request, given)
                # Nearly all handlers return coroutines; checking for any awaitable takes longer.
                if isinstance(result, CoroutineType) or inspect.isawaitable(result):
                    message = await result
                    if message is None:
                        return None
                    return self._count_until_sent(serialize(message), context, owed=is_owed)
                async with aclosing(result) as messages:
                    async for message in messages:
                        await write(message, context)
            except grpc.aio.InternalError:
                await after_failed_write()
                raise
            return None

        return answer if handler.request_streaming else self._read_first(method, handler, answer)

    def _read_first(self, method: str, handler: Handler, answer: Answer) -> Answer:
        """Make a function that reads a request and passes it to ``answer``."""
        reader = self.reader(method)
        is_standard = method.startswith(STANDARD)

        async def read_and_answer(request: bytes, context: Context) -> Any:
            if self._unsent.total and not is_standard:
                self._unsent.check(context.peer())
            small = reader.read(request)
            if small is not None:
                return await answer(small, context)
            async with reader.reading(request) as large:
                cancel_if_late(context)
                if not handler.response_streaming:
                    return await answer(large, context)
            # A stream may last for ever, so its request is counted out before.
            return await answer(large, context)

        return read_and_answer

    def _count_until_sent(self, answer: bytes, context: Context, *, owed: bool) -> bytes:
        """Count an answer that the transport sends after the handler has returned."""
        size = len(answer)
        if size > UNCOUNTED_BYTES:
            peer = context.peer()
            self._unsent.take(peer, size, owed=owed)
            # gRPC passes the context by position, whatever the name.
            context.add_done_callback(lambda _: self._unsent.give_back(peer, size))  # type: ignore[arg-type]
        return answer

    async def _write(self, part: bytes, context: Context) -> None:
        """Send a part of a stream, which takes as long as its reader lets it."""
        size = len(part)
        if size <= UNCOUNTED_BYTES:
            await context.write(part)
            return
        peer = context.peer()
        self._unsent.take(peer, size)
        try:
            await context.write(part)
        finally:
            self._unsent.give_back(peer, size)


class _WritingContext:
    """The context of a handler that writes its answers itself: serializes and counts them."""

    def __init__(self, context: Context, write: Callable[[Any, Context], Awaitable[None]]) -> None:
        self._context = context
        self._write = write

    async def write(self, part: Any) -> None:
        await self._write(part, self._context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def cancel_if_late(context: Context) -> None:
    """
    Raise ``CancelledError`` if the deadline passed while the call waited for its turn.

    Transports cancel such a call too, but only after they handed it over: by then a quick write
    would be committed. The caller no longer waits for a status.
    """
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise asyncio.CancelledError("the deadline had passed when the call's turn came")
