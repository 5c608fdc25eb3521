"""Pulls in processes of their own."""

import asyncio
import json
import re
from asyncio.subprocess import Process
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.formats.naming import NameRules
from server.sources import apart
from server.sources.apart import gather_apart
from server.sources.pulls import gather
from server.sources.source import PullError, Source
from tests.support.eventually import eventually

CALLS = (
    b'[{"parent": "shop", "child": "cart", "callCount": 1}, {"parent": "shop", "child": "", "callCount": 1}]'
)
# Backtracks for 2^60 steps.
ENDLESS = NameRules(rewrites=((re.compile("(a+)+$"), ""),))
LONG_CALLS = b'[{"parent": "%s!", "child": "cart", "callCount": 1}]' % (b"a" * 60)


def files(folder: Path, content: bytes, **more: Any) -> Source:
    path = folder / "calls.json"
    path.write_bytes(content)
    return Source(
        name="files",
        kind="file",
        discovery_source="otel_service_graph",
        paths=(str(path),),
        every=timedelta(minutes=1),
        window=timedelta(minutes=1),
        **more,
    )


async def test_a_pull_apart_gathers_what_a_pull_here_does(tmp_path: Path) -> None:
    source = files(tmp_path, CALLS, names=NameRules(rewrites=((re.compile("^shop$"), "web"),)))
    here, there = await gather(source), await gather_apart(source)
    assert (there.element_count, there.skipped_count) == (here.element_count, here.skipped_count) == (2, 1)
    (one,), (other,) = list(here.reports), list(there.reports)
    one.ClearField("observe_time")
    other.ClearField("observe_time")
    assert one == other
    assert other.edges[0].source_service_id == "web"


async def test_a_large_pull_apart_comes_in_reports_that_are_written_quickly(tmp_path: Path) -> None:
    calls = [{"parent": "hub", "child": f"s{number}", "callCount": 1} for number in range(600)]
    reports = list((await gather_apart(files(tmp_path, json.dumps(calls).encode()))).reports)
    # 601 services and 600 dependencies.
    assert [len(each.nodes) + len(each.edges) for each in reports] == [500, 500, 201]
    assert [each.details.more for each in reports] == [True, True, False]


async def test_a_pull_that_fails_apart_says_why(tmp_path: Path) -> None:
    with pytest.raises(PullError, match=r"calls\.json: .*not JSON"):
        await gather_apart(files(tmp_path, b"{"))


async def test_a_process_that_breaks_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "COMMAND", ("sh", "-c", "echo first >&2; echo out of memory >&2; exit 3"))
    with pytest.raises(PullError, match=r"^the process of the pull ended with 3: out of memory$"):
        await gather_apart(files(tmp_path, CALLS))


async def test_a_pull_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(PullError, match=r"^took longer than 1 s: see the answers, and the rules for names$"):
        await gather_apart(files(tmp_path, LONG_CALLS, names=ENDLESS), most_seconds=1)


async def test_a_pull_that_is_cancelled_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*command: Any, **more: Any) -> Process:
        started.append(await start(*command, **more))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    pulling = asyncio.ensure_future(gather_apart(files(tmp_path, LONG_CALLS, names=ENDLESS)))
    await eventually(lambda: bool(started))
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    assert started[0].returncode == -9
