"""The log of calls, which stays readable however many calls fail."""

import asyncio
import logging
import traceback
from dataclasses import dataclass
from datetime import timedelta
from types import CodeType
from typing import TypeAlias

import structlog

from server.domain.errors import DomainError
from server.rpc.context import Context
from server.rpc.errors import unexpected_error

log = structlog.get_logger(__name__)

WINDOW = timedelta(seconds=10)

_SERVER_FAULTS = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"})
# The class of an error and the lines that it passed through, as a set: a recursion adds no causes.
_Cause: TypeAlias = tuple[type[BaseException], frozenset[tuple[CodeType, int | None]]]


@dataclass(slots=True)
class _Repeated:
    """Calls that ended like an earlier one in the same window."""

    count: int = 0
    longest_seconds: float = -1.0
    peer: str = ""

    def add(self, seconds: float, context: Context) -> None:
        self.count += 1
        if seconds > self.longest_seconds:
            self.longest_seconds, self.peer = seconds, context.peer()


class CallLog:
    """
    Logs a call that failed, and counts the calls that repeat it.

    Of all calls of a method that end with the same code within a window, the first is logged, and
    the others together when the window ends. Likewise the first error of a kind is logged with its
    traceback, and the others refer to it by its ``error_id``. At level DEBUG every call is logged,
    successful ones too, and every error with its traceback. Belongs to one event loop.
    """

    def __init__(self, window: timedelta = WINDOW) -> None:
        self._window_seconds = window.total_seconds()
        # Bounded by methods and codes: gRPC itself answers calls of unknown methods.
        self._repeated: dict[tuple[str, str], _Repeated] = {}
        self._error_ids: dict[_Cause, str] = {}
        self._window_end: asyncio.TimerHandle | None = None
        self._is_closed = False

    def ended(self, method: str, code: str, seconds: float, context: Context, principal: str = "") -> None:
        """Note a call that ended; less than a microsecond for a successful one."""
        level = _level_of(code)
        if not log.is_enabled_for(level):
            return
        if self._holds_back():
            repeated = self._repeated.get((method, code))
            if repeated is not None:
                repeated.add(seconds, context)
                return
            self._repeated[method, code] = _Repeated()
            self._begin_window()
        caller = {"principal": principal} if principal else {}
        log.log(
            level,
            "call",
            method=method,
            code=code,
            duration_ms=_milliseconds(seconds),
            peer=context.peer(),
            **caller,
        )

    def failed(self, method: str, error: Exception) -> DomainError:
        """Log an unexpected error; return the error for the caller, with the same ``error_id``."""
        stand_in = unexpected_error()
        error_id = stand_in.metadata["error_id"]
        if self._holds_back():
            first = self._error_ids.setdefault(_cause_of(error), error_id)
            if first != error_id:
                log.error("unexpected error again", method=method, error_id=error_id, same_as=first)
                return stand_in
            self._begin_window()
        log.error("unexpected error", method=method, exc_info=error, error_id=error_id)
        return stand_in

    def close(self) -> None:
        """Write the counts of the current window, and log every call from now on."""
        self._is_closed = True
        self._end_window()

    def _holds_back(self) -> bool:
        return not self._is_closed and not log.is_enabled_for(logging.DEBUG)

    def _begin_window(self) -> None:
        if self._window_end is None:
            loop = asyncio.get_running_loop()
            self._window_end = loop.call_later(self._window_seconds, self._end_window)

    def _end_window(self) -> None:
        if self._window_end is not None:
            self._window_end.cancel()
        ended = self._repeated
        self._window_end, self._repeated, self._error_ids = None, {}, {}
        for (method, code), repeated in ended.items():
            if repeated.count:
                log.log(
                    _level_of(code),
                    "more such calls",
                    method=method,
                    code=code,
                    count=repeated.count,
                    longest_ms=_milliseconds(repeated.longest_seconds),
                    peer_of_longest=repeated.peer,
                )


def _level_of(code: str) -> int:
    if code == "OK":
        return logging.DEBUG
    return logging.WARNING if code in _SERVER_FAULTS else logging.INFO


def _cause_of(error: Exception) -> _Cause:
    lines = traceback.walk_tb(error.__traceback__)
    return type(error), frozenset((frame.f_code, line) for frame, line in lines)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
