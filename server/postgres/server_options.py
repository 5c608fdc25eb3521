"""The ``options`` of a URL: settings of the server, written as for its command line."""

import re

from server.postgres.errors import DatabaseUrlError

_WORD = re.compile(r"(?:\\.|\S)+", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_ADVICE = "write -c NAME=VALUE or --NAME=VALUE, blanks in values as backslash and blank"


def parse_options(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``-c name=value`` and ``--name=value``, in order; ``DatabaseUrlError`` for anything else."""
    words = [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in _WORD.findall(text)]
    found = []
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            assignment = words.pop(0)
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            raise DatabaseUrlError(f"{word!r} in options is no setting", _ADVICE)
        found.append(_setting(assignment))
    return tuple(found)


def _setting(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    name = name.replace("-", "_")
    if not equals or not _NAME.fullmatch(name):
        raise DatabaseUrlError(f"{assignment!r} in options is no setting", _ADVICE)
    return name, value
