"""A server as a user starts it: the command, in a process of its own."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import stopwatch


class ServerProcess:
    def __init__(self, data_dir: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "server.cli",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                str(data_dir),
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        with stopwatch() as starting:
            line = self._process.stdout.readline()
        self.start_seconds = starting.seconds
        if not line.startswith("serving on "):
            self._log.seek(0)
            raise RuntimeError(self._log.read().decode())
        self.address = line.removeprefix("serving on ").strip()

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait() == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextmanager
def serving(data_dir: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(data_dir)
    try:
        yield server
    finally:
        server.stop()
