"""``depgraph check`` against the real server: its exit code is what a pipeline goes by."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import grpc
import pytest

from depgraph.v1 import dependency_service_pb2 as dependencies
from tests.support.calls import Stubs
from tests.support.command import depgraph

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

Command = Callable[..., Awaitable[CompletedProcess[str]]]
Check = Callable[..., Awaitable[CompletedProcess[str]]]


def edge(source: str, target: str, **said: Any) -> dict[str, Any]:
    mode = "COMMUNICATION_MODE_SYNC"
    return {"source_service_id": source, "target_service_id": target, "communication_mode": mode} | said


def key(source: str, target: str) -> dict[str, str]:
    return {"source_service_id": source, "target_service_id": target}


@pytest.fixture
def check(quick_command: Command, tmp_path: Path) -> Check:
    """Write a change to a file and have it checked."""
    path = tmp_path / "change.json"

    async def run(document: Any, *options: str) -> CompletedProcess[str]:
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return await quick_command("check", str(path), *options)

    return run


async def test_a_change_that_adds_no_cycle_passes(check: Check, online_shop: None) -> None:
    finished = await check({"edges": [edge("search", "recommendations")]})
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        "no cycle would be added",
        "blast radius: 1 service would change",
        "  SERVICE          NOW  THEN  ADDED                  REMOVED",
        "  recommendations  0    2     2: search, storefront  -",
        "1 new service: recommendations",
    ]


async def test_a_change_that_adds_cycles_exits_with_3_and_lists_them(
    check: Check, online_shop: None, channel: grpc.aio.Channel
) -> None:
    finished = await check({"edges": [edge("fraud-scoring", "checkout")]})
    assert (finished.returncode, finished.stderr) == (3, "")
    assert finished.stdout.splitlines()[:3] == [
        "cycles would be added: 1 created",
        "  created, 3 services: checkout → payments → fraud-scoring → checkout",
        "    closed by fraud-scoring → checkout: checkout → payments → fraud-scoring → checkout",
    ]
    listed = await Stubs(channel).dependencies.ListDependencies(
        dependencies.ListDependenciesRequest(source_service_id="fraud-scoring", target_service_id="checkout")
    )
    assert list(listed.dependencies) == [], "nothing is written"


async def test_kinds_of_cycles_can_be_allowed(check: Check, online_shop: None) -> None:
    denser = {"edges": [edge("promotions", "pricing")]}
    assert (await check(denser)).returncode == 3
    assert (await check(denser, "--allow", "created")).returncode == 3
    assert (await check(denser, "--allow", "created", "--allow", "denser")).returncode == 0


async def test_a_removal_that_breaks_a_cycle_passes(check: Check, online_shop: None) -> None:
    finished = await check({"removed": [key("loyalty", "pricing")]})
    assert finished.returncode == 0
    lines = finished.stdout.splitlines()
    assert lines[:2] == [
        "no cycle would be added",
        "  broken, 3 services: loyalty → pricing → promotions → loyalty is gone",
    ]


async def test_check_prints_json(check: Check, online_shop: None) -> None:
    finished = await check({"edges": [edge("fraud-scoring", "checkout")]}, "--json", "--top", "1")
    assert finished.returncode == 3
    answer = json.loads(finished.stdout)
    assert answer["adds_cycles"] is True
    assert answer["cycle_changes"][0]["kind"] == "CYCLE_CHANGE_KIND_CREATED"
    assert len(answer["impact_changes"]) == 1
    assert answer["impact_change_count"] > 1


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{", "not JSON"),
        ({"edges": [edge("a", "a")]}, "edges[0].target_service_id: is the source too"),
        ({"removed": [key("checkout", "storefront")]}, "removed[0]: no dependency of 'checkout'"),
        ({"edges": []}, "edges: is empty, and so is removed"),
        (
            [{"edges": [edge("a", "b")]}, {"edges": [edge("a", "c"), edge("a", "")]}],
            "report 1, edges[1].target_service_id: is empty",
        ),
        (
            {"removed": [key("a", f"b{number}") for number in range(10_001)]},
            "10,001 removed dependencies: 10,000 can be checked at once",
        ),
    ],
)
async def test_a_file_that_cannot_be_checked_exits_with_2(
    check: Check, online_shop: None, document: Any, complaint: str
) -> None:
    finished = await check(document)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith("depgraph: ")
    assert complaint in finished.stderr


async def test_a_missing_file_exits_with_2(quick_command: Command, tmp_path: Path) -> None:
    finished = await quick_command("check", str(tmp_path / "nowhere.json"))
    assert finished.returncode == 2
    assert "nowhere.json" in finished.stderr


async def test_without_a_server_check_exits_with_1(quick_command: Command) -> None:
    change = json.dumps({"edges": [edge("a", "b")]}).encode()
    finished = await quick_command("check", "-", "--address", "127.0.0.1:1", stdin=change)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "no answer from 127.0.0.1:1" in finished.stderr


async def test_a_change_is_read_from_a_pipe(server_address: str) -> None:
    change = json.dumps([{"edges": [edge("a", "b")]}, {"edges": [edge("b", "a")]}]).encode()
    finished = await asyncio.to_thread(
        depgraph, "check", "-", stdin=change, environment={"DEPGRAPH_ADDRESS": server_address}
    )
    assert finished.returncode == 3
    assert "created, 2 services: a → b → a" in finished.stdout
    assert "2 new services: a, b" in finished.stdout
