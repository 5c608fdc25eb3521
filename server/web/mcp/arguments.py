"""Arguments of tools: their JSON Schema, checks in plain words, and their form in requests."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

from depgraph.v1.graph_service_pb2 import EdgeFilter
from depgraph.v1.types_pb2 import CommunicationMode, Criticality, ServiceKind
from server.domain.services import NAME_MAX_LENGTH
from server.words import enum_value, enum_words

if TYPE_CHECKING:
    from jsonschema import ValidationError

Schema: TypeAlias = dict[str, Any]
Arguments: TypeAlias = Mapping[str, Any]

_MOST_SHOWN = 80


class ArgumentError(Exception):
    """An argument is wrong; the message begins with its name."""


def text(description: str) -> Schema:
    """Describe a name of a service or team."""
    return {"type": "string", "minLength": 1, "maxLength": NAME_MAX_LENGTH, "description": description}


def number(description: str, *, least: int, most: int, default: int) -> Schema:
    """Describe a whole number."""
    return {
        "type": "integer",
        "minimum": least,
        "maximum": most,
        "default": default,
        "description": description,
    }


def choice(description: str, words: Sequence[str], default: str | None = None) -> Schema:
    """Describe one word out of several."""
    shown = {} if default is None else {"default": default}
    return {"type": "string", "enum": list(words), **shown, "description": description}


def several(description: str, words: Sequence[str]) -> Schema:
    """Describe any number of words; none = all."""
    return {
        "type": "array",
        "items": {"type": "string", "enum": list(words)},
        "description": description,
    }


def flag(description: str) -> Schema:
    """Describe a switch that is off unless set."""
    return {"type": "boolean", "default": False, "description": description}


def limit(what: str, *, default: int, most: int = 200) -> Schema:
    """Describe the bound on rows."""
    return number(f"{what} listed at most.", least=1, most=most, default=default)


def arguments(required: Sequence[str], **properties: Schema) -> Schema:
    """Describe all arguments of a tool."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


MODES = enum_words(CommunicationMode)
CRITICALITIES = enum_words(Criticality)
KINDS = enum_words(ServiceKind)
FILTERS: Mapping[str, Schema] = {
    "modes": several("Only calls of these modes. Default: all.", MODES),
    "exclude_kinds": several("Leave out services of these kinds, and ways through them.", KINDS),
    "include_stale": flag("Count calls too that were not observed for long."),
}


def edge_filter(given: Arguments) -> EdgeFilter:
    """Write ``FILTERS`` as requests have them."""
    return EdgeFilter(
        communication_modes=[enum_value(CommunicationMode, word) for word in given.get("modes", ())],
        exclude_kinds=[enum_value(ServiceKind, word) for word in given.get("exclude_kinds", ())],
    )


def checked(given: Mapping[str, Any] | None, schema: Schema) -> Arguments:
    """Check arguments and add defaults; null counts as not given. Raises ``ArgumentError``."""
    # 0.1 s that a process needs only when it is asked something.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    known: Mapping[str, Schema] = schema["properties"]
    found = {name: value for name, value in (given or {}).items() if value is not None}
    for name in found:
        if name not in known:
            raise ArgumentError(_unknown(name, list(known)))
    error = best_match(Draft202012Validator(schema).iter_errors(found))
    if error is not None:
        raise ArgumentError(_sentence(error))
    defaults = {name: each["default"] for name, each in known.items() if "default" in each}
    return defaults | found


def _unknown(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{_shown(name)}: there is no such argument; {hint}the arguments are {', '.join(known)}"


def _sentence(error: "ValidationError") -> str:
    """Say what is wrong where, such as ``add[2].mode: 'http' is not one of sync, async``."""
    where = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in error.absolute_path)
    where = where.removeprefix(".")
    rule: Any = error.validator_value
    value = _shown(error.instance)
    if error.validator in {"required", "additionalProperties"}:
        missing = next((each for each in error.schema["required"] if each not in error.instance), None)
        if error.validator == "required" and missing is not None:
            return f"{f'{where}.' if where else ''}{missing}: is required"
        known = error.schema["properties"]
        extra = next(each for each in error.instance if each not in known)
        return f"{where}.{_unknown(extra, list(known))}"
    words = {
        "type": f"{value} is not of type {rule}",
        "enum": f"{value} is not one of {', '.join(map(str, rule)) if isinstance(rule, list) else rule}",
        "minimum": f"{value} is less than {rule}",
        "maximum": f"{value} is more than {rule}",
        "exclusiveMinimum": f"{value} must be more than {rule}",
        "minLength": "is empty",
        "maxLength": f"has more than {rule} characters",
        "maxItems": f"has more than {rule} items",
    }
    return f"{where or 'arguments'}: {words.get(str(error.validator), error.message)}"


def _shown(value: Any) -> str:
    """Show a wrong value, a long one in part."""
    written = ascii(value)
    return written if len(written) <= _MOST_SHOWN else written[:_MOST_SHOWN] + "…"
