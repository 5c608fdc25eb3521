"""The bytes of traversal requests as questions, most of them without a message in between."""

from google.protobuf.message import DecodeError

from depgraph.v1.graph_service_pb2 import TraverseRequest
from server.domain.errors import InvalidInputError
from server.rpc.decode_graph import FROM_MEMORY, TraverseQuestion, traverse_question
from server.rpc.errors import UNREADABLE

_NAME_TAG = 0x0A
# Lengths of a single byte; names so short are short enough whatever they are made of.
_SHORT = 128
_LONGEST_ENDING = 64
_MOST_ENDINGS = 1_000

_by_ending: dict[bytes, TraverseQuestion] = {}


def question_of(request: bytes) -> TraverseQuestion:
    """
    Read the bytes of a ``TraverseRequest``; raises ``InvalidInputError`` with everything that is wrong with it.

    A request is the name of a service and then, nearly always, one of a few sequences of bytes that say how to walk. What those say
    is remembered, so that a request with a known ending takes a look-up instead of a message and its checks.
    """
    if len(request) > 1:
        length = request[1]
        known = _by_ending.get(request[length + 2 :])
        if known is not None and request[0] == _NAME_TAG and 0 < length < _SHORT:
            name = request[2 : length + 2]
            if name.isascii() and 0 not in name:
                return TraverseQuestion(name.decode(), *known[1:])
    return _checked(request)


def _checked(request: bytes) -> TraverseQuestion:
    try:
        question = traverse_question(TraverseRequest.FromString(request))
    except DecodeError:
        raise InvalidInputError(UNREADABLE) from None
    if question.consistency is FROM_MEMORY and request[0] == _NAME_TAG and request[1] < _SHORT:
        _remember(request[request[1] + 2 :], question)
    return question


def _remember(ending: bytes, question: TraverseQuestion) -> None:
    """Remember what follows the name, where that is whole by itself and says nothing of names."""
    if len(ending) > _LONGEST_ENDING:
        return
    try:
        alone = TraverseRequest.FromString(ending)
    except DecodeError:
        return
    if alone.service_id:
        return
    if len(_by_ending) >= _MOST_ENDINGS:
        _by_ending.clear()
    _by_ending[ending] = question
