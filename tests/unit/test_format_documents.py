"""No I/O: from bytes to a JSON document, plain or gzip."""

import gzip

import pytest

from server.formats import documents
from server.formats.documents import FormatError, json_document


def test_gzip_is_recognized_by_its_first_bytes() -> None:
    assert json_document(gzip.compress(b"[1, 2]")) == [1, 2]


def test_several_gzip_members_are_one_document() -> None:
    assert json_document(gzip.compress(b"[1,") + gzip.compress(b" 2]")) == [1, 2]


@pytest.mark.parametrize("damage", [slice(0, 12), slice(0, -6)])
def test_truncated_gzip_is_refused(damage: slice) -> None:
    with pytest.raises(FormatError, match="damaged gzip"):
        json_document(gzip.compress(b'["some text that is long enough to be cut"]')[damage])


def test_gzip_with_flipped_bytes_is_refused() -> None:
    packed = bytearray(gzip.compress(b'["some text"]' * 9))
    packed[15] ^= 0xFF
    with pytest.raises(FormatError, match="damaged gzip"):
        json_document(bytes(packed))


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 100)
    with pytest.raises(FormatError, match="more than 100 bytes"):
        json_document(gzip.compress(b" " * 101))


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b'[1,\n  {"a": }]', "line 2, column 9: found '}' where a value is expected"),
        (b"{a: 1}", "line 1, column 2: found 'a' where a field's name in double quotes is expected"),
        (b'{"a" 1}', "column 6: found '1' where a colon is expected"),
        (b"[1 22]", "column 4: found '22' where a comma or the end is expected"),
        (b'["a', "column 2: found '\"' which begins a text without an end"),
        (b'["a\nb"]', "column 4: a character or an escape that JSON does not allow"),
        (b'["\\q"]', "a character or an escape that JSON does not allow"),
        (b'{"a": 1', "found the end of the file where a comma or the end"),
        (b"{}\n{}\n", "line 2, column 1: found '{' after the end of the document; put several objects"),
        (b"apiVersion: v1\nkind: Service\n", "looks like YAML; expected JSON, plain or gzip"),
        (b"# comment\n\n---\na: 1\n", "looks like YAML"),
        (b"<html>", "looks like XML or HTML"),
        (b"digraph { a -> b }", "looks like Graphviz"),
        (b"parent,child\na,b\n", "looks like CSV"),
        (b"PK\x03\x04\xff", "looks like a zip archive"),
        (b'["\xff"]', "byte 2 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5_000 + b"]", "too many digits"),
    ],
)
def test_invalid_json_is_refused_with_its_place(raw: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        json_document(raw)
