"""Checks of fields, at their bounds and beyond."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import inf, nan
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from server.domain.errors import InvalidInputError, InvalidPageTokenError, InvalidRevisionError
from server.rpc.validate import Check, shown
from server.wire.columns import COMMUNICATION_MODE


def violations(apply: Callable[[Check], object]) -> list[tuple[str, str]]:
    check = Check()
    apply(check)
    try:
        check.done()
    except InvalidInputError as error:
        return [(violation.field, violation.description) for violation in error.violations]
    return []


@pytest.mark.parametrize("name", ["a", "x" * 255, "漢" * 255, "🙂" * 255, " ", "a\nb", "a" + "\u0301"])
def test_names_of_1_to_255_characters_pass(name: str) -> None:
    assert violations(lambda check: check.text("name", name)) == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("", "is empty; give 1\u2013255 characters"),
        ("x" * 256, "has 256 characters; at most 255 are allowed"),
        ("a\0b", "holds a NUL character, which can't be stored"),
    ],
)
def test_other_names_are_refused(name: str, wrong: str) -> None:
    assert violations(lambda check: check.text("name", name)) == [("name", wrong)]


def test_a_name_with_two_errors_reports_both() -> None:
    assert len(violations(lambda check: check.text("name", "\0" * 256))) == 2


@pytest.mark.parametrize("blank", [" ", "\t\n", "\u00a0"])
def test_white_space_alone_is_refused(blank: str) -> None:
    assert violations(lambda check: check.words("notes", blank, 10)) == [
        ("notes", "is blank; write something")
    ]
    assert violations(lambda check: check.words("notes", f"{blank}x", 10)) == []


def test_a_uuid_is_read_in_its_usual_form() -> None:
    text = "0198C0DE-0000-7000-8000-00000000000a"
    assert Check().uuid("id", text) == UUID(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0198c0de000070008000000000000000",
        "{0198c0de-0000-7000-8000-000000000000}",
        "x" * 36,
        "0" * 10_000,
    ],
)
def test_other_uuids_are_refused(text: str) -> None:
    [(field, wrong)] = violations(lambda check: check.uuid("id", text))
    assert field == "id"
    assert len(wrong) < 100


@pytest.mark.parametrize("share", [0.0, -0.0, 1.0, 5e-324])
def test_shares_from_0_to_1_pass(share: float) -> None:
    assert violations(lambda check: check.share("score", share)) == []


@pytest.mark.parametrize("share", [nan, inf, -inf, 1.5, -5e-324, 1.0000000000000002])
def test_other_shares_are_refused(share: float) -> None:
    assert violations(lambda check: check.share("score", share)) == [("score", f"{share} is not in 0\u20131")]


def test_numbers_out_of_bounds_are_refused_with_the_bounds() -> None:
    assert violations(lambda check: [check.number("n", value, 0, 10) for value in (0, 10)]) == []
    assert violations(lambda check: check.number("n", 11, 0, 10, "0 = 3")) == [
        ("n", "11 is not in 0\u201310 (0 = 3)")
    ]
    assert violations(lambda check: check.at_least("n", 0, 1)) == [("n", "0 is less than 1")]


def test_an_unspecified_enum_is_refused_where_it_is_required() -> None:
    [(_, wrong)] = violations(lambda check: check.word("mode", 0, COMMUNICATION_MODE, "sync"))
    allowed = "COMMUNICATION_MODE_SYNC, COMMUNICATION_MODE_ASYNC, COMMUNICATION_MODE_UNKNOWN"
    assert wrong == f"is required; give one of {allowed}"
    assert violations(lambda check: check.optional_word("mode", 0, COMMUNICATION_MODE)) == []


@pytest.mark.parametrize("number", [4, -1, 2**31 - 1])
def test_an_unknown_enum_number_is_refused_once(number: int) -> None:
    [(_, wrong)] = violations(lambda check: check.word("mode", number, COMMUNICATION_MODE, "sync"))
    assert wrong.startswith(f"{number} is not a known value")


@pytest.mark.parametrize(
    ("seconds", "nanos", "moment"),
    [
        (0, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-62_135_596_800, 0, datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        (-62_135_596_800, 2_000, datetime(1, 1, 1, 0, 0, 0, 2, tzinfo=UTC)),
        (253_402_300_799, 999_999_999, datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC)),
        (-1, 999_999_000, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_valid_times_become_utc(seconds: int, nanos: int, moment: datetime) -> None:
    assert Check().moment("time", Timestamp(seconds=seconds, nanos=nanos)) == moment


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-62_135_596_801, 0), (253_402_300_800, 0), (0, -1), (0, 10**9), (2**63 - 1, 0), (-(2**63), 0)],
)
def test_invalid_times_are_refused(seconds: int, nanos: int) -> None:
    invalid = Timestamp(seconds=seconds, nanos=nanos)
    assert [field for field, _ in violations(lambda check: check.moment("time", invalid))] == ["time"]


def test_too_many_items_are_refused_before_any_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="services: has 100,000 items; at most 10,000 fit one call"):
        Check().at_most("services", range(100_000), 10_000)


def test_each_repetition_names_the_position_of_the_first() -> None:
    keys = ["a", "b", "a", "a"]
    assert violations(lambda check: check.distinct("names[{}]", keys, "this name")) == [
        ("names[2]", "this name stands at position 0 already"),
        ("names[3]", "this name stands at position 0 already"),
    ]


def test_the_message_has_the_first_violation_and_the_number_of_others() -> None:
    check = Check()
    for field in ("a", "b", "c"):
        check.add(field, "is wrong")
    with pytest.raises(InvalidInputError, match=r"^a: is wrong \(and 2 more\)$"):
        check.done()


def test_the_error_class_is_special_only_if_all_violations_have_it() -> None:
    check = Check()
    check.add("page_token", "not ours", InvalidPageTokenError)
    with pytest.raises(InvalidPageTokenError):
        check.done()
    check.add("consistency.at_least_as_fresh", "not ours", InvalidRevisionError)
    with pytest.raises(InvalidInputError) as caught:
        check.done()
    assert type(caught.value) is InvalidInputError


def test_long_text_is_shown_shortened() -> None:
    assert shown("short") == "'short'"
    assert shown("x" * 1_000) == "'" + "x" * 39 + "…'"


def test_violations_within_a_message_have_its_path() -> None:
    def apply(check: Check) -> None:
        check.within("edges[3]").within("retry_config").number("max_retries", 7, 0, 5)
        check.text("name", "")

    assert [field for field, _ in violations(apply)] == ["edges[3].retry_config.max_retries", "name"]
