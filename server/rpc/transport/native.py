"""The transport of pygrpc-native: HTTP/2 in Rust, outside the interpreter; for trusted callers."""

import asyncio
import contextlib
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
from pygrpc_native import EVENT_CALL, NativeGrpcFront

from server.access.grants import UnknownKeyError
from server.config import Limits, TransportName
from server.domain.errors import DomainError
from server.rpc.admission import BACKLOG_SECONDS
from server.rpc.answering import Admitted, Answering
from server.rpc.errors import status_and_metadata, unexpected_error
from server.rpc.methods import STANDARD, Method
from server.rpc.places import Slot
from server.rpc.transport.grpcio import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, GrpcioTransport
from server.rpc.transport.native_call import NativeCall

log = structlog.get_logger(__name__)

# Calls that begin in one iteration of the event loop.
_BATCH = 64
# One I/O thread keeps up with one event loop; more would take the processor from it.
_IO_THREADS = 1
_FLUSH_POLL_SECONDS = 0.002


class NativeTransport:
    """
    Has the methods of ``GrpcioTransport``.

    Answers that can be made at once are made where the call begins, without a task. Methods that
    take a stream of requests (reflection) are served by grpcio behind it, through a Unix socket.
    """

    name: TransportName = "native"

    # Made by ``listen``.
    _front: NativeGrpcFront
    _queue: "CallQueue"

    def __init__(self, limits: Limits, *, share_port: bool = False) -> None:
        self._limits = limits
        self._share_port = share_port
        self._methods: list[Method] = []
        self._behind = GrpcioTransport(replace(limits, max_streams_per_connection=limits.max_streaming_calls))
        self._is_listening = False
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._folder = contextlib.ExitStack()

    async def admit_backlog(self) -> None:
        """Begin the calls that wait, for a limited time, since refused callers may send more."""
        self._queue.begin_all(time.monotonic() + BACKLOG_SECONDS)
        await asyncio.sleep(0)

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve."""
        self._answering, self.admission = answering, answering.admission
        self._methods = [method for method in methods if not method.handler.request_streaming]
        behind = [method for method in methods if method.handler.request_streaming]
        # Every peer is the Unix socket there: its word would count as that of a proxy.
        if any(not method.name.startswith(STANDARD) for method in behind):
            raise ValueError("methods for callers with an identity can't take a stream of requests")
        self._behind.serve(behind, answering)

    def listen(self, address: str) -> int:
        """Bind an address."""
        self._front = NativeGrpcFront(
            address,
            [(method.name, method.handler.response_streaming) for method in self._methods],
            io_threads=_IO_THREADS,
            call_details=True,
            # So a stream that fails before its first message sends its status without metadata.
            delay_stream_headers=True,
            metrics=True,
            max_concurrent_streams=self._limits.max_streams_per_connection,
            reuse_port=self._share_port,
            keepalive_time_ms=KEEPALIVE_TIME_MS,
            keepalive_timeout_ms=KEEPALIVE_TIMEOUT_MS,
        )
        self._queue = CallQueue(self._front, self)
        self._is_listening = True
        return self._front.bound_port

    async def start(self) -> None:
        """Accept calls."""
        try:
            folder = self._folder.enter_context(tempfile.TemporaryDirectory(prefix="depgraph-"))
            socket = Path(folder) / "behind"
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
        """Close, after all answers are sent or ``flush`` is over."""
        if not self._is_listening:
            return
        with self._folder:
            if flush is not None:
                await self._flush(flush)
            await asyncio.to_thread(self._queue.close)
            # Begins the last calls, so that they are cancelled with the others.
            self._queue.begin_handed_over()
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._behind.stop(None)

    async def _flush(self, within: timedelta) -> None:
        """Wait until all answers are sent; the transport offers no event for it."""
        ends = time.monotonic() + within.total_seconds()
        while self._is_sending() and time.monotonic() < ends:  # noqa: ASYNC110
            await asyncio.sleep(_FLUSH_POLL_SECONDS)

    def _is_sending(self) -> bool:
        """Whether some call has not had its status sent."""
        of_methods = (self._front.metrics() or {})["methods"].values()
        return any(
            counts["started"] > sum(of_status["count"] for of_status in counts["status"].values())
            for counts in of_methods
        )

    def begin(self, number: int, method_index: int, request: bytes, details: Any, received: float) -> None:
        """
        Begin a call of the method at a position in ``_methods``; never raises.

        ``details`` and ``received`` are those of a ``NativeCall``.
        """
        call = NativeCall(self._front, number, details, received)
        method = self._methods[method_index]
        try:
            self._begin(call, method, request)
        except Exception as error:  # noqa: BLE001 - the other calls of the batch must begin in any case
            _end_broken(call, method, error)

    def cancel(self, number: int) -> bool:
        """Cancel a call; False = no call of that number is in progress."""
        task = self._tasks.get(number)
        if task is None:
            return False
        task.cancel()
        return True

    def _begin(self, call: Any, method: Method, request: bytes) -> None:
        admitted: Admitted | None = None
        try:
            caller = self._answering.admit(method.name, call)
            # A late call is not worth an answer.
            if (
                method.at_once is not None
                and not call.is_late
                and method.at_once(request, call, call.succeed, caller)
            ):
                return
            admitted = self._answering.enter(method.kind, caller, call)
        except UnknownKeyError:
            # The task admits the call, or not, when newer keys are there.
            pass
        except DomainError as error:
            self._answering.note_refused(method, call, error)
            call.fail(*status_and_metadata(error))
            return
        task = asyncio.create_task(_answer(method, request, call, admitted))
        self._tasks[call.number] = task
        slot = None if admitted is None else admitted.slot
        task.add_done_callback(partial(self._end, call, method, slot))

    def _end(self, call: NativeCall, method: Method, slot: Slot | None, task: "asyncio.Task[None]") -> None:
        # A task that was cancelled before it began has not released its slot.
        if slot is not None:
            slot.release()
        del self._tasks[call.number]
        call.end()
        if task.cancelled():
            # Usually the caller is gone. A late caller may get this before the transport acts.
            late = grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"
            call.fail(*late if call.is_late else (grpc.StatusCode.CANCELLED, ""))
        elif (error := task.exception()) is not None:
            _end_broken(call, method, error)


class CallQueue:
    """
    Hands calls to the event loop.

    A thread takes a batch of calls, hands it over and waits until the calls have begun, so that the
    two threads never compete for the interpreter.
    """

    def __init__(self, front: NativeGrpcFront, transport: NativeTransport) -> None:
        self._front = front
        self._transport = transport
        # Batches that the thread has handed over, and when it took them.
        self._handed: deque[tuple[Sequence[Any], float]] = deque()
        # Calls cancelled before they began: they are in a batch that is not handed over yet.
        self._cancelled: set[int] = set()
        self._may_hand_over = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._hand_over, name="calls", daemon=True)

    def start(self) -> None:
        """Begin to hand calls to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def begin_all(self, until: float) -> None:
        """Begin all calls that wait or arrive until the given time (``time.monotonic``)."""
        self.begin_handed_over()
        while (now := time.monotonic()) < until and (events := self._front.recv_batch_details(_BATCH, 0)):
            self._begin(events, now)

    def begin_handed_over(self) -> None:
        """Begin the calls that were handed over."""
        while self._handed:
            self._begin(*self._handed.popleft())

    def close(self) -> None:
        """Close the transport, and wait for the end of the thread."""
        self._front.close()
        self._may_hand_over.release()
        if self._thread.ident is not None:
            self._thread.join()

    def _hand_over(self) -> None:
        while (events := self._front.recv_batch_details(_BATCH)) is not None:
            self._handed.append((events, time.monotonic()))
            # Otherwise this frame would keep the requests until the next batch.
            del events
            try:
                self._loop.call_soon_threadsafe(self._take_over)
            except RuntimeError:
                # The loop is closed.
                return
            self._may_hand_over.acquire()

    def _take_over(self) -> None:
        try:
            self.begin_handed_over()
            self._cancelled.clear()
        finally:
            self._may_hand_over.release()

    def _begin(self, events: Sequence[Any], received: float) -> None:
        self._transport.admission.begin_iteration()
        for kind, number, method_index, request, _, details in events:
            if kind == EVENT_CALL:
                if number not in self._cancelled:
                    self._transport.begin(number, method_index, request, details, received)
            elif not self._transport.cancel(number):
                # It is over, or in a batch of the thread, and ``begin_all`` was faster.
                self._cancelled.add(number)


def _end_broken(call: NativeCall, method: Method, error: BaseException) -> None:
    """End a call that has no status because of an unexpected error."""
    sent = unexpected_error()
    log.error(
        "a call could not be answered", method=method.name, exc_info=error, error_id=sent.metadata["error_id"]
    )
    call.fail(*status_and_metadata(sent))


async def _answer(method: Method, request: bytes, call: Any, admitted: Admitted | None) -> None:
    try:
        answer = await method.answer(request, call, admitted)
    except grpc.aio.AbortError:
        return
    if method.handler.response_streaming:
        call.end_stream()
    else:
        call.succeed(answer or b"")
