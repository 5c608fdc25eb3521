"""The callers of the soak, each with connections of its own; all of them go on until the round is over."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from depgraph.v1 import graph_service_pb2 as graph
from tests.support.eventually import eventually
from tests.support.raw_calls import (
    DATA,
    END_HEADERS,
    HEADERS,
    LARGEST_WINDOW,
    LOST,
    Call,
    RawConnection,
    Request,
    connect,
    frame,
)
from tests.support.raw_headers import call_block
from tests.support.soak_questions import GRAPH, TRAVERSE, WATCH, is_adjacency, is_large_stream, large_stream
from tests.support.soak_round import (
    DEADLINE_EXCEEDED,
    OK,
    Round,
    Step,
    described,
    is_for_want_of_room,
)
from tests.support.watching import HEARTBEAT, Mirror, whole

if TYPE_CHECKING:
    from depgraph.v1.types_pb2 import Dependency

LANES = 16
SMALL_WINDOW = 65_535
WIDER = 400_000
WATCHED_BATCHES = 5
# In calls of the fast ones.
PAUSE_BETWEEN_WRITES, PAUSE_BETWEEN_CONNECTIONS, PAUSE_BETWEEN_STREAMS = 200, 500, 2_000
PAUSE_BETWEEN_CROWDS = 20_000
CROWDED_CONNECTIONS, MOST_CALLS_OF_A_CONNECTION = 3, 100
Caller = Callable[[Round], Coroutine[Any, Any, None]]


class _Lane:
    """A place on a connection: when a call is answered, the next one is made."""

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
        block = call_block(TRAVERSE)
        connection.send_raw(frame(HEADERS, END_HEADERS, 1_000_001, block))
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
            connection.call(step.request)
            for connection in connections
            for _ in range(MOST_CALLS_OF_A_CONNECTION)
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
        if turn.dice.random() < 0.2:
            await _write_loosely(turn, connection)
        await turn.pause(PAUSE_BETWEEN_WRITES)
    connection.finish()


async def _let_in(turn: Round, connection: RawConnection, request: Request) -> Call:
    """Make a call, as often as it is refused for want of room."""
    while is_for_want_of_room(call := await connection.call(request)):
        turn.counts["write: no room"] += 1
    return call


async def _write_loosely(turn: Round, connection: RawConnection) -> None:
    late = turn.writer.loose_write(turn.dice.choice(("1n", "300u", "2m", "5m")))
    call = await connection.call(late)
    # UNAVAILABLE: no database connection, or a wait of the server's, would have been in time.
    turn.counts[f"write with hardly any time: {call.code}"] += 1
    if call.code not in {OK, DEADLINE_EXCEEDED, 8, 10, 14}:
        turn.wrong(f"a write with hardly any time: {described(call)}")
    given_up = connection.ask(turn.writer.loose_write(), lambda _: None)
    if turn.dice.random() < 0.5:
        await connection.call(turn.writer.read)
    connection.reset(given_up)
    turn.counts["write given up"] += 1


async def stream(turn: Round) -> None:
    """Read streams to the end, slowly, in part, and not at all."""
    ways = [_stream_whole, _stream_slowly, _stream_and_drop, _stream_late, _adjacency]
    while not turn.is_over:
        for way in turn.dice.sample(ways, len(ways)):
            await way(turn)
            await turn.pause(PAUSE_BETWEEN_STREAMS)


async def _stream_whole(turn: Round) -> None:
    connection = await connect(turn.address)
    await _read_large(turn, connection, LARGEST_WINDOW)
    connection.finish()


async def _stream_slowly(turn: Round) -> None:
    connection = await connect(turn.address, window=SMALL_WINDOW)
    await _read_large(turn, connection, SMALL_WINDOW)
    connection.finish()


async def _read_large(
    turn: Round, connection: RawConnection, window: int, milliseconds: int | None = None
) -> None:
    parts: list[bytes] = []
    over = asyncio.Event()
    request = large_stream("" if milliseconds is None else f"{milliseconds}m")
    call = connection.ask(request, lambda _: over.set(), parts.append)

    def is_all_here() -> bool:
        return over.is_set() or len(call.data) + sum(5 + len(part) for part in parts) >= window

    await eventually(is_all_here)
    if milliseconds is not None:
        # Time passes for both of us.
        await asyncio.sleep(milliseconds / 1000)
    while not over.is_set():
        window += WIDER
        connection.widen(call, WIDER)
        await eventually(is_all_here)
    if is_for_want_of_room(call):
        turn.counts["stream: no room"] += 1
    elif milliseconds is not None and call.code == DEADLINE_EXCEEDED:
        turn.counts["stream: DEADLINE_EXCEEDED"] += 1
    elif call.code != OK or not is_large_stream(turn.model, parts):
        turn.wrong(f"a stream: {len(parts)} parts, {described(call)}")
    else:
        turn.counts["stream: OK"] += 1


async def _stream_and_drop(turn: Round) -> None:
    """Let some streams stand in their middle, and give them up together or with the connection."""
    connection = await connect(turn.address, window=SMALL_WINDOW)
    over: list[Call] = []
    calls = [connection.ask(large_stream(), over.append, lambda _: None) for _ in range(3)]
    await eventually(lambda: len(over) + sum(len(call.data) >= SMALL_WINDOW for call in calls) == len(calls))
    if not all(is_for_want_of_room(call) for call in over):
        turn.wrong(f"a stream that is not read: {', '.join(map(described, over))}")
    if turn.dice.random() < 0.5:
        for call in calls:
            connection.reset(call)
        # The connection is as good as before.
        await _read_large(turn, connection, SMALL_WINDOW)
        connection.finish()
    else:
        connection.drop()
    turn.counts["stream given up"] += len(calls) - len(over)


async def _stream_late(turn: Round) -> None:
    """What is under way when the time is over may come first, so it has to be read."""
    connection = await connect(turn.address, window=SMALL_WINDOW)
    await _read_large(turn, connection, SMALL_WINDOW, milliseconds=turn.dice.choice((1, 30)))
    connection.finish()


async def _adjacency(turn: Round) -> None:
    connection = await connect(turn.address)
    messages: list[bytes] = []
    call = await connection.call(Request(GRAPH + "GetAdjacencyList", b""), messages.append)
    if is_for_want_of_room(call):
        turn.counts["adjacency list: no room"] += 1
    elif call.code != OK or not is_adjacency(turn.model, messages):
        turn.wrong(f"an adjacency list: {len(messages)} messages, {described(call)}")
    else:
        turn.counts["adjacency list: OK"] += 1
    connection.finish()


async def watch(turn: Round) -> None:
    """Watch the whole graph from the beginning, follow it for a while, go away, and resume."""
    mirror, revision = Mirror(), ""
    while not turn.is_over:
        connection = await connect(turn.address)
        with turn.watching_out("a watch"):
            await _follow(turn, connection, mirror, revision)
        mirror.interrupted()
        revision = mirror.revision
        # Half of them go on where they were.
        if turn.dice.random() < 0.5:
            mirror, revision = Mirror(), ""
        await turn.pause(PAUSE_BETWEEN_STREAMS)


async def _follow(turn: Round, connection: RawConnection, mirror: Mirror, revision: str) -> None:
    wanted = graph.WatchRequest(revision=revision, include_state=True).SerializeToString()
    came: asyncio.Queue[bytes | Call] = asyncio.Queue()
    watching = connection.ask(Request(WATCH, wanted), came.put_nowait, came.put_nowait)
    parts: list[graph.WatchResponse] = []
    batches, floor = 0, turn.writer.seen
    while batches < WATCHED_BATCHES and not turn.is_over:
        part = await _next(turn, came)
        if isinstance(part, Call):
            assert is_for_want_of_room(part), described(part)
            break
        if part is None:
            break
        parts.append(graph.WatchResponse.FromString(part))
        if parts[-1].more:
            continue
        batch = whole(parts)
        parts.clear()
        mirror.fold(batch)
        batches += 1
        floor = _look_at(turn, mirror, floor)
        turn.counts["watch: heartbeats" if batch.event == HEARTBEAT else "watch: batches"] += 1
    if turn.dice.random() < 0.5:
        connection.reset(watching)
        connection.finish()
    else:
        connection.drop()
    turn.counts["watch given up"] += 1


async def _next(turn: Round, came: "asyncio.Queue[bytes | Call]") -> "bytes | Call | None":
    """Wait for a message; None = the round is over."""
    getting, ending = asyncio.ensure_future(came.get()), asyncio.ensure_future(turn.over.wait())
    await asyncio.wait((getting, ending), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if getting.done():
        return getting.result()
    getting.cancel()
    return None


def _look_at(turn: Round, mirror: Mirror, floor: int) -> int:
    own: list[Dependency] = [
        dependency
        for dependency in mirror.dependencies.values()
        if dependency.source_service_id == turn.writer.name
    ]
    place = turn.writer.place_of(own, floor)
    assert place is not None, f"no state that may be shown after state {floor}: {own}"
    return place
