"""Tiny services (``own_database``) in processes of their own, run as us or an ordinary user."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).resolve().parents[2]
ORDINARY_UID = 65534
GONE_WITHIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A running service in miniature and what it said of itself."""

    process: subprocess.Popen[str]
    uid: int
    server: int
    url: str
    rows: int


@cache
def ordinary_python() -> str | None:
    """Find an interpreter that ``ORDINARY_UID`` can run the project with; None = there is none."""
    same_minor = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    for python in (sys.executable, same_minor):
        if python is not None and _works(python):
            return python
    return None


@contextmanager
def owner(data_dir: Path, python: str = sys.executable, *, uid: int | None = None) -> Iterator[Owner]:
    """Start a tiny service and wait for its row; kill it at the end."""
    command = [python, "-m", "tests.support.own_database", str(data_dir)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=_environment(),
        **_user(uid),
    ) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            yield Owner(process, said["uid"], said["server"], said["url"], said["rows"])
        finally:
            process.kill()


def kill_without_warning(victim: Owner) -> None:
    """Kill the service with SIGKILL and wait for its end; its database may still run."""
    victim.process.kill()
    victim.process.wait(GONE_WITHIN_SECONDS)


def wait_until_gone(pid: int) -> None:
    """Come back once there is no such process; fails after a long time."""
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


async def kept_rows(url: str) -> list[str]:
    """Read what services in miniature committed."""
    connection = await asyncpg.connect(url)
    try:
        return [row["note"] for row in await connection.fetch("SELECT note FROM kept")]
    finally:
        await connection.close()


def _works(python: str) -> bool:
    try:
        tried = subprocess.run(
            [python, "-c", "import server.store.embedded.launcher, asyncpg.protocol.protocol"],
            check=False,
            capture_output=True,
            cwd=ROOT,
            env=_environment(),
            **_user(ORDINARY_UID),
        )
    except OSError:
        return False
    return tried.returncode == 0


def _user(uid: int | None) -> dict[str, Any]:
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if "site-packages" in path)])
    }
