"""Database processes: those we start, which end when we end, and those that a killed service left running."""

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


class GuardedProcess:
    """
    A program of PostgreSQL, run as an account, its output appended to a log.

    Linux ends the child when the *thread* that made it ends, so each has a thread that waits for it and so outlives it.
    """

    def __init__(self, command: Sequence[str], account: Account | None, log: Path) -> None:
        """Start it; raises ``OSError`` when that is impossible. Blocks for milliseconds."""
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
                    start_new_session=True,  # Ctrl-C is for the service, which then stops its database in order
                )
        except OSError as error:
            self._made.set_exception(error)
            return
        self._made.set_result(process)
        process.wait()
        self._exited.set()


def guarded(command: Sequence[str], account: Account | None) -> list[str]:
    """Put the command behind ``exec_guard``; isolated and without site packages, since that starts in half the time."""
    uid, gid = (str(account.uid), str(account.gid)) if account is not None else ("-", "-")
    return [sys.executable, "-I", "-S", exec_guard.__file__, str(os.getpid()), uid, gid, *command]


def _environment() -> dict[str, str]:
    """Ours, without the variables by which PostgreSQL's programs would take other settings than those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


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
