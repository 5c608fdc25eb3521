"""``depgraph apply`` against the real server: what was checked is what is made."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import grpc
import pytest

from depgraph.v1 import dependency_service_pb2 as dependencies
from tests.support.calls import Stubs

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

Command = Callable[..., Awaitable[CompletedProcess[str]]]
Apply = Callable[[Any], Awaitable[CompletedProcess[str]]]

ADDED = {
    "source_service_id": "search",
    "target_service_id": "recommendations",
    "communication_mode": "COMMUNICATION_MODE_ASYNC",
}
REMOVED = {"source_service_id": "storefront", "target_service_id": "checkout"}


@pytest.fixture
def apply(quick_command: Command, tmp_path: Path) -> Apply:
    """Write a change to a file and have it made."""
    path = tmp_path / "change.json"

    async def run(document: Any) -> CompletedProcess[str]:
        path.write_text(json.dumps(document))
        return await quick_command("apply", str(path))

    return run


async def calls_of(channel: grpc.aio.Channel, source: str) -> list[tuple[str, int]]:
    request = dependencies.ListDependenciesRequest(source_service_id=source, include_stale=True)
    listed = await Stubs(channel).dependencies.ListDependencies(request)
    return sorted((found.target_service_id, found.discovery_source) for found in listed.dependencies)


async def test_a_change_is_applied_and_applying_it_again_changes_nothing(
    apply: Apply, online_shop: None, channel: grpc.aio.Channel
) -> None:
    before = await calls_of(channel, "storefront")
    removed = [call for call in before if call[0] == "checkout"]
    assert len(removed) == 2, "two sources report it"
    finished = await apply({"edges": [ADDED], "removed": [REMOVED]})
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == (
        "dependencies: 2 removed, 1 created, 0 updated, 0 unchanged; 1 service created\n"
    )
    assert await calls_of(channel, "storefront") == [call for call in before if call[0] != "checkout"]
    assert ("recommendations", 1) in await calls_of(channel, "search")
    again = await apply({"edges": [ADDED], "removed": [REMOVED]})
    assert again.stdout.startswith("dependencies: 0 removed, 0 created")


async def test_a_removal_with_a_source_removes_only_that_source(
    apply: Apply, online_shop: None, channel: grpc.aio.Channel
) -> None:
    named = REMOVED | {"discovery_source": "DISCOVERY_SOURCE_MANUAL"}
    assert (await apply({"removed": [named]})).stdout.startswith("dependencies: 1 removed")
    left = await calls_of(channel, "storefront")
    assert [source for target, source in left if target == "checkout"] == [2]


@pytest.mark.parametrize("missing", ["source_service_id", "target_service_id"])
async def test_a_removal_without_both_names_is_refused_and_changes_nothing(
    apply: Apply, online_shop: None, channel: grpc.aio.Channel, missing: str
) -> None:
    before = await calls_of(channel, "storefront")
    finished = await apply({"edges": [ADDED], "removed": [REMOVED | {missing: ""}]})
    assert finished.returncode == 2
    assert "removed[0]: source_service_id and target_service_id are both needed" in finished.stderr
    assert await calls_of(channel, "storefront") == before
