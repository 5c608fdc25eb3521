"""The queue of the native transport, in which calls wait until the event loop takes them."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from pygrpc_native import EVENT_CALL, NativeGrpcFront

# Calls that begin in one iteration of the event loop.
_BATCH = 64


class Receiver(Protocol):
    """Receives calls in the event loop."""

    def begin_iteration(self) -> None:
        """Note that calls begin in this iteration of the event loop."""

    def begin(self, number: int, place: int, request: bytes, details: Any, received: float) -> None:
        """
        Begin a call of the method at ``place``; never raises.

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
        # Calls that were cancelled before they began: they are in the batch that the thread is about to hand over.
        self._cancelled: set[int] = set()
        self._may_hand_over = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._hand_over, name="calls", daemon=True)

    def start(self) -> None:
        """Begin to hand calls to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def begin_all(self, until: float) -> None:
        """Begin all calls that wait, and those that arrive until the given time (``time.monotonic``)."""
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
        for kind, number, place, request, _, details in events:
            if kind == EVENT_CALL:
                if number not in self._cancelled:
                    self._receiver.begin(number, place, request, details, received)
            elif not self._receiver.cancel(number):
                # It is over, or in a later batch: both the thread and ``begin_all`` take calls out of the queue.
                self._cancelled.add(number)
