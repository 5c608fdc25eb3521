"""
What a killed service may have left running on a cluster.

Called with the folder's lock held, so whatever still runs there has no owner. Linux only: elsewhere nothing is found and
PostgreSQL's own check refuses to start, naming the process.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from server.store.embedded.errors import EmbeddedPostgresError
from server.store.embedded.state import Report

FAST_SECONDS = 60.0
IMMEDIATE_SECONDS = 15.0
POLL_SECONDS = 0.02


def end_leftovers(cluster: Path, report: Report) -> None:
    """
    Wait until no database process works on the cluster, asking a leftover postmaster to shut down. Blocks.

    Raises ``EmbeddedPostgresError`` when some outlive even an immediate shutdown. One pass over /proc if there are none.
    """
    if sys.platform != "linux":
        return
    if left := database_processes(cluster):
        report(f"waiting for a database left running by a killed service (process {min(left)}) to shut down")
        _shut_down(cluster, signal.SIGINT, FAST_SECONDS)
        _shut_down(cluster, signal.SIGQUIT, IMMEDIATE_SECONDS)
    if left := database_processes(cluster):
        raise EmbeddedPostgresError(
            f"processes {sorted(left)} still work on the database files {cluster}: end them"
        )
    # Its process is gone, and its number may by now be another program's, which PostgreSQL would take for a server.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def database_processes(cluster: Path) -> set[int]:
    """List every process that runs ``postgres`` inside the cluster's folder: the postmaster and all its children."""
    folder = cluster.resolve()
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _works_in(entry, folder)
    }


def postmaster_pid(cluster: Path) -> int | None:
    """Read which process is named by the cluster's pid file; None = no such file, or half of one."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((cluster / "postmaster.pid").read_text().splitlines()[0])
    return None


def _works_in(process: Path, folder: Path) -> bool:
    try:
        program = (
            (process / "exe").readlink().name.removesuffix(" (deleted)")
        )  # so once the wheel is replaced
        return program == "postgres" and (process / "cwd").readlink() == folder
    except OSError:
        return False  # ended meanwhile, or another user's


def _shut_down(cluster: Path, how: signal.Signals, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    if (pid := postmaster_pid(cluster)) in database_processes(cluster) and pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
    while database_processes(cluster) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
