"""Snapshots and revision tokens."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import InvalidRevisionError
from server.domain.revision import Revision, Snapshot

FEED = "7123:16384:0b7b1f7e-6a4f-4a3c-9d3e-1f2a3b4c5d6e"


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots of one database in order: transactions begin by number and end at random."""
    running: set[int] = set()
    upcoming = draw(st.integers(1, 50))
    taken = []
    for event in draw(st.lists(st.sampled_from(["begin", "begin", "end", "look"]), max_size=40)):
        if event == "begin":
            running.add(upcoming)
            upcoming += 1
        elif event == "end" and running:
            running.remove(draw(st.sampled_from(sorted(running))))
        elif event == "look":
            xmin = min(running, default=upcoming)
            listed = ",".join(map(str, sorted(running)))
            taken.append(Snapshot.parse(f"{xmin}:{upcoming}:{listed}"))
    return taken


@given(histories())
def test_a_later_snapshot_covers_every_earlier_one(history: list[Snapshot]) -> None:
    for index, earlier in enumerate(history):
        assert all(later.covers(earlier) for later in history[index:])


@given(histories())
def test_an_earlier_snapshot_covers_a_later_one_only_if_nothing_finished_between(
    history: list[Snapshot],
) -> None:
    for index, earlier in enumerate(history):
        for later in history[index:]:
            finished = {xid for xid in range(1, later.xmax) if later.sees(xid)}
            known = {xid for xid in range(1, earlier.xmax) if earlier.sees(xid)}
            # A snapshot whose bound moved counts as behind, even if nothing has finished.
            assert earlier.covers(later) == (finished == known and earlier.xmax == later.xmax)


def test_a_snapshot_sees_what_had_finished() -> None:
    snapshot = Snapshot.parse("10:20:10,15")
    assert [xid for xid in range(8, 22) if snapshot.sees(xid)] == [8, 9, 11, 12, 13, 14, 16, 17, 18, 19]


@pytest.mark.parametrize("position", ["5", "10:20:", "10:20:10,15"])
def test_a_token_comes_back_as_what_it_was(position: str) -> None:
    revision = Revision.of(f"{FEED}/{position}")
    assert Revision.parse(revision.token) == revision
    assert set(revision.token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("position", ["5", "10:20:", "10:20:10,15"])
def test_what_the_database_prints_is_read_like_a_token(position: str) -> None:
    plain = f"{FEED}/{position}"
    assert Revision.parse(plain) == Revision.of(plain)


@pytest.mark.parametrize("plain", ["a:b", f"{FEED}/", f"{FEED}/x", f" {FEED}/5", f"{FEED}/5 "])
def test_text_that_only_resembles_a_revision_is_refused(plain: str) -> None:
    with pytest.raises(InvalidRevisionError):
        Revision.parse(plain)


def test_a_write_is_held_once_its_transaction_has_finished() -> None:
    write = Revision(FEED, xid=15)
    assert not write.held_by(Snapshot.parse("10:20:10,15"))
    assert not write.held_by(Snapshot.parse("10:15:10"))
    assert write.held_by(Snapshot.parse("10:20:10"))


@pytest.mark.parametrize(
    "plain",
    [
        "",
        "x",
        "a/b",
        f"{FEED}/",
        f"{FEED}/x",
        f"{FEED}/1:2",
        f"{FEED}/1:2:x",
        "1:2/5",
        f"{FEED}/-5",
        f"{FEED}/{2**63}",
        f"{FEED}/9:5:",
        f"{FEED}/5:9:7,6",
        f"{FEED}/5:9:9",
        f"{FEED}/5 ",
    ],
)
def test_a_foreign_token_is_refused(plain: str) -> None:
    with pytest.raises(InvalidRevisionError):
        Revision.parse(base64.urlsafe_b64encode(plain.encode()).decode())


@given(st.text(max_size=100))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        revision = Revision.parse(text)
    except InvalidRevisionError:
        return
    assert revision.feed_id


def test_an_endless_token_is_refused() -> None:
    with pytest.raises(InvalidRevisionError):
        Revision.parse("A" * 1_000_000)
