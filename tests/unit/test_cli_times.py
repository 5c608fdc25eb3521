"""Times as people give them, by a fixed clock, in zones with and without summer time."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from server.cli.times import EXAMPLES, present, read_past, read_time, timestamp, written

# Central Europe: clocks go forward on the last Sunday of March, back on the last one of October.
EUROPE = "CET-1CEST,M3.5.0,M10.5.0/3"
# Half an hour from a whole one, without summer time.
INDIA = "IST-5:30"
NOW = datetime(2026, 12, 1, 3, 12, 40, tzinfo=UTC)

InZone = Callable[[str], None]


@pytest.fixture(autouse=True)
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[InZone]:
    """Let the process live in UTC, or another zone; afterwards in its own again."""

    def live_in(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    own = os.environ.get("TZ")
    live_in("UTC0")
    yield live_in
    monkeypatch.setenv("TZ", own) if own is not None else monkeypatch.delenv("TZ")
    time.tzset()


def read(text: str, now: datetime = NOW) -> str:
    with patch("server.cli.times.present", return_value=now):
        return read_time(text).isoformat(" ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-12-01 03:12:40+00:00"),
        ("30s", "2026-12-01 03:12:10+00:00"),
        ("30m", "2026-12-01 02:42:40+00:00"),
        ("2h", "2026-12-01 01:12:40+00:00"),
        ("7d", "2026-11-24 03:12:40+00:00"),
        ("1w", "2026-11-24 03:12:40+00:00"),
        ("yesterday", "2026-11-30 00:00:00+00:00"),
        ("yesterday 14:00", "2026-11-30 14:00:00+00:00"),
        ("Yesterday 9:30:05", "2026-11-30 09:30:05+00:00"),
        ("03:12", "2026-12-01 03:12:00+00:00"),
        ("3:12:40", "2026-12-01 03:12:40+00:00"),
        ("03:12:41", "2026-11-30 03:12:41+00:00"),
        ("14:00", "2026-11-30 14:00:00+00:00"),
        ("14:00Z", "2026-11-30 14:00:00+00:00"),
        ("03:30+01:00", "2026-12-01 03:30:00+01:00"),
        ("2026-11-30", "2026-11-30 00:00:00+00:00"),
        ("2026-11-30 14:00", "2026-11-30 14:00:00+00:00"),
        ("2026-11-30 14:00:05", "2026-11-30 14:00:05+00:00"),
        ("2026-11-30T14:00", "2026-11-30 14:00:00+00:00"),
        ("2026-11-30T14:00:05Z", "2026-11-30 14:00:05+00:00"),
        ("2026-11-30t14:00:05.25z", "2026-11-30 14:00:05.250000+00:00"),
        ("2026-11-30T14:00:05.123456789-07:30", "2026-11-30 14:00:05.123456-07:30"),
        ("2027-06-01", "2027-06-01 00:00:00+00:00"),
        ("  2h ", "2026-12-01 01:12:40+00:00"),
    ],
)
def test_a_time_is_read(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        (EUROPE, "04:12", "2026-12-01 04:12:00+01:00"),
        (EUROPE, "04:13", "2026-11-30 04:13:00+01:00"),
        (EUROPE, "2h", "2026-12-01 02:12:40+01:00"),
        (EUROPE, "2026-07-01 12:00", "2026-07-01 12:00:00+02:00"),
        (EUROPE, "2026-11-30T14:00:00Z", "2026-11-30 14:00:00+00:00"),
        (INDIA, "yesterday", "2026-11-30 00:00:00+05:30"),
        (INDIA, "08:42", "2026-12-01 08:42:00+05:30"),
        ("PST8", "yesterday 14:00", "2026-11-29 14:00:00-08:00"),
    ],
)
def test_the_local_zone_counts_where_none_is_given(
    zone: str, text: str, expected: str, in_zone: InZone
) -> None:
    in_zone(zone)
    assert read(text) == expected


def test_a_time_that_clocks_skip_is_refused(in_zone: InZone) -> None:
    in_zone(EUROPE)
    for text in ("2026-03-29 02:00", "2026-03-29 02:59:59"):
        with pytest.raises(ValueError, match="clocks skipped it") as caught:
            read(text)
        assert repr(text) in str(caught.value)
    assert read("2026-03-29 01:59:59") == "2026-03-29 01:59:59+01:00"
    assert read("2026-03-29 03:00") == "2026-03-29 03:00:00+02:00"
    assert read("2026-03-29 02:30Z") == "2026-03-29 02:30:00+00:00"


def test_of_two_times_of_one_name_the_first_is_meant(in_zone: InZone) -> None:
    in_zone(EUROPE)
    assert read("2026-10-25 02:30") == "2026-10-25 02:30:00+02:00"
    assert read("2026-10-25 02:30+01:00") == "2026-10-25 02:30:00+01:00"
    assert read("2026-10-25 03:00") == "2026-10-25 03:00:00+01:00"


def test_ago_counts_real_hours_across_a_change_of_clocks(in_zone: InZone) -> None:
    in_zone(EUROPE)
    assert read("24h", datetime(2026, 3, 29, 12, tzinfo=UTC)) == "2026-03-28 13:00:00+01:00"
    for text in ("yesterday 23:00", "23:00"):
        assert read(text, datetime(2026, 3, 29, 12, tzinfo=UTC)) == "2026-03-28 23:00:00+01:00"


NO_TIMES = (
    *("", " ", "soon", "2 h", "-2h", "2.5h", "1e3s", "1400", "14", "T", "20261130", "2026-W48-1"),
    *("yesterday14", "14:00 yesterday", "2026-11-30 14", "2026-11-30Z", "2026-11-30  14:00"),
    *("2026-11-30 14:00 CET", "\u0967\u096a:\u0966\u0966"),
)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_gets_a_sentence_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no time") as caught:
        read(text)
    assert str(caught.value) == f"{text!r} is no time: expected one such as {EXAMPLES}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-02-30", "is no time: day "),
        ("25:00", "is no time: hour must be in"),
        ("14:60", "is no time: minute must be in"),
        ("2026-11-30 14:00:61", "is no time: second must be in"),
        ("2026-11-30 14:00+25:00", "is no time: offset must be"),
        ("999999999999w", "is before any time"),
        ("0001-01-01T00:00:00+14:00", "is before any time"),
    ],
)
def test_a_time_that_no_calendar_has_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read(text)
    assert str(caught.value).startswith(repr(text))


def test_every_example_of_the_sentence_is_a_time() -> None:
    examples = EXAMPLES.replace(" (ago)", "").replace(" or ", ", ").split(", ")
    assert len(examples) == 6
    for each in examples:
        read_time(each.strip("'"))


@pytest.mark.parametrize("zone", ["UTC0", EUROPE, INDIA])
def test_a_written_time_is_read_back(zone: str, in_zone: InZone) -> None:
    in_zone(zone)
    for moment in (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), datetime(2026, 7, 1, 12, 0, 7, tzinfo=UTC)):
        assert read_time(written(moment)) == moment
    of_a_mark = Timestamp(seconds=1_782_907_207, nanos=999_999_999)
    assert read_time(written(of_a_mark)) == datetime(2026, 7, 1, 12, 0, 7, tzinfo=UTC)


def test_now_as_a_past_is_as_if_none_were_given() -> None:
    assert read_past("Now") is None
    assert read_past("2026-11-30") == datetime(2026, 11, 30, tzinfo=UTC)
    assert timestamp(None) is None
    assert timestamp(datetime(1970, 1, 1, 0, 0, 1, 5, UTC)) == Timestamp(seconds=1, nanos=5000)


def test_the_present_is_a_whole_second_of_now() -> None:
    before = datetime.now(UTC)
    moment = present()
    assert moment.microsecond == 0
    assert before.replace(microsecond=0) <= moment <= datetime.now(UTC)
