"""Calls of the native transport: the queue that they come from, and the context of each."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc
from pygrpc_native import EVENT_CALL, STREAM_CLOSED, STREAM_FULL, NativeGrpcFront

from server.rpc.context import after_failed_write

if TYPE_CHECKING:
    from pygrpc_native import Metadata

# Calls that begin in one iteration of the event loop.
_BATCH = 64
# The transport has no event for a reader that has room again. A reader that keeps up has room
# within the first time, in which the loop spins: its timers are no finer. Later polls are rarer.
_SPIN_SECONDS, _LONGEST_POLL_SECONDS = 0.001, 0.02
_DETAILS = "grpc-status-details-bin"


class Receiver(Protocol):
    """Receives calls in the event loop."""

    def begin_iteration(self) -> None:
        """Note that calls begin in this iteration of the event loop."""

    def begin(self, number: int, method_index: int, request: bytes, details: Any, received: float) -> None:
        """
        Begin a call of a method, given by its position in ``serve``; never raises.

        ``details`` are metadata, peer and the seconds that were left when it was ``received``
        (``time.monotonic``).
        """

    def cancel(self, number: int) -> bool:
        """Cancel a call; False = no call of that number is in progress."""


class CallQueue:
    """
    Hands calls to the event loop.

    A thread takes a batch of calls, hands it over and waits until the calls have begun, so that the
    two threads never compete for the interpreter.
    """

    def __init__(self, front: NativeGrpcFront, receiver: Receiver) -> None:
        self._front = front
        self._receiver = receiver
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
        self._receiver.begin_iteration()
        for kind, number, method_index, request, _, details in events:
            if kind == EVENT_CALL:
                if number not in self._cancelled:
                    self._receiver.begin(number, method_index, request, details, received)
            elif not self._receiver.cancel(number):
                # It is over, or in a batch of the thread, and ``begin_all`` was faster.
                self._cancelled.add(number)


class NativeCall:
    """
    The part of ``grpc.aio.ServicerContext`` that handlers use.

    ``seconds`` were left until the deadline (None = there is none) when the call was ``received``
    (``time.monotonic``).
    """

    __slots__ = ("_callbacks", "_code", "_front", "_peer", "_received", "_seconds", "number")

    def __init__(
        self, front: NativeGrpcFront, number: int, peer: str, seconds: float | None, received: float
    ) -> None:
        self._front = front
        self.number = number
        self._peer = peer
        self._seconds = seconds
        self._received = received
        self._code: grpc.StatusCode | None = None
        self._callbacks: list[Callable[[Any], None]] | None = None

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self._seconds is not None and self.time_remaining() == 0

    def peer(self) -> str:
        """Return the address of the caller's end of the connection."""
        return self._peer

    def time_remaining(self) -> float | None:
        """Return the seconds until the call's deadline; None = it has none."""
        if self._seconds is None:
            return None
        return max(0.0, self._seconds - (time.monotonic() - self._received))

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send the metadata of a stream's answer."""
        self._front.stream_send_initial_metadata(self.number, list(initial_metadata))

    async def write(self, message: bytes) -> None:
        """Send a message of a stream when its reader has room for it."""
        tried, wait = time.monotonic(), 0.0
        while (sent := self._front.stream_try_send(self.number, message)) == STREAM_FULL:
            await asyncio.sleep(wait)
            if time.monotonic() - tried > _SPIN_SECONDS:
                wait = min(max(2 * wait, _SPIN_SECONDS), _LONGEST_POLL_SECONDS)
        if sent == STREAM_CLOSED:
            await after_failed_write()
            raise grpc.aio.InternalError("the stream is closed, and the call was not cancelled")

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: "Metadata" = (),
    ) -> NoReturn:
        """End the call with a status."""
        self.fail(code, details, trailing_metadata)
        raise grpc.aio.AbortError(details)

    def fail(self, code: grpc.StatusCode, details: str, trailing_metadata: "Metadata" = ()) -> None:
        """End the call with a status, without an error."""
        self._code = code
        sent = [pair for pair in trailing_metadata if not _is_reserved(pair[0])]
        self._front.fail(self.number, code.value[0], details, sent)

    def succeed(self, answer: bytes) -> None:
        """End a unary call with its answer."""
        self._front.respond(self.number, answer)

    def end_stream(self) -> None:
        """End a stream."""
        self._front.stream_end(self.number)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set what ``code`` returns."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Do nothing: gRPC's code that sets details also aborts."""

    def code(self) -> grpc.StatusCode | None:
        """Return the status that was set."""
        return self._code

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` when the transport has the answer; it does not report sending."""
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)

    def end(self) -> None:
        """Run the done callbacks."""
        for callback in self._callbacks or ():
            callback(self)


def _is_reserved(key: str) -> bool:
    """
    Whether the transport refuses to send this key: gRPC's own ones, except the details of a status.

    That includes ``grpc-retry-pushback-ms``; callers find the same in the RetryInfo of the details.
    """
    return key.startswith("grpc-") and key != _DETAILS
