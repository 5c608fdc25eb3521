"""Memory that was needed for a moment goes back to the system."""

import asyncio
from datetime import timedelta

import pytest

from server.lifecycle import runtime
from server.lifecycle.runtime import give_back_memory
from tests.support.eventually import eventually

MIB = 1024 * 1024
PIECES, PIECE_BYTES = 200_000, 1_000


async def test_free_memory_between_pieces_in_use_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    if not runtime.STATISTICS.exists():
        pytest.skip("this system does not say how much memory a process holds")
    monkeypatch.setattr(runtime, "LOOK", timedelta(0))
    giving = asyncio.ensure_future(give_back_memory())
    await asyncio.sleep(0)
    if giving.done():
        pytest.skip("the C library of this system has no malloc_trim")
    # It is seen in use before it is free.
    pieces = [bytes(PIECE_BYTES) for _ in range(PIECES)]
    much = runtime.resident_bytes()
    for _ in range(10):
        await asyncio.sleep(0)
    kept = pieces[::100]
    del pieces
    await eventually(lambda: runtime.resident_bytes() < much - PIECES * PIECE_BYTES // 2)
    assert len(kept) == PIECES // 100
    giving.cancel()
