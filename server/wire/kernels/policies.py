"""Timeouts and retries out of the records of dependencies, without parsing the rest."""

from typing import Any

import numpy as np

from depgraph.v1.types_pb2 import Dependency, RetryConfig
from graphcore.compiling import kernel
from server.wire.fields import tag_of

_TIMEOUT, _RETRIES = tag_of(Dependency, "timeout_ms"), tag_of(Dependency, "retry_config")
_MAX_RETRIES = tag_of(RetryConfig, "max_retries")
_WIRE_TYPE, _VARINT, _EIGHT_BYTES, _FOUR_BYTES = 7, 0, 1, 5
_MORE = 128
_UNSAID_ATTEMPTS = 4
"""What a configuration of retries means that does not say how many there are: 3 after the first attempt."""


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
    if wire_type == _VARINT:
        return int(behind_varint(records, at))
    if wire_type == _EIGHT_BYTES:
        return at + 8
    if wire_type == _FOUR_BYTES:
        return at + 4
    return int(behind_varint(records, at) + varint_at(records, at))


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64, int64)")
def attempts_in(records: Any, at: int, end: int) -> int:
    """Read how often a call is made at most by a configuration of retries."""
    attempts = _UNSAID_ATTEMPTS
    while at < end:
        if records[at] == _MAX_RETRIES:
            attempts = varint_at(records, at + 1) + 1
        at = behind_field(records, at)
    return attempts


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64[::1], int64[::1], int64)")
def read_policies(records: Any, timeouts: Any, attempts: Any, first: int) -> int:
    """
    Read records of dependencies, one behind the other, into columns from ``first`` on; returns the place behind the last one.

    Fields stand in the order of their numbers, so those behind the retries are skipped. No timeout = 0, no retries = 0.
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
