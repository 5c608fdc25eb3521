"""
The story of docs/operations.md, from the import that closes a cycle to the resolved alert.

An operator looks at the alert, checks a fix and applies it; the alert then resolves itself.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Command = Callable[..., Awaitable[CompletedProcess[str]]]

RELEASE, FIX = (str(ROOT / "examples" / name) for name in ("release.json", "fix.json"))
CIRCLE = ["orders", "payments"]


async def test_an_alert_appears_and_resolves_itself_once_its_fix_is_applied(
    quick_command: Command, online_shop: None
) -> None:
    refused = await quick_command("check", RELEASE)
    assert refused.returncode == 3
    assert "cycles would be added: 1 created" in refused.stdout
    assert (await quick_command("import", "json", RELEASE)).returncode == 0
    alert = await alert_with_status(quick_command, "ALERT_STATUS_OPEN")
    assert (alert["size"], alert["members"]) == (4, ["checkout", "fraud-scoring", "orders", "payments"])

    assert (await quick_command("alerts", "ack", alert["id"], "--by", "ana")).returncode == 0
    cuts = await quick_command("cuts", "checkout")
    assert "Remove these 2 dependencies to break every cycle." in cuts.stdout
    harmless = await quick_command("check", FIX)
    assert (harmless.returncode, harmless.stdout.splitlines()[0]) == (0, "no cycle would be added")

    assert (await quick_command("apply", FIX)).stdout.startswith("dependencies: 2 removed")
    resolved = await alert_with_status(quick_command, "ALERT_STATUS_RESOLVED")
    assert (resolved["id"], resolved["acknowledged_by"]) == (alert["id"], "ana")
    assert resolved["resolution_notes"].startswith("the cycle is gone: ")
    history = (await quick_command("alerts", "show", alert["id"])).stdout
    assert "acknowledged by ana" in history
    assert "resolved by detection" in history


async def alert_with_status(quick_command: Command, status: str) -> dict[str, Any]:
    """Wait for the alert of the circle to have a status."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            listed = json.loads((await quick_command("alerts", "list", "--status", "all", "--json")).stdout)
            for alert in listed["alerts"]:
                if alert["cycle_path"] == CIRCLE and alert["status"] == status:
                    found: dict[str, Any] = alert
                    return found
            await asyncio.sleep(0.05)
