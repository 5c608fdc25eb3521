"""The log of requests that are refused before any method sees them."""

import time
from collections import Counter

import structlog

from server.rpc.call_log import WINDOW
from server.rpc.errors import shortened

log = structlog.get_logger(__name__)

# The text may hold a header, which its sender chooses.
_MOST_BYTES = 300


class Refusals:
    """
    Logs a refused request, and counts those that follow it.

    Anybody can send such requests, so of each kind there is one line in ten seconds, and the next
    one says how many had none.
    """

    def __init__(self) -> None:
        self._silent_until: dict[str, float] = {}
        self._silent: Counter[str] = Counter()

    def note(self, kind: str, reason: str, peer: str) -> None:
        """Note a request; ``kind`` is one of a few."""
        now = time.monotonic()
        if now < self._silent_until.get(kind, 0.0):
            self._silent[kind] += 1
            return
        self._silent_until[kind] = now + WINDOW.total_seconds()
        log.info(
            "refused a request",
            kind=kind,
            reason=shortened(reason, _MOST_BYTES),
            peer=peer,
            more_before=self._silent.pop(kind, 0),
        )
