"""From a file to its documents: YAML, or JSON, of which several may follow one another."""

import json
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any

import yaml

from server.formats.documents import FormatError, json_problem, unpacked

MAX_YAML_BYTES = 32 * 1024 * 1024
"""PyYAML reads about a megabyte a second, and needs some 50 times the memory of the text."""
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BRACKETS = (b"{", b"[")


class _Loader(_SafeLoader):  # type: ignore[misc]  # chosen above
    """Plain values only; merge keys (``<<``) can't make a document larger than its text allows."""

    most = 0
    pairs = 0

    def flatten_mapping(self, node: Any) -> None:
        super().flatten_mapping(node)
        self.pairs += len(node.value)
        if self.pairs > self.most:
            raise FormatError("merge keys (<<) make the document much larger than its text: write it out")

    def construct_number(self, node: Any) -> Any:
        """Read numbers to the base 60, such as ``12:30``, as the text that others take them for."""
        if ":" in self.construct_scalar(node):
            return self.construct_yaml_str(node)
        is_whole = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if is_whole else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
# A name or a version such as 2026-01-31 is text.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _SafeLoader.construct_yaml_str)


def documents(raw: bytes) -> Iterator[Any]:
    """
    Read the documents of a file, plain or gzip: YAML, or JSON values one after another.

    Documents without content are left out. ``FormatError`` names document and line. Aliases of YAML
    may repeat a value, but what a document is with all of them written out has no more values than
    its text has characters. O(size); one document is read at a time.
    """
    text = unpacked(raw)
    if not text.strip():
        raise FormatError("the file is empty")
    found = _json_values(text) if text.lstrip().startswith(_BRACKETS) else _yaml_documents(text)
    for document in found:
        if document is not None:
            yield document


def _json_values(text: bytes) -> Iterator[Any]:
    try:
        content = text.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise FormatError(f"not JSON: byte {error.start} is not UTF-8") from None
    decoder, at = JSONDecoder(), 0
    while at < len(content):
        try:
            value, at = decoder.raw_decode(content, at)
        except JSONDecodeError as error:
            raise FormatError(f"not JSON: {json_problem(error)}") from None
        except RecursionError:
            raise FormatError("JSON nested too deeply") from None
        except ValueError:
            raise FormatError("it holds a number of too many digits") from None
        while at < len(content) and content[at] in " \t\r\n":
            at += 1
        yield value


def _yaml_documents(text: bytes) -> Iterator[Any]:
    if len(text) > MAX_YAML_BYTES:
        raise FormatError(f"YAML of {len(text):,} bytes; at most {MAX_YAML_BYTES:,}: write it as JSON")
    place = 0
    try:
        loader = _Loader(text)
        loader.most = len(text)
        try:
            while loader.check_data():
                document = loader.get_data()
                _check_size(document, len(text))
                place += 1
                yield document
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise FormatError(f"not YAML: document {place}, {_problem(error)}") from None
    except yaml.YAMLError as error:
        raise FormatError(f"not YAML: document {place}: {str(error).partition(chr(10))[0]!a}") from None
    except FormatError as error:
        raise FormatError(f"document {place}: {error}") from None
    except RecursionError:
        raise FormatError(f"document {place}: YAML nested too deeply") from None
    except (ValueError, OverflowError) as error:  # such as a day that no month has
        raise FormatError(f"document {place}: a value can't be read: {str(error)!a}") from None


def _problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{ascii(error.problem or error.context or 'unreadable')[1:-1]}"


def _check_size(document: Any, most: int) -> None:
    """Refuse a document that aliases make larger than its text, or endless. O(text)."""
    left, unseen = most, [document]
    while unseen:
        value = unseen.pop()
        if isinstance(value, dict):
            unseen.extend(value.values())
        elif isinstance(value, list | tuple | set):
            unseen.extend(value)
        left -= 1
        if left < 0 or len(unseen) > 2 * most:
            raise FormatError("aliases (*) make the document much larger than its text: write it out")


def as_text(value: Any) -> str:
    """Write a scalar of a document as the text that it was, or about so; empty for other values."""
    if isinstance(value, bool):
        return json.dumps(value)
    return str(value) if isinstance(value, str | int | float) else ""
