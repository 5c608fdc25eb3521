"""Whatever a file holds, a reader returns what is in it or says what is wrong with it."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import Limits
from server.formats.documents import FormatError
from server.formats.naming import NameRules
from server.formats.recognition import READERS, format_of
from server.formats.yaml_documents import documents
from server.rpc.dependency.reports import ingest_batch
from tests.support.examples import examples

SHOP = Path(__file__).parents[1] / "data/shop"
FILES = {path.name: path.read_bytes() for path in sorted(SHOP.iterdir())}
FORMS = {name: format_of(raw) for name, raw in FILES.items()}
DOCUMENTS = {name: list(documents(raw)) for name, raw in FILES.items()}
EXAMPLES_A_FILE = 40
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = NameRules("{namespace}/{service}")
ODD_CONTAINERS: tuple[Any, ...] = ([], {})

ODD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["unknown", "user", "\ud800", "a\n", "x" * 300, "10.0.0.1:80", "a:80", "1h", "-", "w1"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """List every place inside a document: the object or list that holds it, and its key there."""
    found: list[tuple[Any, Any]] = []
    unseen = [document]
    while unseen:
        parent = unseen.pop()
        keys = list(parent) if isinstance(parent, dict) else range(len(parent))
        found.extend((parent, key) for key in keys)
        unseen.extend(parent[key] for key in keys if isinstance(parent[key], dict | list))
    return found


def reads_or_refuses(raw: bytes, form: str) -> None:
    """Read a file: ``FormatError``, or a report that a server takes, with counts that fit."""
    try:
        reading = READERS[form](raw, NAMES)
    except FormatError as error:
        assert str(error)
        return
    assert sum(each.count for each in reading.skipped) <= reading.element_count
    assert all(0 <= each.first < reading.element_count for each in reading.skipped)
    reading.report.details.CopyFrom(reading.details())
    ingest_batch(reading.report, Limits(), now=NOW)


@pytest.mark.parametrize("name", FILES)
@examples(EXAMPLES_A_FILE)
@given(data=st.data())
def test_a_file_with_odd_values_is_read_or_refused(name: str, data: st.DataObject) -> None:
    changed = copy.deepcopy(DOCUMENTS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        found = places(changed)
        if found:
            parent, key = found[data.draw(st.integers(0, len(found) - 1))]
            parent[key] = data.draw(ODD)
    raw = "\n".join(json.dumps(document) for document in changed).encode()
    reads_or_refuses(raw, FORMS[name])


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_a_list_or_an_object_in_any_place_is_read_or_refused(name: str) -> None:
    for number in range(len(places(DOCUMENTS[name]))):
        for odd in ODD_CONTAINERS:
            changed = copy.deepcopy(DOCUMENTS[name])
            parent, key = places(changed)[number]
            parent[key] = odd
            raw = "\n".join(json.dumps(document) for document in changed).encode()
            reads_or_refuses(raw, FORMS[name])


@pytest.mark.parametrize("name", FILES)
@examples(EXAMPLES_A_FILE)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(name: str, data: st.DataObject) -> None:
    raw = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw) - 1))
        end = start + data.draw(st.integers(0, 40))
        raw[start:end] = data.draw(
            st.binary(max_size=5) | st.sampled_from([b"*", b"&a ", b"- ", b"{", b"\n"])
        )
    reads_or_refuses(bytes(raw), FORMS[name])


@given(document=ODD, form=st.sampled_from(sorted(READERS)))
def test_any_document_is_read_or_refused(document: Any, form: str) -> None:
    reads_or_refuses(json.dumps(document).encode(), form)


@given(raw=st.binary(max_size=60), form=st.sampled_from(sorted(READERS)))
def test_any_bytes_are_read_or_refused(raw: bytes, form: str) -> None:
    reads_or_refuses(raw, form)
