"""No I/O: files of several documents, in YAML and JSON."""

import gzip
from typing import Any

import pytest

from server.formats import yaml_documents
from server.formats.documents import FormatError
from server.formats.yaml_documents import as_text, documents


def read(text: str | bytes) -> list[Any]:
    return list(documents(text.encode() if isinstance(text, str) else text))


def test_documents_of_yaml_come_one_after_another_without_empty_ones() -> None:
    assert read("# a comment\n---\na: 1\n---\n---\n# nothing\n---\n- b\n") == [{"a": 1}, ["b"]]


def test_values_of_json_come_one_after_another() -> None:
    assert read('{"a": 1}\n{"b": [2]}\n\n') == [{"a": 1}, {"b": [2]}]
    assert read('\ufeff  [{"a": null}]') == [[{"a": None}]]


@pytest.mark.parametrize("text", ["a: 1\n", '{"a": 1}'])
def test_gzip_is_unpacked(text: str) -> None:
    assert read(gzip.compress(text.encode())) == [{"a": 1}]


def test_documents_are_read_one_at_a_time() -> None:
    found = documents(b"a: 1\n---\na: [\n")
    assert next(found) == {"a": 1}
    with pytest.raises(FormatError, match="document 1, line 4"):
        next(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("a: 1\nb: [1,\n", "not YAML: document 0, line 3, column 1: did not find expected node content"),
        ("a: 1\n---\nb: @x\n", "not YAML: document 1, line 3, column 4"),
        ("a: *nobody\n", "not YAML: document 0, line 1, column 4: found undefined alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "not YAML: document 0, line 1.*could not determine"),
        ("a: \x01\n", "not YAML: document 0"),
        (b"a: \xff\n", "not YAML: document 0"),
        (f"a: {'9' * 5_000}\n", "document 0: a value can't be read"),
        ("? [a]\n: b\n", "document 0, line 1.*unhashable"),
        ('{"a": 1,}', "not JSON: line 1"),
        ('{"a": 1} x', "not JSON: line 1, column 10"),
        (b'{"a": "\xff"}', "not JSON: byte 7 is not UTF-8"),
        ("[" * 100_000, "JSON nested too deeply"),
        ("- " * 5_000 + "a", "not YAML: document 0.*exceeded maximum nesting depth"),
    ],
)
def test_an_error_names_the_place(text: str | bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(text)


def bomb() -> str:
    """Write ten levels, each of which repeats the one before ten times."""
    levels = (f"l{number}: &l{number} [{', '.join([f'*l{number - 1}'] * 10)}]" for number in range(1, 10))
    return "\n".join(["l0: &l0 [x, x, x]", *levels])


def test_aliases_that_multiply_are_refused() -> None:
    with pytest.raises(FormatError, match=r"document 0: aliases \(\*\) make the document much larger"):
        read(bomb())


def test_an_alias_of_itself_is_refused() -> None:
    with pytest.raises(FormatError, match="aliases"):
        read("a: &a [1, *a]\n")


def test_merge_keys_that_multiply_are_refused() -> None:
    with pytest.raises(FormatError, match=r"document 0: merge keys \(<<\) make the document much larger"):
        read(
            "base: &base {"
            + ", ".join(f"k{number}: 1" for number in range(200))
            + "}\n"
            + "".join(f"m{number}: {{<<: *base}}\n" for number in range(200))
        )


def test_a_value_may_be_repeated_and_merged() -> None:
    text = "base: &base {a: 1, b: [x]}\nmine: {<<: *base, a: 2}\nother: *base\n"
    assert read(text) == [
        {"base": {"a": 1, "b": ["x"]}, "mine": {"a": 2, "b": ["x"]}, "other": {"a": 1, "b": ["x"]}}
    ]


def test_yaml_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_documents, "MAX_YAML_BYTES", 10)
    with pytest.raises(FormatError, match="YAML of 12 bytes; at most 10: write it as JSON"):
        read("a: 12345678\n")


def test_dates_and_numbers_to_the_base_60_are_text() -> None:
    sixty = ":".join(["1"] * 50_000)  # as a number it would take a second
    assert read(f"a: [2026-01-31, 2026-02-31, 12:30, 1:2.5, 0x10, 2.5, {sixty}]\n") == [
        {"a": ["2026-01-31", "2026-02-31", "12:30", "1:2.5", 16, 2.5, sixty]}
    ]


def test_scalars_are_text() -> None:
    values = ["a", 80, 1.5, True, None, ["a"], {"a": 1}]
    assert [as_text(value) for value in values] == ["a", "80", "1.5", "true", "", "", ""]
