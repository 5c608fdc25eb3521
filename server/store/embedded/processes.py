"""Database processes: those we start, which end with us, and those of killed services."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from server.store.embedded import exec_guard
from server.store.embedded.account import Account
from server.store.embedded.reporting import EmbeddedPostgresError, Report

FAST_SECONDS = 60.0
IMMEDIATE_SECONDS = 15.0
POLL_SECONDS = 0.02


class GuardedProcess:
    """
    A program of PostgreSQL, run as an account, its output appended to a log.

    Linux ends the child when the *thread* that made it ends, so a thread waits for each child.
    """

    def __init__(self, command: Sequence[str], account: Account | None, log: Path) -> None:
        """Start it, or raise ``OSError``. Blocks for milliseconds."""
        self._command = guarded(command, account)
        self._log = log
        self._made: Future[subprocess.Popen[bytes]] = Future()
        self._exited = threading.Event()
        threading.Thread(target=self._keep, name=f"keeper of {command[0]}", daemon=True).start()
        self._process = self._made.result()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative = ended by that signal."""
        return self._process.returncode if self._exited.is_set() else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it ended within that time; None = wait for as long as it takes. Blocks."""
        return self._exited.wait(seconds)

    def _keep(self) -> None:
        try:
            with self._log.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - our own command
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=_environment(),
                    # Ctrl-C is for the service, which then stops its database in order.
                    start_new_session=True,
                )
        except OSError as error:
            self._made.set_exception(error)
            return
        self._made.set_result(process)
        process.wait()
        self._exited.set()


def guarded(command: Sequence[str], account: Account | None) -> list[str]:
    """Run a command by ``exec_guard``; isolated and without site packages it starts faster."""
    uid, gid = (str(account.uid), str(account.gid)) if account is not None else ("-", "-")
    return [sys.executable, "-I", "-S", exec_guard.__file__, str(os.getpid()), uid, gid, *command]


def _environment() -> dict[str, str]:
    """Return our environment without the ``PG…`` variables, which are settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


def end_leftovers(cluster: Path, report: Report) -> None:
    """
    Shut down a leftover postmaster and wait for all processes of the cluster. Blocks.

    Raises ``EmbeddedPostgresError`` when some outlive even an immediate shutdown.
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
    # Another program may have its process id by now, and PostgreSQL would take it for a server.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def database_processes(cluster: Path) -> set[int]:
    """List the processes of a cluster: the postmaster and its children."""
    folder = cluster.resolve()
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _works_in(entry, folder)
    }


def _works_in(process: Path, folder: Path) -> bool:
    try:
        program = (process / "exe").readlink().name.removesuffix(" (deleted)")  # after the wheel was replaced
        return program == "postgres" and (process / "cwd").readlink() == folder
    except OSError:
        return False  # ended meanwhile, or another user's


def _shut_down(cluster: Path, how: signal.Signals, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError, ValueError, IndexError):
        # There may be no such file, or half of it.
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
        if pid in database_processes(cluster):
            os.kill(pid, how)
    while database_processes(cluster) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
