"""Page tokens survive a round trip, and all others are refused; pages fit an answer."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.types_pb2 import Service
from server.domain.errors import InvalidInputError, InvalidPageTokenError, ResponseTooLargeError
from server.domain.ports import PageKey
from server.domain.services import ServiceFilter
from server.rpc.paging import COMPONENTS, ROWS, ComponentKey, PageTokens, fitted_page, page_size
from server.rpc.validate import Check

TOKENS = PageTokens("services", ServiceFilter(team="shop"), ROWS)
KEY = PageKey(datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC), UUID(int=7))


def read(tokens: PageTokens[PageKey], token: str) -> PageKey | None:
    check = Check()
    key = tokens.read(check, token)
    check.done()
    return key


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_row_key_survives_the_round_trip_through_a_token(created_at: datetime, row: UUID) -> None:
    key = PageKey(created_at, row)
    assert read(TOKENS, TOKENS.write(key)) == key


@given(st.integers(1, 10**6), st.text(min_size=1, max_size=255))
def test_a_component_key_survives_the_round_trip_through_a_token(size: int, member: str) -> None:
    tokens, check = PageTokens("components", 2, COMPONENTS), Check()
    assert tokens.read(check, tokens.write(ComponentKey(size, member))) == (size, member)
    check.done()


def test_without_a_key_the_token_is_empty() -> None:
    assert TOKENS.write(None) == ""
    assert PageTokens("components", 2, COMPONENTS).write(None) == ""
    assert read(TOKENS, "") is None


@pytest.mark.parametrize(
    "token",
    [
        "2",
        "!",
        "ä",
        "AAAA",
        "=" * 8,
        "A" * 100_000,
        TOKENS.write(KEY)[:-2],
        TOKENS.write(KEY) + "AA",
        TOKENS.write(KEY).swapcase(),
        PageTokens("dependencies", ServiceFilter(team="shop"), ROWS).write(KEY),
        PageTokens("services", ServiceFilter(team="other"), ROWS).write(KEY),
        PageTokens("services", ServiceFilter(team="shop"), COMPONENTS).write(ComponentKey(2, "a")),
    ],
)
def test_any_other_token_is_refused_with_its_own_reason(token: str) -> None:
    with pytest.raises(InvalidPageTokenError) as caught:
        read(TOKENS, token)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


def test_a_token_with_a_valid_digest_but_an_invalid_position_is_refused() -> None:
    for position in (b"1", b"x/y", b"9" * 30 + b"/" + b"0" * 32, b"\xff"):
        forged = base64.urlsafe_b64encode(TOKENS._digest(position) + position).decode()
        with pytest.raises(InvalidPageTokenError):
            read(TOKENS, forged)


@pytest.mark.parametrize(("wanted", "size"), [(0, 100), (1, 1), (1_000, 1_000)])
def test_page_sizes_within_bounds_are_kept_and_zero_means_a_hundred(wanted: int, size: int) -> None:
    assert page_size(Check(), wanted) == size


@pytest.mark.parametrize("wanted", [-1, 1_001, 2**31 - 1])
def test_page_sizes_out_of_bounds_are_refused(wanted: int) -> None:
    check = Check()
    page_size(check, wanted)
    with pytest.raises(InvalidInputError, match="page_size"):
        check.done()


def page(
    names: list[str], following: tuple[str] | None, max_bytes: int
) -> tuple[list[str], tuple[str] | None]:
    encoded, key = fitted_page(
        names, following, lambda name: Service(service_id=name), lambda name: (name,), max_bytes
    )
    return [service.service_id for service in encoded], key


def test_a_page_that_fits_is_kept_whole() -> None:
    assert page(["a", "b"], ("b",), 100_000) == (["a", "b"], ("b",))
    assert page(["a", "b"], None, 100_000) == (["a", "b"], None)
    assert page([], None, 100_000) == ([], None)


def test_a_page_that_is_too_large_ends_early_and_continues_after_its_last_row() -> None:
    names = [letter * 10_000 for letter in "abcd"]
    assert page(names, None, 50_000) == (names[:2], (names[1],))


def test_a_row_too_large_for_any_page_is_an_error() -> None:
    with pytest.raises(ResponseTooLargeError) as caught:
        page(["a" * 60_000], None, 50_000)
    assert caught.value.metadata == {"limit_bytes": "50000"}
