"""The log of refused requests: an operator finds them, and nobody fills the log with them."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from server.rpc.call_log import WINDOW
from server.web.guard import Guard
from server.web.refusals import Refusals

PEER = "ipv4:192.0.2.7:1234"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which tests change."""
    now = [1_000.0]
    monkeypatch.setattr("server.web.refusals.time.monotonic", lambda: now[0])
    return now


def test_of_many_refused_requests_the_first_of_each_kind_is_logged(clock: list[float]) -> None:
    noted = Refusals()
    with capture_logs() as lines:
        for number in range(1_000):
            noted.note("host", f"not known as 'evil{number}.example'", PEER)
            noted.note("origin", "another site", PEER)
    assert [(line["kind"], line["reason"]) for line in lines] == [
        ("host", "not known as 'evil0.example'"),
        ("origin", "another site"),
    ]
    assert {(line["event"], line["peer"], line["log_level"]) for line in lines} == {
        ("refused a request", PEER, "info")
    }


def test_a_later_line_says_how_many_had_none(clock: list[float]) -> None:
    noted = Refusals()
    with capture_logs() as lines:
        for _ in range(3):
            for _ in range(5):
                noted.note("host", "no", PEER)
            clock[0] += WINDOW.total_seconds()
    assert [line["more_before"] for line in lines] == [0, 4, 4]


def test_a_long_header_is_cut(clock: list[float]) -> None:
    with capture_logs() as lines:
        Refusals().note("host", "x" * 10_000, PEER)
    assert len(lines[0]["reason"].encode()) == 300


@pytest.mark.parametrize(
    ("kind", "target", "headers"),
    [
        ("host", b"/", [(b"host", b"evil.example")]),
        ("origin", b"/", [(b"host", b"localhost"), (b"origin", b"http://evil.example")]),
        ("origin", b"/", [(b"host", b"localhost"), (b"sec-fetch-site", b"cross-site")]),
        ("unclear", b"http://localhost/", [(b"host", b"localhost")]),
    ],
)
async def test_what_the_guard_refuses_is_found_in_the_log(
    kind: str, target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    sent: list[Any] = []

    async def answer(*_: Any) -> Any:
        raise AssertionError("it is not asked")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "http_version": "1.1",
        "method": "POST",
        "raw_path": target,
        "headers": headers,
        "client": ("192.0.2.7", 1234),
    }
    with capture_logs() as lines:
        await Guard(answer, (), Refusals())(scope, answer, send)
    assert sent[0]["status"] in (400, 403)
    ((found_kind, peer, reason),) = [(line["kind"], line["peer"], line["reason"]) for line in lines]
    assert (found_kind, peer) == (kind, PEER)
    # The log says what the answer does.
    assert reason.encode()[:40] in sent[1]["body"]
