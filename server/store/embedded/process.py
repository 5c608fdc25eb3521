"""Child processes that end when we end, however we end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from server.store.embedded import exec_guard
from server.store.embedded.account import Account


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
