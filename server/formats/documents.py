"""From a file to its JSON document."""

import io
import json
import re
import sys
import zlib
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import Any

GZIP_MAGIC = b"\x1f\x8b"
MAX_DOCUMENT_BYTES = 1024 * 1024 * 1024
_MAX_NAMES = 5
_MAX_FOUND = 12

# How files of other formats begin.
_LOOKS_LIKE = (
    (re.compile(rb"\s*<"), "XML or HTML"),
    (re.compile(rb"\s*(strict\s+)?(di)?graph\b", re.IGNORECASE), "Graphviz (dot)"),
    (re.compile(rb"(\xef\xbb\xbf)?(\s*#.*\n)*\s*(---|%YAML|[A-Za-z_][\w.-]*:(\s|$)|-\s+\w)"), "YAML"),
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb"[^\n{}\[\]]+[,;\t][^\n{}\[\]]*\n"), "CSV"),
)
_PROBLEMS = {
    "Expecting value": "where a value is expected",
    "Expecting property name enclosed in double quotes": "where a field's name in double quotes is expected",
    "Expecting ':' delimiter": "where a colon is expected",
    "Expecting ',' delimiter": "where a comma or the end is expected",
    "Illegal trailing comma before end of object": "after the last field, which takes no comma",
    "Illegal trailing comma before end of array": "after the last item, which takes no comma",
    "Unterminated string starting at": "which begins a text without an end",
    "Extra data": "after the end of the document",
}
"""What Python's parser reports, as it goes on after "found …"."""


class FormatError(ValueError):
    """A file is not what its format says; the message names the entry. Nothing was used."""


def read_file(path: Path) -> bytes:
    """Read a file, or standard input for ``-``."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


def json_document(raw: bytes) -> Any:
    """Read JSON, plain or gzip, which its first bytes show; ``FormatError`` otherwise. O(size)."""
    text = unpacked(raw)
    if not text.strip():
        raise FormatError("the file is empty; expected JSON, plain or gzip")
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise FormatError(f"{_not_json(text)}: byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"{_not_json(text)}: {json_problem(error)}") from None
    except RecursionError:
        raise FormatError("not a graph: JSON nested too deeply") from None
    except ValueError:
        raise FormatError("not a graph: it holds a number of too many digits") from None


def kind_of(value: Any) -> str:
    """Describe a value of a document: what JSON calls it, and the names of an object's fields."""
    match value:
        case dict():
            names = ", ".join(map(ascii, list(value)[:_MAX_NAMES]))
            return (
                f"an object with {names}{', …' if len(value) > _MAX_NAMES else ''}" if names else "an object"
            )
        case list():
            return "a list"
        case str():
            return "text"
        case bool():
            return "true or false"
        case None:
            return "null"
        case _:
            return "a number"


def looks_like(text: bytes) -> str | None:
    """Name the format that a text begins like, of those that are not JSON; None = none of these."""
    begin = text[:4_096]
    return next((name for pattern, name in _LOOKS_LIKE if pattern.match(begin)), None)


def _not_json(text: bytes) -> str:
    looks = looks_like(text)
    return f"not JSON but what looks like {looks}; expected JSON, plain or gzip" if looks else "not JSON"


def json_problem(error: json.JSONDecodeError) -> str:
    """Say where JSON stops being JSON, and what is found there."""
    where = f"line {error.lineno}, column {error.colno}"
    problem = _PROBLEMS.get(error.msg)
    if problem is None:
        return f"{where}: a character or an escape that JSON does not allow in a text"
    rest = error.doc[error.pos :]
    if error.msg == "Extra data" and rest.startswith("{"):
        problem += "; put several objects into a list"
    word = re.match(r"\w+|.|\n|", rest)
    found = word[0] if word else ""
    return f"{where}: found {ascii(found[:_MAX_FOUND]) if found else 'the end of the file'} {problem}"


def unpacked(raw: bytes) -> bytes:
    """Unpack a file that is gzip, up to a bound; ``FormatError`` if it is damaged or too large."""
    if not raw.startswith(GZIP_MAGIC):
        return raw
    try:
        # A bounded read: a few hundred kilobytes of gzip can unpack to more than the machine has.
        text = GzipFile(fileobj=io.BytesIO(raw)).read(MAX_DOCUMENT_BYTES + 1)
    except EOFError:
        raise FormatError("damaged gzip: the end of the file is missing") from None
    except (BadGzipFile, zlib.error):
        raise FormatError("damaged gzip: pack the file again") from None
    if len(text) > MAX_DOCUMENT_BYTES:
        raise FormatError(f"unpacks to more than {MAX_DOCUMENT_BYTES:,} bytes: split it")
    return text
