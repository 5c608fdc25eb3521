"""The log of writes: a line for each, and shared lines for those of a flood."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from operator import add
from typing import Any

import structlog

from server.domain.writes import WriteCounts, WritingCall

log = structlog.get_logger(__name__)

WINDOW = timedelta(seconds=10)
LINES = 10
"""Writes of one principal by one method in a window that have a line each."""


@dataclass(slots=True)
class _Repeated:
    """Writes of one principal by one method in the current window."""

    lines: int = 0
    count: int = 0
    counts: WriteCounts = field(default_factory=WriteCounts)
    revision: str = ""
    peer: str = ""

    def add(self, call: WritingCall, counts: WriteCounts, revision: str) -> None:
        """Add a write that has no line of its own."""
        self.count += 1
        self.counts = WriteCounts(*map(add, self.counts, counts))
        self.revision, self.peer = revision, call.peer


class WriteLog:
    """
    Logs each write; beyond ``LINES`` of one principal and method in a window, a sum of the others.

    So the log neither loses a write nor grows with a flood: the account of writes has each with its
    revision. At level ``debug`` every write has a line. Writes that may not have been made have
    lines of their own, with ``outcome``.
    """

    def __init__(self, window: timedelta = WINDOW) -> None:
        self._window_seconds = window.total_seconds()
        self._window_end: asyncio.TimerHandle | None = None
        self._repeated: dict[tuple[str, str, bool], _Repeated] = {}
        self._is_closed = False

    def written(
        self,
        principal: str,
        call: WritingCall,
        counts: WriteCounts,
        revision: str,
        *,
        is_certain: bool = True,
    ) -> None:
        """Note a write that is committed; not ``is_certain`` = it may be."""
        if not (self._is_closed or log.is_enabled_for(logging.DEBUG)):
            seen = self._seen((principal, call.method, is_certain))
            if seen.lines >= LINES:
                seen.add(call, counts, revision)
                return
            seen.lines += 1
        log.info(
            "write",
            principal=principal,
            method=call.method,
            **_changed(counts),
            **_outcome(is_certain=is_certain),
            revision=revision,
            peer=call.peer,
        )

    def close(self) -> None:
        """Write the sums of the current window, and log every write from now on."""
        self._is_closed = True
        self._end_window()

    def _seen(self, kind: tuple[str, str, bool]) -> _Repeated:
        """Find what the current window, which begins if there is none, has of such writes."""
        seen = self._repeated.get(kind)
        if seen is None:
            seen = self._repeated[kind] = _Repeated()
            if self._window_end is None:
                loop = asyncio.get_running_loop()
                self._window_end = loop.call_later(self._window_seconds, self._end_window)
        return seen

    def _end_window(self) -> None:
        if self._window_end is not None:
            self._window_end.cancel()
        ended = self._repeated
        self._window_end, self._repeated = None, {}
        for (principal, method, is_certain), repeated in ended.items():
            if repeated.count:
                log.info(
                    "more such writes",
                    principal=principal,
                    method=method,
                    count=repeated.count,
                    **_changed(repeated.counts),
                    **_outcome(is_certain=is_certain),
                    last_revision=repeated.revision,
                    last_peer=repeated.peer,
                )


def _changed(counts: WriteCounts) -> dict[str, Any]:
    return {name: count for name, count in counts._asdict().items() if count}


def _outcome(*, is_certain: bool) -> dict[str, str]:
    return {} if is_certain else {"outcome": "unknown"}
