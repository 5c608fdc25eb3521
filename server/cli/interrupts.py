"""Ctrl-C at moments when it does no harm."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread

Look = Callable[[], None]
"""Raises ``KeyboardInterrupt`` if there was a Ctrl-C."""


@contextmanager
def interrupted_at_looks_only() -> Iterator[Look]:
    """
    Hold Ctrl-C back until the body looks for it, or ends.

    gRPC is not made for interruptions: a call that is begun in the middle of one may be left to nobody, and closing the channel waits
    for it in vain. Changes nothing where Ctrl-C is not what interrupts: in other threads, or where it is ignored.
    """
    if (
        current_thread() is not main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield lambda: None
        return
    pressed = Event()

    def look() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    look()
