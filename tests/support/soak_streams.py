"""The streaming callers of the soak, each with connections of its own, until the round ends."""

import asyncio
from typing import TYPE_CHECKING

from bench.http2 import LARGEST_WINDOW, PREFIX_BYTES
from depgraph.v1 import graph_service_pb2 as graph
from tests.support.eventually import eventually
from tests.support.raw_calls import Call, RawConnection, Request, connect
from tests.support.soak_questions import GRAPH, WATCH, is_adjacency, is_large_stream, large_stream
from tests.support.soak_round import DEADLINE_EXCEEDED, OK, Round, described, is_for_want_of_room
from tests.support.watching import HEARTBEAT, Mirror, whole

if TYPE_CHECKING:
    from depgraph.v1.types_pb2 import Dependency

TINY_WINDOW, SMALL_WINDOW, WIDER = 1_000, 65_535, 400_000
WATCHED_BATCHES = 5
# In calls of the fast ones.
PAUSE = 2_000


async def stream(turn: Round) -> None:
    """Read streams to the end, slowly, in part, and not at all."""
    ways = [_stream_whole, _stream_slowly, _stream_and_drop, _stream_late, _adjacency]
    while not turn.is_over:
        for way in turn.dice.sample(ways, len(ways)):
            await way(turn)
            await turn.pause(PAUSE)


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
        return over.is_set() or len(call.data) + sum(PREFIX_BYTES + len(part) for part in parts) >= window

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
    """Leave short and long streams half read, and cancel them together or with the connection."""
    window = turn.dice.choice((TINY_WINDOW, SMALL_WINDOW))
    connection = await connect(turn.address, window=window)
    over: list[Call] = []
    many = Request(GRAPH + "GetAdjacencyList", b"") if window == TINY_WINDOW else large_stream()
    calls = [connection.ask(request, over.append) for request in (large_stream(), large_stream(), many)]
    await eventually(lambda: len(over) + sum(len(call.data) >= window for call in calls) == len(calls))
    if not all(is_for_want_of_room(call) for call in over):
        turn.wrong(f"a stream that is not read: {', '.join(map(described, over))}")
    if turn.dice.random() < 0.5:
        for call in calls:
            connection.reset(call)
        # The connection is as good as before.
        await _read_large(turn, connection, window)
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
        await turn.pause(PAUSE)


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
