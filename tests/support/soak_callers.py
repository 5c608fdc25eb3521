"""The unary callers of the soak, with connections of their own; they go on until it ends."""

import asyncio
from functools import partial

from bench.http2 import DATA, END_HEADERS, HEADERS, call_headers, frame
from tests.support.raw_calls import LOST, Call, RawConnection, Request, connect
from tests.support.soak_questions import TRAVERSE, WATCH, large_stream
from tests.support.soak_round import (
    NAMES,
    OK,
    Round,
    Step,
    described,
    is_for_want_of_room,
)

LANES = 16
# In calls of the fast ones.
PAUSE_BETWEEN_TRIES, PAUSE_BETWEEN_WRITES, PAUSE_BETWEEN_CONNECTIONS, PAUSE_BETWEEN_CROWDS = (
    20,
    200,
    500,
    50_000,
)
CROWDED_CONNECTIONS, CALLS_OF_A_CONNECTION = 3, 100
# Which bound comes first, the call's, the database's or the server's, is a matter of chance.
OF_A_LATE_WRITE = {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "UNAVAILABLE"}


class _Lane:
    """
    A place on a connection: when a call is answered, the next one is made.

    Few are cancelled at once: a client that sends more than twenty cancelled calls at a time looks
    like an attacker to the native transport.
    """

    def __init__(self, turn: Round, connection: RawConnection) -> None:
        self._round = turn
        self._connection = connection
        self._given_up: Call | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self) -> None:
        """Make the next call, and give up those before it that are to be given up."""
        turn, connection = self._round, self._connection
        while not turn.is_over:
            step = turn.next_step()
            if not step.is_given_up:
                call = connection.ask(step.request, partial(self._ended, step))
                call.floor = turn.writer.seen
                return
            # At once, so that the server hears of both together, or when the next answer is there.
            self._give_up()
            self._given_up = connection.ask(step.request, partial(turn.judge, step))
            turn.counts["given up"] += 1
            if turn.dice.random() < 0.5:
                self._give_up()
        self._give_up()
        if not self.over.done():
            self.over.set_result(None)

    def _ended(self, step: Step, call: Call) -> None:
        if call.code == LOST:
            self._round.wrong(f"a connection was closed by the server: {call.message}")
        else:
            self._round.judge(step, call)
        self._give_up()
        self.ask()

    def _give_up(self) -> None:
        if self._given_up is not None:
            self._connection.reset(self._given_up)
            self._given_up = None


async def ask_fast(turn: Round) -> None:
    """Have many calls open on one connection all the time."""
    connection = await connect(turn.address)
    lanes = [_Lane(turn, connection) for _ in range(LANES)]
    for lane in lanes:
        lane.ask()
    await asyncio.gather(*(lane.over for lane in lanes))
    connection.finish()


async def come_and_go(turn: Round) -> None:
    """Connect, ask, and be gone before all is answered."""
    while not turn.is_over:
        connection = await connect(turn.address)
        enough, wanted = asyncio.Event(), turn.dice.randint(0, 8)
        left = wanted + turn.dice.randint(1, 8)

        def ended(step: Step, call: Call, enough: asyncio.Event = enough, wanted: int = wanted) -> None:
            nonlocal left
            if call.code == LOST:
                turn.counts["left behind"] += 1
            else:
                turn.judge(step, call)
            left -= 1
            if left <= wanted:
                enough.set()

        for _ in range(left):
            step = turn.next_step()
            connection.ask(step.request, partial(ended, step)).floor = turn.writer.seen
        connection.ask(large_stream(), lambda _: None)
        connection.ask(Request(WATCH, b""), lambda _: None)
        await enough.wait()
        _leave(turn, connection)
        turn.counts["connections left"] += 1
        await turn.pause(PAUSE_BETWEEN_CONNECTIONS)


def _leave(turn: Round, connection: RawConnection) -> None:
    way = turn.dice.randrange(3)
    if way == 0:
        connection.finish()
        return
    if way == 1:
        # In the middle of a request, in the middle of a frame.
        connection.send_raw(frame(HEADERS, END_HEADERS, 1_000_001, call_headers(TRAVERSE)))
        connection.send_raw(frame(DATA, 0, 1_000_001, b"half a message")[:-3])
        connection.finish()
        return
    connection.drop()


async def crowd(turn: Round) -> None:
    """Come with more calls that wait for the database than the server takes at once."""
    while not turn.is_over:
        connections = [await connect(turn.address) for _ in range(CROWDED_CONNECTIONS)]
        step = turn.crowded_step()
        crowding = [
            connection.call(step.request) for connection in connections for _ in range(CALLS_OF_A_CONNECTION)
        ]
        for call in await asyncio.gather(*crowding):
            turn.judge(step, call)
        for connection in connections:
            connection.finish()
        await turn.pause(PAUSE_BETWEEN_CROWDS)


async def write(turn: Round) -> None:
    """Write state after state, and read each; now and then give a write up."""
    connection, writer = await connect(turn.address), turn.writer
    while not turn.is_over:
        request, place = writer.next_write()
        call = await _let_in(turn, connection, request)
        if call.code != OK:
            turn.wrong(f"a write: {described(call)}")
            break
        turn.counts["write: OK"] += 1
        read = await _let_in(turn, connection, writer.own_read(writer.written(place, call.answer)))
        if read.code != OK or not writer.accepts(read.answer, len(writer.states) - 1):
            turn.wrong(f"not the state that was just written, {writer.states[-1]}: {described(read)}")
        turn.counts["read of one's own write: OK"] += 1
        if turn.counts["write: OK"] % 5 == 1:
            await _write_loosely(turn, connection)
        await turn.pause(PAUSE_BETWEEN_WRITES)
    connection.finish()


async def _let_in(turn: Round, connection: RawConnection, request: Request) -> Call:
    """Make a call, as often as it is refused for want of room."""
    while is_for_want_of_room(call := await connection.call(request)):
        turn.counts["write: no room"] += 1
        await turn.pause(PAUSE_BETWEEN_TRIES)
    return call


async def _write_loosely(turn: Round, connection: RawConnection) -> None:
    late = turn.writer.loose_write(turn.dice.choice(("1n", "300u", "2m", "5m")))
    call = await connection.call(late)
    turn.counts[f"write with hardly any time: {NAMES[call.code]}"] += 1
    if NAMES[call.code] not in OF_A_LATE_WRITE:
        turn.wrong(f"a write with hardly any time: {described(call)}")
    given_up = connection.ask(turn.writer.loose_write(), lambda _: None)
    if turn.dice.random() < 0.5:
        await connection.call(turn.writer.read)
    connection.reset(given_up)
    turn.counts["write given up"] += 1
