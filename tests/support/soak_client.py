"""
All callers of the soak in one process: ``python -m tests.support.soak_client ADDRESS NUMBER SEED``.

Each line of standard input is a number of seconds to call for. Once all callers of that round
have ended, the answer is a line of JSON with the counts and the faults.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

from tests.support.command import ROOT
from tests.support.soak_callers import ask_fast, come_and_go, crowd, write
from tests.support.soak_graph import StillModel
from tests.support.soak_official import ask_officially
from tests.support.soak_round import Round
from tests.support.soak_streams import stream, watch
from tests.support.soak_writer import Writer

Caller = Callable[[Round], Coroutine[Any, Any, None]]
CALLERS: tuple[Caller, ...] = (
    *(ask_fast, ask_fast, ask_fast),
    *(come_and_go, crowd, write, stream, stream, watch, watch, ask_officially),
)
# What is open when a round ends must have ended by then.
PATIENCE_SECONDS = 60.0


async def call_for(seconds: float, turn: Round) -> None:
    """Let all call until the time is over or something is wrong, and wait for the last answer."""
    callers = {asyncio.create_task(_run(caller, turn), name=caller.__name__) for caller in CALLERS}
    ending = asyncio.get_running_loop().call_later(seconds, turn.end)
    await turn.over.wait()
    ending.cancel()
    _, waiting = await asyncio.wait(callers, timeout=PATIENCE_SECONDS)
    for caller in waiting:
        turn.wrong(f"{_place_of(caller.get_coro())} still waits for an answer")
        caller.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _place_of(coroutine: Any) -> str:
    """Name the functions that a coroutine waits in, the innermost last."""
    names = []
    while hasattr(coroutine, "cr_await"):
        names.append(f"{coroutine.__qualname__} (line {coroutine.cr_frame.f_lineno})")
        coroutine = coroutine.cr_await
    return " in ".join(reversed(names))


async def _run(caller: Caller, turn: Round) -> None:
    with turn.watching_out(caller.__name__):
        await caller(turn)


def main(address: str, number: str, seed: str) -> None:
    """Serve rounds until standard input ends."""
    dice, model = Random(f"{seed}-{number}"), StillModel()  # noqa: S311 - to be rolled again
    writer = Writer(int(number), dice)
    for line in sys.stdin:
        turn = Round(address, writer, model, dice)
        asyncio.run(call_for(float(line), turn))
        sys.stdout.write(json.dumps({"counts": turn.counts, "faults": turn.faults[:5]}) + "\n")
        sys.stdout.flush()


class SoakClient:
    """Such a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call_for(self, seconds: float) -> tuple[dict[str, int], list[str]]:
        """Run a round; returns its counts and its first faults."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n".encode())
        async with asyncio.timeout(seconds + 2 * PATIENCE_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            return {}, ["a client died"]
        returned = json.loads(line)
        return returned["counts"], returned["faults"]


@asynccontextmanager
async def soak_client(address: str, number: int, seed: int) -> AsyncIterator[SoakClient]:
    """Start a process of callers; it is killed at the end of the context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.soak_client", address, str(number), str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield SoakClient(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


if __name__ == "__main__":
    main(*sys.argv[1:])
