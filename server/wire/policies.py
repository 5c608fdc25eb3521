"""Timeouts and retries out of encoded dependencies, by the thousand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from depgraph.v1.types_pb2 import Dependency, RetryConfig
from graphcore.compiling import kernel
from server.wire.fields import EIGHT_BYTES, VARINT, tag_of

# Records joined at a time, while no other thread runs: a few tenths of a millisecond.
_RECORDS_A_BATCH = 2_048
_LONGEST_TIMEOUT = 2**31 - 1
_TIMEOUT, _RETRIES = tag_of(Dependency, "timeout_ms"), tag_of(Dependency, "retry_config")
_MAX_RETRIES = tag_of(RetryConfig, "max_retries")
_WIRE_TYPE, _FOUR_BYTES = 7, 5
_MORE = 128
# A configuration of retries that does not say how many means 3 after the first attempt.
_DEFAULT_ATTEMPTS = 4


def call_policies(
    records: NDArray[np.object_], places: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Read the timeouts in milliseconds and the attempts of the records in some places of a column.

    A timeout of 0 is not known; 0 attempts = no retries are known, and a configuration that does
    not say how many means 3 retries. O(bytes); compiled, it lets other threads run most of the
    time.
    """
    timeouts, attempts = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    for first in range(0, len(places), _RECORDS_A_BATCH):
        batch = records.take(places[first : first + _RECORDS_A_BATCH]).tolist()
        read_policies.run(np.frombuffer(b"".join(batch), np.uint8), timeouts, attempts, first)
    # Only a table without its CHECK holds others: negative ones, read as huge, count as unknown.
    timeouts[timeouts > _LONGEST_TIMEOUT] = 0
    return timeouts, attempts


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64)")
def behind_varint(records: Any, at: int) -> int:
    """Return where a varint ends."""
    while records[at] >= _MORE:
        at += 1
    return at + 1


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64)")
def varint_at(records: Any, at: int) -> Any:
    """Read a varint, the lowest 63 bits of it: a negative number becomes a huge one."""
    number, shift = np.int64(0), 0
    while records[at] >= _MORE and shift < 56:  # noqa: PLR2004 - 63 bits less the seven of the last byte
        number |= np.int64(records[at] & 127) << shift
        shift += 7
        at += 1
    return number | np.int64(records[at] & 127) << shift


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64)")
def behind_field(records: Any, at: int) -> int:
    """Return where a field ends; its tag takes one byte."""
    wire_type = records[at] & _WIRE_TYPE
    at += 1
    if wire_type == VARINT:
        return int(behind_varint(records, at))
    if wire_type == EIGHT_BYTES:
        return at + 8
    if wire_type == _FOUR_BYTES:
        return at + 4
    return int(behind_varint(records, at) + varint_at(records, at))


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64, int64)")
def attempts_in(records: Any, at: int, end: int) -> int:
    """Read how often a call is made at most by a configuration of retries."""
    attempts = _DEFAULT_ATTEMPTS
    while at < end:
        if records[at] == _MAX_RETRIES:
            attempts = varint_at(records, at + 1) + 1
        at = behind_field(records, at)
    return attempts


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64[::1], int64[::1], int64)")
def read_policies(records: Any, timeouts: Any, attempts: Any, first: int) -> int:
    """
    Read records of dependencies, one behind the other, into columns from ``first`` on.

    Returns the place behind the last one. Fields stand in the order of their numbers, so those
    behind the retries are skipped. No timeout = 0, no retries = 0.
    """
    at, number = 0, first
    while at < len(records):
        end = behind_field(records, at)
        at = behind_varint(records, at + 1)
        timeouts[number], attempts[number] = 0, 0
        while at < end and records[at] <= _RETRIES:
            following = behind_field(records, at)
            if records[at] == _TIMEOUT:
                timeouts[number] = varint_at(records, at + 1)
            elif records[at] == _RETRIES:
                attempts[number] = attempts_in(records, behind_varint(records, at + 1), following)
            at = following
        at = end
        number += 1
    return number
