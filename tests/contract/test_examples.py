"""The examples of the repository, run as a reader would run them, against the real server."""

import asyncio
import json
import subprocess
import sys

import pytest

from depgraph import AsyncClient
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from depgraph.v1.types_pb2 import Consistency
from tests.support.command import ROOT, clean_environment, depgraph

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


async def test_the_client_example_runs_on_the_sample_topology(server_address: str) -> None:
    imported = await asyncio.to_thread(
        depgraph, "import", "json", "examples/online_shop.json", "--address", server_address, "--json"
    )
    revision = json.loads(imported.stdout)["revision"]
    async with AsyncClient(server_address) as client:
        components = await client.graph.ListComponents(
            ListComponentsRequest(consistency=Consistency(at_least_as_fresh=revision))
        )
    assert [list(component.members) for component in components.components] == [
        ["loyalty", "pricing", "promotions"]
    ]

    example = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "examples/client.py", server_address],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert example.stderr == ""
    hit, callers = (line.partition(": ") for line in example.stdout.splitlines())
    assert hit[0] == "hit when accounts fails"
    assert set(hit[2].split()) == {
        "storefront",
        "checkout",
        "payments",
        "fraud-scoring",
        "orders",
        "shipping",
        "notifications",
    }
    assert callers[0] == "callers of notifications now"
    assert set(callers[2].split()) == {"loyalty", "orders", "shipping"}
