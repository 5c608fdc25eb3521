"""The sample of an empty database, when the database stops taking writes meanwhile."""

from itertools import chain, repeat

import pytest

from server.config import Limits
from server.domain.errors import DatabaseUnavailableError
from server.domain.reports import IngestBatch
from server.lifecycle.database import seed
from server.postgres.causes import DISK_FULL
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from tests.support.command import ROOT

SAMPLE = ROOT / "examples" / "online_shop.json"


def failing_after(writes: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = chain[str | None](repeat(None, writes), repeat(message))
    ingest = DependencyRepository.ingest

    async def fail_later(self: DependencyRepository, batch: IngestBatch) -> object:
        if (failure := next(failures)) is not None:
            raise DatabaseUnavailableError(failure)
        return await ingest(self, batch)

    monkeypatch.setattr(DependencyRepository, "ingest", fail_later)


@pytest.mark.parametrize(("writes", "said"), [(0, "was not loaded into the empty"), (1, "only 1 of ")])
async def test_on_a_full_disk_the_start_goes_on_and_reports_how_much_of_the_sample_is_there(
    database_url: str, monkeypatch: pytest.MonkeyPatch, writes: int, said: str
) -> None:
    failing_after(writes, str(DISK_FULL), monkeypatch)
    reported: list[str] = []
    async with Database.open(database_url) as database:
        await seed(database, SAMPLE, Limits(), reported.append)
    (sentence,) = reported
    assert said in sentence
    assert str(DISK_FULL) in sentence


@pytest.mark.parametrize(("writes", "sentences"), [(0, 0), (1, 1)])
async def test_any_other_failure_is_raised_and_a_partial_sample_reported(
    database_url: str, monkeypatch: pytest.MonkeyPatch, writes: int, sentences: int
) -> None:
    failing_after(writes, "the connection broke", monkeypatch)
    reported: list[str] = []
    async with Database.open(database_url) as database:
        with pytest.raises(DatabaseUnavailableError, match="broke"):
            await seed(database, SAMPLE, Limits(), reported.append)
    assert len(reported) == sentences
    assert all("only 1 of " in sentence for sentence in reported)
