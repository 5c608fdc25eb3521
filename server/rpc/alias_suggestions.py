"""SuggestAliases: pairs of services that look like one, from memory."""

import asyncio
from itertools import islice
from typing import NamedTuple, cast

from depgraph.v1 import catalog_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.alias_suggestions import suggest_aliases
from graphcore.analysis.neighbourhoods import NamedCalls
from server import wire
from server.domain.caller import current_caller
from server.domain.live_graph import Consistency, Freshness, LiveGraph
from server.rpc.analysis.servicer import Analyses
from server.rpc.answers import freshness_message
from server.rpc.context import Context
from server.rpc.paging import PageTokens, Position, fitted_page, page_size
from server.rpc.questions import consistency, own_names
from server.rpc.shares import FairLock, share_of
from server.rpc.validate import Check

_DEFAULT_SCORE = 0.5
# Scores are in thousandths; more than any name has characters.
_SCORES, _NAMES = 1_000, 1_000


class SuggestionKey(NamedTuple):
    """The position in a list of pairs: thousandths that the score lacks, names of the last one."""

    lacking: int
    service: str
    other: str


_PAIRS = Position[SuggestionKey](
    lambda key: (key.lacking * _NAMES + len(key.service), key.service + key.other),
    lambda rank, names: SuggestionKey(rank // _NAMES, names[: rank % _NAMES], names[rank % _NAMES :]),
)


class Suggestion(NamedTuple):
    """A pair by its place in the list, and why it looks like one service."""

    key: SuggestionKey
    reason: str


class SuggestionsQuestion(NamedTuple):
    """Which pairs, and which page of them; ``service`` empty = of all services."""

    service: str
    least: float
    most: int
    after: SuggestionKey | None
    consistency: Consistency
    tokens: PageTokens[SuggestionKey]


def suggestions_question(request: pb.SuggestAliasesRequest) -> SuggestionsQuestion:
    """Read a request; raises ``InvalidInputError``."""
    check = Check()
    least = request.min_score if request.HasField("min_score") else _DEFAULT_SCORE
    tokens = PageTokens("suggestions", (request.service_id, least), _PAIRS)
    question = SuggestionsQuestion(
        check.text("service_id", request.service_id) if request.service_id else "",
        check.share("min_score", least),
        page_size(check, request.page_size),
        tokens.read(check, request.page_token),
        consistency(check, request.consistency),
        tokens,
    )
    check.done()
    return question


class AliasSuggester:
    """
    Finds pairs in a thread, one search at a time by turns, and keeps them until the graph changes.

    Only copying names and calls takes the read lock, and only who has the turn holds a copy.
    O(V + E log E): half a second for 5,000 services, some seconds for 100,000 with a million
    dependencies.
    """

    def __init__(self, live: LiveGraph, max_response_bytes: int) -> None:
        self._copies = Analyses(live)
        self._limit = max_response_bytes
        self._turn = FairLock()
        # The event loop keeps no strong reference to a task.
        self._running: asyncio.Task[_Found] | None = None
        # By revision and time: a past graph is not the live one of the same revision.
        self._kept: tuple[object, list[Suggestion]] = ((), [])

    async def answer(self, question: SuggestionsQuestion, context: Context) -> pb.SuggestAliasesResponse:
        """Answer a question; raises ``ServiceNotFoundError`` and ``ResponseTooLargeError``."""
        # A caller that is gone by then gets no turn.
        await self._turn.acquire(share_of(current_caller(), context), context.peer())
        self._running = asyncio.create_task(self._found(question, context))
        self._running.add_done_callback(self._ended)
        # A thread can't be interrupted: it keeps the turn to its end, even if the caller is gone.
        wanted, freshness = await asyncio.shield(self._running)
        page = wanted[: question.most]
        last = page[-1].key if len(wanted) > len(page) else None
        messages, following = fitted_page(page, last, _message, lambda each: each.key, self._limit)
        answer = pb.SuggestAliasesResponse(
            suggestions=messages, next_page_token=question.tokens.write(following)
        )
        answer.freshness.MergeFromString(freshness_message(freshness))
        return answer

    async def _found(self, question: SuggestionsQuestion, context: Context) -> "_Found":
        taken, freshness = await self._copies.run(
            question.consistency, context, lambda graph: _taken(graph, question.service)
        )
        state = freshness.revision, freshness.as_of_time
        if self._kept[0] != state:
            self._kept = state, await asyncio.to_thread(_suggestions, taken)
        return await asyncio.to_thread(_wanted, self._kept[1], taken.service, question), freshness

    def _ended(self, running: "asyncio.Task[_Found]") -> None:
        self._turn.release()
        # Retrieves the error, which asyncio would log otherwise if the caller is gone.
        if not running.cancelled():
            running.exception()


_Found = tuple[list[Suggestion], Freshness]


class _Taken(NamedTuple):
    """Copies of what a search needs of a graph; ``service``: the own name of that asked for."""

    calls: NamedCalls
    records: list[bytes]
    service: str


def _taken(graph: DependencyGraph, service: str) -> _Taken:
    [name] = own_names(graph, service) if service else [""]
    records = [cast("bytes", record.payload) for record in graph.services()]
    return _Taken(NamedCalls.of(graph), records, name)


def _suggestions(taken: _Taken) -> list[Suggestion]:
    """Find all pairs, the most alike first, then by names; each begins with the one that stays."""
    names, made = taken.calls.names, dict[int, bool]()

    def is_made(number: int) -> bool:
        if number not in made:
            made[number] = not wire.service_of(taken.records[number]).discovered
        return made[number]

    found = []
    for one, other, score, reason in suggest_aliases(taken.calls, 0.0):
        first, second = (other, one) if is_made(other) and not is_made(one) else (one, other)
        lacking = _SCORES - round(score * _SCORES)
        found.append(Suggestion(SuggestionKey(lacking, names[first], names[second]), reason))
    return sorted(found)


def _wanted(pairs: list[Suggestion], service: str, question: SuggestionsQuestion) -> list[Suggestion]:
    """Choose those of a page and one more, or fewer if there are no more. O(pairs)."""
    wanted = (
        each
        for each in pairs
        if _SCORES - each.key.lacking >= question.least * _SCORES
        and (not service or service in each.key[1:])
        and (question.after is None or each.key > question.after)
    )
    return list(islice(wanted, question.most + 1))


def _message(each: Suggestion) -> pb.AliasSuggestion:
    lacking, service, other = each.key
    return pb.AliasSuggestion(
        service_id=service,
        other_service_id=other,
        score=(_SCORES - lacking) / _SCORES,
        reason=each.reason,
    )
