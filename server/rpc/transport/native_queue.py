"""The queue of the native transport, in which calls wait until the event loop takes them."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from pygrpc_native import EVENT_CALL, NativeGrpcFront

# Calls that are begun in one round of the event loop.
_BATCH = 64


class Receiver(Protocol):
    """Receives calls, in the event loop."""

    def begin_round(self) -> None:
        """Note that a round of the event loop begins in which calls are begun."""

    def begin(self, number: int, place: int, request: bytes, details: Any, received: float) -> None:
        """
        Begin a call of the method at ``place``; never raises.

        ``details`` are metadata, peer and the seconds left when it was ``received`` (``time.monotonic``).
        """

    def cancel(self, number: int) -> bool:
        """Cancel a call; False = there is none of that number."""


class CallQueue:
    """
    Hands calls to the event loop.

    A thread takes as many of them as there are, hands them over and rests until they are begun, so that the two never
    compete for the interpreter.
    """

    def __init__(self, front: NativeGrpcFront, receiver: Receiver) -> None:
        self._front = front
        self._receiver = receiver
        # What the thread has taken, and when.
        self._handed: deque[tuple[Sequence[Any], float]] = deque()
        # Calls that are cancelled before they are begun: they are among those that the thread is about to hand over.
        self._cancelled: set[int] = set()
        self._may_hand_over = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._hand_over, name="calls", daemon=True)

    def start(self) -> None:
        """Begin to hand over, to the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def begin_all(self, until: float) -> None:
        """Begin all calls that wait, those that come meanwhile until that time (``time.monotonic``)."""
        self.begin_handed()
        while (now := time.monotonic()) < until and (events := self._front.recv_batch_details(_BATCH, 0)):
            self._begin(events, now)

    def begin_handed(self) -> None:
        """Begin the calls that were handed over."""
        while self._handed:
            self._begin(*self._handed.popleft())

    def close(self) -> None:
        """Close the front, and wait for the end of the thread."""
        self._front.close()
        self._may_hand_over.release()
        if self._thread.ident is not None:
            self._thread.join()

    def _hand_over(self) -> None:
        while (events := self._front.recv_batch_details(_BATCH)) is not None:
            self._handed.append((events, time.monotonic()))
            # Their requests would be kept until the next calls come.
            del events
            try:
                self._loop.call_soon_threadsafe(self._take_over)
            except RuntimeError:
                # The loop is closed.
                return
            self._may_hand_over.acquire()

    def _take_over(self) -> None:
        try:
            self.begin_handed()
            self._cancelled.clear()
        finally:
            self._may_hand_over.release()

    def _begin(self, events: Sequence[Any], received: float) -> None:
        self._receiver.begin_round()
        for kind, number, place, request, _, details in events:
            if kind == EVENT_CALL:
                if number not in self._cancelled:
                    self._receiver.begin(number, place, request, details, received)
            elif not self._receiver.cancel(number):
                # It is over, or to come: two take calls out of the queue, the thread and ``begin_all``.
                self._cancelled.add(number)
