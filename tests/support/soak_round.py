"""The state that the callers of one process share in a round: next calls, counts, and its end."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import cycle
from random import Random

from grpc import StatusCode

from depgraph.v1.graph_service_pb2 import TraverseResponse
from tests.support.calls import FRESH
from tests.support.raw_calls import LOST, RESET, Call, Request
from tests.support.soak_graph import StillModel
from tests.support.soak_questions import TRAVERSE, Question, questions, refusals, traversal
from tests.support.soak_writer import Writer

OK, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 0, 4, 8
NAMES = {code.value[0]: code.name for code in StatusCode} | {LOST: "LOST", RESET: "RESET"}
TIMEOUTS = ("1n", "50u", "200u", "500u", "1m", "3m", "10m")
SHARES = {"read": 80, "read of what is written": 6, "must fail": 5, "given up": 5, "hardly any time": 4}


@dataclass(slots=True)
class Step:
    """A call; ``fault`` checks it once it has finished and returns what is wrong, or nothing."""

    kind: str
    request: Request
    fault: Callable[[Call], str]
    is_given_up: bool = False


@dataclass
class Round:
    """``faults`` are sentences; whoever adds the first one ends the round."""

    address: str
    writer: Writer
    model: StillModel
    dice: Random
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.questions = questions(self.model, self.dice)
        self._steps = cycle(self._programme())
        self._judged = 0
        self._pausing: list[tuple[int, int, asyncio.Future[None]]] = []
        self.is_over = False

    def end(self) -> None:
        """Begin no more calls."""
        self.is_over = True
        self.over.set()
        for *_, pause in self._pausing:
            if not pause.done():
                pause.set_result(None)

    async def pause(self, calls: int) -> None:
        """Wait until others had so many answers; slow calls would leave them no time otherwise."""
        if not self.is_over:
            pause = asyncio.get_running_loop().create_future()
            heappush(self._pausing, (self._judged + calls, id(pause), pause))
            await pause

    def wrong(self, sentence: str) -> None:
        """Note a fault."""
        self.faults.append(sentence)
        self.end()

    def next_step(self) -> Step:
        """Return what is to be asked now."""
        return next(self._steps)

    def crowded_step(self) -> Step:
        """Return a read that waits for the database."""
        start = self.dice.choice(list(self.model.graph))
        message, is_right = traversal(self.model, start, hops=2, downstream=True, full=True)
        message.consistency.CopyFrom(FRESH)
        read = _read(Question(TRAVERSE, message, TraverseResponse, is_right))
        return Step("crowd", read.request, read.fault)

    def judge(self, step: Step, call: Call) -> None:
        """Count a call that ended, and look whether it ended as it may."""
        self.counts[f"{step.kind}: {NAMES[call.code]}"] += 1
        self._judged += 1
        while self._pausing and self._pausing[0][0] <= self._judged:
            pause = heappop(self._pausing)[-1]
            if not pause.done():
                pause.set_result(None)
        if call.code == RESOURCE_EXHAUSTED and is_for_want_of_room(call):
            return
        if fault := step.fault(call):
            self.wrong(f"{step.kind}: {fault}; {described(call)}")

    @contextmanager
    def watching_out(self, what: str) -> Iterator[None]:
        """Take what goes wrong inside for a fault."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - every failure is reported
            self.wrong(f"{what}: {error!r}")

    def _programme(self) -> list[Step]:
        """Make some hundreds of steps in their shares, among them every question and failure."""
        asked, failing = cycle(self.questions), cycle(refusals(self.dice))
        make: dict[str, Callable[[], Step]] = {
            "read": lambda: _read(next(asked)),
            "read of what is written": self._own_read,
            "must fail": lambda: _refused(*next(failing)),
            "given up": lambda: _given_up(next(asked)),
            "hardly any time": lambda: _late(next(asked), self.dice.choice(TIMEOUTS)),
        }
        steps = [make[kind]() for kind, share in SHARES.items() for _ in range(share * 5)]
        self.dice.shuffle(steps)
        return steps

    def _own_read(self) -> Step:
        def fault(call: Call) -> str:
            if call.code != OK:
                return "a code that no read may have"
            return "" if self.writer.accepts(call.answer, call.floor) else "no state that may be shown"

        return Step("read of what is written", self.writer.read, fault)


def _read(question: Question) -> Step:
    def fault(call: Call) -> str:
        if call.code != OK:
            return "a code that no read may have"
        return "" if question.accepts(call.answer) else f"not the answer to {question.message!r}"

    return Step(question.method.rpartition("/")[2], question.request, fault)


def _given_up(question: Question) -> Step:
    step = _read(question)
    return Step("given up", step.request, step.fault, is_given_up=True)


def _late(question: Question, timeout: str) -> Step:
    read = _read(question)

    def fault(call: Call) -> str:
        return "" if is_out_of_time(call) else read.fault(call)

    return Step("hardly any time", question.with_timeout(timeout), fault)


def _refused(request: Request, code: int, words: str) -> Step:
    def fault(call: Call) -> str:
        return "" if call.code == code and words in call.message else f"not {NAMES[code]}: {words}"

    return Step("must fail", request, fault)


def is_for_want_of_room(call: Call) -> bool:
    """Whether a call was refused because the server has as many as it may have."""
    return call.code == RESOURCE_EXHAUSTED and "at once, as many as it may" in call.message


def is_out_of_time(call: Call) -> bool:
    """Whether a call came to what its deadline makes of it."""
    return call.code == DEADLINE_EXCEEDED


def described(call: Call) -> str:
    """Tell what came of a call."""
    return f"{NAMES[call.code]} {call.message!r} with {len(call.data)} bytes {call.data[:200]!r}"
