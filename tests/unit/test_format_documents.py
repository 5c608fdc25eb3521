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
        (b"", "line 1, column 1"),
        (b'[1,\n  {"a": }]', "line 2, column 9"),
        (b'["\xff"]', "byte 2 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5_000 + b"]", "too many digits"),
    ],
)
def test_invalid_json_is_refused_with_its_place(raw: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        json_document(raw)
