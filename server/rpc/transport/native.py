"""The transport of pygrpc-native: HTTP/2 in Rust, outside the interpreter's lock; for callers that are trusted."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
from pygrpc_native import NativeGrpcFront

from server.config import Limits, TransportName
from server.rpc.admission import LETTING_IN_SECONDS, Place
from server.rpc.answering import Answering
from server.rpc.errors import unexpected_error
from server.rpc.methods import Method
from server.rpc.sending import status_and_metadata
from server.rpc.transport.grpcio import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, GrpcioTransport
from server.rpc.transport.native_call import NativeCall
from server.rpc.transport.native_queue import CallQueue

log = structlog.get_logger(__name__)

# One thread of the transport's own keeps up with one event loop; more of them take the processor from it.
_IO_THREADS = 1
_FLUSH_LOOK_SECONDS = 0.002


class NativeTransport:
    """
    See ``Transport``.

    What can be answered at once is answered where it is begun, without a task. Methods that take a stream of requests
    (reflection) are served by grpcio behind it, through a socket in a folder of our own.
    """

    name: TransportName = "native"

    # Made by ``listen``.
    _front: NativeGrpcFront
    _queue: CallQueue

    def __init__(self, limits: Limits, *, share_port: bool = False) -> None:
        self._limits = limits
        self._share_port = share_port
        self._methods: list[Method] = []
        self._behind = GrpcioTransport(replace(limits, max_streams_per_connection=limits.max_streaming_calls))
        self._listens = False
        self._calls: dict[int, NativeCall] = {}
        self._folder = contextlib.ExitStack()

    async def all_came(self, _: Callable[[], int]) -> None:
        """Begin all calls that wait, and let their tasks begin; those who are refused may send more, so not for ever."""
        self._queue.begin_all(time.monotonic() + LETTING_IN_SECONDS)
        await asyncio.sleep(0)

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Take over what is to be answered."""
        self._answering, self._admission = answering, answering.admission
        self._methods = [method for method in methods if not method.handler.request_streaming]
        self._behind.serve([method for method in methods if method.handler.request_streaming], answering)

    def listen(self, address: str) -> int:
        """Take an address."""
        self._front = NativeGrpcFront(
            address,
            [(method.name, method.handler.response_streaming) for method in self._methods],
            io_threads=_IO_THREADS,
            call_details=True,
            # A stream that fails before its first message has its status sent without metadata before.
            delay_stream_headers=True,
            metrics=True,
            max_concurrent_streams=self._limits.max_streams_per_connection,
            reuse_port=self._share_port,
            keepalive_time_ms=KEEPALIVE_TIME_MS,
            keepalive_timeout_ms=KEEPALIVE_TIMEOUT_MS,
        )
        self._queue = CallQueue(self._front, self)
        self._listens = True
        return self._front.bound_port

    async def start(self) -> None:
        """Let calls in."""
        try:
            socket = (
                Path(self._folder.enter_context(tempfile.TemporaryDirectory(prefix="depgraph-"))) / "behind"
            )
            self._behind.listen(f"unix:{socket}")
            await self._behind.start()
            self._front.set_fallback(str(socket))
        except (OSError, RuntimeError) as error:
            log.warning(
                "reflection is not served: there is no folder for its socket (TMPDIR)", reason=str(error)
            )
        self._front.start()
        self._queue.start()

    async def stop(self, flush: timedelta | None) -> None:
        """Close, once what is answered has been sent or the time for that is over."""
        if not self._listens:
            return
        with self._folder:
            if flush is not None:
                await self._flushed(flush)
            await asyncio.to_thread(self._queue.close)
            # What was handed over last is begun here, so that it is cancelled with the others.
            self._queue.begin_handed()
            tasks = [call.task for call in self._calls.values() if call.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._behind.stop(None)

    async def _flushed(self, within: timedelta) -> None:
        """Wait until all is sent that was answered; the transport does not tell by itself."""
        ends = time.monotonic() + within.total_seconds()
        while self._is_sending() and time.monotonic() < ends:  # noqa: ASYNC110
            await asyncio.sleep(_FLUSH_LOOK_SECONDS)

    def _is_sending(self) -> bool:
        """Whether the status of a call that came has not left yet."""
        of_methods = (self._front.metrics() or {})["methods"].values()
        return any(
            one["started"] > sum(of_status["count"] for of_status in one["status"].values())
            for one in of_methods
        )

    def begin_round(self) -> None:
        """See ``Receiver``."""
        self._admission.begin_round()

    def begin(self, number: int, place: int, request: bytes, details: Any, received: float) -> None:
        """See ``Receiver``."""
        call = NativeCall(self._front, number, details[1], details[2], received)
        method = self._methods[place]
        try:
            self._begin(call, method, request)
        except Exception as error:  # noqa: BLE001 - whatever becomes of one, those that came with it are begun
            _end_broken(call, method, error)

    def cancel(self, number: int) -> bool:
        """See ``Receiver``."""
        call = self._calls.get(number)
        if call is None:
            return False
        if call.task is not None:
            call.task.cancel()
        return True

    def _begin(self, call: Any, method: Method, request: bytes) -> None:
        # Of one that is late nothing is done.
        if method.at_once is not None and not call.is_late and method.at_once(request, call, call.succeed):
            return
        place = None
        if method.kind is not None:
            if self._admission.is_full(method.kind):
                call.fail(*status_and_metadata(self._answering.refuse(method, call)))
                return
            place = self._admission.enter(method.kind)
        self._calls[call.number] = call
        call.task = asyncio.create_task(_answer(method, request, call, place))
        call.task.add_done_callback(partial(self._end, call, method, place))

    def _end(self, call: NativeCall, method: Method, place: Place | None, task: "asyncio.Task[None]") -> None:
        # Of a call that was cancelled before it began nobody else does.
        if place is not None:
            place.leave()
        del self._calls[call.number]
        call.end()
        if task.cancelled():
            # Most often there is nobody left to hear of it. Who is late may hear of it from us, though, before the transport looks at its clock.
            late = grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"
            call.fail(*late if call.is_late else (grpc.StatusCode.CANCELLED, ""))
        elif (error := task.exception()) is not None:
            _end_broken(call, method, error)


def _end_broken(call: NativeCall, method: Method, error: BaseException) -> None:
    """End a call that has no status because of a defect of ours."""
    told = unexpected_error()
    log.error(
        "a call could not be answered", method=method.name, exc_info=error, error_id=told.metadata["error_id"]
    )
    call.fail(*status_and_metadata(told))


async def _answer(method: Method, request: bytes, call: Any, place: Place | None) -> None:
    try:
        answer = await method.answer(request, call, place)
    except grpc.aio.AbortError:
        return
    if method.handler.response_streaming:
        call.end_stream()
    else:
        call.succeed(answer or b"")
