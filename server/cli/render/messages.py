"""Answers as JSON, for programs."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def fields_of(message: Message) -> dict[str, Any]:
    """Return a message under the names of the contract, with every field that has a default."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
