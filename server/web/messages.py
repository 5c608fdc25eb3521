"""The messages of methods."""

from typing import NamedTuple

from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


class MessageTypes(NamedTuple):
    """The classes of a method's request and answer, or of the parts of a stream of answers."""

    request: type[Message]
    answer: type[Message]
    is_stream: bool


def types_of(method: str) -> MessageTypes:
    """Find the message types of a method, by its full name ``/package.Service/Method``."""
    descriptor = Default().FindMethodByName(method.removeprefix("/").replace("/", "."))
    return MessageTypes(
        GetMessageClass(descriptor.input_type),
        GetMessageClass(descriptor.output_type),
        descriptor.server_streaming,
    )
