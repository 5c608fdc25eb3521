"""What a start reports while it waits for the database."""

import pytest

from server.domain.errors import DatabaseUnavailableError
from server.lifecycle import database


async def test_a_start_reports_a_cause_of_waiting_once_until_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    causes = iter(
        ["nothing listens", "nothing listens", "nothing listens", "it starts up", "nothing listens"]
    )
    reported: list[str] = []
    waits: list[BaseException | None] = []

    async def migrate(*_: object, **__: object) -> None:
        for cause in causes:
            raise DatabaseUnavailableError(cause)

    async def no_warning(*_: object) -> None:
        pass

    monkeypatch.setattr(database, "_migrate", migrate)
    monkeypatch.setattr(database, "_warn", no_warning)
    monkeypatch.setattr(database, "reconnect_pause", lambda _: 0)
    await database.bring_up_to_date("", reported.append, may_migrate=True, waiting=waits.append)
    assert [line.rpartition(": ")[2] for line in reported] == [
        "nothing listens",
        "it starts up",
        "nothing listens",
    ]
    assert len(waits) == 6
    assert waits[-1] is None
